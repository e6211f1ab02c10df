"""Capabilities outside the host: the sealed form, its bytes on the wire and its text for people.

Steps 1 and 8 of the journey: a send reads the address part; everything else is opaque to all but the
machine's host. Any holder can narrow a capability here, without a key: a caveat is appended and the
proof is replaced by its keyed hash over the caveat (the macaroon construction, Birgisson et al.,
"Macaroons", NDSS 2014), so the proof that stood before cannot be had back.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from hashlib import blake2b
from typing import TypeAlias

from caps import shape
from caps.caveats import (
    CAVEAT_BYTES_MAX,
    CAVEAT_NUMBER_MAX,
    CAVEATS_MAX,
    Caveat,
    freeze_value,
    thaw_value,
)
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed, Mistyped, NotAValue, TooBig
from caps.identity import ADDRESS_BYTES
from caps.light import dataclass

PROOF_BYTES = 16
GENERATION_MAX = shape.U32_MAX
PRIORITY_MAX = 1000
NAME_BYTES_MAX = 32

# The sealed plaintext is 1 KiB of value and capabilities, their lengths, and 16 bytes of AES-SIV.
SEALED_BYTES_MIN = 17
SEALED_BYTES_MAX = 1400
WIRE_BYTES_MAX = SEALED_BYTES_MAX + CAVEATS_MAX * CAVEAT_BYTES_MAX + 128

NONE, LINEAR, AFFINE, RELEVANT = 0, 1, 2, 3

_VERSION = 0x01
_COMMON_TAG = bytes.fromhex("d9a08c")  # CBOR tag 41,100
_CAVEAT_DOMAIN = b"avm caveat"
_CHECKSUM_DOMAIN = b"avm text"
_CHECKSUM_BYTES = 4
_ADDRESS_HEAD_BYTES = 2
_NULL = 0xF6
_PREFIX = "avm:"
_COMMON_NAME = re.compile(r"[a-z][a-z0-9-]*~")
_STRAY = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class SealedCapability:
    """A capability as it leaves its host.

    `address` is 32 bytes, `priority` integer thousandths from -1000 to 1000, `kind` one of NONE,
    LINEAR, AFFINE, RELEVANT, `expires_ms` milliseconds since 1970 or None, `proof` 16 bytes.
    """

    address: bytes
    generation: int
    priority: int
    kind: int
    expires_ms: int | None
    sealed: bytes
    caveats: tuple[Caveat, ...]
    proof: bytes

    def __repr__(self) -> str:
        return f"<capability {self.address.hex()[:8]}>"

    def wire(self) -> bytes:
        """Return its bytes, the only ones it has: a version byte, then a CBOR array of 8."""
        fields = [
            self.address,
            self.generation,
            self.priority,
            self.kind,
            self.expires_ms,
            self.sealed,
            [[caveat.number, thaw_value(caveat.value)] for caveat in self.caveats],
            self.proof,
        ]
        return b"\x01" + dumps_plain(fields)


@dataclass(frozen=True, slots=True)
class CommonName:
    """A capability that every host answers itself, such as `null~`: a name and no secret.

    Raises `Malformed` unless the name is `[a-z][a-z0-9-]*~` of at most `NAME_BYTES_MAX` bytes.
    """

    name: str

    def __post_init__(self) -> None:
        if len(self.name) > NAME_BYTES_MAX or not _COMMON_NAME.fullmatch(self.name):
            raise Malformed("a common capability's name is like null~")

    def wire(self) -> bytes:
        """Return its bytes, the only ones it has: a version byte, then a tag over the name."""
        return b"\x01" + _COMMON_TAG + dumps_plain(self.name)


WireCapability: TypeAlias = SealedCapability | CommonName


def parse_wire_untrusted(body: bytes) -> WireCapability:
    """Read a capability from a stranger's bytes; raises `Malformed` only."""
    if not 1 < len(body) <= WIRE_BYTES_MAX or body[0] != _VERSION:
        shape.refuse("capability: size or version")
    if body.startswith(_COMMON_TAG, 1):
        name = loads_plain_untrusted(body[4:], max_bytes=NAME_BYTES_MAX + 2, depth=1)
        if type(name) is not str:
            shape.refuse("capability: common name")
        return CommonName(name)
    return _sealed(loads_plain_untrusted(body[1:], max_bytes=WIRE_BYTES_MAX, depth=16))


