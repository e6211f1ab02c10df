"""The network of a host: one UDP port for its links and its node of the DHT. The shell of both.

Step 7 of the journey. The core says whom it looks for, whom to link and what to say; here that
becomes lookups, dialed routes and frames, and what comes of them goes back as events.
"""

from collections.abc import Callable
from typing import Any

import trio

from avm.host import peering
from avm.host.cases import Claim
from avm.host.core import Core
from avm.host.deciding import contradicted
from avm.host.effects import Dial, Publish, Say, Seek, Unlink
from avm.host.keylife import RENEW_REPLACED
from avm.host.keys import Keyring
from avm.host.nodesave import pack_saved, unpack_saved
from avm.link.interface import Down, Link
from avm.link.limits import CONTROL, DATA_STREAMS
from avm.link.port import Listen, Port
from avm.nat.finding import location_of
from avm.nat.limits import NatLimits
from avm.nat.packets import is_ours
from avm.nat.traversal import Traversal
from avm.run.announcing import Announcer
from avm.run.beacon import Beacon
from avm.run.config import Config
from avm.run.dialing import Dialer
from avm.run.ways import Ways
from avm.run.wires import Wires
from caps.identity import Endpoint, Route
from dht.effects import Alone, Ended, Evidence, Seen, Superseded, TableChanged
from dht.node import Node
from dht.proofs import Proved
from dht.record import Place
from dht.udp import NodeShell

