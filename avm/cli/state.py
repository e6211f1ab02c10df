"""`state`: a machine's state as JSON, now or after any turn, whether or not a host runs."""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from avm.cli.arguments import add_fork, add_json, add_machine, add_passphrase
from avm.cli.output import Progress, print_json, say, warn
from avm.cli.show import keys_of, text_of
from avm.host.keys import Keyring
from avm.host.state import Machine
from avm.past.labels import Lens
from avm.past.reading import Reader
from avm.past.states import check_turn, state_at
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.spawn import HASH_SEED
from avm.run.worker import forked
from caps.value import Capability


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    parser.add_argument("--at", metavar="TURN", type=int, help="after this turn; 0 is init")
    add_fork(parser)
    add_passphrase(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the state: on one line with capability texts as `--json`, else with their names."""
    limits = Config.read(directory.config_file).limits
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        if args.at is not None:
            check_turn(reader, machine, args.at)
        with forked(HASH_SEED, limits) as worker, progress_of(machine) as told:
            body, references = state_at(reader, machine, worker, args.at, told)
        lens = Lens(machine.address, reader.slots(machine), reader.labels())
        state = lens.state(body, references)
        if args.json:
            with naming(lens, reader, directory) as text:
                print_json(lens.json(state, text))
            return 0
        shown = json.dumps(lens.json(state), ensure_ascii=False, indent=2)
    for line in shown.splitlines():
        say(line)
    return 0


@contextmanager
def naming(
    lens: Lens, reader: Reader, directory: Directory
) -> Iterator[Callable[[Capability], str]]:
    """Gives capabilities their texts within the block, and warns at its end of those without one."""
    gone: list[str] = []
    yield _texts(lens, keys_of(reader, directory), gone)
    if gone:
        warn(f"no text for {', '.join(sorted(set(gone)))}: collected since that turn")


@contextmanager
def progress_of(machine: Machine) -> Iterator[Callable[[int], None]]:
    """Tells on a terminal how far along a machine's journal we are, within the block."""
    progress = Progress.on_stderr()
    try:
        yield lambda turn: progress.show(f"{machine.name}: turn {turn} of {machine.head}")
    finally:
        progress.clear()


def _texts(lens: Lens, keys: Keyring, gone: list[str]) -> Callable[[Capability], str]:
    """Gives each capability its text; one that is not held any more its slot."""

    def text(handle: Capability) -> str:
        cap = lens.cap_of(handle)
        if cap is not None:
            return text_of(cap, keys)
        gone.append(lens.label(handle))
        return gone[-1]

    return text
