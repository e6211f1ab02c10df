"""A host's operational key under its root key: who may be the host by which key, and until when."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caps.certificate import (
    Certificate,
    ExpiredCertificate,
    InvalidCertificate,
    NotYetValid,
    Terms,
    WrongMachine,
    WrongSignature,
    issue,
)
from caps.certifying import (
    ANSWER_MAGIC,
    REQUEST_MAGIC,
    answer_bytes,
    certify,
    parse_answer_untrusted,
    parse_request_untrusted,
    request,
)
from caps.errors import Malformed
from caps.hostkeys import (
    FILE_BYTES_MAX,
    MAGIC,
    ROOT_MAGIC,
    HostKeys,
    parse_host_keys_untrusted,
    parse_root_file_untrusted,
    root_file,
)
from caps.hostproof import BACK_MS, HostProof, WrongHost, certify_host, proof_of
from caps.identity import RootKey

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "hostkeys.json").read_text())

NOW_MS = 1_700_000_000_000
UNTIL_MS = NOW_MS + 1_000_000
ROOT, OTHER = RootKey(b"r" * 32), RootKey(b"o" * 32)
IDENTITY = ROOT.identity({"type": "avm-host"})
SEED, NEXT_SEED, SECRET = b"k" * 32, b"n" * 32, b"s" * 32
KEY, NEXT = RootKey(SEED), RootKey(NEXT_SEED)
PROOF = certify_host(ROOT, IDENTITY, KEY.public_key, NOW_MS, UNTIL_MS)
assert PROOF.certificate is not None
LATER = certify_host(ROOT, IDENTITY, NEXT.public_key, NOW_MS + 5_000, UNTIL_MS, PROOF.certificate)
KEYS = HostKeys(SEED, SECRET, PROOF, b"r" * 32)


def changed(**terms: object) -> HostProof:
    """A proof that the root key signed, of terms that `certify_host` does not make."""
    assert PROOF.certificate is not None
    made = issue(ROOT, replace(PROOF.certificate.terms, **terms))  # type: ignore[arg-type]
    return HostProof(IDENTITY, made)


def test_a_root_key_proves_itself_and_never_ends() -> None:
    plain = HostProof(IDENTITY)
    plain.check(0)
    plain.check(2**62)
    assert (plain.key, plain.incarnation) == (ROOT.public_key, 1)
    assert plain.expiry_ms is None and plain.certificate_bytes == b""


def test_s07_a_certified_key_is_the_hosts_in_its_time_alone() -> None:
    PROOF.check(NOW_MS)
    PROOF.check(UNTIL_MS - 1)
    PROOF.check(NOW_MS - BACK_MS)
    assert PROOF.address == IDENTITY.address and PROOF.key == KEY.public_key
    with pytest.raises(ExpiredCertificate):
        PROOF.check(UNTIL_MS)
    with pytest.raises(NotYetValid):
        PROOF.check(NOW_MS - BACK_MS - 1)


def test_s07_a_key_that_the_root_key_did_not_certify_is_nobodys() -> None:
    assert PROOF.certificate is not None
    terms = PROOF.certificate.terms
    forged = HostProof(IDENTITY, issue(OTHER, terms))
    with pytest.raises(WrongSignature):
        forged.check(NOW_MS)
    with pytest.raises(WrongSignature):
        HostProof(IDENTITY, issue(KEY, replace(terms, host_key=NEXT.public_key))).check(NOW_MS)
    with pytest.raises(WrongMachine):
        HostProof(OTHER.identity({"type": "avm-host"}), PROOF.certificate).check(NOW_MS)


def test_s07_a_machines_certificate_makes_nobody_a_host() -> None:
    machines = changed(host=OTHER.identity({}).address)
    with pytest.raises(WrongHost, match="a machine's"):
        machines.check(NOW_MS)
    with pytest.raises(WrongHost, match="number of the root key"):
        changed(incarnation=1).check(NOW_MS)


@settings(max_examples=100)
@given(st.data())
def test_a_flipped_bit_of_a_hosts_certificate_is_refused(data: st.DataObject) -> None:
    body = bytearray(PROOF.certificate_bytes)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises((Malformed, InvalidCertificate)):
        proof_of(IDENTITY, bytes(body)).check(NOW_MS)


@given(st.integers(2, 2**32 - 2), st.integers(0, 2**40))
def test_another_key_has_a_later_number_and_the_same_key_keeps_its_own(
    incarnation: int, now_ms: int
) -> None:
    before = changed(incarnation=incarnation).certificate
    assert before is not None
    until_ms = now_ms + 10_000
    other = certify_host(ROOT, IDENTITY, NEXT.public_key, now_ms, until_ms, before)
    same = certify_host(ROOT, IDENTITY, KEY.public_key, now_ms, until_ms, before)
    assert other.incarnation > before.terms.incarnation
    assert same.incarnation == before.terms.incarnation
    for one in (other, same):
        assert isinstance(one.certificate, Certificate)
        assert one.certificate.newer_than(before)
        one.check(now_ms)


def test_only_the_hosts_own_root_key_certifies() -> None:
    with pytest.raises(ValueError, match="not the root key"):
        certify_host(OTHER, IDENTITY, KEY.public_key, NOW_MS, UNTIL_MS)
    with pytest.raises(Malformed):
        certify_host(ROOT, IDENTITY, KEY.public_key, NOW_MS, NOW_MS - 2 * BACK_MS)


# Files.


def test_a_key_file_is_its_bytes_with_the_root_key_here_or_away() -> None:
    for keys in (
        HostKeys(SEED, SECRET),
        KEYS,
        replace(KEYS, root_seed=b""),
        replace(KEYS, root_seed=b"", next_seed=NEXT_SEED),
    ):
        body = keys.to_bytes()
        assert len(body) <= FILE_BYTES_MAX
        assert parse_host_keys_untrusted(body) == keys
    assert KEYS.root is not None and replace(KEYS, root_seed=b"").root is None
    assert HostKeys(SEED, SECRET).to_bytes() == SEED + SECRET


def test_x01_a_key_file_whose_root_key_is_away_does_not_hold_it() -> None:
    away = replace(KEYS, root_seed=b"")
    assert b"r" * 32 in KEYS.to_bytes() and b"r" * 32 not in away.to_bytes()


def test_a_key_file_that_does_not_fit_together_is_malformed() -> None:
    assert PROOF.certificate is not None
    for keys in (
        replace(KEYS, seed=NEXT_SEED),
        replace(KEYS, root_seed=b"o" * 32),
        replace(KEYS, proof=replace(PROOF, identity=OTHER.identity({"type": "avm-host"}))),
        replace(KEYS, root_seed=b"r" * 31),
        replace(KEYS, secret=b"short"),
    ):
        with pytest.raises(Malformed):
            parse_host_keys_untrusted(keys.to_bytes())


def test_a_certificate_is_taken_for_the_key_in_use_or_the_next_one_and_no_other() -> None:
    waiting = replace(KEYS, root_seed=b"", next_seed=NEXT_SEED)
    assert waiting.certified(LATER) == HostKeys(NEXT_SEED, SECRET, LATER)
    assert PROOF.certificate is not None
    longer = certify_host(ROOT, IDENTITY, KEY.public_key, NOW_MS, UNTIL_MS + 1, PROOF.certificate)
    assert waiting.certified(longer) == replace(waiting, proof=longer)
    with pytest.raises(ValueError, match="another key"):
        replace(KEYS, next_seed=b"").certified(LATER)


def test_what_is_asked_is_certified_where_the_root_key_is() -> None:
    asked = request(NEXT.public_key, PROOF, KEY)
    assert parse_request_untrusted(asked.to_bytes()) == asked
    proof = certify(asked, ROOT, IDENTITY, NOW_MS + 1_000, UNTIL_MS)
    assert proof.key == NEXT.public_key and proof.incarnation > PROOF.incarnation
    assert parse_answer_untrusted(answer_bytes(proof)) == proof
    with pytest.raises(Malformed, match="another host's"):
        certify(asked, OTHER, OTHER.identity({"type": "avm-host"}), NOW_MS, UNTIL_MS)


def test_s07_nobody_on_the_way_has_another_key_certified() -> None:
    asked = request(KEY.public_key, PROOF, KEY)
    stolen = replace(asked, key=OTHER.public_key)
    with pytest.raises(Malformed, match="not signed"):
        parse_request_untrusted(stolen.to_bytes())
    signed = request(OTHER.public_key, PROOF, KEY).signature
    with pytest.raises(Malformed, match="not signed"):
        parse_request_untrusted(replace(asked, signature=signed).to_bytes())


def test_a_certificate_that_is_not_the_root_keys_is_no_answer() -> None:
    assert PROOF.certificate is not None
    forged = HostProof(IDENTITY, issue(OTHER, PROOF.certificate.terms))
    with pytest.raises(Malformed, match="not signed by"):
        parse_answer_untrusted(answer_bytes(forged))


@given(st.binary(max_size=200))
def test_a_strangers_files_raise_malformed_only(body: bytes) -> None:
    for magic, parse in (
        (MAGIC, parse_host_keys_untrusted),
        (ROOT_MAGIC, parse_root_file_untrusted),
        (REQUEST_MAGIC, parse_request_untrusted),
        (ANSWER_MAGIC, parse_answer_untrusted),
    ):
        for one in (body, magic + body):
            if len(one) == 64 and parse is parse_host_keys_untrusted:
                continue
            with pytest.raises(Malformed):
                parse(one)


def test_the_bytes_of_each_file_are_pinned() -> None:
    asked = request(NEXT.public_key, PROOF, KEY)
    made = {
        "keys": KEYS.to_bytes(),
        "keys, root key away, another asked for": replace(
            KEYS, root_seed=b"", next_seed=NEXT_SEED
        ).to_bytes(),
        "root key": root_file(b"r" * 32, IDENTITY),
        "request": asked.to_bytes(),
        "certificate": answer_bytes(LATER),
    }
    assert {name: body.hex() for name, body in made.items()} == VECTORS["files"]
    again = VECTORS["files"]
    root, identity = parse_root_file_untrusted(bytes.fromhex(again["root key"]))
    assert (root.public_key, identity) == (ROOT.public_key, IDENTITY)
    assert parse_host_keys_untrusted(bytes.fromhex(again["keys"])) == KEYS
    assert parse_request_untrusted(bytes.fromhex(again["request"])) == asked
    assert parse_answer_untrusted(bytes.fromhex(again["certificate"])) == LATER


def test_the_terms_of_a_hosts_certificate_are_those_of_any() -> None:
    assert PROOF.certificate is not None
    assert PROOF.certificate.terms == Terms(
        machine=IDENTITY.address,
        host=IDENTITY.address,
        host_key=KEY.public_key,
        incarnation=NOW_MS // 1000,
        sequence=0,
        not_before_ms=NOW_MS - BACK_MS,
        expiry_ms=UNTIL_MS,
        renew_until_ms=UNTIL_MS,
    )
