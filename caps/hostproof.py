"""By which key a host proves who it is: its root key, or an operational key that its root key certifies.

Before the journey: links, machines' certificates and location records rest on it, so that a host's key
in daily use can be changed and its root key kept elsewhere while its address stays the same.

Theory of operation. A host's certificate is an operational certificate in which machine and host are
the host itself. Its incarnation belongs to the key: a new key has a later one, and a certificate that
only ends later has the same one and a later sequence. The root key itself counts as incarnation 1, the
first. Who has seen a later incarnation takes no earlier one; two keys under one are evidence.
"""

from caps.certificate import (
    Certificate,
    InvalidCertificate,
    Terms,
    issue,
    parse_certificate_untrusted,
)
from caps.identity import Identity, RootKey
from caps.light import dataclass

ROOT_INCARNATION = 1
# A certificate holds from so far back: clocks of two hosts differ.
BACK_MS = 24 * 60 * 60 * 1000


class WrongHost(InvalidCertificate):
    """The certificate is not one by which a host's root key names the host's own key."""


@dataclass(frozen=True, slots=True)
class HostProof:
    """A host's identity, and the certificate of its operational key; None where the root key is used."""

    identity: Identity
    certificate: Certificate | None = None

    @property
    def address(self) -> bytes:
        """The host's address."""
        return self.identity.address

    @property
    def key(self) -> bytes:
        """The public key that the host proves itself by."""
        if self.certificate is None:
            return self.identity.public_key
        return self.certificate.terms.host_key

    @property
    def incarnation(self) -> int:
        """The number of the key: the greater replaces the lesser."""
        if self.certificate is None:
            return ROOT_INCARNATION
        return self.certificate.terms.incarnation

    @property
    def certificate_bytes(self) -> bytes:
        """The certificate in bytes; empty for a root key."""
        return b"" if self.certificate is None else self.certificate.to_bytes()

    @property
    def expiry_ms(self) -> int | None:
        """When the key ends; a root key never does."""
        return None if self.certificate is None else self.certificate.expiry_ms

    def check(self, now_ms: int) -> None:
        """Raise an `InvalidCertificate` unless the key is the host's at that time."""
        self.check_signed()
        self.check_time(now_ms)

    def check_time(self, now_ms: int) -> None:
        """Raise an `InvalidCertificate` before the certificate's start and from its expiry on."""
        if self.certificate is not None:
            self.certificate.check_time(now_ms)

    def check_signed(self) -> None:
        """Raise an `InvalidCertificate` unless the root key ever certified the key."""
        if self.certificate is None:
            return
        terms = self.certificate.terms
        if not self.certificate.is_hosts_own:
            raise WrongHost("the certificate is a machine's")
        if terms.incarnation <= ROOT_INCARNATION:
            raise WrongHost("the certificate has the number of the root key")
        self.certificate.check_signed(self.identity)


def proof_of(identity: Identity, certificate: bytes) -> HostProof:
    """A proof of its parts, empty bytes for the root key; raises `Malformed`. Nothing is checked yet."""
    parsed = parse_certificate_untrusted(certificate) if certificate else None
    return HostProof(identity, parsed)


def certify_host(
    root: RootKey,
    identity: Identity,
    key: bytes,
    now_ms: int,
    until_ms: int,
    before: Certificate | None = None,
) -> HostProof:
    """Certify a host's operational key until a time; `before` is the certificate that it replaces.

    The same key keeps its incarnation, with a later sequence. Raises `Malformed` for a time that is over.
    """
    if root.public_key != identity.public_key:
        raise ValueError("that is not the root key of this host")
    now_s, sequence = now_ms // 1000, 0
    incarnation = max(now_s, ROOT_INCARNATION + 1)
    if before is not None and before.terms.host_key == key:
        incarnation, sequence = before.terms.incarnation, max(now_s, before.terms.sequence + 1)
    elif before is not None:
        incarnation = max(incarnation, before.terms.incarnation + 1)
    terms = Terms(
        machine=identity.address,
        host=identity.address,
        host_key=key,
        incarnation=incarnation,
        sequence=sequence,
        not_before_ms=min(max(0, now_ms - BACK_MS), until_ms),
        expiry_ms=until_ms,
        renew_until_ms=until_ms,
    )
    return HostProof(identity, issue(root, terms))
