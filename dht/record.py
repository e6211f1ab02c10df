"""The records of the network: an identity under its hash, and the location of an address.

Step 7 of the journey: the outbox asks where an address lives, and the answer is one of these. Each
carries what is needed to check it, so storer and reader ask nobody: an identity record is the
identity's bytes and hashes to its key; a location record is signed.

A host's location holds its endpoints, or who introduces it, and is signed by the host's own key: its
root key, or the one whose certificate is in the record, whose incarnation is then the record's too. A
machine's holds the operational certificate that names its host, no endpoint, and is signed by that
host's key: a host that changes its port publishes one record and not one a machine.
"""

from typing import TypeAlias

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
    Endpoint,
    Identity,
    RootKey,
    Route,
    parse_identity_untrusted,
    verify,
)
from caps.light import dataclass
from dht.errors import ExpiredRecord, InvalidRecord

RECORD_BYTES_MAX = 1000
ENDPOINTS_MAX = 8

_VERSION = 1
_DOMAIN = b"location"

# A route names the host that introduces the subject, and where that one is.
Place: TypeAlias = Endpoint | Route
Where: TypeAlias = tuple[Place, ...] | Certificate


def parse_identity_record_untrusted(key: bytes, body: bytes) -> Identity:
    """Read the identity stored under `key`, its address; raises `InvalidRecord` only."""
    try:
        identity = parse_identity_untrusted(body)
    except Malformed as error:
        raise InvalidRecord(str(error)) from error
    if identity.address != key:
        raise InvalidRecord("the identity does not hash to the key it is stored under")
    return identity


@dataclass(frozen=True, slots=True)
class Location:
    """What a location record says, before it is signed.

    `where` is how a host is reached, 1 to `ENDPOINTS_MAX` ways, best first: an endpoint of its own, or
    the route of a host that introduces it. For a machine it is the certificate of its host. Times in
    milliseconds since 1970. `certificate` is that of the host's key, where it is not its root key.
    """

    subject: Identity
    incarnation: int
    sequence: int
    expiry_ms: int
    where: Where
    certificate: Certificate | None = None

    def fields(self) -> list[object]:
        """Return the fields in the order of the wire, the version first."""
        certificate = [] if self.certificate is None else [self.certificate.to_bytes()]
        return [
            _VERSION,
            self.subject.to_bytes(),
            self.incarnation,
            self.sequence,
            self.expiry_ms,
            _plain(self.where),
            *certificate,
        ]

    @property
    def signer(self) -> bytes:
        """The public key that must sign it."""
        if isinstance(self.where, Certificate):
            return self.where.terms.host_key
        return self.proof.key

    @property
    def proof(self) -> HostProof:
        """Of a host's location: by which key it is the host's."""
        return HostProof(self.subject, self.certificate)

    @property
    def host(self) -> bytes:
        """The address of the host where the subject lives; a host lives at itself."""
        if isinstance(self.where, Certificate):
            return self.where.terms.host
        return self.subject.address


def _plain(where: Where) -> object:
    if isinstance(where, Certificate):
        return where.to_bytes()
    return [_plain_place(place) for place in where]


def _plain_place(place: Place) -> list[object]:
    if isinstance(place, Route):
        return [place.endpoint.ip, place.endpoint.port, place.address]
    return [place.ip, place.port]


