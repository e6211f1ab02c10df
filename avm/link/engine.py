"""One QUIC connection as a session's engine. Pure.

The side that was dialed opens all streams at once, none ever ends, and neither side may open another.
TLS speaks X25519 and Ed25519 only, reads no store of authorities and resumes nothing.
"""

from collections.abc import Callable
from datetime import datetime
from ssl import CERT_NONE
from typing import Any, cast

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion
from aioquic.quic.stream import QuicStream
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from avm.link.connection import REFUSED_CODE, CreditedConnection
from avm.link.handshake import Credentials, Shown
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
CLOSED_CODE = 0x101
# What goes round a datagram in its frame, as the peer's limit counts it.
_DATAGRAM_FRAME_BYTES = DATAGRAM_BYTES_MAX + 8


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

    def packet_bytes(self) -> int:
        """How large packets are by now."""
        return self.connection.path.size


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
