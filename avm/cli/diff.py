"""`diff`: where a machine's states after two turns differ, by path, whether or not a host runs."""

import argparse

from avm.cli.arguments import add_fork, add_json, add_machine
from avm.cli.output import print_json, say
from avm.cli.shown import change_json, say_changes, taken
from avm.cli.state import naming, progress_of
from avm.past.labels import Lens
from avm.past.paths import changes
from avm.past.reading import Reader
from avm.past.states import check_turn, state_at
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.spawn import HASH_SEED
from avm.run.worker import forked


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    from_text = "the earlier turn, 0 being init (default: the one before --to)"
    parser.add_argument("--from", dest="first", metavar="TURN", type=int, help=from_text)
    to_text = "the later turn (default: the newest)"
    parser.add_argument("--to", dest="last", metavar="TURN", type=int, help=to_text)
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints a line a difference, or that there is none."""
    limits = Config.read(directory.config_file).limits
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        last = reader.head(machine) - 1 if args.last is None else args.last
        first = max(0, last - 1) if args.first is None else args.first
        for turn in (last, first):
            check_turn(reader, machine, turn)
        with forked(HASH_SEED, limits) as worker, progress_of(machine) as told:
            states = [state_at(reader, machine, worker, turn, told) for turn in (first, last)]
        lens = Lens(machine.address, reader.slots(machine), reader.labels())
        was, now = (lens.state(*state) for state in states)
        found, more = taken(changes(was, now, lens.label))
        if args.json:
            with naming(lens, reader, directory) as text:
                differences = [change_json(one, lens, text) for one in found]
            place = {"machine": machine.name, "from": first, "to": last}
            print_json({**place, "differences": differences, "more": more})
            return 0
    say_changes(found, lens, more)
    if not found:
        say(f"{machine.name}: the states after turns {first} and {last} are the same")
    return 0
