"""A state that was rebuilt and is not in place yet, as it is kept beside the store. Pure.

Beside the journey, for `reprocess`. Its references are the machine's own, so that it holds no keys and
grants nothing; it is of the journal up to an entry, from where it can catch up.
"""

from dataclasses import dataclass
from typing import Any

from avm.host.header import ADDRESS_BYTES, DIGEST_BYTES
from avm.host.journal import hash_of_code
from caps import shape
from caps.codec import dumps_plain, loads_shape_untrusted
from caps.errors import Malformed

_VERSION = 1
# References nest as deep as the contexts that they hold.
_DEPTH = 150
BYTES_MAX = 256 * 1024 * 1024
SENDERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A state under new code, from the first `head` entries of a journal, whose last has the hash `chain`.

    Of turns after `first` only those of `senders` were taken, or, when these are left out, all others;
    with no senders all.
    """

    address: bytes
    bundle: bytes
    body: bytes
    references: list[Any]
    first: int
    head: int
    chain: bytes
    senders: tuple[bytes, ...]
    left_out: bool

    @property
    def code(self) -> bytes:
        """The hash of its code."""
        return hash_of_code(self.bundle)

    def takes(self, sender: bytes) -> bool:
        """Whether what a sender said is taken."""
        return not self.senders or (sender in self.senders) is not self.left_out


def to_bytes(one: Candidate) -> bytes:
    """The one encoding."""
    place = [one.first, one.head, one.chain, list(one.senders), one.left_out]
    return dumps_plain([_VERSION, one.address, one.bundle, one.body, one.references, *place])


def from_bytes_untrusted(body: bytes) -> Candidate:
    """Reads a candidate; raises `Malformed` only."""
    plain = loads_shape_untrusted(body, max_bytes=BYTES_MAX, depth=_DEPTH)
    version, address, bundle, state, references, first, head, chain, senders, out = shape.array(
        plain, 10, "rebuilt state"
    )
    shape.version(version, _VERSION, "rebuilt state")
    if type(out) is not bool:
        raise Malformed("malformed rebuilt state: left out")
    found = Candidate(
        shape.octets(address, ADDRESS_BYTES, "rebuilt state: address"),
        shape.some_octets(bundle, 1, BYTES_MAX, "rebuilt state: code"),
        shape.some_octets(state, 1, BYTES_MAX, "rebuilt state: state"),
        shape.items(references, BYTES_MAX, "rebuilt state: references"),
        shape.integer(first, 0, 2**39, "rebuilt state: first"),
        shape.integer(head, 1, 2**39, "rebuilt state: turns"),
        shape.octets(chain, DIGEST_BYTES, "rebuilt state: chain"),
        tuple(
            shape.octets(one, ADDRESS_BYTES, "rebuilt state: sender")
            for one in shape.items(senders, SENDERS_MAX, "rebuilt state: senders")
        ),
        out,
    )
    if to_bytes(found) != body:
        raise Malformed("rebuilt state: not the one encoding of what it says")
    return found


__all__ = ["BYTES_MAX", "Candidate", "from_bytes_untrusted", "to_bytes"]
