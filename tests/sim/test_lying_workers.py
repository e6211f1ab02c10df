"""Workers that answer what is not so: the host goes on, and no other machine knows of it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.limits import Limits
from avm.machine import frames
from avm.sim.chance import Chance
from avm.sim.host import Refusal, SimHost
from avm.sim.invariants import Invariants
from avm.sim.lies import FAILS, LIES, TWISTS, Liar
from avm.sim.plan import LyingWorker
from avm.sim.world import World
from tests.sim import apple
from tests.sim.code import ModuleCode, replayed

CAUGHT = tuple(lie for lie in LIES if lie not in (*TWISTS, *FAILS, "names"))
# What may stand anywhere in an answer of a worker that is broken.
PARTS: tuple[object, ...] = (
    *(None, True, 0, 1, -7, 1 << 33, 1 << 70, -(1 << 70), 4.0, "", "x" * 3_000, b"", b"\xf6"),
    *([], [[]], {}, [[[-1, b"\xf6"]]], [False, ["a", 0]], [3, 0, "", ""], [0, True, [[[0, b""]]]]),
)
# One answer of so many is foul.
FOUL = 3


def lies_at(host: SimHost, lie: str, answers: int = 1) -> None:
    """All workers of a host lie so, from now on."""
    for number, worker in host.workers.items():
        worker.liar = Liar(lie, answers, Chance(number))


def fouled(part: object, chance: Chance) -> object:
    """A part of an answer with something else in one place of it."""
    if isinstance(part, bytes) and part:
        try:
            return frames.pack([*_foul_list(frames.unpack(part), chance)])
        except (frames.BadFrame, ValueError, TypeError):
            pass
    if isinstance(part, list) and part:
        return _foul_list(part, chance)
    return chance.choice(PARTS)


def _foul_list(rows: list[object], chance: Chance) -> list[object]:
    place = chance.below(len(rows))
    match chance.below(5):
        case 0:
            return [*rows[:place], *rows[place + 1 :]]
        case 1:
            return [*rows[:place], chance.choice(PARTS), *rows[place:]]
        case _:
            return [*rows[:place], fouled(rows[place], chance), *rows[place + 1 :]]


class Fouler(Liar):
    """A worker whose answers have the right place, and anything else in them."""

    def told(self, answers: list[bytes]) -> list[bytes]:
        return [self._told(frames.unpack(one)) for one in answers]

    def _told(self, frame: list[object]) -> bytes:
        if self.chance.below(FOUL):
            return frames.pack(frame)
        return frames.pack([*frame[:3], *_foul_list(frame[3:], self.chance)])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_p08_no_answer_of_a_worker_does_a_host_harm(seed: int) -> None:
    """A creation was answered with names that are none, and the host ended of it."""
    host, chance = SimHost(seed, limits=replace(Limits(), snapshot_turns=3)), Chance(seed)
    first = host.create("m0", ModuleCode(apple), (0,))
    client = host.client()
    honest = client.hold(first.names["take"])
    client.send(client.hold(first.names["meet"]), (honest,))

    def foul() -> None:
        for worker in host.workers.values():
            worker.liar = Fouler("", 0, Chance(chance.draw()))

    for n in range(1, 4):
        foul()
        try:
            host.create(f"m{n}", ModuleCode(apple), (n,))
            host.upgrade("m0", ModuleCode(apple))
        except Refusal:
            pass
        client.send(client.hold(first.names["go"]), ("c", n, chance.below(9), chance.below(30)))
        host.advance(1)
    for worker in host.workers.values():
        worker.liar = None
    host.advance(100)
    made = host.create("after", ModuleCode(apple), ())
    client.send(client.hold(made.names["take"]), (7, 1))
    host.advance(1)
    assert replayed(host, "after").tokens == (7,)


@pytest.mark.parametrize("lie", CAUGHT)
def test_p08_a_lie_that_is_none_of_the_answers_is_a_worker_that_died(lie: str) -> None:
    host = SimHost(1)
    take = host.create("pouch", ModuleCode(apple), ()).names["take"]
    other = host.create("other", ModuleCode(apple), ()).names["take"]
    client = host.client()
    lies_at(host, lie)
    for token in (1, 2, 3):
        client.send(client.hold(take), (token, 1))
        client.send(client.hold(other), (10 + token, 1))
    host.advance(30)
    assert host.core.host.counts["worker_deaths"] > 0
    assert [verdict for _seq, verdict in client.verdicts] == [["applied"]] * 6
    assert replayed(host, "pouch").tokens == (1, 2, 3)
    assert replayed(host, "other").tokens == (11, 12, 13)


def test_p08_a_slot_that_a_machine_does_not_hold_fails_the_batch_alone() -> None:
    host = SimHost(1)
    take = host.create("pouch", ModuleCode(apple), ()).names["take"]
    client = host.client()
    lies_at(host, "slot")
    client.send(client.hold(take), (1, 1))
    host.settle()
    client.send(client.hold(take), (2, 1))
    host.advance(30)
    assert [verdict[0] for _seq, verdict in client.verdicts] == ["rejected", "applied"]
    assert replayed(host, "pouch").tokens == (2,)


def test_p08_another_host_is_told_no_verdict_that_it_could_not_hear_out() -> None:
    """A worker said no to a message that was not there, or with too long a word: the host of the sender
    found that malformed, closed the link, and was told it anew for ever."""
    for lie in ("verdict", "huge"):
        world = World(3, limits=replace(Limits(), flights_machine=1), dht=False)
        invariants = Invariants()
        world.watch(invariants)
        here, there = world.add_host("h0"), world.add_host("h1")
        take = world.outside(here, here.create("pouch", ModuleCode(apple), ()).names["take"])
        client = world.client(there)
        for token in range(8):
            world.inject(LyingWorker(0, "h0", lie, 1))
            client.send(take, (1 + token, 1))
            world.run(1)
        assert world.quiet(60)
        invariants.quiet(world)
        assert len(client.verdicts) == 8 and world.counts[f"worker lied: {lie}"] >= 4


@pytest.mark.parametrize("lie", TWISTS)
def test_p08_what_a_worker_made_of_one_machine_is_not_in_another(lie: str) -> None:
    host = SimHost(5, limits=replace(Limits(), snapshot_turns=2))
    pouch = host.create("pouch", ModuleCode(apple), ()).names["take"]
    client = host.client()
    lies_at(host, lie, 3)
    for token in (1, 2, 3):
        client.send(client.hold(pouch), (token, 1))
        host.advance(5)
    for worker in host.workers.values():
        worker.liar = None
    other = host.create("other", ModuleCode(apple), ()).names["take"]
    for token in (11, 12, 13):
        client.send(client.hold(other), (token, 1))
    host.advance(30)
    assert replayed(host, "other").tokens == (11, 12, 13)
