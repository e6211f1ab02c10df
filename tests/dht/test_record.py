import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caps.certificate import CERTIFICATE_BYTES_MAX, Terms, issue, renew
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.identity import (
    IDENTITY_BYTES_MAX,
    Endpoint,
    Identity,
    RootKey,
    parse_endpoint,
)
from caps.shape import TIME_MS_MAX, U32_MAX
from dht.errors import ExpiredRecord, InvalidRecord
from dht.record import (
    ENDPOINTS_MAX,
    RECORD_BYTES_MAX,
    Location,
    LocationRecord,
    parse_identity_record_untrusted,
    parse_location_untrusted,
    publish,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "location.json").read_text())

ROOT = RootKey(b"r" * 32)
HOST = RootKey(b"h" * 32)
OTHER = RootKey(b"o" * 32)
MACHINE = ROOT.identity({"name": "counter"})
HOME = HOST.identity({})
TERMS = Terms(MACHINE.address, HOME.address, HOST.public_key, 3, 1, 1_000, 2_000, 5_000)
CERTIFICATE = issue(ROOT, TERMS)
ENDPOINTS = (parse_endpoint("192.0.2.1:4000"), parse_endpoint("[2001:db8::1]:4000"))
AT_HOME = Location(HOME, 2, 7, 1_900, ENDPOINTS)
ELSEWHERE = Location(MACHINE, 3, 7, 1_900, CERTIFICATE)
RECORDS = (publish(AT_HOME, HOST), publish(ELSEWHERE, HOST))

records = st.sampled_from(RECORDS)
numbers = st.integers(0, U32_MAX)
times = st.integers(0, TIME_MS_MAX)


@settings(max_examples=40)
@given(st.sampled_from([AT_HOME, ELSEWHERE]), numbers, numbers, times)
def test_a_location_record_is_its_bytes_and_holds_until_its_expiry(
    location: Location, incarnation: int, sequence: int, expiry_ms: int
) -> None:
    where = location.where
    if where is CERTIFICATE:
        where = issue(ROOT, replace(TERMS, incarnation=incarnation, renew_until_ms=TIME_MS_MAX))
    record = publish(
        replace(
            location, incarnation=incarnation, sequence=sequence, expiry_ms=expiry_ms, where=where
        ),
        HOST,
    )
    body = record.to_bytes()
    assert parse_location_untrusted(body) == record
    assert parse_location_untrusted(body).to_bytes() == body
    with pytest.raises(ExpiredRecord):
        record.check(expiry_ms)
    if expiry_ms > 1_000:
        record.check(min(expiry_ms - 1, 1_999))


@settings(max_examples=150)
@given(records, st.data())
def test_a_flipped_bit_anywhere_is_refused(record: LocationRecord, data: st.DataObject) -> None:
    body = bytearray(record.to_bytes())
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidRecord):
        parse_location_untrusted(bytes(body)).check(1_500)


@given(st.binary(max_size=80))
def test_a_strangers_bytes_raise_one_error_only(body: bytes) -> None:
    with pytest.raises(InvalidRecord):
        parse_location_untrusted(body)
    with pytest.raises(InvalidRecord):
        parse_identity_record_untrusted(bytes(32), body)


@given(records, st.data())
def test_a_truncated_record_is_refused(record: LocationRecord, data: st.DataObject) -> None:
    body = record.to_bytes()
    with pytest.raises(InvalidRecord):
        parse_location_untrusted(body[: data.draw(st.integers(0, len(body) - 1))])


@pytest.mark.parametrize("record", RECORDS, ids=["host", "machine"])
@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize(
    "value", [None, True, -1, 2**64 - 1, b"", bytes(31), "x", [], [1]], ids=repr
)
def test_a_field_of_another_shape_is_refused(
    record: LocationRecord, index: int, value: object
) -> None:
    fields = loads_plain_untrusted(record.to_bytes(), max_bytes=RECORD_BYTES_MAX)
    assert isinstance(fields, list)
    fields[index] = value
    with pytest.raises(InvalidRecord):
        parse_location_untrusted(dumps_plain(fields))


@pytest.mark.parametrize(
    "where",
    [
        [[b"\1\2\3", 1]],
        [[bytes(5), 1]],
        [[bytes(4), 0]],
        [[bytes(4), 65536]],
        [[bytes(4), True]],
        [[bytes(10) + b"\xff\xff" + bytes(4), 1]],
        [[bytes(4), 1]] * 2,
        [[bytes(3) + bytes([n]), 1] for n in range(ENDPOINTS_MAX + 1)],
    ],
    ids=repr,
)
def test_endpoints_that_are_none_are_refused(where: object) -> None:
    fields = loads_plain_untrusted(RECORDS[0].to_bytes(), max_bytes=RECORD_BYTES_MAX)
    assert isinstance(fields, list)
    fields[5] = where
    with pytest.raises(InvalidRecord):
        parse_location_untrusted(dumps_plain(fields))


def test_only_the_key_that_must_sign_publishes() -> None:
    for location in (AT_HOME, ELSEWHERE):
        for key in (ROOT, OTHER):
            with pytest.raises(InvalidRecord, match="does not sign"):
                publish(location, key)
    forged = replace(RECORDS[1], signature=RECORDS[0].signature)
    with pytest.raises(InvalidRecord, match="must sign"):
        forged.check(1_500)


