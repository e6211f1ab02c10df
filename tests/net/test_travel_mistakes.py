"""Mistakes that people make with the verbs that travel in time: a line that is so, and nothing changed."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from avm.run.directory import Directory
from avm.sim.host import SimHost
from tests.avm.journals import COUNTER, make
from tests.avm.relays import directory_of, relays
from tests.net.test_travel_verbs import Command, command_in

pytestmark = pytest.mark.net


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return command_in(tmp_path, capsys, monkeypatch)


def test_x05_turns_in_the_wrong_order_are_told(command: Command) -> None:
    Path("holds.py").write_text("def expect(state):\n    return True\n")
    order = "--from 4 is after --to 2: the earlier turn goes with --from"
    for words in (
        ("bisect", "counter", "--expect", "holds.py"),
        ("replay", "counter", "--code", "new.py"),
    ):
        assert command.refused(*words, "--from", "4", "--to", "2") == (2, order)
    assert command.ok("diff", "counter", "--from", "3", "--to", "1").startswith("state.total: ")


def test_x05_the_turn_that_is_not_there_is_the_one_that_was_named(command: Command) -> None:
    why = "counter has no turn 99: its newest is 5"
    for words in (("diff", "--to"), ("diff", "--from"), ("state", "--at"), ("replay", "--to")):
        verb, option = words
        assert command.refused(verb, "counter", option, "99") == (1, why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "def expect(state, turn, more):\n    return True",
            "TypeError: expect() missing 1 required positional argument: 'more'",
        ),
        (
            "def expect(state):\n    state.total = 1",
            "wrong.py:2: dataclasses.FrozenInstanceError: cannot assign to field 'total'",
        ),
        ("expect = int", "TypeError: int() argument must be a string, a bytes-like object or "),
    ],
)
def test_x05_why_an_expectation_breaks_is_said_with_its_own_line(
    command: Command, text: str, why: str
) -> None:
    Path("wrong.py").write_text(text + "\n")
    code, said = command.refused("bisect", "counter", "--expect", "wrong.py")
    assert code == 2 and said.startswith(f"on the state after turn 0: {why}")


def test_x05_a_fork_is_of_no_time_to_come_and_ls_makes_none(command: Command) -> None:
    future = "--at 2999-01-01: that time has not come yet; without --at it is as they are now"
    assert command.refused("fork", "--all", "soon", "--at", "2999-01-01") == (2, future)
    takes = "takes no --at and no --name: these make a fork of a machine"
    assert command.refused("fork", "ls", "--name", "soon") == (2, f"`fork ls` {takes}")
    command.ok("fork", "counter", "--at", "1")
    assert command.refused("fork", "rm", "counter-1", "--at", "1") == (2, f"`fork rm` {takes}")
    assert command.json("fork", "ls")[0]["fork"] == "counter-1"


def test_x06_long_values_stand_one_below_the_other(command: Command) -> None:
    Path("new.py").write_text(COUNTER.replace('{"total": total}', '{"total": "x" * 61}'))
    code, out, err = command("replay", "counter", "--code", "new.py", "--to", "1")
    assert (code, err) == (1, "") and out.splitlines()[1:-1] == [
        "  sends[0].content.total",
        "    recorded  1",
        f"    now       {json.dumps('x' * 61)}",
    ]
    Path("new.py").write_text(COUNTER.replace('{"total": total}', '{"total": 7}'))
    _code, out, _err = command("replay", "counter", "--code", "new.py", "--to", "1")
    assert out.splitlines()[1:-1] == [
        "                          recorded  now",
        "  sends[0].content.total         1    7",
    ]


def test_x05_two_at_once_are_told_of_each_other(command: Command, tmp_path: Path) -> None:
    command.ok("fork", "counter", "--name", "one")
    asking = Directory(tmp_path / "host" / "forks" / "one").lock()
    why = f"the fork one is being asked by pid {os.getpid()}: try again when that has ended"
    assert command.refused("call", "counter.read", "--fork", "one") == (1, why)
    assert command.refused("fork", "rm", "one") == (1, why)
    asking.close()
    fd = os.open(tmp_path / "host" / "forks", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    why = "another fork is being made: try again when it is done"
    assert command.refused("fork", "counter", "--name", "two") == (1, why)
    os.close(fd)
    command.ok("fork", "counter", "--name", "two")


def test_x05_a_batch_that_was_never_sent_has_no_cause(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = SimHost()
    client, made = relays(world, "ann", "bob")
    client.send(client.hold(made["ann"]["pass"]), {"hops": (1, 0), "path": ()})
    world.settle()
    directory_of(world, tmp_path / "relays")
    monkeypatch.setenv("AVM_HOST_DIR", str(tmp_path / "relays"))
    assert command.ok("cause", "--channel", "ann", "bob", "1").startswith("ann, turn ")
    why = "there is no batch 9 on that channel: the newest is 1"
    assert command.refused("cause", "--channel", "ann", "bob", "9") == (1, why)
    assert command.refused("cause", "--from-json", ".") == (2, ".: it is a directory")


def test_x05_in_a_fork_the_word_of_the_host_it_is_of_is_still_the_hosts(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = SimHost()
    made = make(world, "lamp", LAMP)
    client = world.client()
    client.send(client.hold(made.names["wait"]), None)
    world.advance(90)
    directory_of(world, tmp_path / "lamps")
    monkeypatch.setenv("AVM_HOST_DIR", str(tmp_path / "lamps"))
    command.ok("fork", "--all", "whole")
    late = command.ok("log", "lamp").splitlines()[-1]
    assert (
        " host: " in late and command.ok("log", "lamp", "--fork", "whole").splitlines()[-1] == late
    )
    turn = late.split()[0]
    assert command.ok("cause", "lamp", turn, "--fork", "whole") == command.ok("cause", "lamp", turn)
    assert command.ok("cause", "lamp", turn).endswith("the host's own word: it began there\n")


# It asks itself and never answers.
LAMP = """
from avm import Me, Message, Send, Step

def init(message, me):
    return message.answer({"wait": me("wait")}), (me, ())

def step(message, state):
    me, kept = state
    match message.context, message.content:
        case "wait", None:
            return [Send(me("hear"), message.reply, reply=me("told"))], state
        case "hear", _:
            return [], (me, (*kept, message.reply))
        case "told", what:
            return [], (me, (*kept, what))
"""
