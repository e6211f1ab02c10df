"""Operational certificates: a machine's root key says which host and key speak for it, and until when.

Before the journey: links and location records rest on these, so that the key in daily use can be
changed and a machine can move while its root key stays away and its address stays the same.

Theory of operation. The root key signs the machine's address, the host's address and key, an
incarnation, a sequence within it, a start, an expiry and `renew_until_ms`. From then on the host key
may move the expiry itself, never past `renew_until_ms`: that is how far the root key may stay away,
and how long a machine remains with a host it cannot reach any more. No renewal: the two are equal.
"""

from dataclasses import replace

from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import CapsError
from caps.identity import ADDRESS_BYTES, KEY_BYTES, SIGNATURE_BYTES, Identity, RootKey, verify
from caps.light import dataclass

CERTIFICATE_BYTES_MAX = 300

_VERSION = 1
_ROOT_DOMAIN = b"certificate"
_RENEWAL_DOMAIN = b"certificate renewal"


class InvalidCertificate(CapsError):
    """The certificate does not prove that the host speaks for the machine."""


class WrongMachine(InvalidCertificate):
    """The certificate is for another machine."""


class WrongSignature(InvalidCertificate):
    """A signature on the certificate is not by the key that must have made it."""


class NotYetValid(InvalidCertificate):
    """The certificate is not valid yet."""


class ExpiredCertificate(InvalidCertificate):
    """The certificate has expired: the machine's owner or its host must renew it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the root key signs; times in milliseconds since 1970, addresses and key 32 bytes."""

    machine: bytes
    host: bytes
    host_key: bytes
    incarnation: int
    sequence: int
    not_before_ms: int
    expiry_ms: int
    renew_until_ms: int

    def fields(self) -> list[object]:
        """Return the fields in the order of the wire, the version first."""
        return [
            _VERSION,
            self.machine,
            self.host,
            self.host_key,
            self.incarnation,
            self.sequence,
            self.not_before_ms,
            self.expiry_ms,
            self.renew_until_ms,
        ]

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed."""
        return dumps_plain(self.fields())


@dataclass(frozen=True, slots=True)
class Renewal:
    """A later expiry, signed by the host key."""

    expiry_ms: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """Terms, the root key's signature over them, and the host's renewal if there is one."""

    terms: Terms
    signature: bytes
    renewal: Renewal | None = None

    @property
    def expiry_ms(self) -> int:
        """The expiry that holds, renewed or not."""
        return self.renewal.expiry_ms if self.renewal else self.terms.expiry_ms

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most `CERTIFICATE_BYTES_MAX`."""
        renewal = [self.renewal.expiry_ms, self.renewal.signature] if self.renewal else None
        return dumps_plain([*self.terms.fields(), self.signature, renewal])

    def check(self, identity: Identity, now_ms: int) -> None:
        """Raise an `InvalidCertificate` unless it speaks for that machine at that time."""
        self.check_signed(identity)
        self.check_time(now_ms)

    def check_time(self, now_ms: int) -> None:
        """Raise an `InvalidCertificate` before its start and from its expiry on."""
        if now_ms < self.terms.not_before_ms:
            raise NotYetValid(f"not valid before {self.terms.not_before_ms} ms, it is {now_ms}")
        if now_ms >= self.expiry_ms:
            raise ExpiredCertificate(f"expired at {self.expiry_ms} ms, it is {now_ms}")

    def check_signed(self, identity: Identity) -> None:
        """Raise an `InvalidCertificate` unless it was ever made for that machine, in due form."""
        if self.terms.machine != identity.address:
            raise WrongMachine("the certificate is for another machine")
        body = self.terms.to_bytes()
        if not verify(identity.public_key, _ROOT_DOMAIN, body, self.signature):
            raise WrongSignature("the certificate is not signed by the machine's root key")
        if self.renewal is None:
            return
        renewed = _renewal_bytes(body, self.renewal.expiry_ms)
        if not verify(self.terms.host_key, _RENEWAL_DOMAIN, renewed, self.renewal.signature):
            raise WrongSignature("the renewal is not signed by the host's key")

    @property
    def is_hosts_own(self) -> bool:
        """Whether it is of the key of a host itself, and speaks for no machine; see `caps.hostproof`."""
        return self.terms.machine == self.terms.host

    def is_for(self, address: bytes, key: bytes) -> bool:
        """Tell whether this is the host it names, by address and by the key that it has proven."""
        return self.terms.host == address and self.terms.host_key == key

    def newer_than(self, other: "Certificate") -> bool:
        """Tell whether this one replaces the other: incarnation, then sequence, then expiry."""
        assert self.terms.machine == other.terms.machine
        return self._order() > other._order()

    def _order(self) -> tuple[int, int, int]:
        return self.terms.incarnation, self.terms.sequence, self.expiry_ms


