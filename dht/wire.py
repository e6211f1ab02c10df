"""The packets of the network as bytes: CBOR arrays of at most 1,200 bytes, decoded totally.

Step 7 of the journey. The first byte is that of a short CBOR array, 0x86 to 0x89, so its bit 0x40 is
clear; every QUIC packet has it set (RFC 9000, section 17): that is how one UDP port serves both.

    find    [1, 1, nonce, sender, token, near, padding]
    get     [1, 2, nonce, sender, token, near, key, kind, padding]
    put     [1, 3, nonce, sender, token, key, kind, record]
    answer  [1, 4, nonce, seen, token, node record, [record ..], [contact ..]]
    stored  [1, 5, nonce, token, status, record]

The sender is its id, or None when it serves nobody; `seen` is the endpoint the question came from.
"""

from enum import IntEnum
from typing import TypeAlias

from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.identity import Endpoint
from caps.light import dataclass
from dht.contact import (
    NODE_RECORD_BYTES_MAX,
    Contact,
    byte_string,
    packed_endpoint,
    parse_contact_untrusted,
    parse_endpoint_untrusted,
)
from dht.errors import InvalidPacket
from dht.proofs import Kind
from dht.record import RECORD_BYTES_MAX
from dht.settings import CLOSEST, ID_BYTES

PACKET_BYTES_MAX = 1_200
PADDED_BYTES = 400
CHECK_BYTES = 150
NONCE_BYTES = 8
TOKEN_BYTES = 8
RECORDS_MAX = 20
QUIC_BIT = 0x40

_VERSION = 1
_FIND, _GET, _PUT, _ANSWER, _STORED = range(1, 6)
_LENGTHS = {_FIND: 7, _GET: 9, _PUT: 8, _ANSWER: 8, _STORED: 6}


class Status(IntEnum):
    """What became of a put."""

    KEPT = 0
    TOKEN = 1
    OLDER = 2
    CONTRADICTS = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Find:
    """Asks for the contacts closest to a point."""

    nonce: bytes
    sender: bytes | None
    token: bytes
    near: bytes


@dataclass(frozen=True, slots=True)
class Get:
    """Asks for the records of a kind under a key, and for the contacts closest to a point."""

    nonce: bytes
    sender: bytes | None
    token: bytes
    near: bytes
    key: bytes
    kind: Kind


@dataclass(frozen=True, slots=True)
class Put:
    """Asks to keep a record; nothing of it is looked at without a good token."""

    nonce: bytes
    sender: bytes | None
    token: bytes
    key: bytes
    kind: Kind
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a find or a get is answered; the node record is empty when it did not fit."""

    nonce: bytes
    seen: Endpoint
    token: bytes
    node_record: bytes
    records: tuple[bytes, ...]
    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a put is answered, with the record that stands in its way, if one does."""

    nonce: bytes
    token: bytes
    status: Status
    body: bytes


Request: TypeAlias = Find | Get | Put
Reply: TypeAlias = Answer | Stored
Packet: TypeAlias = Request | Reply


def is_quic(datagram: bytes) -> bool:
    """Tell whether a datagram on the shared port is for QUIC and not for this network."""
    return bool(datagram) and bool(datagram[0] & QUIC_BIT)


def encode_request(request: Request, *, padded_bytes: int = 0) -> bytes:
    """Return the bytes of a request; padding earns it an answer of three times its length.

    `padded_bytes` is `PADDED_BYTES` for a whole answer, `CHECK_BYTES` for a node record alone.
    """
    match request:
        case Find(nonce, sender, token, near):
            fields: list[object] = [_VERSION, _FIND, nonce, sender, token, near]
        case Get(nonce, sender, token, near, key, kind):
            fields = [_VERSION, _GET, nonce, sender, token, near, key, int(kind)]
        case Put(nonce, sender, token, key, kind, body):
            return dumps_plain([_VERSION, _PUT, nonce, sender, token, key, int(kind), body])
    bare = dumps_plain([*fields, b""])
    # The head of a byte string takes more bytes from 24 and from 256 bytes on.
    padding = padded_bytes - len(bare)
    padding -= (padding >= 24) + (padding >= 258)
    return bare if padding <= 0 else dumps_plain([*fields, bytes(padding)])


