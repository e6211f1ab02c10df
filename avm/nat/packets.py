"""The datagrams of punching and relaying, on the port that QUIC and the network share. Pure.

The first byte is below 0x40: QUIC's have that bit set, and the network's begin with 0x86 to 0x89.

    punch     0x10 + role + 2 * answer, nonce (16 bytes)     role: 0 asked to meet, 1 was asked
    probe     0x30, nonce (16 bytes)
    relayed   0x20, token (16 bytes), a packet of QUIC's
"""

from typing import TypeAlias

from avm.nat.limits import NONCE_BYTES, PACKET_BYTES_MAX
from caps.errors import Malformed
from caps.light import dataclass

FIRST_MAX = 0x3F
RELAYED = b"\x20"
_PROBE = b"\x30"
_PUNCH = 0x10
_QUIC_BIT = 0x40
_HEAD = 1 + NONCE_BYTES


@dataclass(frozen=True, slots=True)
class Punch:
    """Opens a way, or answers one that did; `asked` says which of the two ends sent it."""

    nonce: bytes
    asked: bool
    answers: bool = False

    def to_bytes(self) -> bytes:
        """Return the datagram."""
        return bytes([_PUNCH + self.asked + 2 * self.answers]) + self.nonce


@dataclass(frozen=True, slots=True)
class Relayed:
    """A packet of QUIC's on its way through a relay; the token is that of the end it is for or from."""

    token: bytes
    packet: bytes

    def to_bytes(self) -> bytes:
        """Return the datagram."""
        return RELAYED + self.token + self.packet


@dataclass(frozen=True, slots=True)
class Probe:
    """Shows a host that what it did not ask for reaches it."""

    nonce: bytes

    def to_bytes(self) -> bytes:
        """Return the datagram."""
        return _PROBE + self.nonce


Packet: TypeAlias = Punch | Probe | Relayed


def is_ours(datagram: bytes) -> bool:
    """Tell whether a datagram of the shared port belongs here."""
    return bool(datagram) and datagram[0] <= FIRST_MAX


def parse_packet_untrusted(datagram: bytes) -> Packet:
    """Read a datagram from a stranger's bytes; raises `Malformed` only."""
    kind, nonce, rest = datagram[:1], datagram[1:_HEAD], datagram[_HEAD:]
    if len(nonce) != NONCE_BYTES:
        raise Malformed("a datagram that is too short")
    if kind == RELAYED:
        if not 0 < len(rest) <= PACKET_BYTES_MAX or not rest[0] & _QUIC_BIT:
            raise Malformed("malformed relayed packet")
        return Relayed(nonce, rest)
    if kind == _PROBE and not rest:
        return Probe(nonce)
    if kind[0] & ~3 != _PUNCH or rest:
        raise Malformed("a datagram of no known kind")
    return Punch(nonce, bool(kind[0] & 1), bool(kind[0] & 2))
