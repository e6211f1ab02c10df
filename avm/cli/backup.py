"""`backup`: the store in one file, consistent while the host runs."""

import argparse
from pathlib import Path

from avm.cli.arguments import add_json
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.run.directory import Directory


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("file", metavar="FILE", help="the file to make; it must not exist")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Makes the backup."""
    path = Path.cwd() / args.file
    done = ask(directory, "backup", {"path": str(path)})
    if args.json:
        print_json({"file": str(path), **done})
    else:
        say(f"{path}: {done['bytes']:,} bytes")
    return 0
