import json
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from caps.capability import (
    GENERATION_MAX,
    CommonName,
    SealedCapability,
    narrow,
    parse_wire_untrusted,
)
from caps.caveats import CAVEATS_MAX, Caveat
from caps.errors import InvalidCapability, Malformed, TooBig
from caps.sealing import (
    CONTEXT_BYTES_MAX,
    GENERATIONS_KEPT,
    PLAINTEXT_BYTES_MAX,
    MachineKeys,
    is_reply,
    pack_context,
    pack_reply,
    unpack_context,
    unpack_reply,
)
from caps.shape import TIME_MS_MAX

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "sealing.json").read_text())

ADDRESS = bytes(range(32))
SECRET = b"k" * 32
KEYS = MachineKeys(SECRET, ADDRESS)
KNOWN = frozenset(range(8))

plaintexts = st.binary(min_size=1, max_size=64)
attributes = st.fixed_dictionaries(
    {
        "generation": st.integers(0, 3) | st.integers(0, GENERATION_MAX),
        "priority": st.integers(-1000, 1000),
        "kind": st.integers(0, 3),
        "expires_ms": st.none() | st.integers(0, TIME_MS_MAX),
    }
)
chains = st.lists(st.builds(Caveat, st.integers(0, 7), st.integers(0, 99)), max_size=4)


def sealed(plaintext: bytes, given_attributes: dict[str, Any]) -> SealedCapability:
    return KEYS.seal(plaintext, **given_attributes)


def narrowed(capability: SealedCapability, chain: list[Caveat]) -> SealedCapability:
    for caveat in chain:
        capability = narrow(capability, caveat)
    return capability


def refused(capability: SealedCapability, keys: MachineKeys = KEYS) -> None:
    with pytest.raises(InvalidCapability) as caught:
        keys.unseal(capability, known_caveats=KNOWN)
    assert str(caught.value) == "the capability is not valid"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(plaintexts, attributes, chains)
def test_w14_what_is_sealed_comes_back_whatever_the_caveats(
    plaintext: bytes, given_attributes: dict[str, Any], chain: list[Caveat]
) -> None:
    capability = narrowed(sealed(plaintext, given_attributes), chain)
    arrived = parse_wire_untrusted(capability.wire())
    assert isinstance(arrived, SealedCapability)
    assert KEYS.unseal(arrived, known_caveats=KNOWN) == plaintext


@given(plaintexts, attributes)
def test_equal_contexts_give_equal_capabilities_in_another_process_too(
    plaintext: bytes, given_attributes: dict[str, Any]
) -> None:
    again = MachineKeys(SECRET, ADDRESS).seal(plaintext, **given_attributes)
    assert again == sealed(plaintext, given_attributes)


@given(plaintexts, plaintexts, attributes, attributes)
def test_other_contexts_or_attributes_give_other_capabilities(
    one: bytes, two: bytes, these: dict[str, Any], those: dict[str, Any]
) -> None:
    same = one == two and these == those
    first, second = sealed(one, these), sealed(two, those)
    assert (first.sealed == second.sealed) == same
    assert (first.proof == second.proof) == same


