"""Contacts of the network: a node's id, the endpoint where it is, and its proof that it is there.

Step 7 of the journey, below the wire. A node's id is the hash of its host's key, so it can be ground
but not chosen. Its node record says, signed by that key, at which endpoints it answers: an answer
that returns the nonce of the question from such an endpoint is an authenticated round trip, and it
costs the one who answers no public-key work at all.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Any

from kademlia.node import Node

from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.identity import KEY_BYTES, SIGNATURE_BYTES, Endpoint, RootKey, verify
from caps.light import dataclass
from dht.errors import ExpiredRecord, InvalidRecord
from dht.settings import ID_BYTES

NODE_RECORD_BYTES_MAX = 250
NODE_ENDPOINTS_MAX = 4
CONTACTS_KEPT = 8192

_VERSION = 1
_DOMAIN = b"node"
_ID_DOMAIN = b"avm node"


def node_id(public_key: bytes) -> bytes:
    """Hash a host's public key to the id of its node."""
    return blake2b(public_key, digest_size=ID_BYTES, person=_ID_DOMAIN).digest()


def subnet_of(endpoint: Endpoint) -> bytes:
    """Return the /24 or /48 that an endpoint is in."""
    return endpoint.ip[:3] if len(endpoint.ip) == 4 else endpoint.ip[:6]


def is_loopback(endpoint: Endpoint) -> bool:
    """Tell whether it is on this machine, where no stranger sends from."""
    return endpoint.ip[:1] == b"\x7f" if len(endpoint.ip) == 4 else endpoint.ip == bytes(15) + b"\1"


def reachable(endpoint: Endpoint) -> bool:
    """Tell whether a datagram can go there: not to nowhere, everybody or a group."""
    ip = endpoint.ip
    if len(ip) == 4:
        return 0 < ip[0] < 224
    return ip[0] != 0xFF and any(ip)


class Contact(Node):
    """A node at an endpoint, equal by both; what others say of it is not proved."""

    def __init__(self, node_id: bytes, endpoint: Endpoint) -> None:
        # The base class reads the id through its hexadecimal text, at four times the price.
        self.id = node_id
        self.long_id = int.from_bytes(node_id, "big")
        self.endpoint = endpoint
        self.ip = endpoint.ip
        self.port = endpoint.port
        self.subnet = subnet_of(endpoint)
        self._packed: bytes | None = None

    @property
    def packed(self) -> bytes:
        """The CBOR of `[id, ip, port]`, made once: answers carry twenty of them."""
        if self._packed is None:
            self._packed = _packed(self.id, self.endpoint)
        return self._packed

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Contact):
            return False
        return self.id == other.id and self.ip == other.ip and self.port == other.port

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<contact {self.id.hex()[:8]} {self.endpoint}>"


def _packed(node_id: bytes, endpoint: Endpoint) -> bytes:
    return b"\x83\x58\x20%b%b" % (node_id, packed_endpoint(endpoint))


def packed_endpoint(endpoint: Endpoint) -> bytes:
    """Return the CBOR of an IP and a port, one behind the other."""
    port = endpoint.port
    if port < 24:
        tail = bytes([port])
    elif port < 256:
        tail = bytes([0x18, port])
    else:
        tail = b"\x19" + port.to_bytes(2, "big")
    ip = endpoint.ip
    return bytes([0x40 | len(ip)]) + ip + tail


def byte_string(octets: bytes) -> bytes:
    """Return the CBOR of bytes, of as many as a packet has."""
    size = len(octets)
    if size < 24:
        return b"%c%b" % (0x40 | size, octets)
    if size < 256:
        return b"\x58%c%b" % (size, octets)
    assert size < 1 << 16
    return b"\x59%b%b" % (size.to_bytes(2, "big"), octets)


def parse_contact_untrusted(plain: object) -> Contact:
    """Read a contact out of a packet; raises `Malformed` only."""
    octets, ip, port = shape.array(plain, 3, "contact")
    ip = shape.some_octets(ip, 4, 16, "contact: IP")
    port = shape.integer(port, 1, 65535, "contact: port")
    return _contact(shape.octets(octets, ID_BYTES, "contact: id"), ip, port)


# Answers name the same few thousand again and again; one object for each is compared at a glance.
@lru_cache(CONTACTS_KEPT)
def _contact(node_id: bytes, ip: bytes, port: int) -> Contact:
    return Contact(node_id, Endpoint(ip, port))


def parse_endpoint_untrusted(plain: object) -> Endpoint:
    """Read an endpoint `[ip, port]`; raises `Malformed` only."""
    ip, port = shape.array(plain, 2, "endpoint")
    ip = shape.some_octets(ip, 4, 16, "endpoint: IP")
    return Endpoint(ip, shape.integer(port, 1, 65535, "endpoint: port"))


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A host's key, the endpoints at which its node answers, and until when; time in ms."""

    public_key: bytes
    endpoints: tuple[Endpoint, ...]
    expiry_ms: int
    signature: bytes

    @property
    def id(self) -> bytes:
        """The id of the node."""
        return node_id(self.public_key)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most `NODE_RECORD_BYTES_MAX`."""
        return dumps_plain(
            [*_fields(self.public_key, self.endpoints, self.expiry_ms), self.signature]
        )

    def check_signed(self) -> None:
        """Raise an `InvalidRecord` unless the key signed it."""
        body = dumps_plain(_fields(self.public_key, self.endpoints, self.expiry_ms))
        if not verify(self.public_key, _DOMAIN, body, self.signature):
            raise InvalidRecord("the node record is not signed by its key")

    def check_time(self, now_ms: int) -> None:
        """Raise an `ExpiredRecord` from its expiry on."""
        if now_ms >= self.expiry_ms:
            raise ExpiredRecord(f"expired at {self.expiry_ms} ms, it is {now_ms}")


def _fields(public_key: bytes, endpoints: tuple[Endpoint, ...], expiry_ms: int) -> list[Any]:
    places = [[endpoint.ip, endpoint.port] for endpoint in endpoints]
    return [_VERSION, public_key, places, expiry_ms]


def sign_node_record(key: RootKey, endpoints: tuple[Endpoint, ...], expiry_ms: int) -> NodeRecord:
    """Sign where the node of that host answers; raises `Malformed` for what nobody would read."""
    signature = key.sign(_DOMAIN, dumps_plain(_fields(key.public_key, endpoints, expiry_ms)))
    record = NodeRecord(key.public_key, endpoints, expiry_ms, signature)
    return parse_node_record_untrusted(record.to_bytes())


def parse_node_record_untrusted(body: bytes) -> NodeRecord:
    """Read a node record from a stranger's bytes; raises `InvalidRecord` only, proves nothing."""
    try:
        plain = loads_plain_untrusted(body, max_bytes=NODE_RECORD_BYTES_MAX, depth=4)
        fields = shape.array(plain, 5, "node record")
        shape.version(fields[0], _VERSION, "node record")
        places = shape.items(fields[2], NODE_ENDPOINTS_MAX, "node record: endpoints")
        endpoints = tuple(map(parse_endpoint_untrusted, places))
        if not endpoints or len(set(endpoints)) != len(endpoints):
            shape.refuse("node record: endpoints")
        return NodeRecord(
            public_key=shape.octets(fields[1], KEY_BYTES, "node record: key"),
            endpoints=endpoints,
            expiry_ms=shape.time_ms(fields[3], "node record: expiry"),
            signature=shape.octets(fields[4], SIGNATURE_BYTES, "node record: signature"),
        )
    except Malformed as error:
        raise InvalidRecord(str(error)) from error