def issue(root: RootKey, terms: Terms) -> Certificate:
    """Sign the terms with the machine's root key; raises `Malformed` for terms nobody would read."""
    signature = root.sign(_ROOT_DOMAIN, terms.to_bytes())
    return parse_certificate_untrusted(Certificate(terms, signature).to_bytes())


def renew(certificate: Certificate, host_key: RootKey, expiry_ms: int) -> Certificate:
    """Move the expiry with the host's key; a `ValueError` outside what the terms allow."""
    if host_key.public_key != certificate.terms.host_key:
        raise ValueError("only the host's key renews this certificate")
    if not certificate.terms.expiry_ms < expiry_ms <= certificate.terms.renew_until_ms:
        raise ValueError("the terms do not allow a renewal to that time")
    body = _renewal_bytes(certificate.terms.to_bytes(), expiry_ms)
    renewal = Renewal(expiry_ms, host_key.sign(_RENEWAL_DOMAIN, body))
    return replace(certificate, renewal=renewal)


def parse_certificate_untrusted(body: bytes) -> Certificate:
    """Read a certificate from a stranger's bytes; raises `Malformed` only."""
    plain = loads_plain_untrusted(body, max_bytes=CERTIFICATE_BYTES_MAX, depth=3)
    fields = shape.array(plain, 11, "certificate")
    shape.version(fields[0], _VERSION, "certificate")
    terms = Terms(
        machine=shape.octets(fields[1], ADDRESS_BYTES, "certificate: machine"),
        host=shape.octets(fields[2], ADDRESS_BYTES, "certificate: host"),
        host_key=shape.octets(fields[3], KEY_BYTES, "certificate: host key"),
        incarnation=shape.integer(fields[4], 0, shape.U32_MAX, "certificate: incarnation"),
        sequence=shape.integer(fields[5], 0, shape.U32_MAX, "certificate: sequence"),
        not_before_ms=shape.time_ms(fields[6], "certificate: start"),
        expiry_ms=shape.time_ms(fields[7], "certificate: expiry"),
        renew_until_ms=shape.time_ms(fields[8], "certificate: renewal limit"),
    )
    if not terms.not_before_ms < terms.expiry_ms <= terms.renew_until_ms:
        shape.refuse("certificate: times")
    signature = shape.octets(fields[9], SIGNATURE_BYTES, "certificate: signature")
    return Certificate(terms, signature, _renewal(fields[10], terms))


def _renewal(value: object, terms: Terms) -> Renewal | None:
    if value is None:
        return None
    expiry, signature = shape.array(value, 2, "certificate: renewal")
    low, high = terms.expiry_ms + 1, terms.renew_until_ms
    expiry_ms = shape.integer(expiry, low, high, "certificate: renewed expiry")
    return Renewal(expiry_ms, shape.octets(signature, SIGNATURE_BYTES, "certificate: renewal"))


def _renewal_bytes(terms: bytes, expiry_ms: int) -> bytes:
    return dumps_plain([terms, expiry_ms])
