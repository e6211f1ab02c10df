"""`replay`: takes a machine's turns again, without effects, and compares every output and digest."""

import argparse
from typing import Any

from avm.cli.arguments import add_fork, add_json, add_machine, check_turns
from avm.cli.errors import DAMAGED, REFUSED, Usage
from avm.cli.output import print_json, say
from avm.cli.shadow import compare
from avm.cli.state import progress_of
from avm.host.chain import Fault
from avm.host.state import Machine
from avm.past.difference import Difference
from avm.past.reading import Reader
from avm.past.replaying import replay
from avm.past.rerun import Agreed
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.spawn import OTHER_HASH_SEED
from avm.run.worker import forked


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    parser.add_argument("--to", metavar="TURN", type=int, help="no further than this turn")
    text = "with --code: begin with the state before this turn, migrated"
    parser.add_argument("--from", dest="first", metavar="TURN", type=int, help=text)
    parser.add_argument("--code", metavar="FILE", help="with this code: the dry run of an upgrade")
    parser.add_argument("--force", action="store_true", help="though Python is of another version")
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints that all agrees, or the first that differs; the exit code says which."""
    if args.first is not None and args.code is None:
        raise Usage(f"--from goes with --code: `replay {args.machine} --code FILE --from TURN`")
    check_turns(args.first, args.to)
    limits = Config.read(directory.config_file).limits
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        if args.code is not None:
            return compare(args, reader, machine, limits)
        with forked(OTHER_HASH_SEED, limits) as worker, progress_of(machine) as told:
            options: dict[str, Any] = {"to": args.to, "any_python": args.force}
            found = replay(reader, machine, worker, progress=told, **options)
    if args.json:
        print_json(_json(machine, found))
    else:
        say(_told(machine, found))
    if isinstance(found, Fault):
        return DAMAGED
    return 0 if isinstance(found, Agreed) else REFUSED


def _told(machine: Machine, found: Agreed | Difference | Fault) -> str:
    match found:
        case Agreed():
            since = f", from the snapshot of turn {found.first} on" if found.first else ""
            some = f"; {found.trusted} taken from the record" if found.trusted else ""
            return f"{machine.name}: {found.turns} turns, every digest agrees{since}{some}"
        case Difference():
            return f"{machine.name}: {found}"
        case Fault():
            return f"{machine.name}, turn {found.n}: {found.why}; restore a backup"


def _json(machine: Machine, found: Agreed | Difference | Fault) -> dict[str, Any]:
    shown: dict[str, Any] = {"machine": machine.name, "agrees": isinstance(found, Agreed)}
    match found:
        case Agreed():
            shown |= {"turns": found.turns, "first": found.first, "trusted": found.trusted}
        case Difference():
            shown |= {"turn": found.turn, "message": found.message, "path": found.path}
            shown |= {"was": found.was, "now": found.now}
        case Fault():
            shown |= {"turn": found.n, "damage": found.why}
    return shown