@given(plaintexts, attributes, chains, st.data())
def test_w14_any_flipped_bit_is_refused(
    plaintext: bytes, given_attributes: dict[str, Any], chain: list[Caveat], data: st.DataObject
) -> None:
    wire = bytearray(narrowed(sealed(plaintext, given_attributes), chain).wire())
    bit = data.draw(st.integers(0, len(wire) * 8 - 1))
    wire[bit // 8] ^= 1 << bit % 8
    try:
        changed = parse_wire_untrusted(bytes(wire))
    except Malformed:
        return
    assert isinstance(changed, SealedCapability)
    refused(changed)


@given(plaintexts, attributes, st.data())
def test_w14_truncated_or_extended_seals_are_refused(
    plaintext: bytes, given_attributes: dict[str, Any], data: st.DataObject
) -> None:
    capability = sealed(plaintext, given_attributes)
    size = data.draw(st.integers(0, len(capability.sealed) - 1))
    refused(replace(capability, sealed=capability.sealed[:size]))
    refused(replace(capability, sealed=capability.sealed + b"\0"))
    refused(replace(capability, proof=capability.proof[: size % 16]))


@given(plaintexts, attributes)
def test_w14_another_machine_refuses_it(plaintext: bytes, given_attributes: dict[str, Any]) -> None:
    capability = sealed(plaintext, given_attributes)
    other_address = bytes(reversed(ADDRESS))
    refused(capability, MachineKeys(b"K" * 32, ADDRESS))
    refused(capability, MachineKeys(SECRET, other_address))
    refused(replace(capability, address=other_address))
    refused(replace(capability, address=other_address), MachineKeys(SECRET, other_address))


@given(plaintexts, attributes, attributes)
def test_w11_altered_attributes_are_refused(
    plaintext: bytes, given_attributes: dict[str, Any], others: dict[str, Any]
) -> None:
    capability = sealed(plaintext, given_attributes)
    for name, value in others.items():
        if value != given_attributes[name]:
            refused(replace(capability, **{name: value}))


@given(plaintexts, attributes, st.integers(1, 4), st.data())
def test_caveats_cannot_be_dropped_changed_or_reordered(
    plaintext: bytes, given_attributes: dict[str, Any], count: int, data: st.DataObject
) -> None:
    chain = [Caveat(number, None) for number in range(count)]
    capability = narrowed(sealed(plaintext, given_attributes), chain)
    others: list[tuple[Caveat, ...]] = [
        tuple(chain[:-1]),
        tuple(chain[1:]),
        (*chain, Caveat(7, 1)),
        (*chain[:-1], Caveat(7, None)),
        (*chain[:-1], Caveat(count - 1, 0)),
    ]
    if count > 1:
        others.append(tuple(data.draw(st.permutations(chain).filter(lambda c: c != chain))))
    for caveats in others:
        refused(replace(capability, caveats=caveats))


def test_the_seal_alone_grants_nothing() -> None:
    capability = sealed(b"context", {"generation": 0, "priority": 0, "kind": 0, "expires_ms": None})
    caveat = Caveat(1, "only this")
    restricted = narrow(capability, caveat)
    for proof in (restricted.proof, bytes(16), b"", capability.sealed[:16]):
        refused(replace(restricted, caveats=(), proof=proof))
    assert narrow(capability, caveat).proof != capability.proof


def test_an_unknown_or_a_seventeenth_caveat_is_refused() -> None:
    capability = sealed(b"x", {"generation": 0, "priority": 0, "kind": 0, "expires_ms": None})
    refused(narrow(capability, Caveat(8, None)))
    full = narrowed(capability, [Caveat(1, n) for n in range(CAVEATS_MAX)])
    assert KEYS.unseal(full, known_caveats=KNOWN) == b"x"
    refused(full_and_one_more(full))
    refused(replace(full, caveats=(*full.caveats, Caveat(1, 99))))
    with pytest.raises(InvalidCapability):
        KEYS.unseal(narrow(capability, Caveat(1, None)))


def full_and_one_more(full: SealedCapability) -> SealedCapability:
    """Append a seventeenth caveat with the right proof, as a holder without our limit could."""
    caveat = Caveat(1, 99)
    one = narrow(replace(full, caveats=()), caveat)
    return replace(one, caveats=(*full.caveats, caveat))


@pytest.mark.parametrize(
    "out_of_range",
    [
        {"generation": 2**70},
        {"generation": -1},
        {"priority": 10**6},
        {"kind": 300},
        {"kind": -1},
        {"expires_ms": 2**64},
        {"expires_ms": -1},
    ],
    ids=str,
)
def test_a_capability_built_out_of_range_is_refused_like_any_other(
    out_of_range: dict[str, Any],
) -> None:
    capability = sealed(b"x", {"generation": 0, "priority": 0, "kind": 0, "expires_ms": None})
    refused(replace(capability, **out_of_range))


@pytest.mark.parametrize(
    ("name", "value"),
    [("generation", GENERATION_MAX + 1), ("priority", 1001), ("kind", 4), ("expires_ms", -1)],
)
def test_attributes_out_of_range_are_not_sealed(name: str, value: int) -> None:
    good = {"generation": 0, "priority": 0, "kind": 0, "expires_ms": None}
    with pytest.raises(ValueError, match="out of range"):
        sealed(b"x", {**good, name: value})
    with pytest.raises(ValueError, match="empty"):
        sealed(b"", good)
    with pytest.raises(TooBig):
        sealed(b"x" * (PLAINTEXT_BYTES_MAX + 1), good)


def test_the_layout_is_what_the_reference_says() -> None:
    capability = KEYS.seal(b"plain", generation=5, priority=-2, kind=3, expires_ms=7)
    named = ADDRESS + bytes(7) + b"\5"
    key = blake2b(named, key=SECRET, person=b"avm seal key", digest_size=64).digest()
    expiry = b"\1" + bytes(7) + b"\7"
    associated = ADDRESS + b"\3" + b"\xff\xfe" + bytes(7) + b"\5" + expiry
    assert capability.sealed == AESSIV(key).encrypt(b"plain", [associated])
    proof_key = blake2b(named, key=SECRET, person=b"avm proof key", digest_size=32).digest()
    proved = associated + capability.sealed
    proof = blake2b(proved, key=proof_key, person=b"avm proof", digest_size=16).digest()
    assert capability.proof == proof
    caveat = bytes.fromhex("82016161")
    proof = blake2b(caveat, key=proof, person=b"avm caveat", digest_size=16).digest()
    assert narrow(capability, Caveat(1, "a")).proof == proof


def test_a_right_proof_over_a_wrong_seal_is_refused_like_any_other() -> None:
    capability = KEYS.seal(b"plain", generation=5, priority=0, kind=0, expires_ms=None)
    named = ADDRESS + bytes(7) + b"\5"
    proof_key = blake2b(named, key=SECRET, person=b"avm proof key", digest_size=32).digest()
    for forged in (capability.sealed, bytes(len(capability.sealed)), b"short"):
        fields = ADDRESS + b"\0" + bytes(2) + bytes(7) + b"\5" + bytes(9) + forged
        proof = blake2b(fields, key=proof_key, person=b"avm proof", digest_size=16).digest()
        proved = replace(capability, sealed=forged, proof=proof)
        if forged == capability.sealed:
            assert KEYS.unseal(proved) == b"plain"
        else:
            refused(proved)


def test_more_generations_than_are_kept_still_unseal() -> None:
    keys = MachineKeys(SECRET, ADDRESS)
    made = [
        keys.seal(b"x", generation=g, priority=0, kind=0, expires_ms=None)
        for g in range(GENERATIONS_KEPT * 3)
    ]
    assert {keys.unseal(capability) for capability in made + made[::-1]} == {b"x"}
    assert len({capability.proof for capability in made}) == len(made)


def test_machine_keys_show_no_secret() -> None:
    assert repr(KEYS) == "<machine keys 00010203>"
    assert KEYS.address == ADDRESS
    for secret, address in ((SECRET[1:], ADDRESS), (SECRET, ADDRESS[1:])):
        with pytest.raises(ValueError, match="32 bytes"):
            MachineKeys(secret, address)


@given(st.binary(max_size=200), st.lists(st.binary(min_size=7, max_size=100), max_size=5))
def test_a_context_is_a_round_trip(value: bytes, caps: list[bytes]) -> None:
    plaintext = pack_context(value, caps)
    assert unpack_context(plaintext) == (value, tuple(caps))
    assert not is_reply(plaintext)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_plaintext_are_malformed(body: bytes) -> None:
    for plaintext in (body, b"\1" + body):
        try:
            value, caps = unpack_context(plaintext)
        except Malformed:
            continue
        assert pack_context(value, caps) == plaintext
    with pytest.raises(Malformed):
        unpack_context(b"\2" + body)
    with pytest.raises(Malformed):
        unpack_reply(b"\1" + body)
    with pytest.raises(Malformed):
        unpack_context(b"\1" + bytes(PLAINTEXT_BYTES_MAX))


def test_a_context_of_1_kib_fits_however_it_is_divided() -> None:
    smallest = CommonName("a~").wire()
    for value, caps in (
        (b"v" * CONTEXT_BYTES_MAX, []),
        (b"v" * (CONTEXT_BYTES_MAX % len(smallest)), [smallest] * (CONTEXT_BYTES_MAX // 7)),
    ):
        plaintext = pack_context(value, caps)
        capability = KEYS.seal(plaintext, generation=0, priority=0, kind=0, expires_ms=None)
        assert parse_wire_untrusted(capability.wire()) == capability
        with pytest.raises(TooBig):
            pack_context(value + b"v", caps)


@given(st.integers(0, 2**64 - 1), st.integers(0, TIME_MS_MAX))
def test_a_reply_is_a_round_trip_of_constant_size(ask: int, deadline_ms: int) -> None:
    plaintext = pack_reply(ask, deadline_ms)
    assert unpack_reply(plaintext) == (ask, deadline_ms)
    assert len(plaintext) == 17
    assert is_reply(plaintext)


@pytest.mark.parametrize("case", VECTORS["contexts"])
def test_pinned_contexts_both_ways(case: dict[str, Any]) -> None:
    keys = MachineKeys(bytes.fromhex(case["secret"]), bytes.fromhex(case["address"]))
    value, caps = bytes.fromhex(case["value"]), tuple(map(bytes.fromhex, case["caps"]))
    given_attributes = {k: case[k] for k in ("generation", "priority", "kind", "expires_ms")}
    capability = keys.seal(pack_context(value, caps), **given_attributes)
    wire = bytes.fromhex(case["wire"])
    assert capability.wire() == wire
    arrived = parse_wire_untrusted(wire)
    assert isinstance(arrived, SealedCapability)
    assert unpack_context(keys.unseal(arrived)) == (value, caps)


@pytest.mark.parametrize("case", VECTORS["replies"])
def test_pinned_replies_both_ways(case: dict[str, Any]) -> None:
    keys = MachineKeys(bytes.fromhex(case["secret"]), bytes.fromhex(case["address"]))
    plaintext = pack_reply(case["ask"], case["deadline_ms"])
    wire = bytes.fromhex(case["wire"])
    made = keys.seal(plaintext, generation=0, priority=0, kind=2, expires_ms=case["deadline_ms"])
    assert made.wire() == wire
    arrived = parse_wire_untrusted(wire)
    assert isinstance(arrived, SealedCapability)
    assert unpack_reply(keys.unseal(arrived)) == (case["ask"], case["deadline_ms"])
