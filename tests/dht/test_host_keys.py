"""Records of hosts whose keys change: which replaces which, and what is evidence against an address."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from caps.certificate import Certificate, Terms, issue
from caps.hostproof import certify_host
from caps.identity import Endpoint, RootKey, Route, parse_endpoint
from dht.errors import ExpiredRecord, InvalidRecord
from dht.newest import Newest, Verdict
from dht.proofs import Kind, Proved
from dht.provider import Provider, parse_provider_untrusted, provide
from dht.record import (
    ENDPOINTS_MAX,
    RECORD_BYTES_MAX,
    Location,
    LocationRecord,
    parse_location_untrusted,
    publish,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "hostkeys.json").read_text())

NOW_MS = 1_700_000_000_000
LATE_MS = NOW_MS + 1_000_000
ROOT, OTHER, OWNER = RootKey(b"r" * 32), RootKey(b"o" * 32), RootKey(b"m" * 32)
OLD, NEW, TWIN = RootKey(b"1" * 32), RootKey(b"2" * 32), RootKey(b"3" * 32)
HOME = ROOT.identity({"type": "avm-host"})
MACHINE = OWNER.identity({"name": "counter"})
WHERE = (parse_endpoint("192.0.2.1:4000"),)
FIRST = certify_host(ROOT, HOME, OLD.public_key, NOW_MS, LATE_MS)
SECOND = certify_host(ROOT, HOME, NEW.public_key, NOW_MS + 1_000, LATE_MS, FIRST.certificate)
SAME = certify_host(ROOT, HOME, TWIN.public_key, NOW_MS, LATE_MS)


def host_record(key: RootKey, certificate: Certificate | None, sequence: int = 1) -> LocationRecord:
    incarnation = 1 if certificate is None else certificate.terms.incarnation
    return publish(Location(HOME, incarnation, sequence, LATE_MS, WHERE, certificate), key)


def machines(key: RootKey, at_s: int, host: bytes = HOME.address) -> Certificate:
    """A machine's certificate for a host and key, made at that time."""
    terms = Terms(MACHINE.address, host, key.public_key, 3, at_s, 0, LATE_MS, LATE_MS)
    return issue(OWNER, terms)


def machine_record(key: RootKey, at_s: int, sequence: int) -> LocationRecord:
    return publish(Location(MACHINE, 3, sequence, LATE_MS, machines(key, at_s)), key)


def proved(record: LocationRecord) -> Proved:
    record.check(NOW_MS)
    return Proved(Kind.LOCATION, record.key, record.to_bytes(), record)


def offered(*records: LocationRecord) -> list[Verdict]:
    newest = Newest(10)
    return [newest.offer(proved(record)) for record in records]


def test_w18_a_host_is_where_its_certified_key_says_it_is() -> None:
    record = host_record(OLD, FIRST.certificate)
    record.check(NOW_MS)
    assert parse_location_untrusted(record.to_bytes()) == record
    assert record.key == HOME.address and record.location.signer == OLD.public_key
    with pytest.raises(ExpiredRecord, match="its certificate"):
        publish(replace(record.location, expiry_ms=2 * LATE_MS), OLD).check(LATE_MS)


def test_w18_a_hosts_own_certificate_is_no_location_of_a_machine() -> None:
    assert FIRST.certificate is not None
    where = FIRST.certificate
    with pytest.raises(InvalidRecord, match="host's own key"):
        publish(Location(HOME, where.terms.incarnation, 9, LATE_MS, where), OLD)


def test_w18_a_record_by_a_key_that_is_not_certified_is_refused() -> None:
    assert FIRST.certificate is not None
    stolen = issue(OTHER, FIRST.certificate.terms)
    with pytest.raises(InvalidRecord, match="root key"):
        host_record(OLD, stolen)
    with pytest.raises(InvalidRecord, match="does not sign"):
        host_record(NEW, FIRST.certificate)
    with pytest.raises(InvalidRecord, match="does not sign"):
        host_record(OLD, None)
    there = Location(HOME, 7, 1, LATE_MS, WHERE, FIRST.certificate)
    with pytest.raises(InvalidRecord, match="another incarnation"):
        publish(there, OLD)
    of_machine = replace(there, subject=MACHINE, incarnation=3, certificate=machines(OLD, 1))
    with pytest.raises(InvalidRecord, match="a machine's"):
        publish(of_machine, OLD)
    two = replace(there, where=machines(OLD, 1), incarnation=3)
    with pytest.raises(InvalidRecord, match="two certificates"):
        publish(two, OLD)


