"""The network of a host: one UDP port for its links and its node of the DHT. The shell of both.

Step 7 of the journey. The core says whom it looks for, whom to link and what to say; here that
becomes lookups, dialed routes and frames, and what comes of them goes back as events. Nothing is
decided here but in which order known endpoints are tried.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from avm.host import peering
from avm.host.cases import Claim
from avm.host.core import Core
from avm.host.deciding import contradicted
from avm.host.effects import Dial, Publish, Say, Seek, Unlink
from avm.host.keys import Keyring
from avm.link.errors import TooManyLinks
from avm.link.handshake import Credentials
from avm.link.interface import Down, Link
from avm.link.limits import DATA_STREAMS
from avm.link.quic import QuicListener
from avm.link.udp import UdpPort, moment
from avm.run.announcing import Announcer
from avm.run.beacon import Beacon
from avm.run.config import Config
from avm.run.nodesave import pack_saved, unpack_saved
from avm.run.wires import Wires
from caps.certificate import Certificate
from caps.identity import Endpoint, Route
from dht.effects import Ended, Evidence, TableChanged
from dht.errors import DhtError
from dht.node import Node
from dht.proofs import Proved
from dht.record import LocationRecord
from dht.udp import NodeShell

# What the node knows is kept at once after a change, and so long after it what changed meanwhile.
SAVE_S = 1.0
ROUTES_KEPT = 8
SOUGHT_KEPT = 10_000
TIMER_S = 0.001
LONGEST_S = 60.0

Note = Callable[..., None]


class Network:
    """A host's place among others."""

    def __init__(
        self,
        core: Core,
        keys: Keyring,
        config: Config,
        entropy: Callable[[int], bytes],
        settle: Callable[[], None],
        note: Note,
    ) -> None:
        """Binds the port; raises `EndpointInUse`."""
        self._core = core
        self._keys = keys
        self._settle = settle
        self._note = note
        place = config.network
        self.port = UdpPort(place.endpoint, place.ip)
        self.endpoint = place.advertised or self.port.endpoint
        self.listener = QuicListener(
            self.port.endpoint,
            Credentials(keys.root, keys.identity),
            self,
            entropy,
            config.links,
            moment(),
            self.port.wake,
            keys.reset_key,
        )
        node = Node(keys.root, entropy, endpoints=(self.endpoint,), settings=config.dht)
        self.shell = NodeShell(node, self.port.send, self._hear_node)
        self.port.serve(self.listener, self._receive)
        self._bootstrap = place.routes
        self._routes: dict[bytes, dict[Endpoint, None]] = {}
        for route in place.routes:
            self._learn(route.address, route.endpoint)
        self._beacon: Beacon | None = None
        if place.group is not None:
            self._beacon = Beacon(place.group, self.port.endpoint, keys.address)
        where = (self._core, keys, self.endpoint, self.shell)
        self._announcer = Announcer(*where, self._start, note)
        self._sought: dict[bytes, None] = {}
        self._failed: dict[bytes, None] = {}
        self.wires = Wires(core, note)
        self._dialing: dict[Link, tuple[bytes, list[Endpoint]]] = {}
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()
        self._alarm = trio.CancelScope()
        self._alarm_s = float("inf")

    @property
    def route(self) -> Route:
        """How others name this host and where it is."""
        return Route(self._core.host.address, self.endpoint)

    def start(self, nursery: trio.Nursery, saved: bytes | None) -> None:
        """Joins: the node goes on from what was stored and from its bootstrap, and publishes."""
        self._nursery = nursery
        now_ms = self.shell.now_ms()
        own = [self._keys.address, *self._core.host.machines]
        self.shell.node.load(now_ms, unpack_saved(saved, own, now_ms // 1000))
        nursery.start_soon(self.shell.run)
        nursery.start_soon(self._keep_time)
        nursery.start_soon(self._save)
        nursery.start_soon(self._announcer.renew)
        self.shell.join(tuple(route.endpoint for route in self._bootstrap))
        self._announcer.publish_all()
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
                self.wires.say(number, 1 + lane % DATA_STREAMS, frame)
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
                link = self.wires.link_of(number)
                if link is not None:
                    self._note("link.broken", why=why)
                    self.wires.forget(link)
                    link.close()
            case Publish(address):
                self._start(self._announcer.publish, address)

    def _start(self, task: Callable[..., Any], *args: Any) -> None:
        if self._nursery is not None:  # at the end links go down that nobody dials again
            self._nursery.start_soon(task, *args)

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
            for endpoint in where.location.where:
                self._learn(host, endpoint)
        self._try_next(host, list(self._routes.get(host, {}))[::-1])

    def _try_next(self, host: bytes, endpoints: list[Endpoint]) -> None:
        self.port.hear_clock()
        while endpoints:
            try:
                link = self.listener.dial_nowait(Route(host, endpoints.pop(0)))
            except (OSError, TooManyLinks) as error:
                self._note("dial.failed", why=str(error))
                continue
            self._dialing[link] = (host, endpoints)
            return
        self._failed[host] = None
        if len(self._failed) > SOUGHT_KEPT:
            self._failed.clear()
        self._core.no_link(host)
        self._settle()

    def _learn(self, host: bytes, endpoint: Endpoint) -> None:
        """Remembers where a host may be, the newest last."""
        known = self._routes.setdefault(host, {})
        known.pop(endpoint, None)
        known[endpoint] = None
        while len(known) > ROUTES_KEPT:
            known.pop(next(iter(known)))

    def _see(self, address: bytes, endpoint: Endpoint) -> None:
        peering.seen(self._core.host, address, endpoint)
        self._settle()

    # What the node tells.

    def _hear_node(self, effect: Any) -> None:
        if isinstance(effect, TableChanged):
            self._changed.set()
        elif isinstance(effect, Evidence):
            self._note("location.contradicted", address=effect.first.key.hex())
            self._keep_contradiction(effect)
        elif isinstance(effect, Ended) and effect.escalated:
            self._note("lookup.escalated", key=effect.key.hex())

    def _keep_contradiction(self, evidence: Evidence) -> None:
        address, incarnation = evidence.first.key, evidence.first.order[0]
        first, second = _claim_of(evidence.first), _claim_of(evidence.second)
        contradicted(self._core.host, address, incarnation, first, second)
        self._changed.set()  # the store is written with what the node knows

    def _receive(self, datagram: bytes, endpoint: Endpoint) -> None:
        self.shell.receive_untrusted(datagram, endpoint)

    # What links tell: see `avm.link.interface.Owner`.

    def link_up(self, link: Link) -> None:
        """A link is up, both its ends proven."""
        self._dialing.pop(link, None)
        if link.peer is not None:
            self._failed.pop(link.peer.address, None)
        wire = self.wires.take_up(link)
        number = wire.number
        assert link.peer is not None
        self._note("link.up", link=number, host=link.peer.address.hex(), dialed=link.dialed)
        address = self.listener.address_of(link)
        where = None if address is None else self.port.endpoint_at(address)
        if where is not None and not len(self.shell.node.table):
            self.shell.join((where,))
        trip_ms = link.statistics().round_trip_s * 1000
        self._core.link_up(number, link.peer, wire.room(), where, trip_ms)

    def link_down(self, link: Link, down: Down) -> None:
        """A link has ended, or could not be made."""
        dialed = self._dialing.pop(link, None)
        if dialed is not None:
            host, endpoints = dialed
            self._note("link.not_made", host=host.hex(), why=down.why.value)
            self._start(partial(self._next_try, host, endpoints))
            return
        number = self.wires.forget(link)
        if number is not None:
            self._note("link.down", link=number, why=down.why.value)
            if link.peer is not None:
                self._failed[link.peer.address] = None
            self._core.link_down(number)

    async def _next_try(self, host: bytes, endpoints: list[Endpoint]) -> None:
        self._try_next(host, endpoints)

    def frame(self, link: Link, stream: int, frame: bytes) -> None:
        """A frame has come; the core keeps of it what its own room allows."""
        number = self.wires.number_of(link)
        if number is not None:
            self._core.frame(number, frame)
        link.consumed(stream, len(frame))

    def datagram(self, link: Link, datagram: bytes) -> None:
        """Datagrams are not used between cores yet: dropped."""

    def has_room(self, link: Link, stream: int) -> None:
        """Says what waited for room."""
        self.wires.has_room(link, stream)

    def speaks(self, link: Link, machine: bytes) -> None:
        """Proofs of machines go with their channels: the core has them."""

    def answered(self, link: Link, machine: bytes, accepted: bool) -> None:
        """Likewise."""

    # Time.

    def settle(self) -> None:
        """The end of a pass: what it made is sent."""
        self.port.settle()
        self.wires.tell_room()
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
        return {**self.listener.counts, "packets.malformed": self.shell.node.malformed}


def _claim_of(record: Proved) -> Claim:
    where = _location_of(record)
    return Claim(b"" if where is None else where.location.host, record.body)


def _location_of(record: Proved | None) -> LocationRecord | None:
    if record is None or not isinstance(record.content, LocationRecord):
        return None
    return record.content
