"""`bisect`: the first turn after which an expectation of the state fails, whether or not a host runs."""

import argparse
from typing import Any

from avm.cli.arguments import add_fork, add_json, add_machine, check_turns
from avm.cli.errors import REFUSED, Usage
from avm.cli.log import lines_of
from avm.cli.output import counted, print_json, say
from avm.cli.show import labels_of
from avm.cli.shown import change_json, say_changes, taken
from avm.cli.state import progress_of
from avm.cli.telling import tell_entry
from avm.host.state import Machine
from avm.limits import Limits
from avm.machine.bundle import EXPECTATION, collect
from avm.machine.judge import PROGRAM
from avm.past.bisecting import Bisection, ExpectationRefused, Failed, Held
from avm.past.labels import Lens
from avm.past.paths import Change, changes
from avm.past.reading import Reader
from avm.past.states import state_at
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.files import read
from avm.run.spawn import HASH_SEED
from avm.run.worker import forked


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    expect_text = "Python with a function expect(state) that returns False, or asserts"
    parser.add_argument("--expect", metavar="FILE", required=True, help=expect_text)
    from_text = "the first turn to judge (default: the oldest there is)"
    parser.add_argument("--from", dest="first", metavar="TURN", type=int, help=from_text)
    to_text = "the last turn to judge (default: the newest)"
    parser.add_argument("--to", dest="last", metavar="TURN", type=int, help=to_text)
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the turn with its entry and what it changed; 0 where the expectation always holds."""
    check_turns(args.first, args.last)
    limits = Config.read(directory.config_file).limits
    expectation = collect(args.expect, read, EXPECTATION)
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        with (
            forked(HASH_SEED, limits, program=PROGRAM) as worker,
            progress_of(machine) as progress,
        ):
            bisection = Bisection(reader, machine, worker, limits, progress)
            try:
                found = bisection.run(expectation, args.first, args.last)
            except ExpectationRefused as error:
                raise Usage(str(error)) from None
        if isinstance(found, Held):
            _tell_held(args, machine, found)
            return 0
        labels = labels_of(reader, directory)
        told = tell_entry(reader, machine, labels, found.turn)
        lens = Lens(machine.address, reader.slots(machine), labels)
        changed, more = taken(_changed(reader, machine, lens, limits, found))
    if args.json:
        shown = {"holds": False, "from": found.first, "turn": found.turn, "why": found.why}
        shown["printed"] = found.printed
        differences = [change_json(one, lens) for one in changed]
        shown |= {"entry": told, "differences": differences, "more": more}
        print_json({"machine": machine.name, **shown})
        return REFUSED
    say(f"{machine.name}: it fails {_since(found)}: {found.why}")
    for line in (*(f"    {line}" for line in found.printed.splitlines()), *lines_of(told)):
        say(line)
    say_changes(changed, lens, more)
    return REFUSED


def _since(found: Failed) -> str:
    if found.turn > found.first:
        return f"first after turn {found.turn}"
    return f"after turn {found.turn} already, the first that was judged"


def _tell_held(args: argparse.Namespace, machine: Machine, found: Held) -> None:
    if args.json:
        place: dict[str, Any] = {"from": found.first, "to": found.last, "judged": found.judged}
        print_json({"machine": machine.name, "holds": True, **place})
        return
    states = counted(found.judged, "state")
    say(f"{machine.name}: it holds after each turn from {found.first} to {found.last} ({states})")


def _changed(
    reader: Reader, machine: Machine, lens: Lens, limits: Limits, found: Failed
) -> list[Change]:
    """What the turn changed; nothing is known of the first that there is."""
    if found.turn == found.first:
        return []
    with forked(HASH_SEED, limits) as worker:
        turns = (found.turn - 1, found.turn)
        was, now = (lens.state(*state_at(reader, machine, worker, turn)) for turn in turns)
    return list(changes(was, now, lens.label))
