"""Identities, addresses and routes: what a capability's address part means and who may speak for it.

Before the journey: an address is the hash of a public-key resource, so whoever shows the resource and
signs with its key is what the address names, with no authority asked. Entropy is an argument.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed, NotAValue, TooBig
from caps.map import Map

ADDRESS_BYTES = 32
KEY_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64
DOMAIN_BYTES_MAX = 255

# A machine's location record carries its identity and is at most 1,000 bytes in all.
IDENTITY_BYTES_MAX = 600

_VERSION = 1
_ADDRESS_DOMAIN = b"avm address"
_SIGN_PREFIX = b"avm sign"
_ADDRESS_TEXT = re.compile(r"[0-9a-f]{64}")
# What a TLS 1.3 server signs begins with this (RFC 8446, section 4.4.3); nothing else of ours does.
_TLS_PREFIX = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
_PORT_TEXT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Identity:
    """A root public key and text metadata, the resource whose hash is an address.

    Raises `NotAValue` when the key is not 32 bytes or the metadata is not text, `TooBig` over
    `IDENTITY_BYTES_MAX` encoded bytes.
    """

    public_key: bytes
    metadata: Mapping[str, str]

    def __post_init__(self) -> None:
        if type(self.public_key) is not bytes or len(self.public_key) != KEY_BYTES:
            raise NotAValue(f"a public key is {KEY_BYTES} bytes", ".public_key")
        for name, text in self.metadata.items():
            if type(name) is not str or type(text) is not str:
                raise NotAValue("metadata is text by text", ".metadata")
        object.__setattr__(self, "metadata", Map(self.metadata))
        if len(self.to_bytes()) > IDENTITY_BYTES_MAX:
            raise TooBig(f"an identity is at most {IDENTITY_BYTES_MAX} bytes", ".metadata")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, the only ones this identity has."""
        return dumps_plain([_VERSION, self.public_key, dict(self.metadata)])

    @property
    def address(self) -> bytes:
        """The 32 bytes by which capabilities and location records name this identity."""
        return address_of(self.to_bytes())


def parse_identity_untrusted(body: bytes) -> Identity:
    """Read an identity from a stranger's bytes; raises `Malformed` only."""
    plain = loads_plain_untrusted(body, max_bytes=IDENTITY_BYTES_MAX, depth=3)
    version, key, metadata = shape.array(plain, 3, "identity")
    shape.version(version, _VERSION, "identity")
    key = shape.octets(key, KEY_BYTES, "identity: key")
    return Identity(key, shape.text_map(metadata, "identity: metadata"))


def identity_at_untrusted(address: bytes, body: bytes) -> Identity:
    """Read the identity that hashes to an address from a stranger's bytes; raises `Malformed` only."""
    if len(body) > IDENTITY_BYTES_MAX or address_of(body) != address:
        raise Malformed("not the identity of that address")
    return parse_identity_untrusted(body)


def address_of(identity_bytes: bytes) -> bytes:
    """Hash the canonical bytes of an identity to its address."""
    hashed = blake2b(identity_bytes, digest_size=ADDRESS_BYTES, person=_ADDRESS_DOMAIN)
    return hashed.digest()


def address_text(address: bytes) -> str:
    """Write an address as 64 lower-case hexadecimal digits."""
    return address.hex()


def parse_address(text: str) -> bytes:
    """Read the one text of an address; raises `Malformed`."""
    if not _ADDRESS_TEXT.fullmatch(text):
        raise Malformed("an address is 64 lower-case hexadecimal digits")
    return bytes.fromhex(text)