def test_w18_a_later_key_of_a_host_replaces_an_earlier_one_and_never_the_reverse() -> None:
    by_root = host_record(ROOT, None, sequence=900)
    by_old = host_record(OLD, FIRST.certificate, sequence=500)
    by_new = host_record(NEW, SECOND.certificate, sequence=1)
    newer, older = Verdict.NEWER, Verdict.OLDER
    assert offered(by_root, by_old, by_new, by_old, by_root) == [newer, newer, newer, older, older]


def test_w18_two_keys_of_a_host_under_one_number_are_evidence() -> None:
    one, other = host_record(OLD, FIRST.certificate), host_record(TWIN, SAME.certificate, 9)
    assert FIRST.incarnation == SAME.incarnation
    assert one.contradicts(other)
    assert offered(one, other) == [Verdict.NEWER, Verdict.CONTRADICTS]


def test_w18_a_host_that_changed_its_key_is_no_evidence_against_its_machines() -> None:
    before, after = machine_record(OLD, 100, sequence=7), machine_record(NEW, 200, sequence=8)
    assert not before.contradicts(after) and not after.contradicts(before)
    assert offered(before, after, before) == [Verdict.NEWER, Verdict.NEWER, Verdict.OLDER]


def test_w18_two_hosts_of_a_machine_are_evidence_whatever_their_keys() -> None:
    elsewhere = machines(NEW, 200, OTHER.identity({"type": "avm-host"}).address)
    copy = publish(Location(MACHINE, 3, 9, LATE_MS, elsewhere), NEW)
    assert copy.contradicts(machine_record(NEW, 100, 7))
    assert copy.contradicts(machine_record(OLD, 100, 7))


def test_w18_an_old_key_does_not_outbid_the_new_one_by_its_sequence() -> None:
    greedy = machine_record(OLD, 100, sequence=2**32 - 1)
    after = machine_record(NEW, 200, sequence=8)
    assert offered(greedy, after, greedy) == [Verdict.NEWER, Verdict.NEWER, Verdict.OLDER]
    assert proved(after).newer_than(proved(greedy))
    assert not proved(greedy).newer_than(proved(after))


def test_the_largest_record_of_a_certified_host_fits() -> None:
    introducers = tuple(
        Route(bytes([n] * 32), Endpoint(bytes([32] * 15 + [n]), 65535))
        for n in range(ENDPOINTS_MAX)
    )
    location = Location(HOME, SECOND.incarnation, 2**32 - 1, 2**63 - 1, introducers)
    record = publish(replace(location, certificate=SECOND.certificate), NEW)
    assert len(record.to_bytes()) <= RECORD_BYTES_MAX
    assert parse_location_untrusted(record.to_bytes()) == record


def test_a_provider_record_is_signed_by_the_certified_key() -> None:
    provider = Provider(
        MACHINE.address, HOME, 1, NOW_MS, LATE_MS + 1, {"replica": "yes"}, FIRST.certificate
    )
    record = provide(provider, OLD)
    record.check(NOW_MS)
    assert parse_provider_untrusted(record.to_bytes()) == record
    with pytest.raises(ExpiredRecord, match="its certificate"):
        record.check(LATE_MS)
    with pytest.raises(InvalidRecord, match="does not sign"):
        provide(replace(provider, certificate=None), OLD)
    assert FIRST.certificate is not None
    stolen = replace(provider, certificate=issue(OTHER, FIRST.certificate.terms))
    with pytest.raises(InvalidRecord, match="root key"):
        provide(stolen, OLD).check_signed()


def test_the_records_of_certified_hosts_have_the_bytes_of_the_vectors() -> None:
    provider = Provider(MACHINE.address, HOME, 1, NOW_MS, LATE_MS, {}, FIRST.certificate)
    made = {
        "location": host_record(OLD, FIRST.certificate).to_bytes(),
        "provider": provide(provider, OLD).to_bytes(),
    }
    assert {name: body.hex() for name, body in made.items()} == VECTORS["records"]
    for body in made.values():
        assert len(body) <= RECORD_BYTES_MAX
