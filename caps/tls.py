"""The certificate with which a host's key stands behind its QUIC connections.

Before the journey, and apart from identities: it needs X.509, which takes long to import and which
a host that is in no network does without.
"""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from caps.identity import RootKey

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "avm")])
_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
# "No well-defined expiration" (RFC 5280, section 4.1.2.5): who may speak when is said elsewhere.
_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def tls_certificate(root: RootKey) -> bytes:
    """Return a self-signed X.509 certificate of this key, always the same bytes, as DER."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(root._key))
    builder = x509.CertificateBuilder(_NAME, _NAME, key.public_key(), 1)
    builder = builder.not_valid_before(_BEFORE).not_valid_after(_AFTER)
    return builder.sign(key, None).public_bytes(Encoding.DER)
