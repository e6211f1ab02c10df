"""How a host asks for a certificate of its key where its root key is, and what it is given. Pure.

Before the journey. Both files are public and go between two places by hand. The request is signed by
the key that the host uses now, so that nobody on the way has another key certified; the answer is the
certificate, which proves itself.
"""

from dataclasses import dataclass

from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.hostkeys import FILE_BYTES_MAX, proof_untrusted
from caps.hostproof import HostProof, certify_host
from caps.identity import KEY_BYTES, SIGNATURE_BYTES, Identity, RootKey, verify

REQUEST_MAGIC = b"avm-host asks for a certificate\n"
ANSWER_MAGIC = b"avm-host certificate\n"

_VERSION = 1
_DOMAIN = b"certificate request"


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """The key that is to be certified, 32 bytes, and the certified one by which the host asks."""

    key: bytes
    before: HostProof
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        return REQUEST_MAGIC + dumps_plain([*_fields(self.key, self.before), self.signature])


def _fields(key: bytes, before: HostProof) -> list[object]:
    return [_VERSION, key, before.identity.to_bytes(), before.certificate_bytes]


def request(key: bytes, before: HostProof, signer: RootKey) -> CertificateRequest:
    """Ask for a certificate of a key, by the host's present one."""
    assert signer.public_key == before.key
    return CertificateRequest(key, before, signer.sign(_DOMAIN, dumps_plain(_fields(key, before))))


def parse_request_untrusted(body: bytes) -> CertificateRequest:
    """Read a request that the host's present key signed; raises `Malformed` only."""
    fields = _read(body, REQUEST_MAGIC, 5, "request for a certificate")
    key = shape.octets(fields[1], KEY_BYTES, "request: key")
    before = proof_untrusted(fields[2], fields[3])
    signature = shape.octets(fields[4], SIGNATURE_BYTES, "request: signature")
    if not verify(before.key, _DOMAIN, dumps_plain(_fields(key, before)), signature):
        raise Malformed("the request is not signed by the host's key")
    return CertificateRequest(key, before, signature)


def certify(
    asked: CertificateRequest, root: RootKey, identity: Identity, now_ms: int, until_ms: int
) -> HostProof:
    """Grant a request with the root key; raises `Malformed` where that is another host's."""
    if asked.before.identity != identity:
        raise Malformed("the request is another host's than the root key")
    before = asked.before.certificate
    return certify_host(root, identity, asked.key, now_ms, until_ms, before)


def is_request(body: bytes) -> bool:
    """Tell whether this is a request for a certificate, or means to be."""
    return body.startswith(REQUEST_MAGIC)


def answer_bytes(proof: HostProof) -> bytes:
    """Return a host's certificate as the bytes of a file."""
    fields = [_VERSION, proof.identity.to_bytes(), proof.certificate_bytes]
    return ANSWER_MAGIC + dumps_plain(fields)


def is_answer(body: bytes) -> bool:
    """Tell whether this is a certificate for a host, or means to be."""
    return body.startswith(ANSWER_MAGIC)


def parse_answer_untrusted(body: bytes) -> HostProof:
    """Read a certificate that the root key of its host signed; raises `Malformed` only."""
    fields = _read(body, ANSWER_MAGIC, 3, "certificate of a host")
    return proof_untrusted(fields[1], fields[2])


def _read(body: bytes, magic: bytes, count: int, what: str) -> list[object]:
    if not body.startswith(magic):
        raise Malformed(f"it is no {what}")
    plain = loads_plain_untrusted(body[len(magic) :], max_bytes=FILE_BYTES_MAX, depth=2)
    fields = shape.array(plain, count, what)
    shape.version(fields[0], _VERSION, what)
    return fields
