"""Revocation, expiry and caveats at one host: what a capability is good for, and until when."""

from collections.abc import Callable
from typing import Any

import pytest

from avm import Capability, narrow
from avm.host import generations
from avm.host.state import Machine as Row
from avm.sim.host import Refusal
from avm.testing import Client, Machine, NoAnswer, NotApplied, World
from tests.sim import ward


class Warded:
    """A world with a ward and a client of it."""

    def __init__(self, **more: Any) -> None:
        self.world = World(**more)
        self.machine: Machine = self.world.machine(ward)
        self.client: Client = self.world.client()

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
        return self.world._sim.machine(self.machine.name)

    def _do(self, act: Callable[..., None], *args: object) -> dict[str, Any]:
        sim = self.world._sim
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
    mine = narrow(warded.cap("add"), holder=warded.client._client.address.hex())
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
