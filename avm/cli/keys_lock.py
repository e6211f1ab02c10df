"""`keys lock`, `keys unlock`: puts the host's keys under a passphrase, or has them in the open again."""

import argparse
import os

from avm.cli.output import print_json, say
from avm.run import keyfile
from avm.run.auditing import check_store, note_keys
from avm.run.directory import Directory
from caps.locked import ENTROPY_BYTES, is_locked


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Writes the key file anew, while no host runs on it."""
    lock = directory.acquire_lock()
    try:
        check_store(directory)
        said = _lock(args, directory) if args.act == "lock" else _unlock(directory)
    finally:
        lock.close()
    if args.json:
        print_json({"address": directory.host_address().hex(), "locked": args.act == "lock"})
    else:
        say(said)
    return 0


def _lock(args: argparse.Namespace, directory: Directory) -> str:
    """Also puts them under another one, where they are under one already."""
    body = directory.key_body()
    keys = keyfile.unlocked(body, directory.passphrase, directory.key_file)
    fresh = args.passphrases.fresh()
    directory.replace_keys(
        keyfile.locked_under(keys, fresh, os.urandom(ENTROPY_BYTES), directory.key_file)
    )
    act = "put under another passphrase" if is_locked(body) else "put under a passphrase"
    note_keys(directory, "locked", act)
    again = "another passphrase" if is_locked(body) else "a passphrase"
    return f"the keys are under {again}: the host asks for it when it starts"


def _unlock(directory: Directory) -> str:
    body = directory.key_body()
    if not is_locked(body):
        return "the keys are under no passphrase"
    directory.replace_keys(keyfile.unlocked(body, directory.passphrase, directory.key_file))
    note_keys(directory, "open", "taken from under their passphrase")
    return "the keys are in the open again, for the owner of the directory alone"
