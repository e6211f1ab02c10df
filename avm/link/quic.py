"""All QUIC links of a host as one object without a socket: datagrams and time in, datagrams out. Pure.

Theory of operation. `hear_clock` begins a pass; `receive` takes the datagrams that came, `deliver`
gives what they held to the sessions, `tick` does what is due, and `flush` sends what all of that has
made: one pass, so that an answer given in it travels with the acknowledgement. A datagram belongs to
the connection whose id it carries, wherever it comes from: that is how a link survives a new port.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic import events
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    QuicProtocolVersion,
    encode_quic_retry,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from avm.link.carrier import Carrier
from avm.link.connection import TICK_S, CreditedConnection
from avm.link.engine import STREAM_OF, configuration
from avm.link.errors import TooManyLinks
from avm.link.handshake import Credentials, Handshake
from avm.link.interface import Address, Down, Link, Moment, Owner, Why
from avm.link.limits import CONNECTION_ID_BYTES, NONCE_BYTES, LinkLimits
from avm.link.resets import TOKEN_BYTES, Resets, is_reset
from avm.link.session import Session
from caps.identity import Endpoint, Route

Send = Callable[[list[tuple[bytes, Address]]], None]

# How often sessions are looked at for what is due; connections have timers of their own.
SWEEP_S = 1.0
_INITIAL_BYTES_MIN = 1_200
_LONG_HEADER = 0x80


def _asleep() -> None:
    return None


class QuicListener:
    """A host's place in the network, over QUIC."""

    def __init__(
        self,
        endpoint: Endpoint,
        me: Credentials,
        owner: Owner,
        entropy: Callable[[int], bytes],
        limits: LinkLimits,
        at: Moment,
        wake: Callable[[], None] = _asleep,
        reset_key: bytes = b"",
    ) -> None:
        """`wake` is called when there is something to flush where there was nothing.

        `reset_key` is the same after a restart, so that peers learn at once that links are gone.
        """
        self.endpoint = endpoint
        self.counts: Counter[str] = Counter()
        self._me = me
        self._owner = owner
        self._entropy = entropy
        self._limits = limits
        self._at = at
        self._dialing = configuration(None, limits)
        self._listening = configuration(me, limits)
        self._retry = QuicRetryTokenHandler()
        self._resets = Resets(reset_key or entropy(TOKEN_BYTES), entropy)
        self._routes: dict[bytes, Carrier] = {}
        self._at_address: dict[Address, dict[Carrier, None]] = {}
        self._carriers: dict[Carrier, None] = {}
        self._touched: dict[Carrier, None] = {}
        self._opening: dict[Carrier, None] = {}
        self._alarms: list[tuple[float, int, Carrier]] = []
        self._alarmed = 0
        self._sweep_s = at.now_s + SWEEP_S
        self._wake = wake
        self._replies: list[tuple[bytes, Address]] = []
        self._closed = False

    # What the owner does.

    def dial_nowait(self, route: Route) -> Link:
        """Begin a link to a host, in a pass; raises `TooManyLinks`. The owner is told how it went."""
        return self.dial_at_nowait(route.address, (route.endpoint.host_text, route.endpoint.port))

    def dial_at_nowait(self, host: bytes, address: Address) -> Link:
        """The same, where the shell sends packets for that address."""
        if self._closed or len(self._carriers) >= self._limits.links:
            raise TooManyLinks(f"there are {len(self._carriers)} links")
        connection = CreditedConnection(
            self._resets.token, self._limits.packet_bytes, configuration=self._dialing
        )
        handshake = Handshake.dialing(self._me, host)
        carrier = self._adopt(connection, address, handshake)
        connection.connect(address, now=self._at.now_s)
        self._touch(carrier)
        return carrier.session

    def close(self) -> None:
        """End all links and take no more; `flush` tells the peers."""
        self._closed = True
        for carrier in list(self._carriers):
            carrier.session.close()

    @property
    def links(self) -> int:
        """How many links there are, those that are not up yet included."""
        return len(self._carriers)

    def address_of(self, link: Link) -> Address | None:
        """Where the other side of a link is: it has been heard from there, and answered."""
        carrier = next((one for one in self._carriers if one.session is link), None)
        if carrier is None:
            return None
        return carrier.connection.proven_address() or carrier.address

    def addresses(self) -> Iterator[tuple[Link, Address]]:
        """Where the other side of each link is now, if it has shown that it is there."""
        for carrier in self._carriers:
            address = carrier.connection.proven_address()
            if address is not None:
                yield carrier.session, address

    @property
    def has_work(self) -> bool:
        """Whether `flush` may have something to send."""
        return bool(self._touched or self._replies)

    # A pass.

    def hear_clock(self, at: Moment) -> None:
        """Begin a pass at this time."""
        self._at = at

    def receive(self, datagram: bytes, address: Address) -> None:
        """Take a datagram; what belongs to nobody is counted and dropped."""
        if datagram[0] & _LONG_HEADER:
            carrier = self._receive_long(datagram, address)
        else:
            carrier = self._routes.get(datagram[1 : 1 + CONNECTION_ID_BYTES])
            if carrier is None and self._hear_reset(datagram, address[:2]):
                return
        if carrier is None:
            self.counts["datagrams.dropped"] += 1
            return
        self._touched[carrier] = None
        carrier.connection.receive_datagram(datagram, address, self._at.now_s)

    def deliver(self) -> None:
        """Give what came to the sessions, and with it to the owner."""
        for carrier in list(self._touched):
            self._deliver(carrier)

    def tick(self) -> None:
        """Do what is due."""
        now_s = self._at.now_s
        while self._alarms and self._alarms[0][0] <= now_s:
            due_s, _, carrier = heapq.heappop(self._alarms)
            if due_s == carrier.alarm_s:
                self._alarm(carrier)
        if now_s >= self._sweep_s:
            self._sweep_s = now_s + SWEEP_S
            for carrier in list(self._carriers):
                carrier.session.at = self._at
                if carrier.session.wake_s() <= now_s:
                    carrier.session.tick()
                self._set_alarm(carrier)

    def flush(self, send: Send) -> None:
        """Send all that is to be sent now, and forget the connections that are over."""
        replies, self._replies = self._replies, []
        if replies:
            send(replies)
        touched = list(self._touched)
        self._touched.clear()
        for carrier in touched:
            datagrams = carrier.connection.datagrams_to_send(self._at.now_s)
            if datagrams:
                send(datagrams)
            if carrier.session.is_ended:
                self._forget(carrier)
            else:
                self._set_alarm(carrier)

    def next_wake_s(self) -> float | None:
        """When `tick` is due, at the latest."""
        if not self._carriers:
            return None
        return min(self._alarms[0][0], self._sweep_s) if self._alarms else self._sweep_s

    # Inside.

    def _receive_long(self, datagram: bytes, address: Address) -> Carrier | None:
        try:
            header = pull_quic_header(Buffer(data=datagram), CONNECTION_ID_BYTES)
        except ValueError:
            return None
        carrier = self._routes.get(header.destination_cid)
        if carrier is not None:
            return carrier
        is_first = header.packet_type is QuicPacketType.INITIAL and not self._closed
        if not is_first or header.version != QuicProtocolVersion.VERSION_1:
            return None
        if len(datagram) < _INITIAL_BYTES_MIN or len(self._carriers) >= self._limits.links:
            return None
        return self._admit(header, address)

    def _hear_reset(self, datagram: bytes, address: Address) -> bool:
        """Take a packet of no connection here for a reset of one to there, or answer it with one."""
        for carrier in self._at_address.get(address, ()):
            if is_reset(datagram, carrier.connection.reset_token):
                self.counts["resets.heard"] += 1
                carrier.is_forgotten = True
                self._touched[carrier] = None
                return True
        answer = None if self._closed else self._resets.answer(datagram, self._at.now_s)
        if answer is not None:
            self.counts["resets.sent"] += 1
            self._replies.append((answer, address))
        return False

    def _admit(self, header: QuicHeader, address: Address) -> Carrier | None:
        """Begin a link that comes in; under load only for a peer that has shown where it is."""
        half_open, limits = len(self._opening), self._limits
        original, retried = header.destination_cid, None
        if header.token:
            try:
                original = self._retry.validate_token(
                    address=address,
                    destination_cid=header.destination_cid,
                    token=header.token,
                    now=self._at.now_s,
                )
            except ValueError:
                self.counts["tokens.refused"] += 1
                return None
            retried = header.destination_cid
        elif half_open >= limits.retry_half_open:
            self._ask_again(header, address)
            return None
        same_ip = sum(carrier.address[0] == address[0] for carrier in self._opening)
        if half_open >= limits.half_open or same_ip >= limits.half_open_ip:
            self.counts["links.refused"] += 1
            return None
        connection = CreditedConnection(
            self._resets.token,
            limits.packet_bytes,
            configuration=self._listening,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        handshake = Handshake.listening(self._me, self._entropy(NONCE_BYTES))
        carrier = self._adopt(connection, address[:2], handshake)
        self._register(carrier, header.destination_cid)
        self._opening[carrier] = None
        return carrier

    def _ask_again(self, header: QuicHeader, address: Address) -> None:
        """Keep nothing, and have the peer show that it is where it says (RFC 9000, section 8.1.2)."""
        self.counts["retries"] += 1
        source = self._entropy(CONNECTION_ID_BYTES)
        token = self._retry.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self._at.now_s,
        )
        retry = encode_quic_retry(
            version=QuicProtocolVersion.VERSION_1,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self._replies.append((retry, address))

    def _adopt(
        self, connection: CreditedConnection, address: Address, handshake: Handshake
    ) -> Carrier:
        carrier = Carrier(connection, address, self._touch)
        carrier.session = Session(carrier.engine, self._owner, handshake, self._limits, self._at)
        self._carriers[carrier] = None
        self._at_address.setdefault(address, {})[carrier] = None
        self._register(carrier, connection.host_cid)
        return carrier

    def _register(self, carrier: Carrier, connection_id: bytes) -> None:
        carrier.ids.add(connection_id)
        self._routes[connection_id] = carrier

    def _forget(self, carrier: Carrier) -> None:
        self._carriers.pop(carrier, None)
        self._opening.pop(carrier, None)
        there = self._at_address.get(carrier.address, {})
        there.pop(carrier, None)
        if not there:
            self._at_address.pop(carrier.address, None)
        for connection_id in carrier.ids:
            self._routes.pop(connection_id, None)

    def _deliver(self, carrier: Carrier) -> None:
        connection, session = carrier.connection, carrier.session
        session.at = self._at
        while connection.fresh_ids:
            self._register(carrier, connection.fresh_ids.pop())
        while (event := connection.next_event()) is not None:
            self._hear(carrier, event)
        if connection.has_gaps:
            session.violated("a stream in too many pieces")
        if session.is_ended:
            return
        if session.is_up:
            self._opening.pop(carrier, None)
        down = connection.down()  # its last word, which the reset of a link closed there follows
        if down is None and carrier.is_forgotten:
            down = Down(Why.FORGOTTEN)
        if down is not None:
            session.ended(down)
        else:
            session.acknowledged()

    def _hear(self, carrier: Carrier, event: events.QuicEvent) -> None:
        session = carrier.session
        match event:
            case events.StreamDataReceived():
                if not carrier.begun and carrier.engine.open_streams():
                    carrier.begun = True
                if event.end_stream:
                    session.violated("a stream that ends")
                elif event.data:
                    session.heard(STREAM_OF[event.stream_id], event.data)
            case events.DatagramFrameReceived():
                session.heard_datagram(event.data)
            case events.ProtocolNegotiated():
                if not session.dialed:
                    carrier.begun = carrier.engine.open_streams()
                    session.begin()
            case events.PingAcknowledged():
                session.heard_ping()
            case events.ConnectionIdRetired():
                carrier.ids.discard(event.connection_id)
                self._routes.pop(event.connection_id, None)
            case events.StreamReset() | events.StopSendingReceived():
                session.violated("a stream that ends")

    def _touch(self, carrier: Carrier) -> None:
        is_first = not self._touched
        self._touched[carrier] = None
        if is_first:
            self._wake()

    def _alarm(self, carrier: Carrier) -> None:
        carrier.alarm_s = float("inf")
        if carrier not in self._carriers:
            return
        timer_s = carrier.connection.get_timer()
        if timer_s is not None and timer_s <= self._at.now_s:
            carrier.connection.handle_timer(self._at.now_s)
        self._touched[carrier] = None
        self._deliver(carrier)

    def _set_alarm(self, carrier: Carrier) -> None:
        """Have a timer of the connection looked at in time; the sweep sees to those far away."""
        timer_s = carrier.connection.get_timer()
        if timer_s is None:
            return
        # What was not done now, such as an acknowledgement held back by pacing, is due in a tick.
        timer_s = max(timer_s, self._at.now_s + TICK_S)
        if timer_s >= min(carrier.alarm_s, self._sweep_s + SWEEP_S):
            return
        carrier.alarm_s = timer_s
        self._alarmed += 1
        heapq.heappush(self._alarms, (timer_s, self._alarmed, carrier))
