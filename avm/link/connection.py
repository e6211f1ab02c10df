"""aioquic's connection as a link uses it: credit and the size of packets are ours. Pure.

Theory of operation. aioquic doubles a receive window whenever half of it is used, whether or not
anybody has consumed what came, and keeps room for what a frame far ahead of the others may still
fill. `CreditedConnection` writes the limits that the session gives instead. It begins a packet whenever
it is asked what to send, after each datagram that came too; mostly there is nothing yet, which is seen
sooner by looking at what it would write. Its packets have one size for ever; here they grow to what
the path takes.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from aioquic import tls
from aioquic.quic.congestion.reno import RenoCongestionControl
from aioquic.quic.connection import END_STATES, QuicConnection, QuicNetworkPath
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder, QuicSentPacket
from aioquic.quic.recovery import QuicPacketPacer, QuicPacketSpace
from aioquic.quic.stream import QuicStream

from avm.link.interface import Down, Why
from avm.link.limits import STREAMS
from avm.link.path import PACKET_BYTES, QUIET_TIMEOUTS, PathSize

# At 30 % lost both ways, probes that double without end would outlast the idle time-out.
PROBE_DOUBLINGS_MAX = 4
# An acknowledgement waits for so many packets or so long, whichever comes first.
ACK_PACKETS = 10
ACK_DELAY_S = 0.005
# A window has some 440 packets; a stream in more pieces is made to be slow to put together.
GAPS_MAX = 1_024
# The finest wait of the shell's timers.
TICK_S = 0.001
REFUSED_CODE = 0x100
REASON_MAX = 80
_LIMIT_FRAME_BYTES = 1 + 8
_STREAM_LIMIT_FRAME_BYTES = 1 + 2 * 8
_WAS_SENT = attrgetter("was_sent")


class CountedReno(RenoCongestionControl):
    """aioquic's congestion control, counting what was lost; not what was larger than the path takes."""

    def __init__(self, *, path: PathSize) -> None:
        super().__init__(max_datagram_size=path.size)
        self.lost_packets = 0
        self.path = path

    def on_packets_lost(self, *, now: float, packets: Any) -> None:
        """Count, then slow down."""
        all_lost: list[QuicSentPacket] = list(packets)
        lost = [packet for packet in all_lost if packet.sent_bytes <= self.path.size]
        if len(lost) < len(all_lost):
            self.on_packets_expired(
                packets=[packet for packet in all_lost if packet.sent_bytes > self.path.size]
            )
        if lost:
            self.lost_packets += len(lost)
            super().on_packets_lost(now=now, packets=lost)


class TickPacer(QuicPacketPacer):
    """aioquic's pacer, whose bursts last for a tick of the timer that ends its waits.

    Its own are of 16 packets: with ticks of 1 ms no more than 19 MB/s would ever leave.
    """

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        """Take a new rate."""
        super().update_rate(congestion_window, smoothed_rtt)
        self.bucket_max = max(self.bucket_max, TICK_S)


