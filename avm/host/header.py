"""A batch as it goes to another host: a header that is chained to the one before, and a body. Pure.

Step 7 of the journey, and its first step at the other host. The header holds the digest of the body
and that of the header before it in the channel. So a body can be withdrawn and its header stay in
line, and who has gone back in time, or says two things under one number, is noticed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from avm.host.batch import Said
from avm.host.capability import INVALID, Cap, Keys, Named, to_wire
from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed

HEADER_BYTES_MAX = 256
DIGEST_BYTES = 32
NO_DIGEST = bytes(DIGEST_BYTES)
COUNT_MAX = 1_000_000
WIRE_BYTES_MAX = 8 * 1024
ADDRESS_BYTES = 32

_VERSION = 1
_DEPTH = 6

OpenCap = Callable[[bytes], Cap]


@dataclass(frozen=True, slots=True)
class Header:
    """Who says how much to whom, as which in line; `ordinal` counts the messages before it.

    `before` is the digest of the header before it in the channel, `body` that of its own body.
    """

    sender: bytes
    receiver: bytes
    seq: int
    ordinal: int
    count: int
    deadline_ms: int
    before: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        """The one encoding, at most HEADER_BYTES_MAX."""
        place = [self.sender, self.receiver, self.seq, self.ordinal, self.count, self.deadline_ms]
        return dumps_plain([_VERSION, *place, self.before, self.body])


def parse_header_untrusted(body: bytes) -> Header:
    """Reads a header from a stranger's bytes; raises `Malformed` only."""
    plain = loads_plain_untrusted(body, max_bytes=HEADER_BYTES_MAX, depth=1)
    fields = shape.array(plain, 9, "header")
    shape.version(fields[0], _VERSION, "header")
    return Header(
        shape.octets(fields[1], ADDRESS_BYTES, "header: sender"),
        shape.octets(fields[2], ADDRESS_BYTES, "header: receiver"),
        shape.integer(fields[3], 1, 2**48, "header: sequence"),
        shape.integer(fields[4], 0, 2**56, "header: ordinal"),
        shape.integer(fields[5], 1, COUNT_MAX, "header: count"),
        shape.time_ms(fields[6], "header: deadline"),
        shape.octets(fields[7], DIGEST_BYTES, "header: digest"),
        shape.octets(fields[8], DIGEST_BYTES, "header: body"),
    )


def digest_of_header(header: bytes) -> bytes:
    """The link from a header to the next."""
    return blake2b(header, digest_size=DIGEST_BYTES, person=b"avm header").digest()


def digest_of_body(body: bytes) -> bytes:
    """The digest of a body, as it stands in its header."""
    return blake2b(body, digest_size=DIGEST_BYTES, person=b"avm body").digest()


def pack_body(messages: tuple[Said, ...], keys: Keys) -> bytes:
    """Messages with their capabilities sealed: [targets, [[target, content, caps, reply], ..]]."""
    targets: dict[Cap, int] = {}
    rows: list[list[object]] = []
    for said in messages:
        place = targets.setdefault(said.to, len(targets))
        wires = [to_wire(cap, keys) for cap in said.caps]
        reply = None if said.reply is None else to_wire(said.reply, keys)
        rows.append([place, said.content, wires, reply])
    return dumps_plain([[to_wire(cap, keys) for cap in targets], rows])


def unpack_body_untrusted(
    body: bytes, header: Header, open_untrusted: OpenCap, max_bytes: int
) -> tuple[Said, ...]:
    """Messages of a stranger's bytes; raises `Malformed` only.

    `open_untrusted` gives `INVALID` for a capability that is not valid; the message that presents
    one is addressed to it.
    """
    parts = shape.array(loads_plain_untrusted(body, max_bytes=max_bytes, depth=_DEPTH), 2, "body")
    wires = shape.items(parts[0], header.count, "body: targets")
    targets = [_target(_opened(wire, open_untrusted), header.receiver) for wire in wires]
    rows = shape.array(parts[1], header.count, "body: messages")
    return tuple(_said(row, targets, open_untrusted) for row in rows)


def _said(row: object, targets: list[Cap], open_untrusted: OpenCap) -> Said:
    place, content, wires, reply = shape.array(row, 4, "body: message")
    to = targets[shape.integer(place, 0, len(targets) - 1, "body: target")]
    if type(content) is not bytes or type(wires) is not list:
        raise Malformed("body: content")
    caps = tuple(_opened(wire, open_untrusted) for wire in wires)
    back = None if reply is None else _opened(reply, open_untrusted)
    if INVALID in caps or back == INVALID:
        to = INVALID
    return Said(to, content, caps, back)


def _opened(wire: object, open_untrusted: OpenCap) -> Cap:
    return open_untrusted(shape.some_octets(wire, 1, WIRE_BYTES_MAX, "body: capability"))


def _target(cap: Cap, receiver: bytes) -> Cap:
    return INVALID if isinstance(cap, Named) or cap.address != receiver else cap
