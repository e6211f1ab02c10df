"""`new`: a folder with a machine, its test and a README. Before the journey."""

import argparse
import re
from pathlib import Path
from shutil import rmtree

from avm.cli.arguments import add_json
from avm.cli.errors import CliError, Usage
from avm.cli.output import print_json, say, writing_to
from avm.machine.allowed import hidden

NAME = re.compile(r"[a-z][a-z0-9-]*")

MACHINE = '''"""{title}: whoever holds `add` may add to it, whoever holds `read` may read it."""

from dataclasses import replace

from avm import Me, Message, Refused, Step, record


@record
class State:
    me: Me
    total: int = 0


def init(message: Message, me: Me) -> Step[State]:
    return message.answer({{"add": me("add"), "read": me("read")}}), State(me)


def step(message: Message, state: State) -> Step[State]:
    match message.context, message.content:
        case "add", int(n):
            total = state.total + n
            return message.answer(total), replace(state, total=total)
        case "read", None:
            return message.answer(state.total), state
    raise Refused("add takes an integer, read takes nothing")
'''

TEST = '''"""What {name} promises; run it with `python -m unittest`, or with pytest where that is."""

from pathlib import Path
from unittest import TestCase

from avm.testing import NoAnswer, World

FILE = Path(__file__).with_name("{name}.py")


class Promises(TestCase):
    def test_what_is_added_can_be_read_after_a_crash(self) -> None:
        world = World()
        machine = world.machine(FILE)
        client = world.client()
        self.assertEqual(client.call(machine.cap("add"), 2), 2)
        self.assertEqual(client.call(machine.cap("add"), 3), 5)
        world.crash()
        self.assertEqual(client.call(machine.cap("read")), 5)

    def test_what_is_no_integer_is_refused(self) -> None:
        world = World()
        machine = world.machine(FILE)
        with self.assertRaisesRegex(NoAnswer, "refused: add takes an integer"):
            world.client().call(machine.cap("add"), "five")
        self.assertEqual(machine.state.total, 0)
'''

DELEGATION = '''"""Who can do what to {name}; run it with pytest, or `pytest --avm-hosts 3` for hosts that run."""

from pathlib import Path

from avm.testing import World
from caps.patterns import caretaker

FILE = Path(__file__).with_name("{name}.py")


def test_whoever_has_access_can_add_until_it_is_taken_back(world: World) -> None:
    alice, bob = world.client("alice"), world.client("bob")
    machine = world.machine(FILE)
    care = world.machine(caretaker, grants={{"target": machine.cap("add")}})
    alice.send(bob.cap(), care.cap("access"))
    world.assert_can_reach(bob, machine.cap("add"))
    world.assert_cannot_reach(bob, machine.cap("read"))
    alice.call(care.cap("revoke"))
    world.assert_cannot_reach(bob, machine)
'''

README = """# {name}

A machine for `avm-host`: `{name}.py` is its state and its step, `{test}` its test, and
`{delegation}` says who can do what to it.

    python -m unittest        # the test, in a world of memory
    pytest                    # with the test of who can do what, where pytest is installed
    avm-host check {name}.py  # what would go wrong on a host
    avm-host dev {name}.py    # a host in .avm with a prompt: try `add 5`

On a host that runs:

    avm-host create {name}.py
    avm-host call {name}.add 5
"""


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    parser.add_argument("name", metavar="NAME", help="a letter, then letters, digits and dashes")
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Makes the folder here; refuses one that is there."""
    name = str(args.name)
    _check_name(name)
    folder = Path(name)
    try:
        folder.mkdir()
    except FileExistsError:
        raise CliError(f"{name} exists: choose another name, or remove it first") from None
    test = f"test_{name.replace('-', '_')}.py"  # a name that unittest finds
    delegation = test.replace(".py", "_delegation.py")
    texts = {f"{name}.py": MACHINE, test: TEST, delegation: DELEGATION, "README.md": README}
    words = {"name": name, "test": test, "delegation": delegation, "title": name.capitalize()}
    try:
        for file, text in texts.items():
            with writing_to(folder / file):
                (folder / file).write_text(text.format(**words), encoding="utf-8")
    except OSError:
        rmtree(folder, ignore_errors=True)
        raise
    if args.json:
        print_json({"folder": name, "files": [f"{name}/{file}" for file in texts]})
        return 0
    say(f"made {', '.join(f'{name}/{file}' for file in texts)}; next:")
    say(f"  cd {name}")
    say("  python -m unittest")
    say(f"  avm-host dev {name}.py")
    return 0


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        better = f"; like `avm-host new {near}`" if NAME.fullmatch(near) else ""
        raise Usage(f"{name!r} is no name: small letters, digits and dashes{better}")
    if hidden(name):
        raise Usage(f"{name!r} is a module of Python's: `avm-host new my-{name}` is not")