@dataclass(frozen=True, slots=True)
class LocationRecord:
    """A location and the signature over it: nothing is proved before `check`."""

    location: Location
    signature: bytes

    @property
    def key(self) -> bytes:
        """The address it is stored under."""
        return self.location.subject.address

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most `RECORD_BYTES_MAX`."""
        return dumps_plain([*self.location.fields(), self.signature])

    def check(self, now_ms: int) -> None:
        """Raise an `InvalidRecord` unless it proves at that time where its subject lives."""
        if now_ms >= self.location.expiry_ms:
            raise ExpiredRecord(f"expired at {self.location.expiry_ms} ms, it is {now_ms}")
        self.check_signed()
        self.check_time(now_ms)

    def check_time(self, now_ms: int) -> None:
        """Raise an `InvalidRecord` unless it holds at that time, certificate included."""
        where = self.location.where
        if now_ms >= self.location.expiry_ms:
            raise ExpiredRecord(f"expired at {self.location.expiry_ms} ms, it is {now_ms}")
        try:
            if isinstance(where, Certificate):
                where.check_time(now_ms)
            else:
                self.location.proof.check_time(now_ms)
        except InvalidCertificate as error:
            raise ExpiredRecord(f"its certificate: {error}") from error

    def check_signed(self) -> None:
        """Raise an `InvalidRecord` unless it was ever made by whom it must be made."""
        where, certificate = self.location.where, self.location.certificate
        named = where if isinstance(where, Certificate) else certificate
        if named is not None and named.terms.incarnation != self.location.incarnation:
            raise InvalidRecord("the certificate is of another incarnation")
        try:
            if isinstance(where, Certificate):
                if where.is_hosts_own:
                    raise InvalidRecord("the certificate is of a host's own key")
                where.check_signed(self.location.subject)
            else:
                self.location.proof.check_signed()
        except InvalidCertificate as error:
            raise InvalidRecord(str(error)) from error
        body = dumps_plain(self.location.fields())
        if not verify(self.location.signer, _DOMAIN, body, self.signature):
            raise InvalidRecord("the record is not signed by the key that must sign it")

    def newer_than(self, other: "LocationRecord") -> bool:
        """Tell whether this one replaces the other: by incarnation, then by sequence.

        Of two of a machine at one host by two keys it is the one whose certificate was made later: an
        old key of a host must not outbid the new one.
        """
        assert self.key == other.key
        mine, theirs = self.location, other.location
        if isinstance(mine.where, Certificate) and isinstance(theirs.where, Certificate):
            same = (mine.incarnation, mine.host) == (theirs.incarnation, theirs.host)
            made = mine.where.terms.sequence, theirs.where.terms.sequence
            if same and mine.signer != theirs.signer and made[0] != made[1]:
                return made[0] > made[1]
        return self._order() > other._order()

    def contradicts(self, other: "LocationRecord") -> bool:
        """Tell whether the two are evidence: one incarnation, and two hosts, or two keys of a host's own.

        A machine's host may change its key meanwhile: which one is its key now the host itself proves.
        It is evidence only when both pass `check_signed`.
        """
        assert self.key == other.key
        mine, theirs = self.location, other.location
        if mine.incarnation != theirs.incarnation:
            return False
        if isinstance(mine.where, Certificate) and isinstance(theirs.where, Certificate):
            return mine.host != theirs.host
        return (mine.host, mine.signer) != (theirs.host, theirs.signer)

    def _order(self) -> tuple[int, int]:
        return self.location.incarnation, self.location.sequence


def publish(location: Location, signer: RootKey) -> LocationRecord:
    """Sign a location with the host's key; raises `InvalidRecord` for one that nobody would take."""
    if signer.public_key != location.signer:
        raise InvalidRecord("that key does not sign this location")
    signature = signer.sign(_DOMAIN, dumps_plain(location.fields()))
    record = LocationRecord(location, signature)
    parse_location_untrusted(record.to_bytes()).check_signed()
    return record


def parse_location_untrusted(body: bytes) -> LocationRecord:
    """Read a location record from a stranger's bytes; raises `InvalidRecord` only.

    Nothing is proved yet: `check` does the public-key work.
    """
    try:
        return _location_record(loads_plain_untrusted(body, max_bytes=RECORD_BYTES_MAX, depth=4))
    except Malformed as error:
        raise InvalidRecord(str(error)) from error


def _location_record(plain: object) -> LocationRecord:
    fields = shape.items(plain, 8, "location")
    certificate = None
    if len(fields) == 8:
        certificate = _certificate(fields.pop(6))
    fields = shape.array(fields, 7, "location")
    shape.version(fields[0], _VERSION, "location")
    identity = shape.some_octets(fields[1], 1, IDENTITY_BYTES_MAX, "location: subject")
    location = Location(
        subject=parse_identity_untrusted(identity),
        incarnation=shape.integer(fields[2], 0, shape.U32_MAX, "location: incarnation"),
        sequence=shape.integer(fields[3], 0, shape.U32_MAX, "location: sequence"),
        expiry_ms=shape.time_ms(fields[4], "location: expiry"),
        where=_where(fields[5]),
        certificate=certificate,
    )
    if certificate is not None and isinstance(location.where, Certificate):
        shape.refuse("location: two certificates")
    signature = shape.octets(fields[6], SIGNATURE_BYTES, "location: signature")
    return LocationRecord(location, signature)


def _certificate(plain: object) -> Certificate:
    octets = shape.some_octets(plain, 1, CERTIFICATE_BYTES_MAX, "location: certificate")
    return parse_certificate_untrusted(octets)


def _where(plain: object) -> Where:
    if type(plain) is bytes:
        return _certificate(plain)
    places = tuple(map(_place, shape.items(plain, ENDPOINTS_MAX, "location: endpoints")))
    if not places or len(set(places)) != len(places):
        shape.refuse("location: endpoints")
    return places


def _place(plain: object) -> Place:
    fields = shape.items(plain, 3, "location: endpoint")
    ip, port, *introducer = (
        fields if len(fields) == 3 else shape.array(fields, 2, "location: endpoint")
    )
    ip = shape.some_octets(ip, 4, 16, "location: IP")
    endpoint = Endpoint(ip, shape.integer(port, 1, 65535, "location: port"))
    if not introducer:
        return endpoint
    return Route(shape.octets(introducer[0], ADDRESS_BYTES, "location: introducer"), endpoint)
