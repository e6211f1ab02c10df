"""What hosts say to each other about routers, each a frame on the control stream of a link. Pure.

Each is a CBOR array of the plain profile, the kind first.

    SEEN       0, ip, port                       where the one who was dialed sees the dialer
    ENLIST     1                                 introduce me to those who ask for me
    ENLISTED   2, whether
    MEET       3, host                           introduce me to this host
    MEETING    4, nonce, host, ip, port, asked   to both: where the other is; `asked`: it was asked for
    APART      5, host                           there is no meeting
    RELAY      6, nonce                          nothing came through: relay
    RELAYING   7, nonce, token                   to both, each with a token of its own
    NO_RELAY   8, nonce
    TRY        9, nonce                          send me that, from a port that I never sent to
    HIDE      10                                 nobody reaches me unasked where you see me
"""

from typing import NamedTuple, TypeAlias

from avm.nat.limits import FRAME_BYTES_MAX, NONCE_BYTES
from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.identity import ADDRESS_BYTES, Endpoint

_SEEN, _ENLIST, _ENLISTED, _MEET, _MEETING, _APART, _RELAY, _RELAYING, _NO_RELAY, _TRY, _HIDE = (
    range(11)
)
_LENGTHS = (3, 1, 2, 2, 6, 2, 2, 3, 2, 2, 1)


class Seen(NamedTuple):
    """Where the dialer of this link is seen."""

    endpoint: Endpoint

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_SEEN, self.endpoint.ip, self.endpoint.port])


class Enlist(NamedTuple):
    """Asks to be introduced to those who ask for the sender."""

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_ENLIST])


class Enlisted(NamedTuple):
    """Whether the receiver is introduced, as long as this link is up."""

    accepted: bool

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_ENLISTED, self.accepted])


class Meet(NamedTuple):
    """Asks to be introduced to a host."""

    host: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_MEET, self.host])


class Meeting(NamedTuple):
    """An introduction: the other host, where its introducer sees it, and what both know."""

    nonce: bytes
    host: bytes
    endpoint: Endpoint
    asked: bool

    def to_bytes(self) -> bytes:
        """Return the frame."""
        where = self.endpoint
        return dumps_plain([_MEETING, self.nonce, self.host, where.ip, where.port, self.asked])


class Apart(NamedTuple):
    """There is no meeting with that host here."""

    host: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_APART, self.host])


class Relay(NamedTuple):
    """Asks to relay for the two of a meeting."""

    nonce: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_RELAY, self.nonce])


class Relaying(NamedTuple):
    """What is sent here under this token goes to the other end of the meeting."""

    nonce: bytes
    token: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_RELAYING, self.nonce, self.token])


class NoRelay(NamedTuple):
    """Nothing is relayed for this meeting."""

    nonce: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_NO_RELAY, self.nonce])


class Try(NamedTuple):
    """Asks for a datagram with this nonce, from a port that the sender of this never sent to."""

    nonce: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_TRY, self.nonce])


class Hide(NamedTuple):
    """Says that third hosts are not to be told where the sender is seen."""

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return dumps_plain([_HIDE])


Frame: TypeAlias = (
    Seen | Enlist | Enlisted | Meet | Meeting | Apart | Relay | Relaying | NoRelay | Try | Hide
)


def parse_frame_untrusted(frame: bytes) -> Frame:
    """Read a frame from a peer's bytes; raises `Malformed` only."""
    plain = loads_plain_untrusted(frame, max_bytes=FRAME_BYTES_MAX, depth=2)
    fields = shape.items(plain, max(_LENGTHS), "frame about routers")
    if not fields:
        shape.refuse("frame about routers")
    kind = shape.integer(fields[0], _SEEN, _HIDE, "frame about routers: kind")
    _, *rest = shape.array(fields, _LENGTHS[kind], "frame about routers")
    match kind:
        case 0:
            return Seen(_endpoint(rest[0], rest[1]))
        case 1:
            return Enlist()
        case 2:
            return Enlisted(_truth(rest[0]))
        case 3:
            return Meet(_host(rest[0]))
        case 4:
            where = _endpoint(rest[2], rest[3])
            return Meeting(_nonce(rest[0]), _host(rest[1]), where, _truth(rest[4]))
        case 5:
            return Apart(_host(rest[0]))
        case 6:
            return Relay(_nonce(rest[0]))
        case 7:
            return Relaying(_nonce(rest[0]), _nonce(rest[1]))
        case 8:
            return NoRelay(_nonce(rest[0]))
        case 9:
            return Try(_nonce(rest[0]))
    return Hide()


def _endpoint(ip: object, port: object) -> Endpoint:
    octets = shape.some_octets(ip, 4, 16, "endpoint: IP")
    return Endpoint(octets, shape.integer(port, 1, 65535, "endpoint: port"))


def _host(value: object) -> bytes:
    return shape.octets(value, ADDRESS_BYTES, "host")


def _nonce(value: object) -> bytes:
    return shape.octets(value, NONCE_BYTES, "nonce")


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise Malformed("malformed truth value")
    return value
