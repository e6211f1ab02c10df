import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caps.certificate import (
    CERTIFICATE_BYTES_MAX,
    Certificate,
    ExpiredCertificate,
    InvalidCertificate,
    NotYetValid,
    Renewal,
    Terms,
    WrongMachine,
    WrongSignature,
    issue,
    parse_certificate_untrusted,
    renew,
)
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.identity import RootKey
from caps.shape import TIME_MS_MAX, U32_MAX

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "certificate.json").read_text())

ROOT = RootKey(b"r" * 32)
HOST = RootKey(b"h" * 32)
MACHINE_IDENTITY = ROOT.identity({"name": "counter"})
HOST_IDENTITY = HOST.identity({})
TERMS = Terms(
    machine=MACHINE_IDENTITY.address,
    host=HOST_IDENTITY.address,
    host_key=HOST.public_key,
    incarnation=3,
    sequence=1,
    not_before_ms=1_000,
    expiry_ms=2_000,
    renew_until_ms=5_000,
)
ISSUED = issue(ROOT, TERMS)
RENEWED = renew(ISSUED, HOST, 4_000)


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    times = sorted(draw(st.sets(st.integers(0, TIME_MS_MAX), min_size=4, max_size=4)))
    numbers = st.integers(0, U32_MAX)
    terms = replace(
        TERMS,
        incarnation=draw(numbers),
        sequence=draw(numbers),
        not_before_ms=times[0],
        expiry_ms=times[1],
        renew_until_ms=times[3],
    )
    issued = issue(ROOT, terms)
    return renew(issued, HOST, times[2]) if draw(st.booleans()) else issued


@settings(max_examples=40)
@given(certificates())
def test_a_certificate_is_its_bytes_and_holds_in_its_time(certificate: Certificate) -> None:
    body = certificate.to_bytes()
    assert len(body) <= CERTIFICATE_BYTES_MAX
    assert parse_certificate_untrusted(body) == certificate
    certificate.check(MACHINE_IDENTITY, certificate.terms.not_before_ms)
    certificate.check(MACHINE_IDENTITY, certificate.expiry_ms - 1)
    with pytest.raises(ExpiredCertificate):
        certificate.check(MACHINE_IDENTITY, certificate.expiry_ms)
    with pytest.raises(NotYetValid):
        certificate.check(MACHINE_IDENTITY, certificate.terms.not_before_ms - 1)


@settings(max_examples=150)
@given(st.sampled_from([ISSUED, RENEWED]), st.data())
def test_a_flipped_bit_anywhere_is_refused(certificate: Certificate, data: st.DataObject) -> None:
    body = bytearray(certificate.to_bytes())
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises((Malformed, InvalidCertificate)):
        parse_certificate_untrusted(bytes(body)).check(MACHINE_IDENTITY, 1_500)


@given(st.sampled_from([ISSUED, RENEWED]), st.integers(0, 280))
def test_a_truncated_certificate_is_malformed(certificate: Certificate, size: int) -> None:
    body = certificate.to_bytes()
    with pytest.raises(Malformed):
        parse_certificate_untrusted(body[: min(size, len(body) - 1)])