class RootKey:
    """The Ed25519 key (RFC 8032) behind an identity; its bits never leave this object."""

    __slots__ = ("_key",)

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed is {SEED_BYTES} bytes")
        self._key = SigningKey(seed)

    def __repr__(self) -> str:
        return f"<root key {self.public_key.hex()[:8]}>"

    @property
    def public_key(self) -> bytes:
        """The 32 bytes that others verify with."""
        return bytes(self._key.verify_key)

    def identity(self, metadata: Mapping[str, str]) -> Identity:
        """Return the identity this key stands behind under that metadata."""
        return Identity(self.public_key, metadata)

    def sign(self, domain: bytes, body: bytes) -> bytes:
        """Sign `body` for one purpose, named by `domain`; returns 64 bytes."""
        return self._key.sign(_signed_bytes(domain, body)).signature

    def sign_tls(self, body: bytes) -> bytes:
        """Sign what a TLS 1.3 server signs and nothing else; a `ValueError` for anything else."""
        if not body.startswith(_TLS_PREFIX):
            raise ValueError("this is not what a TLS server signs")
        return self._key.sign(body).signature


def verify(public_key: bytes, domain: bytes, body: bytes, signature: bytes) -> bool:
    """Tell whether the key signed `body` for that domain.

    Keys of small order and signatures that are not reduced are refused, as libsodium does.
    """
    if len(signature) != SIGNATURE_BYTES or len(public_key) != KEY_BYTES:
        return False
    try:
        crypto_sign_open(signature + _signed_bytes(domain, body), public_key)
    except BadSignatureError:
        return False
    return True


def _signed_bytes(domain: bytes, body: bytes) -> bytes:
    assert 0 < len(domain) <= DOMAIN_BYTES_MAX
    return _SIGN_PREFIX + bytes([len(domain)]) + domain + body


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An IP, as its 4 or 16 bytes, and a UDP port.

    An IPv4 address has one form only: one mapped into IPv6 is refused. Raises `Malformed`.
    """

    ip: bytes
    port: int

    def __post_init__(self) -> None:
        if type(self.ip) is not bytes or len(self.ip) not in (4, 16):
            raise Malformed("an IP is 4 or 16 bytes")
        if len(self.ip) == 16 and IPv6Address(self.ip).ipv4_mapped is not None:
            raise Malformed("an IPv4 address inside IPv6: write it as IPv4")
        if type(self.port) is not int or not 1 <= self.port <= 65535:
            raise Malformed("a port is a number from 1 to 65535")

    @property
    def host_text(self) -> str:
        """The IP alone, as a socket takes it."""
        return str(IPv4Address(self.ip) if len(self.ip) == 4 else IPv6Address(self.ip))

    def __str__(self) -> str:
        return f"{self.host_text}:{self.port}" if len(self.ip) == 4 else self._bracketed()

    def _bracketed(self) -> str:
        return f"[{self.host_text}]:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Read `IP:PORT`, IPv6 in brackets, in its one text; raises `Malformed`."""
    ip, colon, port = text.rpartition(":")
    if not colon or not _PORT_TEXT.fullmatch(port):
        raise Malformed("an endpoint is IP:PORT, with a port from 1 to 65535")
    bracketed = ip.startswith("[") and ip.endswith("]")
    endpoint = Endpoint(_ip_bytes(ip[1:-1], 6) if bracketed else _ip_bytes(ip, 4), int(port))
    if str(endpoint) != text:
        raise Malformed(f"write the endpoint as {endpoint}")
    return endpoint


def _ip_bytes(text: str, family: int) -> bytes:
    try:
        return IPv6Address(text).packed if family == 6 else IPv4Address(text).packed
    except AddressValueError:
        form = "an IPv4 address, or IPv6 in brackets"
        raise Malformed(f"{text[:50]!r} is not {form}") from None


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """An address and one endpoint at which its host can be reached."""

    address: bytes
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{address_text(self.address)}@{self.endpoint}"


def parse_route(text: str) -> Route:
    """Read `ADDRESS@IP:PORT`, IPv6 in brackets, in its one text; raises `Malformed`."""
    address, at, endpoint = text.partition("@")
    if not at:
        raise Malformed("a route is ADDRESS@IP:PORT, IPv6 in brackets")
    return Route(parse_address(address), parse_endpoint(endpoint))