def encode_answer(answer: Answer, bytes_max: int) -> bytes:
    """Return the bytes of an answer within `bytes_max`: first records, then node record, contacts.

    What does not fit is left out; raises nothing, as the least answer is under 60 bytes.
    """
    start = b"".join(
        (
            b"\x88\x01\x04",
            byte_string(answer.nonce),
            b"\x82",
            packed_endpoint(answer.seen),
            byte_string(answer.token),
        )
    )
    room = min(bytes_max, PACKET_BYTES_MAX) - len(start) - 3
    records: list[bytes] = []
    for body in answer.records[:RECORDS_MAX]:
        packed = byte_string(body)
        if len(packed) <= room:
            records.append(packed)
            room -= len(packed)
    node_record = byte_string(answer.node_record)
    if len(node_record) - 1 > room:
        node_record = b"\x40"
    room -= len(node_record) - 1
    contacts = [contact.packed for contact in answer.contacts[:CLOSEST]]
    while contacts and sum(map(len, contacts)) > room:
        contacts.pop()
    ends = bytes([0x80 | len(records)]), bytes([0x80 | len(contacts)])
    return b"".join((start, node_record, ends[0], *records, ends[1], *contacts))


def encode_stored(stored: Stored) -> bytes:
    """Return the bytes of the answer to a put."""
    fields = [stored.nonce, stored.token, int(stored.status), stored.body]
    return dumps_plain([_VERSION, _STORED, *fields])


def parse_packet_untrusted(datagram: bytes) -> Packet:
    """Read a packet from a stranger's bytes; raises `InvalidPacket` only."""
    try:
        return _packet(loads_plain_untrusted(datagram, max_bytes=PACKET_BYTES_MAX, depth=4))
    except Malformed as error:
        raise InvalidPacket(str(error)) from error


def _packet(plain: object) -> Packet:
    fields = shape.items(plain, 9, "packet")
    if len(fields) < 6:
        shape.refuse("packet")
    shape.version(fields[0], _VERSION, "packet")
    number = shape.integer(fields[1], _FIND, _STORED, "packet: type")
    shape.array(fields, _LENGTHS[number], "packet")
    nonce = shape.octets(fields[2], NONCE_BYTES, "packet: nonce")
    if number == _ANSWER:
        return _answer(nonce, fields)
    if number == _STORED:
        return Stored(
            nonce,
            _token(fields[3]),
            Status(shape.integer(fields[4], 0, max(Status), "stored: status")),
            shape.some_octets(fields[5], 0, RECORD_BYTES_MAX, "stored: record"),
        )
    sender = None if fields[3] is None else shape.octets(fields[3], ID_BYTES, "packet: sender")
    token = _token(fields[4])
    point = shape.octets(fields[5], ID_BYTES, "packet: point")
    if number == _FIND:
        shape.some_octets(fields[6], 0, PADDED_BYTES, "find: padding")
        return Find(nonce, sender, token, point)
    if number == _GET:
        key = shape.octets(fields[6], ID_BYTES, "get: key")
        shape.some_octets(fields[8], 0, PADDED_BYTES, "get: padding")
        return Get(nonce, sender, token, point, key, _kind(fields[7]))
    body = shape.some_octets(fields[7], 1, RECORD_BYTES_MAX, "put: record")
    return Put(nonce, sender, token, point, _kind(fields[6]), body)


def _answer(nonce: bytes, fields: list[object]) -> Answer:
    records = shape.items(fields[6], RECORDS_MAX, "answer: records")
    contacts = shape.items(fields[7], CLOSEST, "answer: contacts")
    return Answer(
        nonce,
        parse_endpoint_untrusted(fields[3]),
        _token(fields[4]),
        shape.some_octets(fields[5], 0, NODE_RECORD_BYTES_MAX, "answer: node record"),
        tuple(shape.some_octets(body, 1, RECORD_BYTES_MAX, "answer: record") for body in records),
        tuple(map(parse_contact_untrusted, contacts)),
    )


def _token(value: object) -> bytes:
    token = shape.some_octets(value, 0, TOKEN_BYTES, "packet: token")
    if len(token) not in (0, TOKEN_BYTES):
        shape.refuse("packet: token")
    return token


def _kind(value: object) -> Kind:
    return Kind(shape.integer(value, min(Kind), max(Kind), "packet: kind"))