def test_a_certificate_of_another_machine_incarnation_or_owner_proves_nothing() -> None:
    with pytest.raises(InvalidRecord, match="another machine"):
        publish(replace(ELSEWHERE, subject=OTHER.identity({})), HOST)
    with pytest.raises(InvalidRecord, match="another incarnation"):
        publish(replace(ELSEWHERE, incarnation=4), HOST)
    stolen = issue(OTHER, TERMS)
    with pytest.raises(InvalidRecord, match="root key"):
        publish(replace(ELSEWHERE, where=stolen), HOST)


def test_a_record_does_not_outlive_its_certificate_but_a_renewal_does() -> None:
    long = replace(ELSEWHERE, expiry_ms=10_000)
    record = publish(long, HOST)
    record.check(1_999)
    with pytest.raises(ExpiredRecord, match="its certificate"):
        record.check(2_000)
    with pytest.raises(ExpiredRecord, match="its certificate"):
        record.check(999)
    publish(replace(long, where=renew(CERTIFICATE, HOST, 4_000)), HOST).check(3_999)


def test_the_newer_is_by_incarnation_then_sequence() -> None:
    first = RECORDS[0]
    later = publish(replace(AT_HOME, sequence=8), HOST)
    reborn = publish(replace(AT_HOME, incarnation=3, sequence=0), HOST)
    assert reborn.newer_than(later)
    assert later.newer_than(first)
    assert not first.newer_than(first)
    assert not first.newer_than(later)


def test_two_hosts_under_one_incarnation_are_evidence() -> None:
    terms = replace(TERMS, host=OTHER.identity({}).address, host_key=OTHER.public_key)
    second = publish(replace(ELSEWHERE, where=issue(ROOT, terms)), OTHER)
    assert second.contradicts(RECORDS[1])
    assert not publish(replace(ELSEWHERE, sequence=8), HOST).contradicts(RECORDS[1])
    moved = issue(ROOT, replace(terms, incarnation=4))
    assert not publish(replace(ELSEWHERE, incarnation=4, where=moved), OTHER).contradicts(
        RECORDS[1]
    )


def test_a_location_says_where_to_go_on() -> None:
    assert RECORDS[0].key == HOME.address == AT_HOME.host == ELSEWHERE.host
    assert RECORDS[1].key == MACHINE.address
    assert ELSEWHERE.signer == AT_HOME.signer == HOST.public_key


def longest_identity(root: RootKey) -> Identity:
    spare = IDENTITY_BYTES_MAX - len(root.identity({"a": "x" * 300}).to_bytes()) + 300
    return root.identity({"a": "x" * spare})


def test_the_largest_records_fit() -> None:
    machine, host = longest_identity(ROOT), longest_identity(HOST)
    terms = Terms(
        machine.address,
        host.address,
        HOST.public_key,
        U32_MAX,
        U32_MAX,
        TIME_MS_MAX - 3,
        TIME_MS_MAX - 2,
        TIME_MS_MAX,
    )
    certificate = renew(issue(ROOT, terms), HOST, TIME_MS_MAX)
    endpoints = tuple(Endpoint(bytes([32] * 15 + [n]), 65535) for n in range(ENDPOINTS_MAX))
    assert len(certificate.to_bytes()) <= CERTIFICATE_BYTES_MAX
    assert len(machine.to_bytes()) == IDENTITY_BYTES_MAX
    for subject, where in ((machine, certificate), (host, endpoints)):
        record = publish(Location(subject, U32_MAX, U32_MAX, TIME_MS_MAX, where), HOST)
        assert len(record.to_bytes()) <= RECORD_BYTES_MAX
        assert parse_location_untrusted(record.to_bytes()) == record


def test_an_identity_record_is_the_identity_under_its_hash() -> None:
    assert parse_identity_record_untrusted(MACHINE.address, MACHINE.to_bytes()) == MACHINE
    with pytest.raises(InvalidRecord, match="hash"):
        parse_identity_record_untrusted(HOME.address, MACHINE.to_bytes())


@pytest.mark.parametrize("case", VECTORS["identities"])
def test_pinned_identity_records_both_ways(case: dict[str, str]) -> None:
    body = bytes.fromhex(case["bytes"])
    identity = parse_identity_record_untrusted(bytes.fromhex(case["key"]), body)
    assert identity.to_bytes() == body


@pytest.mark.parametrize("case", VECTORS["locations"])
def test_pinned_location_records_both_ways(case: dict[str, Any]) -> None:
    body = bytes.fromhex(case["bytes"])
    record = parse_location_untrusted(body)
    location = record.location
    assert record.to_bytes() == body
    assert record.key.hex() == case["key"]
    assert location.host.hex() == case["host"]
    assert (location.incarnation, location.sequence) == (case["incarnation"], case["sequence"])
    assert location.expiry_ms == case["expiry_ms"]
    if isinstance(location.where, tuple):
        assert [str(endpoint) for endpoint in location.where] == case["endpoints"]
    assert publish(location, RootKey(bytes.fromhex(case["signer_seed"]))).to_bytes() == body
    record.check(case["checked_at_ms"])


@pytest.mark.parametrize("body", VECTORS["refused"])
def test_pinned_refusals(body: str) -> None:
    with pytest.raises(InvalidRecord):
        parse_location_untrusted(bytes.fromhex(body)).check(1_500)
