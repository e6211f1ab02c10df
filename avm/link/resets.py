"""Stateless resets (RFC 9000, section 10.3): a host that has forgotten its links says so. Pure.

Theory of operation. Each connection id that a host gives out comes with a token, a keyed hash of it
under a key that the host keeps over a restart. A packet for an id that is not known is answered with
that id's token behind random bits, by which the other end knows that nobody is there any more. The
answer is always shorter than the packet, so two hosts cannot answer each other for ever and nobody is
flooded by it; and there are few of them a second.
"""

from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest

from avm.link.limits import CONNECTION_ID_BYTES

TOKEN_BYTES = 16
RESET_BYTES_MIN = 5 + TOKEN_BYTES
RESET_BYTES_MAX = 42
RESETS_A_SECOND = 50
_SHORT_HEADER = 0x40
_RANDOM_BITS = 0x3F


class Resets:
    """Makes tokens and resets under one key, at most `RESETS_A_SECOND`."""

    def __init__(self, key: bytes, entropy: Callable[[int], bytes]) -> None:
        self._key = key
        self._entropy = entropy
        self._second = 0
        self._left = RESETS_A_SECOND

    def token(self, connection_id: bytes) -> bytes:
        """What shows that this host does not know a connection id any more."""
        made = blake2b(
            connection_id, digest_size=TOKEN_BYTES, key=self._key, person=b"avm link reset"
        )
        return made.digest()

    def answer(self, datagram: bytes, now_s: float) -> bytes | None:
        """The reset for a packet with a short header that belongs to nobody; None for no answer."""
        size = min(len(datagram) - 1, RESET_BYTES_MAX)
        if size < RESET_BYTES_MIN or not self._may(now_s):
            return None
        noise = self._entropy(size - TOKEN_BYTES)
        head = bytes([_SHORT_HEADER | noise[0] & _RANDOM_BITS])
        return head + noise[1:] + self.token(datagram[1 : 1 + CONNECTION_ID_BYTES])

    def _may(self, now_s: float) -> bool:
        if int(now_s) != self._second:
            self._second, self._left = int(now_s), RESETS_A_SECOND
        self._left -= 1
        return self._left >= 0


def is_reset(datagram: bytes, token: bytes) -> bool:
    """Whether a packet is the reset with this token; in a time that does not tell how much of it fits."""
    is_long = len(datagram) >= RESET_BYTES_MIN and len(token) == TOKEN_BYTES
    return is_long and compare_digest(datagram[-TOKEN_BYTES:], token)
