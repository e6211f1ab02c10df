"""One QUIC connection as a session's engine: aioquic's sans-IO connection, its credit made ours. Pure.

Theory of operation. aioquic doubles a receive window whenever half of it is used, whether or not
anybody has consumed what came, and keeps room for what a frame far ahead of the others may still
fill. `CreditedConnection` writes the limits that the session gives instead. The side that was dialed
opens all streams at once, none ever ends, and neither side may open another. TLS speaks X25519 and
Ed25519 only, reads no store of authorities and resumes nothing.
"""

from collections.abc import Callable
from datetime import datetime
from ssl import CERT_NONE
from typing import Any, cast

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.congestion.reno import RenoCongestionControl
from aioquic.quic.connection import END_STATES, QuicConnection
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicProtocolVersion
from aioquic.quic.packet_builder import QuicPacketBuilder, QuicSentPacket
from aioquic.quic.recovery import QuicPacketPacer, QuicPacketSpace
from aioquic.quic.stream import QuicStream
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from avm.link.handshake import Credentials, Shown
from avm.link.interface import Down, Why
from avm.link.limits import (
    CONNECTION_ID_BYTES,
    CONTROL,
    DATA_STREAMS,
    DATAGRAM_BYTES_MAX,
    STREAM_WINDOW_BYTES,
    STREAMS,
    LinkLimits,
)
from caps.identity import RootKey
from caps.tls import tls_certificate

ALPN = "avm/1"
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
CLOSED_CODE = 0x101
REASON_MAX = 80
# What goes round a datagram in its frame, as the peer's limit counts it.
_DATAGRAM_FRAME_BYTES = DATAGRAM_BYTES_MAX + 8
_LIMIT_FRAME_BYTES = 1 + 8
_STREAM_LIMIT_FRAME_BYTES = 1 + 2 * 8


def quic_stream(stream: int) -> int:
    """Return QUIC's number of a stream; control has the highest, so that its first byte opens all."""
    return 4 * (DATA_STREAMS if stream == CONTROL else stream - 1) + 1


QUIC_STREAMS = tuple(quic_stream(stream) for stream in range(STREAMS))
STREAM_OF = {number: stream for stream, number in enumerate(QUIC_STREAMS)}


class TlsKey(Ed25519PrivateKey):
    """A host's key as TLS wants it: it signs a server's handshake, and its bits stay where they are."""

    def __init__(self, key: RootKey) -> None:
        self._key = key

    def sign(self, data: Any) -> bytes:
        """Sign what a TLS server signs."""
        return self._key.sign_tls(bytes(data))

    def public_key(self) -> Ed25519PublicKey:
        """Return the key that others verify with."""
        return Ed25519PublicKey.from_public_bytes(self._key.public_key)

    def _refuse(self) -> Any:
        raise TypeError("a host's key does not leave its place")

    def private_bytes(self, *_: Any, **__: Any) -> bytes:
        """Refuse."""
        return cast(bytes, self._refuse())

    def private_bytes_raw(self) -> bytes:
        """Refuse."""
        return cast(bytes, self._refuse())

    def __copy__(self) -> "TlsKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "TlsKey":
        return self


def configuration(me: Credentials | None, limits: LinkLimits) -> QuicConfiguration:
    """Return aioquic's configuration: of the side that is dialed by `me`, or of a dialer."""
    made = QuicConfiguration(
        alpn_protocols=[ALPN],
        connection_id_length=CONNECTION_ID_BYTES,
        idle_timeout=limits.idle_s,
        is_client=me is None,
        max_data=STREAMS * STREAM_WINDOW_BYTES,
        max_datagram_frame_size=_DATAGRAM_FRAME_BYTES,
        max_datagram_size=limits.packet_bytes,
        max_stream_data=STREAM_WINDOW_BYTES,
        supported_versions=[QuicProtocolVersion.VERSION_1],
        verify_mode=CERT_NONE,
        cipher_suites=[
            tls.CipherSuite.AES_128_GCM_SHA256,
            tls.CipherSuite.CHACHA20_POLY1305_SHA256,
        ],
    )
    if me is not None:
        made.certificate = x509.load_der_x509_certificate(tls_certificate(me.key))
        made.private_key = TlsKey(me.key)
    return made


