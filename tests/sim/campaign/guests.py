"""Machines and clients that come while a world runs, and go for good: what was on its way to them ends.

A guest is created, is given tokens, is halted with what waits for it, and removed. What it held when it
was halted is told by its journal. A passer is a client that says a few things, and ends.
"""

from collections.abc import Callable
from itertools import count

from avm.host import journal
from avm.host.capability import Sealed
from avm.host.state import Machine, Status
from avm.sim.chance import Chance
from avm.sim.client import Client
from avm.sim.host import Refusal, SimHost
from avm.sim.invariants import Broken
from avm.sim.replaying import lived
from avm.sim.world import World
from caps.capability import SealedCapability, parse_wire_untrusted
from tests.sim.campaign import purse
from tests.sim.code import ModuleCode

ENDS, LEAVES = 0.15, 0.3
STEPS_MAX = 8


def sealed(wire: bytes) -> Sealed:
    """A capability as one holds it who cannot open it."""
    parsed = parse_wire_untrusted(wire)
    assert isinstance(parsed, SealedCapability)
    return Sealed(parsed.address, wire)


class Guests:
    """The guest that is there now, if one is, and what became of those before."""

    def __init__(self, world: World, chance: Chance, often: float) -> None:
        self.world, self.chance, self.often = world, chance, often
        self.name = ""
        self.address = b""
        self.take: Sealed | None = None
        # Tokens that guests held when they were halted; those whose journal did not tell are `unread`.
        self.tokens: list[int] = []
        self.unread: list[bytes] = []
        self.is_read = False
        self._numbers = count(1)

    def happen(self) -> None:
        """One comes, or goes a step further."""
        if not self.name:
            if self.chance.hits(self.often):
                self._come()
        elif self.is_going or self.chance.hits(ENDS):
            self._go()

    @property
    def is_going(self) -> bool:
        """Whether the guest is halted, or has been read."""
        found = self.found()
        return self.is_read or found is None or found[1].status is Status.HALTED

    def found(self) -> tuple[SimHost, Machine] | None:
        """Where the guest is."""
        for host in self.world.hosts:
            machine = host.core.host.names.get(self.name)
            if machine is not None:
                return host, machine
        return None

    def _come(self) -> None:
        host = self.chance.choice(self.world.hosts)
        if not host.up:
            return
        name = f"guest{next(self._numbers)}"
        try:
            made = host.create(name, ModuleCode(purse), ())
        except Refusal:
            made = None  # its host died of something, or its worker lied
        self.take = None
        if made is not None and "take" in made.names:
            self.take = sealed(host.core.seal(made.names["take"]))
        self.name, self.is_read = name, False
        found = self.found()
        if found is None:
            self.name = ""
        else:
            self.address = found[1].address

    def _go(self) -> None:
        """It is halted; when that is durable its journal is read, and it is removed."""
        found = self.found()
        if found is None:
            assert self.is_read or not self.is_known, f"{self.name} is gone and was not removed"
            self.name, self.take = "", None
            return
        host, machine = found
        core = host.core
        if not host.up or machine.acts:
            return
        if not self.is_read and machine.status is not Status.HALTED:
            host.begin(lambda request: core.change(request, machine, "halt"))
        elif not self.is_read and _is_halted(host, machine):
            self._read(host, machine)
        elif self.is_read:
            host.begin(lambda request: core.change(request, machine, "rm"))
        self.world.scene.touched[self.world.scene.names[host.name]] = None

    @property
    def is_known(self) -> bool:
        """Whether its creation was told to whoever asked for it: it is durable then."""
        return self.take is not None

    def _read(self, host: SimHost, machine: Machine) -> None:
        inside, why = lived(host, machine)
        if why:
            self.unread.append(machine.address)
        else:
            self.tokens += inside.state_of(machine.id).tokens
        self.world.counts["machine halted and removed"] += 1
        self.is_read = True

    def end(self, quiet: Callable[[], None]) -> None:
        """The last guest goes."""
        for _ in range(STEPS_MAX):
            if not self.name:
                return
            self._go()
            quiet()
        raise Broken(f"{self.name} does not go")


def _is_halted(host: SimHost, machine: Machine) -> bool:
    """Whether that is in its journal, in the store."""
    bodies = (body for _n, body, _printed in host.store.entries(machine.id))
    return any(journal.form_of(body) == journal.HALT for body in bodies)


class Passers:
    """Clients that pass."""

    def __init__(self, world: World, chance: Chance, often: float) -> None:
        self.world, self.chance, self.often = world, chance, often
        self.here: list[tuple[SimHost, Client, str]] = []
        self._numbers = count(1)

    def happen(self, held: list[dict[str, bytes]]) -> None:
        """One comes and speaks to a purse, or goes; `held` are the purses' capabilities."""
        if self.chance.hits(self.often):
            host = self.chance.choice(self.world.hosts)
            if host.up:
                self.here.append((host, self.world.client(host), f"passer{next(self._numbers)}"))
        for host, client, name in self.here:
            if client.core is not None and host.up:
                self._speak(client, name, held)
        if self.here and self.chance.hits(LEAVES):
            self.go()

    def _speak(self, client: Client, name: str, held: list[dict[str, bytes]]) -> None:
        go = client.hold(sealed(self.chance.choice(held)["go"]))
        # A way by which it is told something apart from the answer.
        way = 1 + 16 * self.chance.below(1_000)
        client.ask(go, (name, client.next_ask + 1, way, client.ear()), 20.0)

    def go(self) -> None:
        """The first that came ends."""
        host, client, _name = self.here.pop(0)
        if client.core is not None and host.up:
            client.leave(ended=True)
            self.world.scene.touched[self.world.scene.names[host.name]] = None
        del host.clients[client.address]
        self.world.counts["client ended"] += 1