class CreditedConnection(QuicConnection):
    """aioquic's connection with receive limits that move only when they are told to.

    Its connection ids come with reset tokens made of them by `token`, so that they outlive it.
    `fresh_ids` are those that the peer may use from now on, before it is told of them. `packet_bytes` is
    the largest packet that is tried; `path` says how large they are.
    """

    def __init__(
        self,
        token: Callable[[bytes], bytes] | None = None,
        packet_bytes: int = PACKET_BYTES,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._token = token
        self._next_id = 0
        self.fresh_ids: list[bytes] = []
        if not self._is_client:
            self._give_tokens()
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = 0
        streams = STREAMS if self._is_client else 0
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = streams
        self._packet_bytes = packet_bytes
        self._sized: QuicNetworkPath | None = None
        self.path = PathSize(packet_bytes)
        self.congestion = CountedReno(path=self.path)
        self._loss._cc = self.congestion
        self._loss._pacer = TickPacer(max_datagram_size=self._max_datagram_size)
        self._now_s = 0.0
        self._ack_delay = ACK_DELAY_S
        self._to_acknowledge = 0
        self.has_gaps = False

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls._supported_groups = [tls.Group.X25519]
        self.tls._signature_algorithms = [tls.SignatureAlgorithm.ED25519]

    def _replenish_connection_ids(self) -> None:
        super()._replenish_connection_ids()
        self._give_tokens()

    def _give_tokens(self) -> None:
        fresh = [one for one in self._host_cids if one.sequence_number >= self._next_id]
        self._next_id = self._host_cid_seq
        for one in fresh:
            self.fresh_ids.append(one.cid)
            if self._token is not None:
                one.stateless_reset_token = self._token(one.cid)

    @property
    def reset_token(self) -> bytes:
        """What the peer says when it does not know the connection any more; empty before it is told."""
        return self._peer_cid.stateless_reset_token or b""

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        """Take a datagram; many together are acknowledged at once, few of them a little later."""
        self._now_s = now
        super().receive_datagram(data, addr, now)
        if self._network_paths and self._network_paths[0] is not self._sized:
            self._begin_path(self._network_paths[0])
        if not self.reset_token and self._handshake_complete and not self._is_client:
            # The first id of who dialed has no token (RFC 9000, section 10.3): another is used.
            self.change_connection_id()
        for stream in (*self._streams.values(), *self._crypto_streams.values()):
            if len(stream.receiver._ranges) > GAPS_MAX:
                self.has_gaps = True
        space = self._spaces.get(tls.Epoch.ONE_RTT)
        if space is None or space.ack_at is None:
            self._to_acknowledge = 0
            return
        self._to_acknowledge += 1
        if self._to_acknowledge >= ACK_PACKETS and space.ack_at > now:
            # Overdue, that is: aioquic would pace one that is due just now.
            space.ack_at = now - TICK_S

    def handle_timer(self, now: float) -> None:
        """Do what is due; probes never come so far apart that a live peer would seem gone."""
        self._now_s = now
        super().handle_timer(now)
        if self._loss._pto_count >= QUIET_TIMEOUTS:
            self.path.went_quiet()
            self._resize()
        self._loss._pto_count = min(self._loss._pto_count, PROBE_DOUBLINGS_MAX)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        """Return what is to be sent now."""
        sent = [] if self._has_nothing_to_send(now) else super().datagrams_to_send(now)
        if self.path.due_s <= now and self._may_try():
            sent += self._try_size(now)
        return sent

    # The size of packets.

    def _begin_path(self, path: QuicNetworkPath) -> None:
        """Nothing is known of a new path; what was sent on the one before says nothing of it."""
        self._sized = path
        self.path = self.congestion.path = PathSize(self._packet_bytes)
        self._resize()

    def _resize(self) -> None:
        for one in (self, self.congestion, self._loss._pacer):
            one._max_datagram_size = self.path.size

    def _may_try(self) -> bool:
        """Whether a packet that says nothing may be sent: on a path that stands, and is not quiet."""
        return (
            self._handshake_confirmed
            and not self._close_pending
            and self._state not in END_STATES
            and self._network_paths[0].is_validated
            and self._loss._pto_count == 0
        )

    def _try_size(self, now: float) -> list[tuple[bytes, Any]]:
        assert self._version is not None, "the path stands"
        size = self.path.begin_try()
        builder = QuicPacketBuilder(
            host_cid=self.host_cid,
            is_client=self._is_client,
            max_datagram_size=size,
            packet_number=self._packet_number,
            peer_cid=self._peer_cid.cid,
            spin_bit=self._spin_bit,
            version=self._version,
        )
        builder.start_packet(QuicPacketType.ONE_RTT, self._cryptos[tls.Epoch.ONE_RTT])
        frame = builder.start_frame(
            QuicFrameType.PING, handler=self._on_tried, handler_args=(self.path, size)
        )
        frame.push_bytes(bytes(builder.remaining_buffer_space))
        return self._flush_builder(
            builder=builder,
            network_path=self._network_paths[0],
            peer_cid=self._peer_cid.cid,
            now=now,
        )

    def _on_tried(self, delivery: QuicDeliveryState, path: PathSize, size: int) -> None:
        if delivery == QuicDeliveryState.ACKED:
            path.arrived(size, self._now_s)
        else:
            path.went_missing(size, self._now_s)
        self._resize()

    # What is sent.

    def _has_nothing_to_send(self, now: float) -> bool:
        """Whether a packet that is begun now would stay empty; False wherever that is not certain."""
        if not self._handshake_confirmed or self._close_pending or len(self._network_paths) != 1:
            return False
        path, space = self._network_paths[0], self._spaces[tls.Epoch.ONE_RTT]
        if not path.is_validated or path.remote_challenges:
            return False
        if space.ack_at is not None and space.ack_at <= now:
            return False
        # A wait for pacing is taken back by the next look.
        if self._pacing_at is not None or self._probe_pending or self._ping_pending:
            return False
        if self._datagrams_pending or self._retire_connection_ids or self._handshake_done_pending:
            return False
        if self._streams_blocked_pending or self._local_max_data.value != self._local_max_data.sent:
            return False
        if not self._crypto_streams[tls.Epoch.ONE_RTT].sender.buffer_is_empty:
            return False
        for stream in self._streams.values():
            if stream.max_stream_data_local_sent != stream.max_stream_data_local:
                return False
            sender = stream.sender
            if not sender.buffer_is_empty or sender.reset_pending or stream.receiver.stop_pending:
                return False
        return all(map(_WAS_SENT, self._host_cids))

    def _write_ack_frame(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, now: float
    ) -> None:
        """Write what has come; the count begins anew."""
        self._to_acknowledge = 0
        super()._write_ack_frame(builder, space, now)

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        """Write MAX_DATA when it has moved; no limit on streams ever moves."""
        limit = self._local_max_data
        if limit.value == limit.sent:
            return
        frame = builder.start_frame(
            QuicFrameType.MAX_DATA,
            capacity=_LIMIT_FRAME_BYTES,
            handler=self._on_connection_limit_delivery,
            handler_args=(limit,),
        )
        frame.push_uint_var(limit.value)
        limit.sent = limit.value

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        """Write MAX_STREAM_DATA when it has moved."""
        if stream.max_stream_data_local_sent == stream.max_stream_data_local:
            return
        frame = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=_STREAM_LIMIT_FRAME_BYTES,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        assert stream.stream_id is not None
        frame.push_uint_var(stream.stream_id)
        frame.push_uint_var(stream.max_stream_data_local)
        stream.max_stream_data_local_sent = stream.max_stream_data_local

    def proven_address(self) -> Any:
        """Where the peer is, if it has shown that it is there; None while it has not."""
        paths = self._network_paths
        return paths[0].addr[:2] if paths and paths[0].is_validated else None

    def down(self) -> Down | None:
        """Tell why the connection ended on its own, if it did."""
        event = self._close_event
        if event is None or not (self._close_pending or self._state in END_STATES):
            return None
        by_application = event.frame_type is None
        # Before the handshake ends, QUIC hides what the application says (RFC 9000, section 10.2.3).
        in_handshake = not by_application and event.error_code == QuicErrorCode.APPLICATION_ERROR
        if in_handshake or (by_application and event.error_code == REFUSED_CODE):
            return Down(Why.REFUSED)
        if by_application:
            return Down(Why.LEFT)
        if event.reason_phrase == "Idle timeout":
            return Down(Why.TIMED_OUT)
        # The peer may have written this, and the operator's terminal will show it.
        reason = "".join(filter(str.isprintable, event.reason_phrase[:REASON_MAX]))
        return Down(Why.BROKEN, f"QUIC error {event.error_code:#x} {reason}".strip())