class CountedReno(RenoCongestionControl):
    """aioquic's congestion control, counting what was lost."""

    lost_packets = 0

    def on_packets_lost(self, *, now: float, packets: Any) -> None:
        """Count, then slow down."""
        lost: list[QuicSentPacket] = list(packets)
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
    `fresh_ids` are those that the peer may use from now on, before it is told of them.
    """

    def __init__(self, token: Callable[[bytes], bytes] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._token = token
        self._next_id = 0
        self.fresh_ids: list[bytes] = []
        if not self._is_client:
            self._give_tokens()
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = 0
        streams = STREAMS if self._is_client else 0
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = streams
        self.congestion = CountedReno(max_datagram_size=self._max_datagram_size)
        self._loss._cc = self.congestion
        self._loss._pacer = TickPacer(max_datagram_size=self._max_datagram_size)
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
        super().receive_datagram(data, addr, now)
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
        super().handle_timer(now)
        self._loss._pto_count = min(self._loss._pto_count, PROBE_DOUBLINGS_MAX)

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


class QuicEngine:
    """What a session writes to."""

    __slots__ = ("_pings", "_streams", "_touch", "connection")

    def __init__(self, connection: CreditedConnection, touch: Callable[[], None]) -> None:
        """`touch` is called when there may be something to send."""
        self.connection = connection
        self._touch = touch
        self._streams: tuple[QuicStream, ...] = ()
        self._pings = 0

    def open_streams(self) -> bool:
        """Take hold of all streams: the side that was dialed makes them; tells whether they are there."""
        connection = self.connection
        if self._streams:
            return True
        if not connection._is_client:
            for number in sorted(QUIC_STREAMS):
                connection._get_or_create_stream_for_send(number)
        if len(connection._streams) < STREAMS:
            return False
        self._streams = tuple(connection._streams[number] for number in QUIC_STREAMS)
        return True

    def shown(self) -> Shown | None:
        """What the other side's certificate says; None on the side that was dialed."""
        certificate = self.connection.tls._peer_certificate
        if certificate is None:
            return None
        key = certificate.public_key()
        if not isinstance(key, Ed25519PublicKey):
            return None
        times = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        return Shown(key.public_bytes_raw(), _ms(times[0]), _ms(times[1]))

    def write(self, stream: int, chunk: bytes) -> None:
        """Take bytes to be carried in order."""
        self._streams[stream].sender.write(chunk)
        self._touch()

    def waiting_bytes(self, stream: int) -> int:
        """How much was written and has not yet been acknowledged."""
        if not self._streams:
            return 0
        sender = self._streams[stream].sender
        return sender._buffer_stop - sender._buffer_start

    def credit_bytes(self, stream: int) -> int:
        """How much more the peer's credit allows."""
        if not self._streams:
            return 0
        held = self._streams[stream]
        return held.max_stream_data_remote - held.sender.highest_offset

    def allow(self, stream: int, limit: int) -> None:
        """Tell the peer how far in a stream it may send, and in all of them together."""
        held = self._streams[stream]
        self.connection._local_max_data.value += limit - held.max_stream_data_local
        held.max_stream_data_local = limit
        self._touch()

    def write_datagram(self, datagram: bytes) -> None:
        """Take a datagram to be carried at most once."""
        self.connection.send_datagram_frame(datagram)
        self._touch()

    def waiting_datagrams(self) -> int:
        """How many datagrams have not left."""
        return len(self.connection._datagrams_pending)

    def ping(self) -> None:
        """Have the other side answer without telling its owner."""
        self._pings += 1
        self.connection.send_ping(self._pings)
        self._touch()

    def end(self, refused: bool) -> None:
        """Close the connection; the peer learns whether it was refused, and no more."""
        self.connection.close(error_code=REFUSED_CODE if refused else CLOSED_CODE)
        self._touch()

    def round_trip_s(self) -> float:
        """The smoothed round trip."""
        return self.connection._loss._rtt_smoothed

    def lost_packets(self) -> int:
        """How many packets were lost so far."""
        return self.connection.congestion.lost_packets


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
