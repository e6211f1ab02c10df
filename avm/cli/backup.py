"""`backup`: the store in one file, consistent while the host runs."""

import argparse
import os
from pathlib import Path

from avm.cli.arguments import add_json, add_passphrase
from avm.cli.errors import CliError
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.run import keyfile
from avm.run.directory import Directory
from caps.locked import ENTROPY_BYTES, is_locked


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("file", metavar="FILE", help="the file to make; it must not exist")
    add_passphrase(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Makes the backup."""
    path = Path.cwd() / args.file
    done = ask(directory, "backup", {"path": str(path), **_locked(args, directory)})
    if args.json:
        print_json({"file": str(path), **done})
    else:
        say(f"{path}: {done['bytes']:,} bytes")
    return 0


def _locked(args: argparse.Namespace, directory: Directory) -> dict[str, bytes]:
    """The keys under a passphrase for the backup alone, where one is given."""
    if args.passphrase_fd is None:
        return {}
    keys = directory.key_body()
    if is_locked(keys):
        why = "the keys are under a passphrase already, and so they are in the backup"
        raise CliError(f"{why}: leave --passphrase-fd out")
    fresh = args.passphrases.fresh()
    entropy = os.urandom(ENTROPY_BYTES)
    return {"keys": keyfile.locked_under(keys, fresh, entropy, directory.key_file)}
