"""A world of hosts behind routers, in virtual time: datagrams cross boxes that translate and filter.

A link is an exchange of datagrams too: one is up when an opening and its answer came through, its frames
go the same way, and it ends when nothing was heard of it for long.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from avm.nat.effects import (
    Announce,
    DialAt,
    Dig,
    Effect,
    Fill,
    Hear,
    Hidden,
    NotMet,
    Retire,
    Send,
    SendAside,
    Tell,
    Through,
    Tunnel,
    Way,
)
from avm.nat.limits import NatLimits
from avm.nat.packets import Relayed, is_ours
from avm.nat.traversal import Traversal
from caps.identity import Endpoint, Route, parse_endpoint

TRIP_S = 0.01
KEEP_ALIVE_S = 3.0
IDLE_S = 12.0
HANDSHAKE_S = 5.0
AGAIN_S = 0.3
PORT = 4433


@dataclass
class Box:
    """A router. `random`: another port for each endpoint sent to; `translates`: else it only filters."""

    ip: str
    random: bool = False
    translates: bool = True
    keeps_s: float = 30.0
    blocked: set[str] = field(default_factory=set)
    out: dict[tuple[Endpoint, Endpoint], tuple[Endpoint, float]] = field(default_factory=dict)
    ports: "count[int]" = field(default_factory=lambda: count(20_000))

    def outward(self, source: Endpoint, to: Endpoint, now_s: float) -> Endpoint | None:
        """What the source is called outside; None: nothing may go there."""
        if to.host_text in self.blocked:
            return None
        known = self.out.get((source, to))
        if known is not None and now_s - known[1] < self.keeps_s:
            outside = known[0]
        elif not self.translates:
            outside = source
        else:
            port = next(self.ports) if self.random else source.port
            outside = parse_endpoint(f"{self.ip}:{port}")
        self.out[source, to] = (outside, now_s)
        return outside

    def inward(self, source: Endpoint, to: Endpoint, now_s: float) -> Endpoint | None:
        """Whom it is for inside; None: nobody there has sent to the source of late."""
        if source.host_text in self.blocked:
            return None
        for (inside, other), (outside, used_s) in self.out.items():
            if other == source and outside == to and now_s - used_s < self.keeps_s:
                self.out[inside, other] = (outside, now_s)
                return inside
        return None

    def move(self, ip: str) -> None:
        """Gets another IP, and forgets what it mapped to the old one."""
        self.ip = ip
        self.out.clear()


@dataclass
class Line:
    """One end of a link."""

    number: int
    peer: bytes
    dialed: bool
    at: Endpoint | int
    key: bytes
    heard_s: float
    is_up: bool = False


class Host:
    """A host: its traversal, and a shell that makes of its effects what the real one does."""

    def __init__(
        self, world: "World", name: str, endpoint: Endpoint, box: Box | None, **how: object
    ) -> None:
        self.world = world
        self.name = name
        self.address = name.encode().ljust(32, b"-")
        self.endpoint = endpoint
        self.box = box
        known = how.get("known", ())
        allowed = how.get("allowed", NatLimits())
        assert isinstance(known, tuple) and isinstance(allowed, NatLimits)
        self.nat = Traversal(
            self.address, endpoint, world.entropy, allowed, bool(how.get("fixed")), known
        )
        self.lines: dict[bytes, Line] = {}
        self.numbers = count(1)
        self.tunnels: dict[int, Tunnel] = {}
        self.announced: list[tuple[Endpoint | Route, ...]] = []
        self.not_met: list[bytes] = []
        self.hidden: list[bytes] = []
        self.sent: list[tuple[bytes, Endpoint]] = []
        world.at(KEEP_ALIVE_S, self.keep_alive)
        world.at(0.0, self.tick)

    @property
    def route(self) -> Route:
        return Route(self.address, self.endpoint)

    # Links.

    def dial(self, host: bytes, at: Endpoint | int) -> None:
        """Opens a link; it is up when the other side has answered."""
        key = self.world.entropy(8)
        line = Line(next(self.numbers), host, True, at, key, self.world.now_s)
        self.lines[key] = line
        self.world.at(HANDSHAKE_S, partial(self.give_up, line))
        self.open(line)

    def open(self, line: Line) -> None:
        """Says who is wanted, again and again."""
        if not line.is_up and line.key in self.lines:
            self.say(line, b"open" + line.peer + self.address)
            self.world.at(AGAIN_S, partial(self.open, line))

    def give_up(self, line: Line) -> None:
        if not line.is_up and self.lines.pop(line.key, None) is not None:
            self.not_met.append(line.peer)
            self.nat.not_through(line.peer, self.world.now_s)
            self.carry_out()

    def say(self, line: Line, body: bytes) -> None:
        packet = b"\x40" + line.key + body
        if isinstance(line.at, int):
            tunnel = self.tunnels.get(line.at)
            if tunnel is not None:
                self.world.send(self, Relayed(tunnel.token, packet).to_bytes(), tunnel.relay)
        else:
            self.world.send(self, packet, line.at)

    def hear(self, packet: bytes, at: Endpoint | int) -> None:
        key, body = packet[1:9], packet[9:]
        line = self.lines.get(key)
        if line is None:
            if body[:4] != b"open" or body[4:36] != self.address:
                return
            line = Line(next(self.numbers), body[36:68], False, at, key, self.world.now_s)
            self.lines[key] = line
            self.say(line, b"up")
            self.up(line)
            return
        line.heard_s = self.world.now_s
        if not line.dialed and at != line.at and isinstance(at, Endpoint):
            line.at = at
            self.nat.link_moved(line.number, at)
        if body == b"up" and not line.is_up:
            self.up(line)
        elif body[:4] == b"open":
            self.say(line, b"up")
        elif body[:1] == b"F":
            self.nat.hear_untrusted(line.number, body[1:], self.endpoint, self.world.now_s)
        elif body == b"bye":
            self.down(line)
        elif body == b"ping":
            self.say(line, b"pong")
        self.carry_out()

    def up(self, line: Line) -> None:
        line.is_up = True
        self.nat.link_up(line.number, line.peer, line.dialed, line.at, self.world.now_s)
        if not line.dialed and isinstance(line.at, Endpoint):
            self.nat.standing.reached(self.endpoint, line.at, self.world.now_s)
        self.carry_out()

    def down(self, line: Line) -> None:
        if self.lines.pop(line.key, None) is not None:
            self.nat.link_down(line.number, self.world.now_s)

    def keep_alive(self) -> None:
        self.world.at(KEEP_ALIVE_S, self.keep_alive)
        for line in list(self.lines.values()):
            if self.world.now_s - line.heard_s > IDLE_S:
                self.down(line)
            elif line.is_up:
                self.say(line, b"ping")
        self.carry_out()

    def ways(self, other: "Host") -> list[Way]:
        """How the links to another host go."""
        there = [one for one in self.lines.values() if one.is_up and one.peer == other.address]
        return [self.nat.way_of(one.number) for one in there]

    # The traversal.

    def meet(self, other: "Host") -> None:
        """Has a way opened to another host, by what it announced last."""
        vias = [one for one in other.announced[-1] if isinstance(one, Route)]
        self.nat.meet(other.address, vias, self.world.now_s)
        self.carry_out()

    def receive(self, datagram: bytes, source: Endpoint) -> None:
        if is_ours(datagram):
            self.nat.receive_untrusted(datagram, source, self.world.now_s)
            self.carry_out()
        else:
            self.hear(datagram, source)

    def tick(self) -> None:
        self.nat.tick(self.world.now_s)
        self.carry_out()
        wake_s = self.nat.next_wake_s()
        wait_s = 1.0 if wake_s is None else min(1.0, wake_s - self.world.now_s)
        self.world.at(max(0.001, wait_s), self.tick)

    def carry_out(self) -> None:
        while effects := self.nat.take_effects():
            for effect in effects:
                self.do(effect)

    def do(self, effect: Effect) -> None:
        match effect:
            case Tell(number, frame):
                for line in [one for one in self.lines.values() if one.number == number]:
                    self.say(line, b"F" + frame)
            case Send(datagram, endpoint):
                self.sent.append((datagram, endpoint))
                self.world.send(self, datagram, endpoint)
            case SendAside(datagrams, endpoint):
                for datagram in datagrams:
                    self.world.send(self, datagram, endpoint, aside=True)
            case Dig(tunnel):
                self.tunnels[tunnel.number] = tunnel
            case Fill(number):
                del self.tunnels[number]
            case Hear(packet, number):
                self.hear(packet, number)
            case Through(via):
                self.dial(via.address, via.endpoint)
            case DialAt(host, at, _):
                self.dial(host, at.number if isinstance(at, Tunnel) else at)
            case NotMet(host, _):
                self.not_met.append(host)
            case Retire(number):
                for line in [one for one in self.lines.values() if one.number == number]:
                    self.say(line, b"bye")
                    self.down(line)
            case Hidden(number):
                self.hidden += [one.peer for one in self.lines.values() if one.number == number]
            case Announce():
                self.announced.append(self.nat.standing.routes())


class World:
    """All hosts and boxes, one clock, and seeded weather."""

    def __init__(self, seed: int, loss: float = 0.0) -> None:
        self.rng = random.Random(seed)
        self.now_s = 100.0
        self.loss = loss
        self.hosts: list[Host] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def entropy(self, size: int) -> bytes:
        return self.rng.randbytes(size)

    def at(self, after_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now_s + after_s, next(self._order), act))

    def public(self, name: str, **how: object) -> Host:
        """A host that all can reach."""
        endpoint = parse_endpoint(f"198.51.100.{len(self.hosts) + 1}:{PORT}")
        return self._added(Host(self, name, endpoint, None, **how))

    def behind(self, name: str, box: Box, **how: object) -> Host:
        """A host behind a router."""
        ip = f"10.0.{len(self.hosts)}.2" if box.translates else box.ip
        return self._added(Host(self, name, parse_endpoint(f"{ip}:{PORT}"), box, **how))

    def _added(self, host: Host) -> Host:
        self.hosts.append(host)
        return host

    def send(self, host: Host, datagram: bytes, to: Endpoint, aside: bool = False) -> None:
        """A datagram goes out, and arrives, or does not."""
        source = Endpoint(host.endpoint.ip, PORT + 1) if aside else host.endpoint
        outside = source if host.box is None else host.box.outward(source, to, self.now_s)
        if outside is not None and self.rng.random() >= self.loss:
            self.at(TRIP_S, partial(self._arrive, datagram, outside, to))

    def _arrive(self, datagram: bytes, source: Endpoint, to: Endpoint) -> None:
        for host in self.hosts:
            if host.box is None:
                inside: Endpoint | None = to
            elif host.box.ip == to.host_text:
                inside = host.box.inward(source, to, self.now_s)
            else:
                continue
            if inside == host.endpoint:
                host.receive(datagram, source)

    def run(self, for_s: float, until: Callable[[], object] = lambda: False) -> bool:
        """Runs for so long, or until a condition holds; tells whether it does."""
        end_s = self.now_s + for_s
        while self._due and self._due[0][0] <= end_s:
            if until():
                return True
            self.now_s, _, act = heapq.heappop(self._due)
            act()
        self.now_s = end_s
        return bool(until())
