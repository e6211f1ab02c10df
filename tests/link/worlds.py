"""Worlds for links: one in memory, one where QUIC's real datagrams cross a wire in virtual time."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from avm.link.handshake import Credentials
from avm.link.interface import Address, Down, Link, Listener, Moment, Why
from avm.link.limits import LinkLimits
from avm.link.memory import MemoryListener, MemoryNetwork
from avm.link.quic import QuicListener
from caps.certificate import Certificate, Terms, issue
from caps.identity import Identity, RootKey, Route, parse_endpoint

PASSES_MAX = 200_000
NOW = Moment(1_000.0, 1_700_000_000_000)


def credentials(seed: int, name: str = "") -> Credentials:
    """A host of its own for each seed."""
    key = RootKey(seed.to_bytes(32, "big"))
    return Credentials(key, key.identity({"name": name or f"host {seed}"}))


def machine_certificate(
    seed: int, host: Identity, *, start_ms: int = 0, end_ms: int = NOW.now_ms + 10_000_000
) -> tuple[Identity, Certificate]:
    """A machine, and its certificate for a host."""
    root = RootKey(seed.to_bytes(32, "little"))
    machine = root.identity({"name": f"machine {seed}"})
    terms = Terms(
        machine=machine.address,
        host=host.address,
        host_key=host.public_key,
        incarnation=1,
        sequence=1,
        not_before_ms=start_ms,
        expiry_ms=end_ms,
        renew_until_ms=end_ms,
    )
    return machine, issue(root, terms)


@dataclass
class Ear:
    """An owner that keeps what it is told, and consumes at once unless it is told not to."""

    consumes: bool = True
    up: list[Link] = field(default_factory=list)
    down: list[tuple[Link, Down]] = field(default_factory=list)
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)
    machines: list[bytes] = field(default_factory=list)
    answers: list[tuple[bytes, bool]] = field(default_factory=list)
    on_frame: Callable[[Link, int, bytes], None] | None = None

    def link_up(self, link: Link) -> None:
        self.up.append(link)

    def link_down(self, link: Link, down: Down) -> None:
        self.down.append((link, down))

    def frame(self, link: Link, stream: int, frame: bytes) -> None:
        self.frames.append((stream, frame))
        if self.consumes:
            link.consumed(stream, len(frame))
        if self.on_frame:
            self.on_frame(link, stream, frame)

    def datagram(self, link: Link, datagram: bytes) -> None:
        self.datagrams.append(datagram)

    def has_room(self, link: Link, stream: int) -> None:
        self.rooms.append(stream)

    def speaks(self, link: Link, machine: bytes) -> None:
        self.machines.append(machine)

    def answered(self, link: Link, machine: bytes, accepted: bool) -> None:
        self.answers.append((machine, accepted))

    @property
    def whys(self) -> list[Why]:
        return [down.why for _, down in self.down]

    def of(self, stream: int) -> list[bytes]:
        return [frame for on, frame in self.frames if on == stream]


class World(Protocol):
    """Where listeners are."""

    @property
    def now_ms(self) -> int: ...

    def listener(self, me: Credentials, ear: Ear, limits: LinkLimits | None = None) -> Listener: ...

    def run(self, by_s: float) -> None: ...

    def part(self, one: Listener, other: Listener) -> None: ...

    def join(self, one: Listener, other: Listener) -> None: ...


def entropy_of(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


class MemoryWorld:
    """Links in memory."""

    def __init__(self, seed: int = 0) -> None:
        self.network = MemoryNetwork(NOW, latency_s=0.001, piece_bytes=1_100)
        self._seed = seed
        self._count = 0

    @property
    def now_ms(self) -> int:
        return self.network.at.now_ms

    def listener(
        self, me: Credentials, ear: Ear, limits: LinkLimits | None = None
    ) -> MemoryListener:
        self._count += 1
        endpoint = parse_endpoint(f"10.0.0.{self._count}:4000")
        entropy = entropy_of(self._seed + self._count)
        return MemoryListener(self.network, endpoint, me, ear, entropy, limits or LinkLimits())

    def run(self, by_s: float) -> None:
        self.network.advance(by_s)

    def part(self, one: Listener, other: Listener) -> None:
        self.network.part(one.endpoint, other.endpoint)

    def join(self, one: Listener, other: Listener) -> None:
        self.network.join(one.endpoint, other.endpoint)


@dataclass
class Weather:
    """What a wire does to datagrams, each as a share of them; larger ones than it takes never arrive."""

    loss: float = 0.0
    double: float = 0.0
    corrupt: float = 0.0
    jitter_s: float = 0.0
    takes_bytes: int = 1_500


class QuicWorld:
    """QUIC listeners on a wire with delays and faults from a seed, in virtual time."""

    def __init__(self, seed: int = 0, latency_s: float = 0.001) -> None:
        self.at = NOW
        self.weather = Weather()
        self.latency_s = latency_s
        self.carried = self.passes = 0
        self.tap: Callable[[bytes, Address, Address], None] | None = None
        self.renamed: dict[Address, Address] = {}
        self._random = random.Random(seed)
        self._seed = seed
        self._listeners: dict[Address, QuicListener] = {}
        self._due: list[tuple[float, int, bytes, Address, Address]] = []
        self._sent = 0
        self._parted: set[frozenset[Address]] = set()

    @property
    def now_ms(self) -> int:
        return self.at.now_ms

    def listener(self, me: Credentials, ear: Ear, limits: LinkLimits | None = None) -> QuicListener:
        count = len(self._listeners) + 1
        address = (f"10.0.0.{count}", 4000)
        endpoint = parse_endpoint(f"{address[0]}:{address[1]}")
        entropy = entropy_of(self._seed + count)
        made = QuicListener(endpoint, me, ear, entropy, limits or LinkLimits(), self.at)
        self._listeners[address] = made
        return made

    def run(self, by_s: float) -> None:
        end_s = self.at.now_s + by_s
        self._flush()
        while True:
            next_s = self._next_s()
            if next_s is None or next_s > end_s:
                break
            self._set_clock(max(next_s, self.at.now_s))
            self._pass()
        self._set_clock(end_s)

    def send(self, datagram: bytes, source: Address, target: Address) -> None:
        """Put a datagram on the wire, whatever it is."""
        self.carried += 1
        if self.tap:
            self.tap(datagram, source, target)
        source = self.renamed.get(source, source)
        target = {v: k for k, v in self.renamed.items()}.get(target, target)
        if frozenset((source, target)) in self._parted:
            return
        chance, weather = self._random.random, self.weather
        if len(datagram) > weather.takes_bytes or chance() < weather.loss:
            return
        for _ in range(2 if chance() < weather.double else 1):
            if chance() < weather.corrupt:
                at = self._random.randrange(len(datagram))
                flipped = datagram[at] ^ (1 << self._random.randrange(8))
                datagram = datagram[:at] + bytes([flipped]) + datagram[at + 1 :]
            delay_s = self.latency_s + chance() * weather.jitter_s
            self._sent += 1
            due = (self.at.now_s + delay_s, self._sent, datagram, source, target)
            heapq.heappush(self._due, due)

    def part(self, one: Listener, other: Listener) -> None:
        self._parted.add(frozenset((address_of(one), address_of(other))))

    def join(self, one: Listener, other: Listener) -> None:
        self._parted.discard(frozenset((address_of(one), address_of(other))))

    def _next_s(self) -> float | None:
        times = [listener.next_wake_s() for listener in self._listeners.values()]
        times.append(self._due[0][0] if self._due else None)
        return min((time for time in times if time is not None), default=None)

    def _pass(self) -> None:
        self.passes += 1
        assert self.passes < PASSES_MAX, "time stands still"
        for listener in self._listeners.values():
            listener.hear_clock(self.at)
        while self._due and self._due[0][0] <= self.at.now_s:
            _, _, datagram, source, target = heapq.heappop(self._due)
            there = self._listeners.get(target)
            if there is not None and datagram:
                there.receive(datagram, source)
        self._flush()

    def _flush(self) -> None:
        for address, listener in self._listeners.items():
            listener.hear_clock(self.at)
            listener.deliver()
            listener.tick()
            listener.flush(partial(self._send_from, address))

    def _send_from(self, source: Address, datagrams: list[tuple[bytes, Address]]) -> None:
        for datagram, target in datagrams:
            self.send(datagram, source, target)

    def _set_clock(self, now_s: float) -> None:
        passed_ms = round((now_s - NOW.now_s) * 1000)
        self.at = Moment(now_s, NOW.now_ms + passed_ms)


def address_of(listener: Listener) -> Address:
    return listener.endpoint.host_text, listener.endpoint.port


@dataclass
class Pair:
    """Two hosts, the first of which dials the second."""

    world: World
    ear: Ear
    far_ear: Ear
    near: Listener
    far: Listener
    link: Link
    far_identity: Identity

    @property
    def far_link(self) -> Link:
        return self.far_ear.up[-1]


def pair(world: World, limits: LinkLimits | None = None, *, run_s: float = 1.0) -> Pair:
    ear, far_ear = Ear(), Ear()
    near = world.listener(credentials(1), ear, limits)
    far_me = credentials(2)
    far = world.listener(far_me, far_ear, limits)
    link = near.dial_nowait(route_to(far, far_me))
    made = Pair(world, ear, far_ear, near, far, link, far_me.identity)
    world.run(run_s)
    return made


def route_to(listener: Listener, me: Credentials) -> Route:
    return Route(me.identity.address, listener.endpoint)
