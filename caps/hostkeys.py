"""What a host's key file holds, and its root key in a file of its own: bytes, and back. Pure.

Before the journey. A host that uses its root key has 64 bytes: the seed, and the secret of all else.
Where an operational key is used the file says so in its first line and holds that key, its certificate,
the root key while it is here, and a next key until that is certified. Either is put under a passphrase
as it is; see `caps.locked`.
"""

from dataclasses import replace

from caps import shape
from caps.certificate import CERTIFICATE_BYTES_MAX, InvalidCertificate
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.hostproof import HostProof, proof_of
from caps.identity import (
    IDENTITY_BYTES_MAX,
    SEED_BYTES,
    Identity,
    RootKey,
    parse_identity_untrusted,
)
from caps.light import dataclass

SECRET_BYTES = 32
OPEN_BYTES = SEED_BYTES + SECRET_BYTES
FILE_BYTES_MAX = 2_048
MAGIC = b"avm-host keys, certified\n"
ROOT_MAGIC = b"avm-host root key\n"

_VERSION = 1


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The keys of a host as its key file has them; `proof` is None where its root key is used.

    `root_seed` is empty while the root key is away, `next_seed` unless another key is to be certified.
    """

    seed: bytes
    secret: bytes
    proof: HostProof | None = None
    root_seed: bytes = b""
    next_seed: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        if self.proof is None:
            return self.seed + self.secret
        proof = [self.proof.identity.to_bytes(), self.proof.certificate_bytes]
        seeds = [self.root_seed, self.next_seed]
        return MAGIC + dumps_plain([_VERSION, self.seed, self.secret, *proof, *seeds])

    @property
    def root(self) -> RootKey | None:
        """The root key, where it is here."""
        seed = self.seed if self.proof is None else self.root_seed
        return RootKey(seed) if seed else None

    def certified(self, proof: HostProof) -> "HostKeys":
        """These keys with a later certificate, of the key in use or of the next one; a `ValueError`."""
        if proof.key == RootKey(self.seed).public_key:
            return replace(self, proof=proof)
        if not self.next_seed or proof.key != RootKey(self.next_seed).public_key:
            raise ValueError("the certificate is of another key")
        return replace(self, seed=self.next_seed, proof=proof, next_seed=b"")


def is_certified(body: bytes) -> bool:
    """Tell whether these are keys of which one is certified, or mean to be."""
    return body.startswith(MAGIC)


def parse_host_keys_untrusted(body: bytes) -> HostKeys:
    """Read a key file that is in the open; raises `Malformed` only.

    What it holds fits together: the certificate is of this key, and by this root key.
    """
    if not is_certified(body):
        if len(body) != OPEN_BYTES:
            raise Malformed(f"it has {len(body)} bytes, not {OPEN_BYTES}")
        return HostKeys(body[:SEED_BYTES], body[SEED_BYTES:])
    plain = loads_plain_untrusted(body[len(MAGIC) :], max_bytes=FILE_BYTES_MAX, depth=2)
    version, seed, secret, identity, certificate, root, following = shape.array(plain, 7, "keys")
    shape.version(version, _VERSION, "keys")
    seed = shape.octets(seed, SEED_BYTES, "keys: key")
    proof = proof_untrusted(identity, certificate)
    if proof.key != RootKey(seed).public_key:
        raise Malformed("keys: the certificate is of another key")
    root = _seed(root, "keys: root key")
    if root and RootKey(root).public_key != proof.identity.public_key:
        raise Malformed("keys: the root key is another host's")
    secret = shape.octets(secret, SECRET_BYTES, "keys: secret")
    return HostKeys(seed, secret, proof, root, _seed(following, "keys: next key"))


def proof_untrusted(identity: object, certificate: object) -> HostProof:
    """Read an identity and a certificate of its key that the root key signed; raises `Malformed` only."""
    shown = shape.some_octets(identity, 1, IDENTITY_BYTES_MAX, "host's identity")
    body = shape.some_octets(certificate, 1, CERTIFICATE_BYTES_MAX, "host's certificate")
    proof = proof_of(parse_identity_untrusted(shown), body)
    try:
        proof.check_signed()
    except InvalidCertificate as error:
        raise Malformed(f"host's certificate: {error}") from error
    return proof


def _seed(value: object, what: str) -> bytes:
    seed = shape.some_octets(value, 0, SEED_BYTES, what)
    if len(seed) not in (0, SEED_BYTES):
        shape.refuse(what)
    return seed


def root_file(seed: bytes, identity: Identity) -> bytes:
    """Return a root key and its identity as the body of a file, which is put under a passphrase."""
    return ROOT_MAGIC + dumps_plain([_VERSION, seed, identity.to_bytes()])


def is_root(body: bytes) -> bool:
    """Tell whether this is a root key in a file of its own, or means to be."""
    return body.startswith(ROOT_MAGIC)


def parse_root_file_untrusted(body: bytes) -> tuple[RootKey, Identity]:
    """Read a root key out of its file, taken from under its passphrase; raises `Malformed` only."""
    if not is_root(body):
        raise Malformed("it is no root key of a host")
    plain = loads_plain_untrusted(body[len(ROOT_MAGIC) :], max_bytes=FILE_BYTES_MAX, depth=2)
    version, seed, identity = shape.array(plain, 3, "root key")
    shape.version(version, _VERSION, "root key")
    root = RootKey(shape.octets(seed, SEED_BYTES, "root key: seed"))
    shown = shape.some_octets(identity, 1, IDENTITY_BYTES_MAX, "root key: identity")
    known = parse_identity_untrusted(shown)
    if known.public_key != root.public_key:
        raise Malformed("root key: another identity's")
    return root, known
