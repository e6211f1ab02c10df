"""The chat room: who speaks, who hears, and who cannot make others deaf."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from avm import Me, Message, Refused, Step, record
from avm.testing import Client, Heard, Machine, NoAnswer, World
from caps.map import Map
from caps.value import Capability

CHAT = Path(__file__).parents[2] / "examples" / "chat.py"


@record(name="Ears")
class Ears:
    heard: int = 0


@dataclass(frozen=True)
class Bot:
    """A member that is a machine, with a capability that refuses whatever comes to it."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Ears]:
        return message.answer({"hear": me("hear"), "closed": me("closed")}), Ears()

    @staticmethod
    def step(message: Message, state: Ears) -> Step[Ears]:
        if message.context == "hear":
            return [], replace(state, heard=state.heard + 1)
        raise Refused("closed")


def joined(room: Machine, client: Client, name: str, ear: Capability) -> Capability:
    member = client.call(room.cap("invite"), name)
    assert isinstance(member, Capability)
    client.call(member, {"ear": ear})
    return member


def test_what_a_member_says_comes_to_every_ear_and_survives_a_crash() -> None:
    world = World()
    room = world.machine(CHAT)
    alice, bob = world.client(), world.client()
    speak = joined(room, alice, "alice", alice.cap("room"))
    joined(room, bob, "bob", bob.cap("room"))
    world.crash()
    assert alice.call(speak, {"say": "hello"}) == 2
    heard = [Heard("room", Map({"from": "alice", "text": "hello"}))]
    assert (alice.inbox(), bob.inbox()) == (heard, heard)


def test_an_ear_that_refuses_makes_nobody_else_deaf() -> None:
    world = World()
    room, bot = world.machine(CHAT), world.machine(Bot())
    alice, mallory = world.client(), world.client()
    speak = joined(room, alice, "alice", alice.cap("room"))
    joined(room, alice, "bot", bot.cap("hear"))
    joined(room, mallory, "mallory", bot.cap("closed"))
    assert alice.call(speak, {"say": "one"}) == 3
    alice.send(speak, {"say": "two"}, {"say": "three"})
    assert bot.state.heard == 3
    assert len(alice.inbox()) == 3


def test_without_apart_the_ear_that_refuses_would_make_the_others_deaf(tmp_path: Path) -> None:
    broken = tmp_path / "chat.py"
    broken.write_text(CHAT.read_text().replace(", apart=True", ""))
    world = World()
    room, bot = world.machine(broken), world.machine(Bot())
    alice = world.client()
    speak = joined(room, alice, "alice", alice.cap("room"))
    joined(room, alice, "bot", bot.cap("hear"))
    joined(room, alice, "mallory", bot.cap("closed"))
    alice.call(speak, {"say": "one"})
    assert bot.state.heard == 0


def test_somebody_elses_capability_as_an_ear_neither_speaks_for_them_nor_deafens() -> None:
    world = World()
    room = world.machine(CHAT)
    alice, mallory = world.client(), world.client()
    speak = joined(room, alice, "alice", alice.cap("room"))
    joined(room, mallory, "mallory", speak)
    alice.call(speak, {"say": "still here"})
    world.advance(3600)
    assert [heard.content for heard in alice.inbox()] == [
        Map({"from": "alice", "text": "still here"})
    ]


def test_who_has_left_neither_speaks_nor_hears() -> None:
    world = World()
    room = world.machine(CHAT)
    alice, bob = world.client(), world.client()
    speak = joined(room, alice, "alice", alice.cap("room"))
    gone = joined(room, bob, "bob", bob.cap("room"))
    bob.call(gone, "leave")
    assert alice.call(speak, {"say": "bye"}) == 1
    assert bob.inbox() == []
    with pytest.raises(NoAnswer, match="no longer a member"):
        bob.call(gone, {"say": "let me in"})


def test_a_name_is_given_once() -> None:
    world = World()
    room = world.machine(CHAT)
    client = world.client()
    client.call(room.cap("invite"), "alice")
    with pytest.raises(NoAnswer, match="a member of this name"):
        client.call(room.cap("invite"), "alice")
