"""Provider records: a host says, signed, that it holds a copy of what an address names.

Step 7 of the journey: where a location says where an address lives, provider records say who else
serves it (replicas), when that host was last seen, and a little text about it that changes. Anyone
may say so of any address: what a provider serves proves itself, the record proves only who spoke.
"""

from collections.abc import Mapping

from caps import shape
from caps.certificate import (
    CERTIFICATE_BYTES_MAX,
    Certificate,
    InvalidCertificate,
    parse_certificate_untrusted,
)
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.hostproof import HostProof
from caps.identity import (
    ADDRESS_BYTES,
    IDENTITY_BYTES_MAX,
    SIGNATURE_BYTES,
    Identity,
    RootKey,
    parse_identity_untrusted,
    verify,
)
from caps.light import dataclass
from caps.map import Map
from dht.errors import ExpiredRecord, InvalidRecord
from dht.record import RECORD_BYTES_MAX

METADATA_BYTES_MAX = 200

_VERSION = 1
_DOMAIN = b"provider"


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider record says, before it is signed; times in milliseconds since 1970.

    `seen_ms` is when the host signed it; `metadata` is text by text, at most
    `METADATA_BYTES_MAX` bytes encoded. `certificate` is that of the host's key, where it is not its root
    key.
    """

    key: bytes
    host: Identity
    sequence: int
    seen_ms: int
    expiry_ms: int
    metadata: Mapping[str, str]
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", Map(self.metadata))

    def fields(self) -> list[object]:
        """Return the fields in the order of the wire, the version first."""
        return [
            _VERSION,
            self.key,
            self.host.to_bytes(),
            self.sequence,
            self.seen_ms,
            self.expiry_ms,
            dict(self.metadata),
            *([] if self.certificate is None else [self.certificate.to_bytes()]),
        ]

    @property
    def proof(self) -> HostProof:
        """By which key it is signed as the host's."""
        return HostProof(self.host, self.certificate)


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A provider and its host's signature: nothing is proved before `check`."""

    provider: Provider
    signature: bytes

    @property
    def key(self) -> bytes:
        """The address it is stored under."""
        return self.provider.key

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most `RECORD_BYTES_MAX`."""
        return dumps_plain([*self.provider.fields(), self.signature])

    def check(self, now_ms: int) -> None:
        """Raise an `InvalidRecord` unless its host signed it and it holds at that time."""
        self.check_time(now_ms)
        self.check_signed()

    def check_time(self, now_ms: int) -> None:
        """Raise an `ExpiredRecord` from its expiry on."""
        if now_ms >= self.provider.expiry_ms:
            raise ExpiredRecord(f"expired at {self.provider.expiry_ms} ms, it is {now_ms}")
        try:
            self.provider.proof.check_time(now_ms)
        except InvalidCertificate as error:
            raise ExpiredRecord(f"its certificate: {error}") from error

    def check_signed(self) -> None:
        """Raise an `InvalidRecord` unless its host's key signed it."""
        proof, body = self.provider.proof, dumps_plain(self.provider.fields())
        try:
            proof.check_signed()
        except InvalidCertificate as error:
            raise InvalidRecord(str(error)) from error
        if not verify(proof.key, _DOMAIN, body, self.signature):
            raise InvalidRecord("the provider record is not signed by its host")


def provide(provider: Provider, signer: RootKey) -> ProviderRecord:
    """Sign a provider with the host's key; raises `InvalidRecord` for what nobody would take."""
    if signer.public_key != provider.proof.key:
        raise InvalidRecord("that key does not sign for this host")
    record = ProviderRecord(provider, signer.sign(_DOMAIN, dumps_plain(provider.fields())))
    return parse_provider_untrusted(record.to_bytes())


def parse_provider_untrusted(body: bytes) -> ProviderRecord:
    """Read a provider record from a stranger's bytes; raises `InvalidRecord` only."""
    try:
        plain = loads_plain_untrusted(body, max_bytes=RECORD_BYTES_MAX, depth=4)
        fields = shape.items(plain, 9, "provider")
        certificate = None
        if len(fields) == 9:
            octets = fields.pop(7)
            octets = shape.some_octets(octets, 1, CERTIFICATE_BYTES_MAX, "provider: certificate")
            certificate = parse_certificate_untrusted(octets)
        fields = shape.array(fields, 8, "provider")
        shape.version(fields[0], _VERSION, "provider")
        identity = shape.some_octets(fields[2], 1, IDENTITY_BYTES_MAX, "provider: host")
        metadata = shape.text_map(fields[6], "provider: metadata")
        if len(dumps_plain(metadata)) > METADATA_BYTES_MAX:
            shape.refuse("provider: metadata")
        provider = Provider(
            key=shape.octets(fields[1], ADDRESS_BYTES, "provider: key"),
            host=parse_identity_untrusted(identity),
            sequence=shape.integer(fields[3], 0, shape.U32_MAX, "provider: sequence"),
            seen_ms=shape.time_ms(fields[4], "provider: last seen"),
            expiry_ms=shape.time_ms(fields[5], "provider: expiry"),
            metadata=metadata,
            certificate=certificate,
        )
        signature = shape.octets(fields[7], SIGNATURE_BYTES, "provider: signature")
    except Malformed as error:
        raise InvalidRecord(str(error)) from error
    return ProviderRecord(provider, signature)
