"""Sealing: a context becomes a capability only its machine's host can open, and comes back from one.

Steps 4 and 8 of the journey: `seal` when an own capability first leaves the host, `unseal` when one
comes home. Both are functions of their arguments: replay makes the same bits, and a state rolled
back seals nothing that it had not sealed before. Nothing is drawn and nothing is looked up.

The seal is AES-SIV (RFC 5297) with a 512-bit key for each machine and key generation. The proof
beside it is a keyed hash over the sealed bytes and the attributes, under another key; each caveat
replaces it by its own hash (`caps.capability.narrow`), and here the whole row is made again.
"""

import struct
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from caps import shape
from caps.capability import (
    GENERATION_MAX,
    NONE,
    PRIORITY_MAX,
    PROOF_BYTES,
    RELEVANT,
    SEALED_BYTES_MAX,
    SealedCapability,
    extend_proof,
)
from caps.caveats import CAVEATS_MAX
from caps.errors import InvalidCapability, TooBig
from caps.identity import ADDRESS_BYTES

SECRET_BYTES = 32
CONTEXT_BYTES_MAX = 1024
PLAINTEXT_BYTES_MAX = SEALED_BYTES_MAX - 16
GENERATIONS_KEPT = 4

_TAG_BYTES = 16
_SEAL_KEY_BYTES = 64
_NOT_VALID = "the capability is not valid"
_SEAL_DOMAIN = b"avm seal key"
_PROOF_KEY_DOMAIN = b"avm proof key"
_PROOF_DOMAIN = b"avm proof"

_CONTEXT, _REPLY = 1, 2
_REPLY_LAYOUT = struct.Struct(">BQQ")
_LENGTH = struct.Struct(">H")
_GENERATION = struct.Struct(">Q")
# kind, priority, generation, whether it expires, expiry: each of one width, so that a row of them is
# one string that can be read in one way only.
_ATTRIBUTES = struct.Struct(">BhQBQ")


class _GenerationKeys:
    """The cipher and the prepared proof hash of one key generation."""

    __slots__ = ("_address", "_proof", "_siv")

    def __init__(self, secret: bytes, address: bytes, generation: int) -> None:
        named = address + _GENERATION.pack(generation)
        self._address = address
        self._siv = AESSIV(_derive(secret, named, _SEAL_DOMAIN, _SEAL_KEY_BYTES))
        proof_key = _derive(secret, named, _PROOF_KEY_DOMAIN, 32)
        self._proof = blake2b(address, key=proof_key, digest_size=PROOF_BYTES, person=_PROOF_DOMAIN)

    def encrypt(self, plaintext: bytes, attributes: bytes) -> bytes:
        return self._siv.encrypt(plaintext, [self._address + attributes])

    def decrypt(self, sealed: bytes, attributes: bytes) -> bytes:
        return self._siv.decrypt(sealed, [self._address + attributes])

    def prove(self, sealed: bytes, attributes: bytes) -> bytes:
        proof = self._proof.copy()
        proof.update(attributes + sealed)
        return proof.digest()


def _derive(secret: bytes, named: bytes, domain: bytes, size: int) -> bytes:
    return blake2b(named, key=secret, person=domain, digest_size=size).digest()


