"""`verify`: holds a whole store against itself: every chain, snapshot, slot and seal."""

import argparse

from avm.cli.arguments import add_json, add_passphrase
from avm.cli.errors import DAMAGED
from avm.cli.output import counted, print_json, say, warn
from avm.cli.show import keys_of
from avm.host.keys import Keyring
from avm.past.audit import Audit, Problem
from avm.past.reading import Reader
from avm.run.directory import Directory
from avm.run.errors import KeysLocked, KeysRefused
from avm.store.errors import StoreDamaged


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_passphrase(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints a line for each problem; 5 when there is one."""
    with Reader.open(directory) as reader, reader.reading():
        unread: list[Problem] = []
        keys: Keyring | None = None
        try:
            keys = keys_of(reader, directory)
        except KeysLocked:
            raise
        except KeysRefused as refused:
            unread.append(Problem("", None, str(refused)))
        except StoreDamaged:
            pass
        audit = Audit(reader, keys)
        found = [*unread, *audit.problems()]
    if args.json:
        rows = [{"machine": one.machine or None, "turn": one.turn, "why": one.why} for one in found]
        print_json({"entries": audit.entries, "problems": rows})
    else:
        for one in found:
            say(str(one))
        if not found:
            say(f"{audit.entries} entries: every chain, seal and reference holds")
    if found:
        remedy = "" if found == unread else ": restore a backup"
        warn(f"avm-host: {counted(len(found), 'problem')} in {directory.path}{remedy}")
        return DAMAGED
    return 0
