"""What two hosts say to each other about a machine that moves from one to the other. Pure.

Beside the journey. Frames of a link, each a CBOR array, the kind first:

    MOVE    address, incarnation, name             may this machine come to you?
    WILLING address, incarnation, why              yes, or why not
    READY   address, incarnation, name             it lives here no more: fetch it
    FETCH   address, incarnation, kind, n, hash, at
    PIECE   address, incarnation, kind, n, hash, at, size, next, part
    LANDED  address, incarnation, identity, certificate    it lives here now
    MOVED   sender, receiver, identity, certificate        in the place of GONE: who speaks for it now

The new host fetches, so that it takes as much at a time as it can write. `incarnation` is the one that
the machine will have there. What is fetched is an item of a kind and a number (of code: its hash), in
parts; `next` is the number of the next item of the kind, 0 where there is none.
"""

import re
from typing import NamedTuple

from avm.host.header import ADDRESS_BYTES, DIGEST_BYTES
from caps import shape
from caps.certificate import CERTIFICATE_BYTES_MAX
from caps.errors import Malformed
from caps.identity import IDENTITY_BYTES_MAX

MOVE, WILLING, READY, FETCH, PIECE, LANDED, MOVED = range(18, 25)
# The kinds of items: the machine itself, its journal, its snapshots, failed batches, its code.
MACHINE, JOURNAL, SNAPSHOT, FAILED, CODE = range(5)
PIECE_BYTES = 128 * 1024
ITEM_BYTES_MAX = 256 * 1024 * 1024
NAME_BYTES_MAX = 256
# What a machine may be called.
NAME = re.compile(r"[a-z][a-z0-9-]*")
WHY_BYTES_MAX = 512
INCARNATION_MAX = 2**32 - 1
NUMBER_MAX = 2**48


class Move(NamedTuple):
    """Asks whether a machine may come."""

    address: bytes
    incarnation: int
    name: str


class Willing(NamedTuple):
    """The answer to `Move` and, when it is no, to `Ready`: why not, empty for yes."""

    address: bytes
    incarnation: int
    why: str


class Ready(NamedTuple):
    """The old host has committed the machine's end there."""

    address: bytes
    incarnation: int
    name: str


class Fetch(NamedTuple):
    """Asks for the bytes of an item from `at` on."""

    address: bytes
    incarnation: int
    kind: int
    n: int
    hash: bytes
    at: int


class Piece(NamedTuple):
    """Bytes of an item of `size`."""

    address: bytes
    incarnation: int
    kind: int
    n: int
    hash: bytes
    at: int
    size: int
    next: int
    part: bytes


class Landed(NamedTuple):
    """The new host speaks for the machine, and shows that it does."""

    address: bytes
    incarnation: int
    identity: bytes
    certificate: bytes


class Moved(NamedTuple):
    """The receiver does not live here any more; who shows this certificate speaks for it."""

    sender: bytes
    receiver: bytes
    identity: bytes
    certificate: bytes


Passage = Move | Willing | Ready | Fetch | Piece | Landed | Moved
KINDS: dict[type, int] = {
    Move: MOVE,
    Willing: WILLING,
    Ready: READY,
    Fetch: FETCH,
    Piece: PIECE,
    Landed: LANDED,
    Moved: MOVED,
}


def read_untrusted(plain: list[object]) -> Passage:
    """Reads one of these frames, decoded; raises `Malformed` only."""
    kind, *rest = plain
    if kind == MOVED:
        sender, receiver, identity, certificate = shape.array(rest, 4, "moved")
        return Moved(_address(sender), _address(receiver), *_proof(identity, certificate))
    if len(rest) < 3:
        raise Malformed("malformed frame of a move")
    address, incarnation = _address(rest[0]), _incarnation(rest[1])
    if kind in (MOVE, READY):
        _, _, name = shape.array(rest, 3, "move")
        said = _text(name, 1, NAME_BYTES_MAX, "move: name")
        return (
            Move(address, incarnation, said) if kind == MOVE else Ready(address, incarnation, said)
        )
    if kind == WILLING:
        _, _, why = shape.array(rest, 3, "willing")
        return Willing(address, incarnation, _text(why, 0, WHY_BYTES_MAX, "willing: why"))
    if kind == LANDED:
        _, _, identity, certificate = shape.array(rest, 4, "landed")
        return Landed(address, incarnation, *_proof(identity, certificate))
    if kind == FETCH:
        _, _, what, n, digest, at = shape.array(rest, 6, "fetch")
        return Fetch(address, incarnation, *_item(what, n, digest, at))
    return _piece(address, incarnation, rest)


def _piece(address: bytes, incarnation: int, rest: list[object]) -> Piece:
    _, _, what, n, digest, at, size, following, part = shape.array(rest, 9, "piece")
    item = _item(what, n, digest, at)
    whole = shape.integer(size, 0, ITEM_BYTES_MAX, "piece: size")
    octets = shape.some_octets(part, 0, PIECE_BYTES, "piece: part")
    if len(octets) != min(PIECE_BYTES, whole - item[3]):
        shape.refuse("piece: part")
    following = shape.integer(following, 0, NUMBER_MAX, "piece: next")
    return Piece(address, incarnation, *item, whole, following, octets)


def _item(kind: object, n: object, digest: object, at: object) -> tuple[int, int, bytes, int]:
    what = shape.integer(kind, MACHINE, CODE, "item: kind")
    length = DIGEST_BYTES if what == CODE else 0
    return (
        what,
        shape.integer(n, 0, NUMBER_MAX, "item: number"),
        shape.octets(digest, length, "item: hash"),
        shape.integer(at, 0, ITEM_BYTES_MAX, "item: at"),
    )


def _address(value: object) -> bytes:
    return shape.octets(value, ADDRESS_BYTES, "move: address")


def _incarnation(value: object) -> int:
    return shape.integer(value, 1, INCARNATION_MAX, "move: incarnation")


def _text(value: object, low: int, high: int, what: str) -> str:
    if type(value) is not str or not low <= len(value.encode()) <= high:
        shape.refuse(what)
    return value


def _proof(identity: object, certificate: object) -> tuple[bytes, bytes]:
    return (
        shape.some_octets(identity, 1, IDENTITY_BYTES_MAX, "proof: identity"),
        shape.some_octets(certificate, 1, CERTIFICATE_BYTES_MAX, "proof: certificate"),
    )