def kind_of_wire(wire: bytes) -> tuple[int, bool]:
    """Return the kind of a sealed capability whose bytes were read before, and whether it expires.

    Nothing is decoded: before the kind stand a version byte, the head of an array, the address, and
    two integers.
    """
    at = 2 + _ADDRESS_HEAD_BYTES + ADDRESS_BYTES
    for _integer in range(2):
        short = wire[at] & 0x1F
        at += 1 if short < 24 else 1 + (1 << short - 24)
    return wire[at], wire[at + 1] != _NULL


def _sealed(plain: object) -> SealedCapability:
    fields = shape.array(plain, 8, "capability")
    address, generation, priority, kind, expires, sealed, caveats, proof = fields
    return SealedCapability(
        shape.octets(address, ADDRESS_BYTES, "capability: address"),
        shape.integer(generation, 0, GENERATION_MAX, "capability: generation"),
        shape.integer(priority, -PRIORITY_MAX, PRIORITY_MAX, "capability: priority"),
        shape.integer(kind, NONE, RELEVANT, "capability: kind"),
        None if expires is None else shape.time_ms(expires, "capability: expiry"),
        shape.some_octets(sealed, SEALED_BYTES_MIN, SEALED_BYTES_MAX, "capability: sealed"),
        tuple(map(_caveat, shape.items(caveats, CAVEATS_MAX, "capability: caveats"))),
        shape.octets(proof, PROOF_BYTES, "capability: proof"),
    )


def _caveat(plain: object) -> Caveat:
    number, value = shape.array(plain, 2, "capability: caveat")
    number = shape.integer(number, 0, CAVEAT_NUMBER_MAX, "capability: caveat number")
    try:
        return Caveat(number, freeze_value(value))
    except NotAValue:
        shape.refuse("capability: caveat value")


def narrow(capability: SealedCapability, caveat: Caveat) -> SealedCapability:
    """Return the capability with one caveat more; raises `TooBig` at `CAVEATS_MAX`."""
    if len(capability.caveats) >= CAVEATS_MAX:
        raise TooBig(f"a capability has at most {CAVEATS_MAX} caveats", ".caveats")
    proof = extend_proof(capability.proof, caveat)
    return replace(capability, caveats=(*capability.caveats, caveat), proof=proof)


def extend_proof(proof: bytes, caveat: Caveat) -> bytes:
    """Return the proof that stands after the caveat, given the one before it."""
    hashed = blake2b(caveat.encoded, key=proof, digest_size=PROOF_BYTES, person=_CAVEAT_DOMAIN)
    return hashed.digest()


def to_text(capability: WireCapability) -> str:
    """Write the one text of a capability: `avm:` and base64url, or the name of a common one."""
    if isinstance(capability, CommonName):
        return capability.name
    wire = capability.wire()
    return _PREFIX + urlsafe_b64encode(wire + _checksum(wire)).rstrip(b"=").decode("ascii")


def parse_text(text: str) -> WireCapability:
    """Read a capability from its one text; raises `Mistyped`, which says what is wrong."""
    if text.endswith("~") and len(text) <= NAME_BYTES_MAX and _COMMON_NAME.fullmatch(text):
        return CommonName(text)
    if not text.startswith(_PREFIX):
        raise Mistyped("the text of a capability begins with avm:")
    both = _decoded(text)
    wire, checksum = both[:-_CHECKSUM_BYTES], both[-_CHECKSUM_BYTES:]
    if checksum != _checksum(wire):
        raise Mistyped("the capability is mistyped or cut short: its checksum does not match")
    try:
        capability = parse_wire_untrusted(wire)
    except Malformed:
        raise Mistyped("the text is no capability: made by another version?") from None
    if isinstance(capability, CommonName):
        raise Mistyped(f"the text of this capability is {capability.name}")
    return capability


def _decoded(text: str) -> bytes:
    digits = text[len(_PREFIX) :]
    stray = _STRAY.search(digits)
    if stray:
        at = len(_PREFIX) + stray.start() + 1
        raise Mistyped(f"character {at} of the capability, {stray.group()!r}, cannot be in one")
    if len(digits) > (WIRE_BYTES_MAX + _CHECKSUM_BYTES) * 4 // 3 + 1:
        raise Mistyped("the text is too long for a capability")
    if len(digits) % 4 == 1 or len(digits) * 3 // 4 <= _CHECKSUM_BYTES:
        raise Mistyped("the capability is cut short")
    both = urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
    if urlsafe_b64encode(both).rstrip(b"=").decode("ascii") != digits:
        raise Mistyped("the capability is mistyped: its last character cannot end one")
    return both


def _checksum(wire: bytes) -> bytes:
    return blake2b(wire, digest_size=_CHECKSUM_BYTES, person=_CHECKSUM_DOMAIN).digest()
