"""The network of a host: one UDP port for its links and its node of the DHT. The shell of both.

Step 7 of the journey. The core says whom it looks for, whom to link and what to say; here that
becomes lookups, dialed routes and frames, and what comes of them goes back as events. Nothing is
decided here but in which order known endpoints are tried.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from avm.host import peering
from avm.host.core import Core
from avm.host.effects import Dial, Publish, Say, Seek, Unlink
from avm.host.keys import Keyring
from avm.host.links import prove
from avm.link.errors import TooManyLinks
from avm.link.handshake import Credentials
from avm.link.interface import Down, Link
from avm.link.limits import CONTROL, DATA_STREAMS, LinkLimits
from avm.link.quic import Address, QuicListener
from avm.link.udp import UdpPort, moment
from avm.nat.limits import Allowed
from avm.nat.packets import is_ours
from avm.nat.traversal import Traversal
from avm.run.beacon import Beacon
from avm.run.config import NetworkConfig
from avm.run.nodesave import pack_saved, unpack_saved
from avm.run.ways import Place, Ways
from caps.certificate import Certificate, parse_certificate_untrusted
from caps.identity import Endpoint, Route, parse_identity_untrusted
from dht.effects import Ended, Evidence, Seen, TableChanged
from dht.errors import DhtError
from dht.node import Node
from dht.proofs import Kind, Proved
from dht.record import LocationRecord
from dht.settings import Settings
from dht.udp import NodeShell

LINK_ROOM_BYTES = 512 * 1024
# What the node knows is kept at once after a change, and so long after it what changed meanwhile.
SAVE_S = 1.0
# A host that ended without a word is noticed after so long.
IDLE_S = 12.0
HANDSHAKE_S = 5.0
RENEW_S = 24 * 60 * 60.0
# What was not found is asked for again by those who still wait for it.
MISS_MS = 3_000
# A peer that has so much to read and does not is let go.
WAITING_BYTES_MAX = 16 * 1024 * 1024
ROUTES_KEPT = 8
SOUGHT_KEPT = 10_000
TIMER_S = 0.001
LONGEST_S = 60.0

Note = Callable[..., None]


class Wire:
    """A link as this shell keeps it: its number to the core, and frames its streams had no room for.

    `is_full`: the core was told that it takes no more, and is to be told when it does.
    """

    __slots__ = ("is_full", "link", "number", "waiting", "waiting_bytes")

    def __init__(self, number: int, link: Link) -> None:
        self.number = number
        self.link = link
        self.waiting: dict[int, deque[bytes]] = {}
        self.waiting_bytes = 0
        self.is_full = False

    def room(self) -> int:
        """How many bytes the core may say now."""
        return LINK_ROOM_BYTES - self.waiting_bytes - self.link.statistics().waiting_bytes


class Network:
    """A host's place among others."""

    def __init__(
        self,
        core: Core,
        keys: Keyring,
        config: NetworkConfig,
        entropy: Callable[[int], bytes],
        settle: Callable[[], None],
        note: Note,
    ) -> None:
        """Binds the port; raises `EndpointInUse`."""
        self._core = core
        self._keys = keys
        self._settle = settle
        self._note = note
        self.port = UdpPort(config.endpoint, config.ip)
        self.endpoint = config.advertised or self.port.endpoint
        self.listener = QuicListener(
            self.port.endpoint,
            Credentials(keys.root, keys.identity),
            self,
            entropy,
            LinkLimits(idle_s=IDLE_S, keep_alive_s=IDLE_S / 4, handshake_s=HANDSHAKE_S),
            moment(),
            self.port.wake,
        )
        settings = Settings(miss_ms=MISS_MS)
        own = self.endpoint if any(self.endpoint.ip) else None
        places = () if own is None else (own,)
        node = Node(keys.root, entropy, endpoints=places, settings=settings)
        self.shell = NodeShell(node, self.port.send, self._hear_node)
        self.port.serve(self.listener, self._receive)
        limits = core.host.limits
        allowed = Allowed(limits.introduced, limits.relays, limits.relay_bytes_s)
        is_fixed = config.advertised is not None
        traversal = Traversal(keys.address, own, entropy, allowed, is_fixed, config.routes)
        self.ways = Ways(self, self.port, traversal, settle)
        self._bootstrap = config.routes
        self._routes: dict[bytes, dict[Place, None]] = {}
        for route in config.routes:
            self._learn(route.address, route.endpoint)
        self._beacon: Beacon | None = None
        if config.group is not None:
            self._beacon = Beacon(config.group, self.port.endpoint, keys.address)
        self._crowded = False
        self._sought: dict[bytes, None] = {}
        self._failed: dict[bytes, None] = {}
        self._next = 0
        self._wires: dict[int, Wire] = {}
        self._said: dict[Wire, None] = {}
        self._numbers: dict[Link, int] = {}
        self._dialing: dict[Link, tuple[bytes, Callable[[], None]]] = {}
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()
        self._alarm = trio.CancelScope()
        self._alarm_s = float("inf")

    @property
    def route(self) -> Route:
        """How others name this host and where it is."""
        own = self.ways.traversal.standing.own
        return Route(self._core.host.address, self.endpoint if own is None else own)

    def start(self, nursery: trio.Nursery, saved: bytes | None) -> None:
        """Joins: the node goes on from what was stored and from its bootstrap, and publishes."""
        self._nursery = nursery
        now_ms = self.shell.now_ms()
        own = [self._keys.address, *self._core.host.machines]
        self.shell.node.load(now_ms, unpack_saved(saved, own, now_ms // 1000))
        nursery.start_soon(self.shell.run)
        nursery.start_soon(self._keep_time)
        nursery.start_soon(self.ways.run, self.listener)
        nursery.start_soon(self._save)
        nursery.start_soon(self._renew)
        self.shell.join(tuple(route.endpoint for route in self._bootstrap))
        self._publish_host()
        self._core.join()
        if self._beacon is not None:
            nursery.start_soon(self._beacon.say)
            nursery.start_soon(self._beacon.listen, self._see)

    def close(self) -> None:
        """Ends all links, and gives the port back."""
        self._nursery = None
        self.listener.close()
        self.port.close()
        if self._beacon is not None:
            self._beacon.close()

    # What the core asks for.

    def carry_out(self, effect: Any) -> None:
        """Does what the core asks for."""
        match effect:
            case Say(number, lane, frame):
                self._say(number, 1 + lane % DATA_STREAMS, frame)
            case Seek(address):
                self._start(self._seek, address)
            case Dial(host, endpoints):
                for endpoint in reversed(endpoints):
                    self._learn(host, endpoint)
                if endpoints:
                    self._start(self._next_try, host, list(endpoints))
                else:
                    self._start(self._dial, host)
            case Unlink(number, why):
                wire = self._wires.get(number)
                if wire is not None:
                    self._note("link.broken", why=why)
                    self._forget(wire.link)
                    wire.link.close()
            case Publish(address):
                self._start(self._publish, address)

    def _start(self, task: Callable[..., Any], *args: Any) -> None:
        if self._nursery is not None:  # at the end links go down that nobody dials again
            self._nursery.start_soon(task, *args)

    def say_control(self, number: int, frame: bytes) -> None:
        """Writes a frame to the control stream of a link."""
        self._say(number, CONTROL, frame)

    def _say(self, number: int, stream: int, frame: bytes) -> None:
        wire = self._wires.get(number)
        if wire is None:
            return
        waiting = wire.waiting.get(stream)
        if not waiting and wire.link.room(stream) >= len(frame):
            wire.link.send_nowait(stream, frame)
        else:
            wire.waiting.setdefault(stream, deque()).append(frame)
            wire.waiting_bytes += len(frame)
            if wire.waiting_bytes > WAITING_BYTES_MAX:
                self._note("link.stalled", link=number)
                wire.link.close()
                return
        self._said[wire] = None

    def _tell_room(self) -> None:
        """Tells the core what links take now: those that it has used, and those that were full."""
        said, self._said = self._said, {}
        for wire in said:
            room = wire.room()
            has_room_again = wire.is_full and room > 0
            wire.is_full = room <= 0
            if wire.is_full:
                self._said[wire] = None
            self._core.link_room(wire.number, room)
            if has_room_again:
                self._core.pump()

    # Where addresses and hosts are.

    async def _seek(self, address: bytes) -> None:
        where = await self._located(address, first=address not in self._sought)
        self._sought[address] = None
        if len(self._sought) > SOUGHT_KEPT:
            self._sought.clear()
        if where is None:
            self._core.not_found(address)
        else:
            self._core.found(address, where.location.host)
        self._settle()

    async def _located(self, address: bytes, first: bool) -> LocationRecord | None:
        """Where an address is: the first record that holds, or the newest that there is."""
        try:
            if first:
                return _location_of(await self.shell.locate_first(address))
            ended = await self.shell.locate(address)
        except DhtError as error:
            self._note("locate.failed", why=str(error))
            return None
        return _location_of(ended.records[0] if ended.records else None)

    async def _dial(self, host: bytes) -> None:
        """Tries what is known of a host's endpoints, after asking the network for the newest."""
        where = await self._located(host, first=host not in self._failed)
        if where is not None and not isinstance(where.location.where, Certificate):
            for place in reversed(where.location.where):
                self._learn(host, place)
        self._try_next(host, list(self._routes.get(host, {}))[::-1])

    def _try_next(self, host: bytes, places: list[Place]) -> None:
        while places:
            place = places[0]
            if isinstance(place, Route):
                self.ways.meet(host, places)
                return
            del places[0]
            address = self.port.address_of(place)
            if self.dial_at(host, address, partial(self.try_next, host, places)):
                return
        self._failed[host] = None
        if len(self._failed) > SOUGHT_KEPT:
            self._failed.clear()
        self._core.no_link(host)
        self._settle()

    def dial_at(self, host: bytes, address: Address, otherwise: Callable[[], None]) -> bool:
        """Begins a link; `otherwise` is called if it is not made. False: none can be begun."""
        self.port.hear_clock()
        try:
            link = self.listener.dial_at_nowait(host, address)
        except (OSError, TooManyLinks) as error:
            self._note("dial.failed", why=str(error))
            return False
        self._dialing[link] = (host, otherwise)
        return True

    def is_dialing(self, host: bytes) -> bool:
        """Whether a link to a host is being made."""
        return any(one == host for one, _ in self._dialing.values())

    def try_next(self, host: bytes, places: list[Place]) -> None:
        """Goes on with the next place where a host may be."""
        self._start(self._next_try, host, places)

    def _learn(self, host: bytes, place: Place) -> None:
        """Remembers where a host may be, the newest last."""
        known = self._routes.setdefault(host, {})
        known.pop(place, None)
        known[place] = None
        while len(known) > ROUTES_KEPT:
            known.pop(next(iter(known)))
        if len(self._routes) > SOUGHT_KEPT:
            self._routes.pop(next(iter(self._routes)))

    def _see(self, address: bytes, endpoint: Endpoint) -> None:
        peering.seen(self._core.host, address, endpoint)
        self._settle()

    # What this host announces.

    def _publish_host(self) -> None:
        self._publish_place(self.ways.traversal.standing.routes())
        host = self._core.host
        listeners = [client.address for client in host.clients.values() if client.name]
        for address in (*host.machines, *listeners):
            self._start(self._publish, address)

    def _publish_place(self, places: tuple[Place, ...]) -> None:
        if places:
            self._start(self.shell.publish_location, self._keys.identity, 1, places)

    def announce(self, places: tuple[Place, ...], node: Endpoint | None) -> None:
        """Publishes anew where this host is, and where others find its node, if they do."""
        if self._nursery is None:
            return
        self._note("place.announced", places=[str(one) for one in places], hidden=node is None)
        self.shell.serve(() if node is None else (node,))
        self._publish_place(places)

    async def _renew(self) -> None:
        """Announces everything anew with new certificates, long before the old ones end."""
        while True:
            await trio.sleep(RENEW_S)
            self._publish_host()

    async def _publish(self, address: bytes) -> None:
        owner = self._core.host.owner(address)
        proof = None if owner is None else prove(self._core.host, address)
        if proof is None:
            self.shell.node.withdraw(Kind.LOCATION, address)
            return
        identity = parse_identity_untrusted(proof.identity)
        certificate = parse_certificate_untrusted(proof.certificate)
        try:
            incarnation = certificate.terms.incarnation
            await self.shell.publish_location(identity, incarnation, certificate)
        except DhtError as error:
            if not self._crowded:  # once for all that find no room
                self._note("publish.failed", address=address.hex(), why=str(error))
            self._crowded = True

    def _hear_node(self, effect: Any) -> None:
        if isinstance(effect, TableChanged):
            self._changed.set()
        elif isinstance(effect, Seen):
            self.ways.seen(effect.observer, effect.seen)
        elif isinstance(effect, Evidence):
            self._note("location.contradicted", address=effect.first.key.hex())
        elif isinstance(effect, Ended) and effect.escalated:
            self._note("lookup.escalated", key=effect.key.hex())

    def _receive(self, datagram: bytes, endpoint: Endpoint) -> None:
        if is_ours(datagram):
            self.ways.receive_untrusted(datagram, endpoint)
        else:
            self.shell.receive_untrusted(datagram, endpoint)

    # What links tell: see `avm.link.interface.Owner`.

    def link_up(self, link: Link) -> None:
        """A link is up, both its ends proven."""
        self._dialing.pop(link, None)
        if link.peer is not None:
            self._failed.pop(link.peer.address, None)
        self._next += 1
        number = self._numbers[link] = self._next
        wire = self._wires[number] = Wire(number, link)
        assert link.peer is not None
        address = self.listener.address_of(link)
        assert address is not None
        way, where = self.ways.link_up(number, link, address)
        host = link.peer.address.hex()
        self._note("link.up", link=number, host=host, dialed=link.dialed, way=way.value)
        if where is not None and not len(self.shell.node.table):
            self.shell.join((where,))
        trip_ms = link.statistics().round_trip_s * 1000
        self._core.link_up(number, link.peer, wire.room(), where, trip_ms)
        self.ways.carry_out()

    def link_down(self, link: Link, down: Down) -> None:
        """A link has ended, or could not be made."""
        dialed = self._dialing.pop(link, None)
        if dialed is not None:
            host, otherwise = dialed
            self._note("link.not_made", host=host.hex(), why=down.why.value)
            otherwise()
            return
        number = self._forget(link)
        if number is not None:
            self._note("link.down", link=number, why=down.why.value)
            if link.peer is not None:
                self._failed[link.peer.address] = None
            self._core.link_down(number)

    async def _next_try(self, host: bytes, places: list[Place]) -> None:
        self._try_next(host, places)

    def retire(self, number: int) -> None:
        """Ends a link in peace: a better one is there."""
        link = self._core.host.links.get(number)
        if link is not None:
            peering.close(self._core.host, link, "a better way has its place")

    def hide(self, number: int) -> None:
        """Nobody is to be told where the host of a link was seen."""
        link, endpoint = self._core.host.links.get(number), self.ways.traversal.endpoint_of(number)
        if link is not None and endpoint is not None:
            peering.hide(self._core.host, link, endpoint)

    def _forget(self, link: Link) -> int | None:
        number = self._numbers.pop(link, None)
        self.ways.link_down(link)
        if number is not None:
            self._said.pop(self._wires.pop(number), None)
        return number

    def frame(self, link: Link, stream: int, frame: bytes) -> None:
        """A frame has come; the core keeps of it what its own room allows."""
        number = self._numbers.get(link)
        if stream == CONTROL:
            self.ways.frame(link, frame)
        elif number is not None:
            self._core.frame(number, frame)
        link.consumed(stream, len(frame))

    def datagram(self, link: Link, datagram: bytes) -> None:
        """Datagrams are not used between cores yet: dropped."""

    def has_room(self, link: Link, stream: int) -> None:
        """Says what waited for room."""
        number = self._numbers.get(link)
        if number is None:
            return
        wire = self._wires[number]
        waiting = wire.waiting.get(stream)
        while waiting and link.room(stream) >= len(waiting[0]):
            frame = waiting.popleft()
            wire.waiting_bytes -= len(frame)
            link.send_nowait(stream, frame)
        self._said[wire] = None

    def speaks(self, link: Link, machine: bytes) -> None:
        """Proofs of machines go with their channels: the core has them."""

    def answered(self, link: Link, machine: bytes, accepted: bool) -> None:
        """Likewise."""

    # Time.

    def settle(self) -> None:
        """The end of a pass: what it made is sent."""
        self.port.settle()
        self._tell_room()
        due_s = self.port.next_wake_s()
        if due_s is not None and due_s < self._alarm_s - TIMER_S:
            self._set_alarm(due_s)

    def _set_alarm(self, due_s: float | None) -> None:
        now_s = moment().now_s
        wait_s = LONGEST_S if due_s is None else max(TIMER_S, due_s - now_s)
        self._alarm_s = now_s + wait_s
        self._alarm.deadline = trio.current_time() + wait_s

    async def _keep_time(self) -> None:
        """Makes a pass whenever a link's timer is due."""
        while True:
            with trio.CancelScope() as self._alarm:
                self._set_alarm(self.port.next_wake_s())
                await trio.sleep_forever()
            self._settle()

    async def _save(self) -> None:
        """Keeps what the node knows, so that a restart needs no bootstrap."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            self._write()
            self._settle()
            await trio.sleep(SAVE_S)

    def _write(self) -> None:
        saved = pack_saved(self.shell.node.saved())
        self._core.host.group.dirty[("meta", "node")] = saved

    # To look at.

    def counts(self) -> dict[str, int]:
        """What came to the port and was nothing, by its kind."""
        nat = self.ways.traversal.counts
        return {**self.listener.counts, **nat, "packets.malformed": self.shell.node.malformed}

    def links(self) -> list[dict[str, Any]]:
        """Each link in plain values, for the operator."""
        rows: list[dict[str, Any]] = []
        for number, wire in self._wires.items():
            now = wire.link.statistics()
            peer = wire.link.peer
            rows.append(
                {
                    "link": number,
                    "host": peer.address.hex() if peer is not None else "",
                    "how": "dialed" if wire.link.dialed else "accepted",
                    "way": self.ways.way_of(number),
                    "round_trip_ms": round(now.round_trip_s * 1000, 3),
                    "sent_bytes": now.sent_bytes,
                    "received_bytes": now.received_bytes,
                    "credit_bytes": now.credit_bytes,
                    "backlog_bytes": now.waiting_bytes + wire.waiting_bytes,
                }
            )
        return rows


def _location_of(record: Proved | None) -> LocationRecord | None:
    if record is None or not isinstance(record.content, LocationRecord):
        return None
    return record.content
