"""The handshake: what two hosts say and check before a link is up. Pure.

Theory of operation. TLS has proven to the dialer who holds the key of the peer's self-signed
certificate, and to nobody who that is. The side that was dialed says its identity and a nonce. The
dialer checks that the identity hashes to the address it dialed and that its key is the certificate's:
the identity's own, or one that it certifies. Until then it has said nothing. Then it says its own
identity and signs both keys and the nonce: a signature made for one host is of no use at another. The
other side checks, and accepts.

    DIALING --hello--> PROVING --accepted--> UP        LISTENING --proof--> UP
"""

from enum import Enum, auto

from avm.link.control import VERSION, Accepted, Answer, Control, Hello, Proof, Speaks
from avm.link.interface import Why
from caps.certificate import Certificate, InvalidCertificate
from caps.codec import dumps_plain
from caps.hostproof import HostProof
from caps.identity import Identity, RootKey, verify
from caps.light import dataclass

PROOF_DOMAIN = b"link"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this host is, and the key that proves it; `certificate` where that is not its root key."""

    key: RootKey
    identity: Identity
    certificate: Certificate | None = None

    @property
    def proof(self) -> HostProof:
        """What others are shown."""
        return HostProof(self.identity, self.certificate)


@dataclass(frozen=True, slots=True)
class Shown:
    """What TLS has proven of the peer: its certificate's key and times; `key` empty if not Ed25519."""

    key: bytes
    not_before_ms: int
    not_after_ms: int


class Stage(Enum):
    """How far a link is."""

    DIALING = auto()
    PROVING = auto()
    LISTENING = auto()
    UP = auto()
    ENDED = auto()


NEXT: dict[tuple[Stage, type[Control]], Stage] = {
    (Stage.DIALING, Hello): Stage.PROVING,
    (Stage.PROVING, Accepted): Stage.UP,
    (Stage.LISTENING, Proof): Stage.UP,
    (Stage.UP, Speaks): Stage.UP,
    (Stage.UP, Answer): Stage.UP,
}


class Refuse(Exception):
    """The peer is refused: `why` is for the local operator, the peer hears only that it is so."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(why.value)
        self.why = why
        self.detail = detail


class Handshake:
    """One side of a handshake."""

    __slots__ = ("_me", "_nonce", "_wanted", "peer", "stage")

    def __init__(self, me: Credentials, stage: Stage, wanted: bytes, nonce: bytes) -> None:
        self._me = me
        self._wanted = wanted
        self._nonce = nonce
        self.stage = stage
        self.peer: HostProof | None = None

    @classmethod
    def dialing(cls, me: Credentials, address: bytes) -> "Handshake":
        """The side that dials the host of that address."""
        return cls(me, Stage.DIALING, address, b"")

    @classmethod
    def listening(cls, me: Credentials, nonce: bytes) -> "Handshake":
        """The side that was dialed; the nonce is fresh and never used again."""
        return cls(me, Stage.LISTENING, b"", nonce)

    def opening(self) -> bytes | None:
        """What this side says first of all, if it is the one that does."""
        if self.stage is not Stage.LISTENING:
            return None
        return Hello(self._me.proof, self._nonce).to_bytes()

    def hear(self, said: Control, shown: Shown | None, now_ms: int) -> bytes | None:
        """Take what the peer said and return what to say to it; raises `Refuse`."""
        stage = NEXT.get((self.stage, type(said)))
        if stage is None:
            raise Refuse(Why.MALFORMED, f"{type(said).__name__} while {self.stage.name}")
        answer = None
        if isinstance(said, Hello):
            answer = self._hear_hello(said, shown, now_ms)
        elif isinstance(said, Proof):
            answer = self._hear_proof(said, now_ms)
        self.stage = stage
        return answer

    def _hear_hello(self, said: Hello, shown: Shown | None, now_ms: int) -> bytes:
        if said.proof.address != self._wanted:
            raise Refuse(Why.WRONG_ADDRESS)
        if shown is None or shown.key != said.proof.key:
            raise Refuse(Why.WRONG_KEY)
        if not shown.not_before_ms <= now_ms < shown.not_after_ms:
            raise Refuse(Why.EXPIRED)
        _check(said.proof, now_ms)
        self.peer = said.proof
        body = signed_body(said.proof.key, self._me.proof.key, said.nonce)
        return Proof(self._me.proof, self._me.key.sign(PROOF_DOMAIN, body)).to_bytes()

    def _hear_proof(self, said: Proof, now_ms: int) -> bytes:
        _check(said.proof, now_ms)
        body = signed_body(self._me.proof.key, said.proof.key, self._nonce)
        if not verify(said.proof.key, PROOF_DOMAIN, body, said.signature):
            raise Refuse(Why.WRONG_SIGNATURE)
        self.peer = said.proof
        return Accepted().to_bytes()


def _check(proof: HostProof, now_ms: int) -> None:
    """Refuse a key that the host's root key does not certify now."""
    try:
        proof.check_signed()
    except InvalidCertificate as error:
        raise Refuse(Why.UNCERTIFIED, str(error)) from error
    try:
        proof.check_time(now_ms)
    except InvalidCertificate as error:
        raise Refuse(Why.EXPIRED, str(error)) from error


def signed_body(listener_key: bytes, dialer_key: bytes, nonce: bytes) -> bytes:
    """Return what a dialer signs in the domain `link`."""
    return dumps_plain([VERSION, listener_key, dialer_key, nonce])