class MachineKeys:
    """The keys of one machine, which never leave this object.

    `secret` is 32 bytes, `address` the machine's. A machine that has moved has a secret of its new
    host's in `later`, ascending, each with the generation from which on it holds. The keys of the last
    `GENERATIONS_KEPT` generations used are kept; the others are derived again when asked for.
    """

    __slots__ = ("_address", "_kept", "_secrets")

    def __init__(
        self, secret: bytes, address: bytes, later: Sequence[tuple[int, bytes]] = ()
    ) -> None:
        secrets = ((0, secret), *later)
        if len(address) != ADDRESS_BYTES or any(len(one) != SECRET_BYTES for _, one in secrets):
            raise ValueError(f"a secret is {SECRET_BYTES} bytes, an address {ADDRESS_BYTES}")
        self._secrets = secrets
        self._address = address
        self._kept: dict[int, _GenerationKeys] = {}

    def __repr__(self) -> str:
        return f"<machine keys {self._address.hex()[:8]}>"

    @property
    def address(self) -> bytes:
        """The address whose capabilities these keys make."""
        return self._address

    @property
    def latest(self) -> int:
        """The generation from which on the newest secret holds."""
        return self._secrets[-1][0]

    def seal(
        self, plaintext: bytes, *, generation: int, priority: int, kind: int, expires_ms: int | None
    ) -> SealedCapability:
        """Make the capability for this plaintext and these attributes, always the same one.

        The attributes are as in `SealedCapability`; a `ValueError` when one is out of range,
        `TooBig` over `PLAINTEXT_BYTES_MAX`.
        """
        if len(plaintext) > PLAINTEXT_BYTES_MAX:
            raise TooBig(f"a sealed plaintext is at most {PLAINTEXT_BYTES_MAX} bytes")
        if not (
            0 <= generation <= GENERATION_MAX
            and -PRIORITY_MAX <= priority <= PRIORITY_MAX
            and NONE <= kind <= RELEVANT
            and (expires_ms is None or 0 <= expires_ms <= shape.TIME_MS_MAX)
            and plaintext
        ):
            raise ValueError("an attribute is out of range, or the plaintext is empty")
        attributes = _attributes(generation, priority, kind, expires_ms)
        keys = self._keys(generation)
        sealed = keys.encrypt(plaintext, attributes)
        proof = keys.prove(sealed, attributes)
        return SealedCapability(
            self._address, generation, priority, kind, expires_ms, sealed, (), proof
        )

    def unseal(
        self, capability: SealedCapability, *, known_caveats: frozenset[int] = frozenset()
    ) -> bytes:
        """Return the plaintext of a genuine capability to this machine, whatever its caveats say.

        Raises `InvalidCapability`, with one text and after the same work, for every cause: another
        machine's, altered, truncated, widened, or with a caveat whose number is not known here.
        """
        plaintext, genuine = self.unseal_or_feign(capability, known_caveats=known_caveats)
        if not genuine:
            raise InvalidCapability(_NOT_VALID)
        return plaintext

    def unseal_or_feign(
        self, capability: SealedCapability, *, known_caveats: frozenset[int] = frozenset()
    ) -> tuple[bytes, bool]:
        """The same, telling whether it is genuine instead of raising.

        What is not genuine has a plaintext that means nothing, laid out as a context as long: who
        opens capabilities takes it through the same steps, and refuses it after them.
        """
        try:
            attributes = _attributes(
                capability.generation, capability.priority, capability.kind, capability.expires_ms
            )
            keys = self._keys(capability.generation)
        except struct.error:
            return b"", False
        sealed = capability.sealed
        proof = keys.prove(sealed, attributes)
        known = capability.address == self._address and len(capability.caveats) <= CAVEATS_MAX
        for caveat in capability.caveats[:CAVEATS_MAX]:
            proof = extend_proof(proof, caveat)
            known &= caveat.number in known_caveats
        if compare_digest(proof, capability.proof) and known:
            try:
                return keys.decrypt(sealed, attributes), True
            except InvalidTag:
                return b"", False
        # Encrypting is the work of decrypting, without an exception whose time would tell.
        return feigned_context(keys.encrypt(sealed[_TAG_BYTES:] or b"\0", attributes)), False

    def _keys(self, generation: int) -> _GenerationKeys:
        keys = self._kept.get(generation)
        if keys is None:
            secret = next(one for since, one in reversed(self._secrets) if since <= generation)
            keys = _GenerationKeys(secret, self._address, generation)
            if len(self._kept) >= GENERATIONS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[generation] = keys
        return keys


def _attributes(generation: int, priority: int, kind: int, expires_ms: int | None) -> bytes:
    expires = expires_ms is not None
    return _ATTRIBUTES.pack(kind, priority, generation, expires, expires_ms or 0)


def pack_context(value: bytes, caps: Sequence[bytes]) -> bytes:
    """Lay out the plaintext of a context: value bytes, then the capabilities in it in wire form.

    Raises `TooBig` when value and capabilities together are over `CONTEXT_BYTES_MAX`.
    """
    if len(value) + sum(map(len, caps)) > CONTEXT_BYTES_MAX:
        raise TooBig(f"a context is at most {CONTEXT_BYTES_MAX} bytes")
    parts = [bytes((_CONTEXT,))]
    for part in (value, *caps):
        parts += (_LENGTH.pack(len(part)), part)
    plaintext = b"".join(parts)
    assert len(plaintext) <= PLAINTEXT_BYTES_MAX, "a capability has at least 7 bytes"
    return plaintext


def unpack_context(plaintext: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Take the plaintext of a context apart again; raises `Malformed`."""
    if plaintext[:1] != bytes((_CONTEXT,)) or len(plaintext) > PLAINTEXT_BYTES_MAX:
        shape.refuse("context")
    parts: list[bytes] = []
    at = 1
    while at < len(plaintext) or not parts:
        if at + _LENGTH.size > len(plaintext):
            shape.refuse("context")
        (length,) = _LENGTH.unpack_from(plaintext, at)
        at += _LENGTH.size + length
        if at > len(plaintext):
            shape.refuse("context")
        parts.append(plaintext[at - length : at])
    return parts[0], tuple(parts[1:])


def feigned_context(noise: bytes) -> bytes:
    """Lay out noise as a context of no capabilities, as long as what was sealed into such noise."""
    head = 1 + _LENGTH.size
    size = min(max(0, len(noise) - _TAG_BYTES - head), PLAINTEXT_BYTES_MAX - head)
    return bytes((_CONTEXT,)) + _LENGTH.pack(size) + noise[:size]


def is_reply(plaintext: bytes) -> bool:
    """Tell a reply's plaintext from a context's by its first byte."""
    return plaintext[:1] == bytes((_REPLY,))


def pack_reply(ask: int, deadline_ms: int) -> bytes:
    """Lay out the plaintext of a reply capability: the ask's number and deadline, 17 bytes always."""
    return _REPLY_LAYOUT.pack(_REPLY, ask, deadline_ms)


def unpack_reply(plaintext: bytes) -> tuple[int, int]:
    """Return the ask's number and its deadline in milliseconds; raises `Malformed`."""
    if not is_reply(plaintext) or len(plaintext) != _REPLY_LAYOUT.size:
        shape.refuse("reply")
    _, ask, deadline_ms = _REPLY_LAYOUT.unpack(plaintext)
    return ask, deadline_ms
