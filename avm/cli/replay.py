"""`replay`: takes a machine's turns again, without effects, and compares every output and digest."""

import argparse
from pathlib import Path
from typing import Any

from avm.cli.arguments import add_fork, add_json, add_machine
from avm.cli.errors import DAMAGED, REFUSED
from avm.cli.output import print_json, say
from avm.cli.state import progress_of
from avm.host.chain import Fault
from avm.host.state import Machine
from avm.machine.bundle import collect
from avm.run.config import Config
from avm.run.difference import Difference
from avm.run.directory import Directory
from avm.run.reading import Reader
from avm.run.replaying import replay
from avm.run.rerun import HASH_SEED, Agreed, NewCode
from avm.run.states import try_upgrade
from avm.run.worker import forked

NEW_CODE_TURNS = 3


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    parser.add_argument("--to", metavar="TURN", type=int, help="no further than this turn")
    parser.add_argument("--code", metavar="FILE", help="with this code: the dry run of an upgrade")
    parser.add_argument("--force", action="store_true", help="though Python is of another version")
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints that all agrees, or the first that differs; the exit code says which."""
    limits = Config.read(directory.config_file).limits
    new = None if args.code is None else _new_code(args.code)
    timeout_s = None if new is None else limits.turn_s * NEW_CODE_TURNS
    upgrade = ""
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        options: dict[str, Any] = {"to": args.to, "new": new, "any_python": args.force}
        with forked(HASH_SEED, limits, timeout_s) as worker, progress_of(machine) as told:
            found = replay(reader, machine, worker, progress=told, **options)
        if new is not None and args.to is None:
            with forked(HASH_SEED, limits, timeout_s) as worker:
                upgrade = try_upgrade(reader, machine, worker, new)
    if args.json:
        print_json(_json(machine, found, upgrade))
    else:
        say(_told(machine, found, new is not None))
        if upgrade:
            say(f"{machine.name} would keep its code: {upgrade}")
    if isinstance(found, Fault):
        return DAMAGED
    return 0 if isinstance(found, Agreed) and not upgrade else REFUSED


def _new_code(file: str) -> NewCode:
    bundle = collect(file, _read)
    return NewCode(bundle.hash, bundle.encode())


def _read(path: str) -> bytes | None:
    place = Path(path)
    return place.read_bytes() if place.is_file() else None


def _told(machine: Machine, found: Agreed | Difference | Fault, is_new: bool) -> str:
    match found:
        case Agreed():
            said = "every answer is the same" if is_new else "every digest agrees"
            since = f", from the snapshot of turn {found.first} on" if found.first else ""
            some = f"; {found.trusted} taken from the record" if found.trusted else ""
            return f"{machine.name}: {found.turns} turns, {said}{since}{some}"
        case Difference():
            return f"{machine.name}: {found}"
        case Fault():
            return f"{machine.name}, turn {found.n}: {found.why}; restore a backup"


def _json(machine: Machine, found: Agreed | Difference | Fault, upgrade: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"machine": machine.name, "agrees": isinstance(found, Agreed)}
    match found:
        case Agreed():
            shown |= {"turns": found.turns, "first": found.first, "trusted": found.trusted}
        case Difference():
            shown |= {"turn": found.turn, "message": found.message, "path": found.path}
            shown |= {"was": found.was, "now": found.now}
        case Fault():
            shown |= {"turn": found.n, "damage": found.why}
    return shown | ({"upgrade": upgrade} if upgrade else {})
