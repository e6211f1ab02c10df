"""A batch as it goes to another host: a header that is chained to the one before, and a body. Pure.

Step 7 of the journey, and its first step at the other host. The header holds the digest of the body
and that of the header before it in the channel. So a body can be withdrawn and its header stay in
line, and who has gone back in time, or says two things under one number, is noticed.
"""

from collections.abc import Callable
from hashlib import blake2b

from avm.host.batch import Said
from avm.host.capability import INVALID, Cap, Keys, Named, may_be_reply, to_wire
from avm.machine.pack import NONE, array, byte_string, uint
from caps import shape
from caps.codec import loads_shape_untrusted
from caps.errors import Malformed
from caps.light import dataclass

HEADER_BYTES_MAX = 256
DIGEST_BYTES = 32
NO_DIGEST = bytes(DIGEST_BYTES)
COUNT_MAX = 1_000_000
WIRE_BYTES_MAX = 8 * 1024
ADDRESS_BYTES = 32

_VERSION = 1
_HEADER_HEAD = array(9) + uint(_VERSION)
_DEPTH = 6

OpenCap = Callable[[bytes], Cap]
# A message of a body: the place of its target, content, capabilities and reply in wire form.
Row = tuple[int, bytes, list[bytes], bytes | None]


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
        numbers = (self.seq, self.ordinal, self.count, self.deadline_ms)
        ends = byte_string(self.sender) + byte_string(self.receiver)
        digests = byte_string(self.before) + byte_string(self.body)
        return b"".join((_HEADER_HEAD, ends, *map(uint, numbers), digests))


def parse_header_untrusted(body: bytes) -> Header:
    """Reads a header from a stranger's bytes; raises `Malformed` only."""
    plain = loads_shape_untrusted(body, max_bytes=HEADER_BYTES_MAX, depth=1)
    fields = shape.array(plain, 9, "header")
    shape.version(fields[0], _VERSION, "header")
    header = Header(
        shape.octets(fields[1], ADDRESS_BYTES, "header: sender"),
        shape.octets(fields[2], ADDRESS_BYTES, "header: receiver"),
        shape.integer(fields[3], 1, 2**48, "header: sequence"),
        shape.integer(fields[4], 0, 2**56, "header: ordinal"),
        shape.integer(fields[5], 1, COUNT_MAX, "header: count"),
        shape.time_ms(fields[6], "header: deadline"),
        shape.octets(fields[7], DIGEST_BYTES, "header: digest"),
        shape.octets(fields[8], DIGEST_BYTES, "header: body"),
    )
    if header.to_bytes() != body:
        raise Malformed("header: not the one encoding of what it says")
    return header


def digest_of_header(header: bytes) -> bytes:
    """The link from a header to the next."""
    return blake2b(header, digest_size=DIGEST_BYTES, person=b"avm header").digest()


def digest_of_body(body: bytes) -> bytes:
    """The digest of a body, as it stands in its header."""
    return blake2b(body, digest_size=DIGEST_BYTES, person=b"avm body").digest()


def pack_body(messages: tuple[Said, ...], keys: Keys) -> bytes:
    """Messages with their capabilities sealed: [targets, [[target, content, caps, reply], ..]]."""
    targets: dict[Cap, int] = {}
    rows: list[bytes] = []
    for said in messages:
        place = targets.setdefault(said.to, len(targets))
        wires = [to_wire(cap, keys) for cap in said.caps]
        reply = None if said.reply is None else to_wire(said.reply, keys)
        rows.append(_row(place, said.content, wires, reply))
    return _body([to_wire(cap, keys) for cap in targets], rows)


def _row(place: int, content: bytes, wires: list[bytes], reply: bytes | None) -> bytes:
    if not wires and reply is None:
        return b"".join((b"\x84", uint(place), byte_string(content), b"\x80", NONE))
    inner = (array(len(wires)), *map(byte_string, wires))
    back = NONE if reply is None else byte_string(reply)
    return b"".join((b"\x84", uint(place), byte_string(content), *inner, back))


def _body(wires: list[bytes], rows: list[bytes]) -> bytes:
    targets = (array(len(wires)), *map(byte_string, wires))
    return b"".join((b"\x82", *targets, array(len(rows)), *rows))


def unpack_body_untrusted(
    body: bytes, header: Header, open_untrusted: OpenCap, max_bytes: int
) -> tuple[Said, ...]:
    """Messages of a stranger's bytes; raises `Malformed` only.

    `open_untrusted` gives `INVALID` for a capability that is not valid; the message that presents
    one is addressed to it, and so is one whose reply is no reply of an ask.
    """
    plain = loads_shape_untrusted(body, max_bytes=max_bytes, depth=_DEPTH)
    parts = shape.array(plain, 2, "body")
    wires = [_wire(wire) for wire in shape.items(parts[0], header.count, "body: targets")]
    rows = [_fields(row, len(wires)) for row in shape.array(parts[1], header.count, "body: rows")]
    if _body(wires, [_row(*fields) for fields in rows]) != body:
        raise Malformed("body: not the one encoding of what it says")
    targets = [_target(open_untrusted(wire), header.receiver) for wire in wires]
    return tuple([_said(fields, targets, open_untrusted) for fields in rows])


def _fields(row: object, targets: int) -> Row:
    place, content, wires, reply = shape.array(row, 4, "body: message")
    if type(content) is not bytes or type(wires) is not list:
        raise Malformed("body: content")
    inner = [_wire(wire) for wire in wires] if wires else wires
    back = None if reply is None else _wire(reply)
    return shape.integer(place, 0, targets - 1, "body: target"), content, inner, back


def _wire(value: object) -> bytes:
    return shape.some_octets(value, 1, WIRE_BYTES_MAX, "body: capability")


def _said(fields: Row, targets: list[Cap], open_untrusted: OpenCap) -> Said:
    place, content, wires, reply = fields
    if not wires and reply is None:
        return Said(targets[place], content, (), None)
    caps = tuple(map(open_untrusted, wires))
    back = None if reply is None else open_untrusted(reply)
    valid = INVALID not in caps and (back is None or may_be_reply(back))
    return Said(targets[place] if valid else INVALID, content, caps, back)


def _target(cap: Cap, receiver: bytes) -> Cap:
    return INVALID if isinstance(cap, Named) or cap.address != receiver else cap
