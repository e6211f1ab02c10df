"""Several whole hosts that find each other, in virtual time, with faults: one ground of a world. Pure.

A thing takes its time here: what is said travels, commits wait for a disk. A seed gives the same run
every time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from avm.host.capability import Cap, Named, Sealed, address_of
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.host import SimHost
from avm.sim.plan import Crash, Fault, Partition, Plan
from avm.sim.world import World
from avm.testing import simulated
from avm.testing.ground import About, NotHere, Sight
from avm.testing.simulated import Show, SimSitting, Take
from caps.value import Capability, Value

HOSTS_MAX = 100
JOIN_S = 10.0
SETTLE_S = 60.0
LOOK_S = 0.05
DOWN_MS = 500


class Seated(SimSitting):
    """A client beside a host of a network, which hears its clock where something happens to it only."""

    def __init__(self, world: World, host: SimHost, client: Client, show: Show, take: Take) -> None:
        super().__init__(host, client, show, take)
        self._scene = world.scene
        self._site = world.scene.sites[world.scene.names[host.name]]

    def ask(self, to: Capability, content: Value, timeout_s: float) -> int:
        """Offers a message that asks, from now on by the host's clock; its number."""
        self._scene.enter(self._site)
        return super().ask(to, content, timeout_s)


class Network:
    """So many hosts, `host-1` and on; see `Ground`. What `plan` says goes wrong, from when all are there."""

    def __init__(
        self,
        hosts: int = 3,
        seed: int = 0,
        *,
        plan: Plan = Plan(),  # noqa: B008
        limits: Limits | None = None,
    ) -> None:
        assert 1 <= hosts <= HOSTS_MAX, f"1 to {HOSTS_MAX} hosts"
        self._world = World(seed, limits=limits)
        self._turns = 0
        for number in range(hosts):
            self._world.add_host(f"host-{number + 1}")
            self._world.run(LOOK_S)
        self._world.run(JOIN_S)
        begun_ms = self._world.scene.now_us // 1000
        for fault in plan.faults:
            self.inject(fault, begun_ms)

    # Faults.

    def inject(self, fault: Fault, begun_ms: int | None = None) -> None:
        """Has something go wrong; its `at_ms` counts from now."""
        now_ms = self._world.scene.now_us // 1000 if begun_ms is None else begun_ms
        self._world.inject(replace(fault, at_ms=now_ms + fault.at_ms))

    def part(self, seconds: float, *hosts: str) -> None:
        """These hosts and the others do not reach each other for a time."""
        self.inject(Partition(0, round(seconds * 1000), hosts))

    # The ground.

    @property
    def now_ms(self) -> int:
        """The time in milliseconds since 1970."""
        return self._world.now_ms

    @property
    def hosts(self) -> list[str]:
        """The hosts' names."""
        return [host.name for host in self._world.hosts]

    def names(self) -> set[str]:
        """The machines' names."""
        return {name for host in self._world.hosts for name in host.core.host.names}

    def create(
        self, source: object, name: str, environment: Value, about: About, on: str | None
    ) -> Value:
        """Creates a machine; what its `init` answered."""
        show, take = self._show, self._take
        return simulated.create(self._host(on), source, name, environment, about, show, take)

    def sit(self, on: str | None) -> SimSitting:
        """A new client."""
        host = self._host(on)
        client: Client = self._world.client(host)
        return Seated(self._world, host, client, self._show, self._take)

    def check(self, handle: Capability) -> None:
        """Raises ValueError for a capability that is not of this world."""
        self.cap_of(handle)

    def settle(self) -> None:
        """Goes on until nobody owes anybody anything, or a minute has passed."""
        until_s = self._world.scene.now_s + SETTLE_S
        while not self._world.is_quiet() and self._world.scene.now_s < until_s:
            self._world.run(LOOK_S)

    def step(self) -> bool:
        """The next thing happens."""
        return self._world.step()

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._world.run(seconds)

    def wait(self, done: Callable[[], bool], until_ms: int) -> None:
        """Lets time pass until something is so, or that time has come."""
        self._world.run_until(done, max(0, until_ms + 1_000 - self.now_ms) / 1000)

    def crash(self, on: str | None) -> None:
        """A host, or each, dies at once and starts again; what was committed is there."""
        for name in self.hosts if on is None else [on]:
            self.inject(Crash(0, name, DOWN_MS))
        self._world.run(2 * DOWN_MS / 1000)

    def state(self, name: str) -> Any:
        """A machine's committed state."""
        return simulated.state_of(self.home(name), name, self._show)

    def failures(self, name: str) -> list[str]:
        """The tracebacks of the batches that broke a machine, the oldest first."""
        return simulated.failures_of(self.home(name), name)

    def printed(self, name: str) -> str:
        """What a machine has printed."""
        return simulated.printed_by(self.home(name), name)

    def upgrade(self, name: str, source: object) -> None:
        """Switches a machine to other code."""
        simulated.upgrade(self.home(name), name, source)

    def failures_at(self, to: Capability) -> list[str]:
        """The tracebacks of the machine that a capability leads to."""
        address = address_of(self.cap_of(to))
        for host in self._world.hosts:
            machine = host.core.host.machines.get(address)
            if machine is not None:
                return simulated.failures_of(host, machine.name)
        return []

    def address_of(self, name: str) -> bytes:
        """A machine's address."""
        return self.home(name).machine(name).address

    def sights(self) -> list[Sight]:
        """What there is to look at for who holds what."""
        return [simulated.sight_of(host) for host in self._world.hosts]

    def cap_of(self, handle: Capability) -> Cap:
        """What a handle of the test stands for."""
        try:
            return self._world.handles.held_as(handle)
        except KeyError:
            raise ValueError("this capability is not of this world: use client.cap()") from None

    def _host(self, on: str | None) -> SimHost:
        """The host of this name, or the next in turn."""
        hosts = self._world.hosts
        if on is None:
            self._turns += 1
            return hosts[(self._turns - 1) % len(hosts)]
        if on not in self.hosts:
            raise NotHere(f"there is no host {on!r}: they are {', '.join(self.hosts)}")
        return self._world.host(on)

    def home(self, name: str) -> SimHost:
        """The simulated host on which a machine is now."""
        found = [host for host in self._world.hosts if name in host.core.host.names]
        if not found:
            raise NotHere(f"no host has a machine {name!r} now")
        return found[0]

    def _show(self, host: SimHost, cap: Cap) -> Capability:
        """A capability as it is outside of its host, where all others may have it."""
        if isinstance(cap, Sealed | Named):
            return self._world.handles.hold(cap)
        return self._world.outside(host, cap)

    def _take(self, host: SimHost, handle: Capability) -> Cap:
        """A capability as a host holds it that is given it."""
        cap = self.cap_of(handle)
        return host.core.unseal_untrusted(cap.wire) if isinstance(cap, Sealed) else cap
