"""Whole hosts with their trio shells, in one process and in virtual time, deterministic in the seed.

Each host has the `Network` that a real one has, over links and a port in memory; its workers, its
store and its clients are the simulator's, which takes up in any order what a pass has brought. Trio's clock jumps to whatever is due next, and its
scheduler takes its turns from the seed. All that hosts say, hear and commit goes into a `Trace`.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import MockClock

from avm.host.effects import Frozen
from avm.limits import Limits
from avm.link.handshake import Credentials
from avm.link.interface import Moment, Owner
from avm.link.memory import MemoryListener, MemoryNetwork
from avm.link.memory_port import MemoryPort, Weather
from avm.link.port import Take
from avm.run.config import Config, NetworkConfig
from avm.run.network import Network
from avm.sim.client import Handles
from avm.sim.code import Codes
from avm.sim.entropy import Entropy
from avm.sim.host import START_MS, SimHost
from caps.identity import Endpoint, Route

START_S = 1_000.0
IDLE_S = 1.0
PORT = 4433
LOCAL, OPEN = 10, 80
LATENCY_S = 0.005


class Trace:
    """What has happened, as one hash; with `lines` also in words, to find where two runs part."""

    def __init__(self, lines: list[str] | None = None) -> None:
        self.events = 0
        self.counts: dict[str, int] = {}
        self._hash = hashlib.blake2b()
        self._lines = lines

    def add(self, what: str, *parts: object) -> None:
        """Take up an event, at its virtual time."""
        self.events += 1
        self.counts[what] = self.counts.get(what, 0) + 1
        line = f"{trio.current_time():.6f} {what} {' '.join(map(_text, parts))}"
        self._hash.update(line.encode() + b"\n")
        if self._lines is not None:
            self._lines.append(line)

    def digest(self) -> str:
        """The hash of all that has happened."""
        return self._hash.hexdigest()[:32]


def _text(part: object) -> str:
    return hashlib.blake2b(part).hexdigest()[:16] if isinstance(part, bytes) else str(part)


class Killed(Exception):
    """The host dies, between a commit and what follows from it."""


class Traced(SimHost):
    """A host's core, its workers, store and clients, which tells what is committed.

    With `dies_after` it is killed when so many more groups are durable, before it hears of the last.
    """

    trace: Trace
    dies_after: int = 0

    def on_written(self) -> None:
        self.trace.add("commit", self.name, repr(self._group).encode())
        self.dies_after -= 1
        if not self.dies_after:
            raise Killed


class ShellHost:
    """One host: on or off, at an endpoint that may change."""

    def __init__(self, shells: "Shells", number: int, limits: Limits) -> None:
        self._shells = shells
        self._entropy = Entropy(shells.seed * 1000 + number)
        self._moves = 0
        # In a network of their own, or in the open one, where hosts try whether they are reached.
        self._ip = bytes([LOCAL if shells.seed % 2 else OPEN, number, 0, 1])
        self.number = number
        self.frozen: list[Frozen] = []
        self.sim = Traced(shells.seed * 1000 + number, limits=limits)
        self.sim.trace = shells.trace
        self.sim.name = f"host{number}"
        self.sim.eager = False
        self.sim.handles, self.sim.codes = shells.handles, shells.codes
        self.network: Network | None = None
        self._listener: MemoryListener | None = None
        self._life = trio.CancelScope()
        self._alarm = trio.CancelScope()
        self._alarm_ms: int | None = None

    @property
    def address(self) -> bytes:
        """The host's address."""
        return self.sim.core.host.address

    @property
    def route(self) -> Route:
        """Where it was at first, which is what the others' operators have written down."""
        return Route(self.address, Endpoint(self._ip, PORT))

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, or will be when it is started."""
        return Endpoint(self._ip, PORT + self._moves)

    @property
    def is_on(self) -> bool:
        """Whether it is running."""
        return self.network is not None

    # On and off.

    async def live(self) -> None:
        """Is on, until stopped or killed."""
        network = self._made()
        self._life = trio.CancelScope()
        with self._life:
            async with trio.open_nursery() as nursery:
                network.start(nursery, self.sim.store.get(("meta", "node")))
                nursery.start_soon(self._keep_time)
                self.settle()
                await trio.sleep_forever()

    def _made(self) -> Network:
        shells, sim = self._shells, self.sim
        keys, endpoint = sim.core.host.keys, self.endpoint
        others = tuple(str(one.route) for one in shells.hosts if one is not self)
        place = NetworkConfig(listen=str(endpoint), bootstrap=others)
        config = Config(limits=sim.limits, network=place)
        port = MemoryPort(shells.wire, endpoint, shells.weather, self._entropy.bytes)

        def listen(owner: Owner, take: Take) -> MemoryListener:
            me = Credentials(keys.key, keys.identity, keys.proof.certificate)
            end = shells.wire, endpoint, me, owner, self._entropy.bytes, config.links
            self._listener = MemoryListener(*end)
            port.serve(take)
            return self._listener

        rest = None, self._entropy.bytes, self.settle, self._note
        self.network = Network(sim.core, keys, config, port, listen, *rest)
        sim.network = self._ask_network
        self.begin()
        return self.network

    def stop(self) -> None:
        """Ends as a host does that is told to: it drains, and ends its links."""
        network = self.network
        assert network is not None
        self.sim.core.drain()
        self.settle()
        network.close()
        self._end()

    def kill(self) -> None:
        """Ends without a word, as by kill -9."""
        assert self.network is not None and self._listener is not None
        self._listener.vanish()
        self.network.port.close()
        self._end()

    def _end(self) -> None:
        self.network = None
        self.sim.network = None
        self._life.cancel()
        self.sim.dies_after = 0
        self.sim.crash()

    def rebind(self) -> None:
        """Will be at another port when it is started."""
        self._moves += 1

    # Events, and what follows from them.

    def begin(self) -> None:
        """The clock is read before each event."""
        self.sim.now_ms = self._shells.wire.at.now_ms
        self.sim.core.hear_clock(self.sim.now_ms)

    def settle(self) -> None:
        """Carries out all that is asked for, commits, and sends."""
        network = self.network
        if network is None:
            return
        effects = self.sim.core.host.effects
        try:
            while True:
                self.sim.settle()
                network.settle()
                if not effects:
                    break
        except Killed:
            self.kill()
            return
        due = self.sim.next_wake_ms()
        if due is not None and (self._alarm_ms is None or due < self._alarm_ms):
            self._alarm_ms = due
            until_ms = self.sim.core.until_ms(due, self._shells.wire.at.now_ms)
            self._alarm.deadline = trio.current_time() + until_ms / 1000

    def pump_and_settle(self) -> None:
        """Ends a pass."""
        self.sim.core.pump()
        self.settle()

    def act(self) -> None:
        """Lets what was done to it from outside have its effect."""
        if self.is_on:
            self.begin()
            self.pump_and_settle()

    async def _keep_time(self) -> None:
        while True:
            due, core = self.sim.next_wake_ms(), self.sim.core
            now_ms = self._shells.wire.at.now_ms
            until_ms = None if due is None else core.until_ms(due, now_ms)
            wait_s = IDLE_S if until_ms is None else min(IDLE_S, until_ms / 1000)
            self._alarm_ms = core.host.now_ms + round(wait_s * 1000)
            with trio.move_on_after(wait_s) as self._alarm:
                await trio.sleep_forever()
            self.begin()
            core.tick(self.sim.now_ms)
            self.settle()

    def _ask_network(self, _sim: SimHost, effect: Any) -> None:
        if isinstance(effect, Frozen):
            self.frozen.append(effect)
        else:
            assert self.network is not None
            self.network.carry_out(effect)

    def _note(self, event: str, **fields: Any) -> None:
        self._shells.trace.add(event, self.sim.name, *fields.values())


class Shells:
    """Hosts that are whole but for sockets, files and processes, and the network between them."""

    def __init__(
        self, seed: int, hosts: int, trace: Trace, weather: Weather, limits: Limits | None = None
    ) -> None:
        self.seed = seed
        self.trace = trace
        self.weather = weather
        self.handles = Handles()
        self.codes = Codes()
        self.wire = MemoryNetwork(
            Moment(START_S, START_MS),
            latency_s=LATENCY_S,
            clock=self._moment,
            watch=self._watch,
            sooner=lambda: self._sooner.set(),
        )
        self._sooner = trio.Event()
        self.hosts = [ShellHost(self, number, limits or Limits()) for number in range(hosts)]

    def _moment(self) -> Moment:
        now_s = trio.current_time()
        return Moment(START_S + now_s, START_MS + int(now_s * 1000))

    def _watch(self, kind: str, source: Endpoint, target: Endpoint, carried: bytes) -> None:
        self.trace.add(kind, source, target, carried)

    async def carry(self) -> None:
        """Lets the network carry what is due, and each host settle after it, until cancelled."""
        while True:
            due_s = self.wire.next_s()
            self._sooner = trio.Event()
            with trio.move_on_at(float("inf") if due_s is None else due_s - START_S):
                await self._sooner.wait()
            running = [host for host in self.hosts if host.network is not None]
            for host in running:
                host.begin()
            self.wire.advance()
            for host in running:
                host.pump_and_settle()


def run(seed: int, main: Callable[[], Awaitable[None]]) -> None:
    """Runs trio in virtual time, its scheduler deterministic in the seed."""
    core: Any = trio._core._run
    before = core._r.getstate()
    core._ALLOW_DETERMINISTIC_SCHEDULING = True
    core._r.seed(seed)
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = False
        core._r.setstate(before)
