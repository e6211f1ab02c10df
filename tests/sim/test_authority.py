"""Revocation, expiry and caveats at one host: what a capability is good for, and until when."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from avm import Capability, narrow
from avm.host import generations
from avm.host.capability import Local, from_bytes
from avm.host.parcel import ENDS_MAX
from avm.host.refer import BadReference, from_reference
from avm.host.state import Flight
from avm.host.state import Machine as Row
from avm.limits import Limits
from avm.sim.host import Refusal
from avm.testing import Client, Machine, NoAnswer, NotApplied, World
from avm.testing.onehost import OneHost
from caps.caveats import CAVEATS_MAX
from caps.patterns import caretaker
from tests.sim import asking, ward
from tests.sim.code import gap_free, replayed


class Warded:
    """A world with a ward and a client of it."""

    def __init__(self, **more: Any) -> None:
        self.world = World(**more)
        self.machine: Machine = self.world.machine(ward)
        self.client: Client = self.world.client()
        ground = self.world.ground
        assert isinstance(ground, OneHost)
        self.sim = ground.sim

    def cap(self, name: str) -> Capability:
        return self.machine.cap(name)

    def add(self, cap: Any, n: object = 1) -> Any:
        return self.client.call(cap, n)

    def call(self, cap: Any, content: object = None) -> Any:
        return self.client.call(cap, content)

    def rotate(self, grace_s: float | None = None) -> dict[str, Any]:
        grace_ms = None if grace_s is None else round(grace_s * 1000)
        return self._do(generations.rotate, grace_ms)

    def revoke(self, generation: int) -> dict[str, Any]:
        return self._do(generations.revoke_generation, generation)

    def row(self) -> Row:
        return self.sim.machine(self.machine.name)

    def _do(self, act: Callable[..., None], *args: object) -> dict[str, Any]:
        sim = self.sim
        done: dict[str, Any] = sim.ask(lambda request: sim.core.do(act, request, self.row(), *args))
        return done


def refused(call: Callable[[], object]) -> bool:
    """Whether a call gets the one answer that every capability gets that is not good."""
    with pytest.raises(NoAnswer) as error:
        call()
    assert (error.value.why, error.value.detail) == ("rejected", "")
    return True


def test_w26_an_expired_capability_is_refused_at_the_turn() -> None:
    warded = Warded()
    short = warded.call(warded.cap("short"), ("add", 10))
    assert warded.add(short) == 1
    warded.world.advance(9.999)
    assert warded.add(short) == 2
    warded.world.advance(0.001)
    assert refused(lambda: warded.add(short))
    assert warded.add(warded.cap("read"), None) == 2


def test_w26_a_narrowed_capability_ends_at_its_time() -> None:
    warded = Warded()
    short = narrow(warded.cap("add"), until=warded.world.now + 10)
    assert warded.add(short) == 1
    warded.world.advance(10)
    assert refused(lambda: warded.add(short))
    assert warded.add(warded.cap("add")) == 2


def test_w26_uses_are_counted_for_messages_that_were_applied() -> None:
    warded = Warded()
    thrice = narrow(warded.cap("add"), uses=3, until=warded.world.now + 60)
    with pytest.raises(NotApplied):
        warded.client.send(thrice, "not a number", 1)
    warded.client.send(thrice, 1, 1)
    with pytest.raises(NotApplied, match="rejected"):
        warded.client.send(thrice, 1, 1)
    assert warded.add(thrice) == 3
    assert refused(lambda: warded.add(thrice))
    warded.world.crash()
    assert refused(lambda: warded.add(thrice))


def test_w26_two_nonces_are_two_counts_and_one_nonce_is_one() -> None:
    warded = Warded()
    until = warded.world.now + 60
    one, other = (narrow(warded.cap("add"), uses=1, until=until, nonce=n) for n in "ab")
    again = narrow(warded.cap("add"), uses=1, until=until, nonce="a")
    assert (warded.add(one), warded.add(other)) == (1, 2)
    assert refused(lambda: warded.add(again))


def test_w26_a_content_that_does_not_fit_is_refused_before_the_step_runs() -> None:
    warded = Warded()
    few = narrow(warded.cap("add"), only=["int", 0, 10])
    assert warded.add(few, 10) == 10
    assert refused(lambda: warded.add(few, 11))
    assert refused(lambda: warded.add(few, True))
    with pytest.raises(NotApplied, match="rejected"):
        warded.client.send(few, 1, 99)
    assert warded.add(warded.cap("read"), None) == 10 and not warded.machine.failures


def test_w26_only_its_holder_may_use_it() -> None:
    warded = Warded()
    mine = narrow(warded.cap("add"), holder=warded.client.address.hex())
    other = warded.world.client()
    assert warded.add(mine) == 1
    assert refused(lambda: other.call(mine, 1))


def test_w26_a_step_narrows_what_it_holds_and_it_comes_back_opaque() -> None:
    warded = Warded()
    made = warded.call(warded.cap("make"), ("add", 2, "n"))
    assert (warded.add(made), warded.add(made)) == (1, 2)
    assert refused(lambda: warded.add(made))
    assert warded.call(warded.cap("look"), made) == (None, False, False)
    assert warded.call(warded.cap("look"), warded.cap("add")) == ("add", True, False)
    warded.world.crash()
    assert warded.call(warded.cap("look"), made) == (None, False, False)


def test_w26_a_capability_narrowed_in_a_context_is_narrow_there() -> None:
    warded = Warded()
    other = warded.world.machine(ward, "other")
    wrapped = warded.call(warded.cap("wrap"), other.cap("add"))
    assert warded.call(wrapped, 9) == 9
    with pytest.raises(NoAnswer):
        warded.call(wrapped, 10)
    assert warded.call(other.cap("read")) == 9


def test_w26_a_revoked_generation_ends_with_the_next_batch() -> None:
    warded = Warded()
    old = warded.cap("add")
    made = warded.call(warded.cap("short"), ("add", 10_000))
    assert warded.rotate()["generation"] == 1
    newer = warded.call(warded.cap("short"), ("add", 10_000))
    short = warded.cap("short")
    assert [warded.add(cap) for cap in (old, made, newer)] == [1, 2, 3]
    warded.client.offer(old, 1)
    assert warded.revoke(0)["revoked"] == 0
    for cap in (old, made):
        with pytest.raises(NoAnswer, match="rejected"):
            warded.add(cap)
    assert refused(lambda: warded.call(short, ("add", 1)))
    total = warded.add(newer)
    warded.world.crash()
    assert refused(lambda: warded.add(old)) and warded.add(newer) == total + 1


def test_w26_a_grace_ends_by_itself() -> None:
    warded = Warded()
    old = warded.cap("add")
    shown = warded.rotate(grace_s=60)
    assert (shown["generation"], shown["revoked"], len(shown["ends"])) == (1, -1, 1)
    warded.world.advance(59.999)
    assert warded.add(old) == 1
    warded.world.advance(0.001)
    assert refused(lambda: warded.add(old))


def test_w26_the_generation_in_use_is_not_revoked() -> None:
    warded = Warded()
    with pytest.raises(Refusal, match="keys rotate ward"):
        warded.revoke(0)
    assert warded.add(warded.cap("add")) == 1


def test_w26_names_are_sealed_anew_and_stay_good() -> None:
    warded = Warded()
    sim = warded.sim
    for _ in range(2):
        warded.rotate()
    warded.revoke(1)
    row = sim.core.host.bound[(warded.row().id, "add")]
    assert warded.add(sim.handles.hold(from_bytes(row))) == 1
    warded.world.crash()
    assert warded.add(sim.handles.hold(from_bytes(row))) == 2


def test_w26_a_revoked_capability_that_comes_back_opens_nothing() -> None:
    warded = Warded()
    old = warded.cap("add")
    look = warded.call(warded.cap("short"), ("look", 10_000))
    assert warded.call(look, old) == ("add", True, False)
    warded.rotate()
    newer = warded.call(warded.cap("short"), ("look", 10_000))
    assert warded.call(newer, old) == ("add", False, False)
    warded.revoke(0)
    assert warded.call(newer, old) == (None, False, False)


@pytest.mark.parametrize("seed", range(6))
def test_w26_batches_in_flight_do_not_share_a_last_use(seed: int) -> None:
    warded = Warded(seed=seed, shuffled=True)
    once = narrow(warded.cap("add"), uses=1, until=warded.world.now + 60)
    clients = [warded.world.client() for _ in range(5)]
    for client in clients:
        client.offer(once, 1)
    warded.world.settle()
    assert warded.add(warded.cap("read"), None) == 1


def test_w26_a_narrowed_capability_is_no_reply() -> None:
    world = World()
    machine = world.machine(asking)
    client = world.client()
    with pytest.raises(NotApplied, match="rejected"):
        client.send(machine.cap("narrowed"), machine.cap("plain"))
    assert "reply must be an own capability" in machine.failures[0]


def test_w26_a_listeners_capability_is_judged_by_time_and_sender_or_refused() -> None:
    warded = Warded()
    listener = warded.world.client()
    ear = listener.cap("ear")
    until = warded.world.now + 60
    good: list[Any] = [ear, narrow(ear, until=until)]
    good.append(narrow(ear, holder=warded.row().address.hex()))
    bad: list[Any] = [narrow(ear, until=1), narrow(ear, holder="ab" * 32)]
    bad += [narrow(ear, only=["any"]), narrow(ear, uses=1, until=until)]
    for place, cap in enumerate(good + bad):
        warded.call(warded.cap("keep"), cap)
        warded.client.offer(warded.cap("tell"), (place, place))
    assert [heard.content for heard in listener.inbox()] == [0, 1, 2]
    for cap in bad:
        with pytest.raises(NotApplied, match="rejected"):
            warded.client.send(cap, 1)


def test_w26_a_forwarder_passes_on_everything_until_it_is_ended() -> None:
    warded = Warded()
    lent = warded.world.machine(caretaker, "loan", grants={"target": warded.cap("keep")})
    access = lent.cap("access")
    assert warded.call(access, warded.cap("add")) == 0
    with pytest.raises(NoAnswer) as error:
        warded.call(access, "no capability")
    assert error.value.why == "refused"
    warded.client.send(access, warded.cap("read"))
    assert len(warded.machine.state.kept) == 2
    assert warded.call(lent.cap("revoke")) is None
    with pytest.raises(NoAnswer) as error:
        warded.call(access, warded.cap("add"))
    assert error.value.why == "refused" and len(warded.machine.state.kept) == 2


def test_w26_counts_are_forgotten_at_a_snapshot_after_their_end() -> None:
    warded = Warded(limits=replace(Limits(), snapshot_turns=4, uses=3))
    end = warded.world.now + 60
    for nonce in "abc":
        warded.add(narrow(warded.cap("add"), uses=9, until=end, nonce=nonce))
    fourth = narrow(warded.cap("add"), uses=9, until=end + 60, nonce="d")
    assert refused(lambda: warded.add(fourth))
    assert len(warded.row().uses or ()) == 3
    warded.world.advance(60)
    for _ in range(8):
        warded.add(warded.cap("add"))
    assert not warded.row().uses and warded.add(fourth) == 12
    warded.world.crash()
    assert len(warded.row().uses or ()) == 1


def test_w26_a_turn_with_caveats_replays_as_it_was() -> None:
    warded = Warded()
    few = narrow(warded.cap("add"), only=["int", 0, 10], uses=9, until=warded.world.now + 60)
    assert warded.add(few, 10) == 10 and refused(lambda: warded.add(few, 11))
    warded.call(warded.cap("make"), ("read", 1, ""))
    warded.rotate(grace_s=5)
    assert warded.call(warded.cap("make"), ("add", 1, ""))
    assert replayed(warded.sim, "ward").total == 10
    gap_free(warded.sim, "ward")
    assert warded.machine.state.total == 10


def test_w26_a_host_may_take_fewer_caveats_than_there_can_be() -> None:
    warded = Warded(limits=replace(Limits(), caveats=2))
    cap = warded.cap("add")
    for number in range(3):
        assert warded.add(cap) == number + 1
        cap = narrow(cap, until=warded.world.now + 60)
    assert refused(lambda: warded.add(cap))


@pytest.mark.parametrize(
    "caveats",
    [
        [],
        [b""],
        ["text"],
        [b"\x82\x05\x01"],
        [b"\x82\x01\x20"],
        [b"\x82\x01\x05"] * 17,
        b"\x82",
        None,
    ],
    ids=str,
)
def test_w26_a_worker_cannot_narrow_by_what_is_no_caveat(caveats: Any) -> None:
    warded = Warded()
    machine, host = warded.row(), warded.sim.core.host
    own: list[Any] = [0, 0, 0, None, b"\x63add", []]
    good = from_reference(host, machine, Flight(machine, 1), [own, [b"\x82\x01\x05"]])
    assert isinstance(good, Local) and good.caveats == (b"\x82\x01\x05",)
    for inner in (own, [own, [b"\x82\x01\x05"]], "null~"):
        with pytest.raises(BadReference):
            from_reference(host, machine, Flight(machine, 1), [inner, caveats])


def test_w26_what_cannot_be_narrowed_may_be_kept_and_not_sent() -> None:
    warded = Warded(limits=replace(Limits(), snapshot_turns=2))
    whole = warded.cap("add")
    for _ in range(CAVEATS_MAX):
        whole = narrow(whole, until=warded.world.now + 60)
    warded.call(warded.cap("pinch"), whole)
    for number in range(6):
        assert warded.add(warded.cap("add")) == number + 1
    assert warded.row().snapshot_at > 0
    assert warded.rotate()["generation"] == 1
    for place in (0, 1):
        with pytest.raises(NoAnswer, match="rejected"):
            warded.call(warded.cap("tell"), (place, 1))
    assert "at most 16 caveats" in warded.machine.failures[0]
    assert "reply capability" in warded.machine.failures[1]
    warded.world.crash()
    assert warded.add(warded.cap("add")) == 7


def test_w26_patterns_that_messages_share_stand_in_the_journal_once() -> None:
    warded = Warded()
    cap = other = warded.cap("add")
    for number in range(CAVEATS_MAX - 1):
        cap = narrow(cap, only=["or", ["int"], "x" * 200 + str(number)])
    other = narrow(other, only=["int", 0, 5])
    before = warded.row().bytes_since
    warded.client.send(cap, *[1] * 100)
    assert warded.row().bytes_since - before < 100 * 100
    assert refused(lambda: warded.add(cap, "no"))
    assert refused(lambda: warded.add(other, 6))
    assert warded.add(other, 5) == 105
    warded.world.crash()
    assert warded.add(cap) == 106
    assert replayed(warded.sim, warded.machine.name)


def test_w26_times_of_grace_that_are_over_leave_room_for_others() -> None:
    warded = Warded()
    for number in range(ENDS_MAX):
        warded.rotate(grace_s=10 + number)
    with pytest.raises(Refusal, match="times of grace run"):
        warded.rotate(grace_s=10)
    warded.world.advance(10 + ENDS_MAX)
    done = warded.rotate(grace_s=10)
    assert done["revoked"] == ENDS_MAX - 1 and len(done["ends"]) == 1
