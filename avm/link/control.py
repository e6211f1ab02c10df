"""The frames of the control stream: what links say to each other, and the owner's frames. Pure.

Each begins with a byte that says what it is; what follows is the owner's own or plain CBOR.
"""

from dataclasses import dataclass

from avm.link.limits import CONTROL_BYTES_MAX, NONCE_BYTES
from caps import shape
from caps.certificate import CERTIFICATE_BYTES_MAX, Certificate, parse_certificate_untrusted
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.identity import (
    ADDRESS_BYTES,
    IDENTITY_BYTES_MAX,
    SIGNATURE_BYTES,
    Identity,
    parse_identity_untrusted,
)

VERSION = 1
OWNERS = 0
OWNERS_PREFIX = bytes([OWNERS])
_HELLO, _PROOF, _ACCEPTED, _SPEAKS, _ANSWER = range(1, 6)
_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of the side that was dialed: who it is, and what is to be signed."""

    identity: Identity
    nonce: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return _frame(_HELLO, [VERSION, self.identity.to_bytes(), self.nonce])


@dataclass(frozen=True, slots=True)
class Proof:
    """The first frame of the dialer: who it is, and its signature over both keys and the nonce."""

    identity: Identity
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return _frame(_PROOF, [self.identity.to_bytes(), self.signature])


@dataclass(frozen=True, slots=True)
class Accepted:
    """The proof holds: the link is up."""

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return _frame(_ACCEPTED, [])


@dataclass(frozen=True, slots=True)
class Speaks:
    """The sender speaks for a machine, by this certificate."""

    machine: Identity
    certificate: Certificate

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return _frame(_SPEAKS, [self.machine.to_bytes(), self.certificate.to_bytes()])


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a certificate was accepted; never why it was not."""

    machine: bytes
    accepted: bool

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return _frame(_ANSWER, [self.machine, self.accepted])


Control = Hello | Proof | Accepted | Speaks | Answer


def _frame(kind: int, fields: list[object]) -> bytes:
    return bytes([kind]) + dumps_plain(fields)


def parse_control_untrusted(frame: bytes) -> Control:
    """Read a link's own control frame; raises `Malformed` only."""
    kind = frame[0] if frame else OWNERS
    plain = loads_plain_untrusted(frame[1:], max_bytes=CONTROL_BYTES_MAX, depth=_DEPTH)
    if kind == _HELLO:
        version, identity, nonce = shape.array(plain, 3, "hello")
        shape.version(version, VERSION, "hello")
        return Hello(_identity(identity), shape.octets(nonce, NONCE_BYTES, "hello: nonce"))
    if kind == _PROOF:
        identity, signature = shape.array(plain, 2, "proof")
        return Proof(_identity(identity), shape.octets(signature, SIGNATURE_BYTES, "proof"))
    if kind == _ACCEPTED:
        shape.array(plain, 0, "acceptance")
        return Accepted()
    if kind == _SPEAKS:
        identity, body = shape.array(plain, 2, "certificate frame")
        body = shape.some_octets(body, 1, CERTIFICATE_BYTES_MAX, "certificate frame")
        return Speaks(_identity(identity), parse_certificate_untrusted(body))
    if kind == _ANSWER:
        machine, accepted = shape.array(plain, 2, "answer")
        if type(accepted) is not bool:
            shape.refuse("answer")
        return Answer(shape.octets(machine, ADDRESS_BYTES, "answer: machine"), accepted)
    raise Malformed("a control frame of no known kind")


def _identity(value: object) -> Identity:
    body = shape.some_octets(value, 1, IDENTITY_BYTES_MAX, "control frame: identity")
    return parse_identity_untrusted(body)
