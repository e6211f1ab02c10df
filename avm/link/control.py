"""The frames of the control stream: what links say to each other, and the owner's frames. Pure.

Each begins with a byte that says what it is; what follows is the owner's own or plain CBOR.
"""

from avm.link.limits import CONTROL_BYTES_MAX, NONCE_BYTES
from caps import shape
from caps.certificate import CERTIFICATE_BYTES_MAX, Certificate, parse_certificate_untrusted
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.hostproof import HostProof
from caps.identity import (
    ADDRESS_BYTES,
    IDENTITY_BYTES_MAX,
    SIGNATURE_BYTES,
    Identity,
    parse_identity_untrusted,
)
from caps.light import dataclass

VERSION = 1
OWNERS = 0
OWNERS_PREFIX = bytes([OWNERS])
_HELLO, _PROOF, _ACCEPTED, _SPEAKS, _ANSWER = range(1, 6)
_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of the side that was dialed: who it is, and what is to be signed."""

    proof: HostProof
    nonce: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        fields = [VERSION, self.proof.identity.to_bytes(), self.nonce]
        return _frame(_HELLO, [*fields, *_certified(self.proof)])


@dataclass(frozen=True, slots=True)
class Proof:
    """The first frame of the dialer: who it is, and its signature over both keys and the nonce."""

    proof: HostProof
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        fields = [self.proof.identity.to_bytes(), self.signature]
        return _frame(_PROOF, [*fields, *_certified(self.proof)])


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


def _certified(proof: HostProof) -> list[object]:
    """The last field of a host whose key in use is not its root key; others have none."""
    return [] if proof.certificate is None else [proof.certificate.to_bytes()]


def _frame(kind: int, fields: list[object]) -> bytes:
    return bytes([kind]) + dumps_plain(fields)


def parse_control_untrusted(frame: bytes) -> Control:
    """Read a link's own control frame; raises `Malformed` only."""
    kind = frame[0] if frame else OWNERS
    plain = loads_plain_untrusted(frame[1:], max_bytes=CONTROL_BYTES_MAX, depth=_DEPTH)
    if kind == _HELLO:
        (version, identity, nonce), certificate = _fields(plain, 3, "hello")
        shape.version(version, VERSION, "hello")
        nonce = shape.octets(nonce, NONCE_BYTES, "hello: nonce")
        return Hello(HostProof(_identity(identity), certificate), nonce)
    if kind == _PROOF:
        (identity, signature), certificate = _fields(plain, 2, "proof")
        signature = shape.octets(signature, SIGNATURE_BYTES, "proof")
        return Proof(HostProof(_identity(identity), certificate), signature)
    if kind == _ACCEPTED:
        shape.array(plain, 0, "acceptance")
        return Accepted()
    if kind == _SPEAKS:
        identity, body = shape.array(plain, 2, "certificate frame")
        return Speaks(_identity(identity), _certificate(body))
    if kind == _ANSWER:
        machine, accepted = shape.array(plain, 2, "answer")
        if type(accepted) is not bool:
            shape.refuse("answer")
        return Answer(shape.octets(machine, ADDRESS_BYTES, "answer: machine"), accepted)
    raise Malformed("a control frame of no known kind")


def _fields(plain: object, count: int, what: str) -> tuple[list[object], Certificate | None]:
    """The fields of a host's proof, and the certificate behind them where there is one."""
    fields = shape.items(plain, count + 1, what)
    if len(fields) == count:
        return fields, None
    *fields, certificate = shape.array(plain, count + 1, what)
    return fields, _certificate(certificate)


def _certificate(value: object) -> Certificate:
    body = shape.some_octets(value, 1, CERTIFICATE_BYTES_MAX, "control frame: certificate")
    return parse_certificate_untrusted(body)


def _identity(value: object) -> Identity:
    body = shape.some_octets(value, 1, IDENTITY_BYTES_MAX, "control frame: identity")
    return parse_identity_untrusted(body)