# What the node knows is kept at once after a change, and so long after it what changed meanwhile.
SAVE_S = 1.0
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
        port: Port,
        listen: Listen,
        beacon: Beacon | None,
        entropy: Callable[[int], bytes],
        settle: Callable[[], None],
        note: Note,
    ) -> None:
        """`listen` has links and datagrams that come to the port given to this network."""
        self._core = core
        self._keys = keys
        self._settle = settle
        self._note = note
        place = config.network
        self.port = port
        self.endpoint = place.advertised or port.endpoint
        self.listener = listen(self, self._receive)
        own = self.endpoint if any(self.endpoint.ip) else None
        node = Node(keys.key, entropy, endpoints=(own,) if own else (), settings=config.dht)
        now_ms = port.moment().now_ms
        self.shell = NodeShell(node, port.send, self._hear_node, began_ms=now_ms)
        limits = core.host.limits
        nat = NatLimits(limits.introduced, limits.relays, limits.relay_bytes_s, limits.upgrade_s)
        is_fixed = place.advertised is not None
        traversal = Traversal(keys.address, own, entropy, nat, is_fixed, place.routes)
        self.ways = Ways(self, self.port, traversal, settle)
        shared = (self._start, settle, note)
        self.dialer = Dialer(core, self.listener, self.port, self.shell, self.ways.meet, *shared)
        self._bootstrap = place.routes
        for route in place.routes:
            self.dialer.learn(route.address, route.endpoint)
        self._beacon = beacon
        routes = traversal.standing.routes
        self._announcer = Announcer(core, keys, routes, self.shell, self._start, note)
        self.wires = Wires(core, note)
        # Whether the network knows this host by a later key than its own.
        self.is_replaced = False
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()
        self._alarm = trio.CancelScope()
        self._alarm_s = float("inf")

    @property
    def route(self) -> Route | None:
        """How others name this host and where it is; None while it does not know that."""
        own = self.ways.traversal.standing.own
        return None if own is None else Route(self._core.host.address, own)

    @property
    def has_met(self) -> bool:
        """Whether another host has ever answered or been linked, as far as is remembered."""
        known = self._core.host.roster.known.values()
        table = self.shell.node.table
        return any(one.reached_ms for one in known) or bool(len(table) or table.lost)

    def placed(self) -> dict[str, Any]:
        """Where it is and whom it has met, in plain values for the operator."""
        return {
            "route": None if self.route is None else str(self.route),
            "listens": str(self.port.endpoint),
            "reach": self.ways.reach(),
            "contacts": len(self.shell.node.table),
            "met": self.has_met,
        }

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
                self.dialer.seek(address)
            case Dial(host, endpoints):
                self.dialer.dial(host, endpoints)
            case Unlink(number, why):
                link = self.wires.link_of(number)
                if link is not None:
                    self._note("link.broken", why=why)
                    self._forget(link)
                    link.close()
            case Publish(address):
                self._start(self._announcer.publish, address)

    def _start(self, task: Callable[..., Any], *args: Any) -> None:
        if self._nursery is not None:  # at the end links go down that nobody dials again
            self._nursery.start_soon(task, *args)

    def _see(self, address: bytes, endpoint: Endpoint) -> None:
        self._core.do(peering.seen, address, endpoint)
        self._settle()

    # What the node tells.

    def _hear_node(self, effect: Any) -> None:
        if isinstance(effect, TableChanged):
            self._changed.set()
        elif isinstance(effect, Alone):
            self.shell.ask(self.ways.traversal.neighbours() + peering.endpoints(self._core.host))
        elif isinstance(effect, Seen):
            self.ways.seen(effect.observer, effect.seen)
        elif isinstance(effect, Evidence):
            self._note("location.contradicted", address=effect.first.key.hex())
            self._keep_contradiction(effect)
        elif isinstance(effect, Superseded) and effect.key == self._keys.address:
            self.is_replaced = True
            why = "the network knows this host by a later key"
            self._note("key.replaced", why=why, remedy=RENEW_REPLACED)
        elif isinstance(effect, Ended) and effect.escalated:
            self._note("lookup.escalated", key=effect.key.hex())

    def _keep_contradiction(self, evidence: Evidence) -> None:
        address, incarnation = evidence.first.key, evidence.first.order[0]
        first, second = _claim_of(evidence.first), _claim_of(evidence.second)
        self._core.do(contradicted, address, incarnation, first, second)
        self._changed.set()  # the store is written with what the node knows

    def _receive(self, datagram: bytes, endpoint: Endpoint) -> None:
        if is_ours(datagram):
            self.ways.receive_untrusted(datagram, endpoint)
        else:
            self.shell.receive_untrusted(datagram, endpoint)

    # What links tell: see `avm.link.interface.Owner`.

    def link_up(self, link: Link) -> None:
        """A link is up, both its ends proven."""
        self.dialer.link_up(link)
        wire = self.wires.take_up(link)
        number = wire.number
        assert link.peer is not None and link.proof is not None
        address = self.listener.address_of(link)
        assert address is not None
        way, where = self.ways.link_up(number, link, address)
        host = link.peer.address.hex()
        self._note("link.up", link=number, host=host, dialed=link.dialed, way=way.value)
        if where is not None:
            self.shell.met(where)
        trip_ms = link.statistics().round_trip_s * 1000
        certificate = link.proof.certificate_bytes
        self._core.link_up(number, link.peer, wire.room(), where, trip_ms, certificate)
        self.ways.carry_out()

    def link_down(self, link: Link, down: Down) -> None:
        """A link has ended, or could not be made."""
        if self.dialer.is_not_made(link, down):
            return
        number = self._forget(link)
        if number is not None:
            self._note("link.down", link=number, why=down.why.value)
            self.dialer.lost(link)
            self._core.link_down(number)

    def _forget(self, link: Link) -> int | None:
        number = self.wires.forget(link)
        self.ways.link_down(link)
        return number

    def frame(self, link: Link, stream: int, frame: bytes) -> None:
        """A frame has come; the core keeps of it what its own room allows."""
        number = self.wires.number_of(link)
        if stream == CONTROL:
            self.ways.frame(link, frame)
        elif number is not None:
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

    # What the ways round routers ask for: see `avm.run.ways.Owner`.

    def say_control(self, number: int, frame: bytes) -> None:
        """Writes a frame to the control stream of a link."""
        self.wires.say(number, CONTROL, frame)

    def retire(self, number: int) -> None:
        """Ends a link in peace: a better one is there."""
        link = self._core.host.links.get(number)
        if link is not None:
            self._core.do(peering.close, link, "a better way has its place")

    def hide(self, number: int) -> None:
        """Nobody is to be told where the host of a link was seen."""
        link, endpoint = self._core.host.links.get(number), self.ways.traversal.endpoint_of(number)
        if link is not None and endpoint is not None:
            self._core.do(peering.hide, link, endpoint)

    def announce(self, places: tuple[Place, ...], node: Endpoint | None) -> None:
        """Publishes anew where this host is, and where others find its node, if they do."""
        if self._nursery is not None:
            self._note("place.announced", places=[str(one) for one in places], hidden=node is None)
            self.shell.serve(() if node is None else (node,))
            self._announcer.publish_host()

    # Time.

    def settle(self) -> None:
        """The end of a pass: what it made is sent."""
        self.port.settle()
        self.wires.tell_room()

    def rest(self) -> None:
        """Others have their turn: a pass is made again when a link's timer is due."""
        due_s = self.port.next_wake_s()
        if due_s is not None and due_s < self._alarm_s - TIMER_S:
            self._set_alarm(due_s)

    def _set_alarm(self, due_s: float | None) -> None:
        now_s = self.port.moment().now_s
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
        self._core.do(peering.keep_node, pack_saved(self.shell.node.saved()))

    # To look at.

    def links(self) -> list[dict[str, Any]]:
        """Each link in plain values, for the operator."""
        return [{**row, "way": self.ways.way_of(row["link"])} for row in self.wires.rows()]

    def counts(self) -> dict[str, int]:
        """What came to the port and was nothing, by its kind."""
        nat = self.ways.traversal.counts
        return {**self.listener.counts, **nat, "packets.malformed": self.shell.node.malformed}


def _claim_of(record: Proved) -> Claim:
    where = location_of(record)
    return Claim(b"" if where is None else where.location.host, record.body)
