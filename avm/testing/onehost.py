"""One host in memory whose time stands still unless it is moved: the ground of most tests. Pure."""

from collections.abc import Callable
from typing import Any

from avm.host.capability import Cap, address_of
from avm.limits import Limits
from avm.sim.host import SimHost
from avm.testing import simulated
from avm.testing.ground import About, Sight
from avm.testing.simulated import SimSitting
from caps.value import Capability, Value


class OneHost:
    """The simplest ground; see `Ground`. `shuffled` lets the seed choose what happens next."""

    def __init__(
        self, seed: int = 0, *, shuffled: bool = False, limits: Limits | None = None
    ) -> None:
        self.sim = SimHost(seed, limits=limits)
        self.sim.eager = not shuffled

    @property
    def now_ms(self) -> int:
        """The time in milliseconds since 1970."""
        return self.sim.now_ms

    def names(self) -> set[str]:
        """The machines' names."""
        return set(self.sim.core.host.names)

    def create(
        self, source: object, name: str, environment: Value, about: About, on: str | None
    ) -> Value:
        """Creates a machine; what its `init` answered."""
        show, take = self._show, self._take
        return simulated.create(self.sim, source, name, environment, about, show, take)

    def sit(self, on: str | None) -> SimSitting:
        """A new client."""
        return SimSitting(self.sim, self.sim.client(), self._show, self._take)

    def check(self, handle: Capability) -> None:
        """Raises ValueError for a capability that is not of this world."""
        self.cap_of(handle)

    def settle(self) -> None:
        """Goes on until nothing is left to do now."""
        self.sim.settle()

    def step(self) -> bool:
        """Does one thing that could happen next; False when nothing is left to do."""
        return self.sim.step()

    def advance(self, seconds: float) -> None:
        """Lets time pass: timers fire, deadlines pass, each at its own time."""
        self.sim.advance(seconds)

    def wait(self, done: Callable[[], bool], until_ms: int) -> None:
        """Lets time pass until something is so, or that time has come."""
        sim = self.sim
        sim.settle()
        while not done() and sim.now_ms <= until_ms:
            due = sim.core.next_wake_ms()
            until = until_ms + 1 if due is None else min(due, until_ms + 1)
            sim.advance(max(until - sim.now_ms, 1) / 1000)

    def crash(self, on: str | None) -> None:
        """The host and its workers die at once and start again; what was committed is there."""
        self.sim.crash()

    def state(self, name: str) -> Any:
        """A machine's committed state."""
        return simulated.state_of(self.sim, name, self._show)

    def failures(self, name: str) -> list[str]:
        """The tracebacks of the batches that broke a machine, the oldest first."""
        return simulated.failures_of(self.sim, name)

    def printed(self, name: str) -> str:
        """What a machine has printed."""
        return simulated.printed_by(self.sim, name)

    def upgrade(self, name: str, source: object) -> None:
        """Switches a machine to other code."""
        simulated.upgrade(self.sim, name, source)

    def failures_at(self, to: Capability) -> list[str]:
        """The tracebacks of the machine that a capability leads to."""
        machine = self.sim.core.host.machines.get(address_of(self.cap_of(to)))
        return [] if machine is None else self.failures(machine.name)

    def address_of(self, name: str) -> bytes:
        """A machine's address."""
        return self.sim.machine(name).address

    def sights(self) -> list[Sight]:
        """What there is to look at for who holds what."""
        return [simulated.sight_of(self.sim)]

    def cap_of(self, handle: Capability) -> Cap:
        """What a handle of the test stands for."""
        try:
            return self.sim.handles.held_as(handle)
        except KeyError:
            raise ValueError("this capability is not of this world: use client.cap()") from None

    def _show(self, host: SimHost, cap: Cap) -> Capability:
        return host.handles.hold(cap)

    def _take(self, host: SimHost, handle: Capability) -> Cap:
        return self.cap_of(handle)