@given(st.binary(max_size=80))
def test_a_strangers_bytes_raise_malformed_only(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_certificate_untrusted(body)


@pytest.mark.parametrize("index", range(11))
@pytest.mark.parametrize(
    "value", [None, True, -1, 2**64 - 1, b"", bytes(31), "x", [], [1]], ids=repr
)
def test_a_field_of_another_shape_is_malformed(index: int, value: object) -> None:
    fields = loads_plain_untrusted(RENEWED.to_bytes(), max_bytes=400)
    assert isinstance(fields, list)
    fields[index] = value
    if index == 10 and value is None:
        return
    with pytest.raises(Malformed):
        parse_certificate_untrusted(dumps_plain(fields))


def test_another_machine_is_told_apart_from_a_wrong_signature() -> None:
    other = RootKey(b"o" * 32)
    with pytest.raises(WrongMachine):
        ISSUED.check(other.identity({"name": "counter"}), 1_500)
    with pytest.raises(WrongMachine):
        ISSUED.check(ROOT.identity({"name": "other"}), 1_500)
    with pytest.raises(WrongSignature):
        issue(other, TERMS).check(MACHINE_IDENTITY, 1_500)


def test_the_host_renews_up_to_what_was_stated_and_no_further() -> None:
    RENEWED.check(MACHINE_IDENTITY, 3_999)
    again = renew(RENEWED, HOST, 5_000)
    again.check(MACHINE_IDENTITY, 4_999)
    assert again.newer_than(RENEWED)
    assert RENEWED.newer_than(ISSUED)
    for expiry_ms in (1_999, 2_000, 5_001):
        with pytest.raises(ValueError, match="do not allow"):
            renew(ISSUED, HOST, expiry_ms)
    with pytest.raises(ValueError, match="host's key"):
        renew(ISSUED, ROOT, 4_000)


def test_a_renewal_is_the_host_keys_alone_and_for_these_terms_alone() -> None:
    assert RENEWED.renewal is not None
    forged = RootKey(b"o" * 32).sign(b"certificate renewal", TERMS.to_bytes())
    with pytest.raises(WrongSignature):
        replace(RENEWED, renewal=replace(RENEWED.renewal, signature=forged)).check_signed(
            MACHINE_IDENTITY
        )
    later = issue(ROOT, replace(TERMS, sequence=2))
    with pytest.raises(WrongSignature):
        replace(later, renewal=RENEWED.renewal).check_signed(MACHINE_IDENTITY)


@pytest.mark.parametrize("expiry_ms", [0, 1_999, 2_000, 5_001, TIME_MS_MAX])
def test_a_host_that_renews_past_what_was_stated_is_not_read(expiry_ms: int) -> None:
    signed = dumps_plain([TERMS.to_bytes(), expiry_ms])
    signature = HOST.sign(b"certificate renewal", signed)
    forged = replace(ISSUED, renewal=Renewal(expiry_ms, signature))
    forged.check_signed(MACHINE_IDENTITY)
    with pytest.raises(Malformed, match="renewed expiry"):
        parse_certificate_untrusted(forged.to_bytes())


def test_terms_out_of_order_or_range_are_not_issued() -> None:
    for terms in (
        replace(TERMS, expiry_ms=1_000),
        replace(TERMS, renew_until_ms=1_999),
        replace(TERMS, not_before_ms=-1),
        replace(TERMS, incarnation=2**32),
        replace(TERMS, host=b"short"),
    ):
        with pytest.raises(Malformed):
            issue(ROOT, terms)


def test_the_newer_is_by_incarnation_then_sequence() -> None:
    later = issue(ROOT, replace(TERMS, sequence=2))
    moved = issue(ROOT, replace(TERMS, incarnation=4, sequence=0))
    assert moved.newer_than(later)
    assert later.newer_than(RENEWED)
    assert not RENEWED.newer_than(RENEWED)


def test_it_names_one_host_by_address_and_key() -> None:
    assert ISSUED.is_for(HOST_IDENTITY.address, HOST.public_key)
    assert not ISSUED.is_for(HOST.identity({"name": "other"}).address, HOST.public_key)
    assert not ISSUED.is_for(HOST_IDENTITY.address, ROOT.public_key)


@pytest.mark.parametrize("case", VECTORS)
def test_pinned_certificates_both_ways(case: dict[str, str | int]) -> None:
    root, host = (
        RootKey(bytes.fromhex(str(case["root_seed"]))),
        RootKey(bytes.fromhex(str(case["host_seed"]))),
    )
    terms = Terms(
        machine=root.identity({"name": str(case["name"])}).address,
        host=host.identity({}).address,
        host_key=host.public_key,
        incarnation=int(case["incarnation"]),
        sequence=int(case["sequence"]),
        not_before_ms=int(case["not_before_ms"]),
        expiry_ms=int(case["expiry_ms"]),
        renew_until_ms=int(case["renew_until_ms"]),
    )
    certificate = issue(root, terms)
    if "renewed_ms" in case:
        certificate = renew(certificate, host, int(case["renewed_ms"]))
    body = bytes.fromhex(str(case["bytes"]))
    assert certificate.to_bytes() == body
    assert parse_certificate_untrusted(body) == certificate
    assert parse_certificate_untrusted(body).to_bytes() == body
