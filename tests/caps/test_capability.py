import json
import string
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caps.capability import (
    GENERATION_MAX,
    SEALED_BYTES_MAX,
    WIRE_BYTES_MAX,
    CommonName,
    SealedCapability,
    WireCapability,
    narrow,
    parse_text,
    parse_wire_untrusted,
    to_text,
)
from caps.caveats import CAVEAT_BYTES_MAX, CAVEATS_MAX, Caveat
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed, Mistyped, NotAValue, TooBig
from caps.shape import TIME_MS_MAX

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "capability.json").read_text())

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=12)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
caveat_values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
caveats = st.builds(Caveat, st.integers(0, 2**32 - 1), caveat_values)
capabilities = st.builds(
    SealedCapability,
    address=st.binary(min_size=32, max_size=32),
    generation=st.integers(0, GENERATION_MAX),
    priority=st.integers(-1000, 1000),
    kind=st.integers(0, 3),
    expires_ms=st.none() | st.integers(0, TIME_MS_MAX),
    sealed=st.binary(min_size=17, max_size=60),
    caveats=st.lists(caveats, max_size=3).map(tuple),
    proof=st.binary(min_size=16, max_size=16),
)
names = st.from_regex(r"[a-z][a-z0-9-]{0,30}~", fullmatch=True).map(CommonName)
SAMPLE = SealedCapability(b"a" * 32, 1, -250, 2, 1_700_000_000_000, b"s" * 40, (), b"p" * 16)


@given(capabilities | names)
def test_w15_wire_and_text_are_round_trips(capability: WireCapability) -> None:
    wire, text = capability.wire(), to_text(capability)
    assert parse_wire_untrusted(wire) == capability
    assert parse_wire_untrusted(wire).wire() == wire
    assert parse_text(text) == capability
    assert to_text(parse_text(text)) == text
    assert set(text[4:]) <= set(string.ascii_letters + string.digits + "-_~")


@given(capabilities, st.data())
def test_each_altered_character_is_mistyped(
    capability: SealedCapability, data: st.DataObject
) -> None:
    text = to_text(capability)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda c: c != text[at]))
    with pytest.raises(Mistyped):
        parse_text(text[:at] + other + text[at + 1 :])


@given(capabilities, st.data())
def test_a_text_cut_short_extended_or_swapped_is_mistyped(
    capability: SealedCapability, data: st.DataObject
) -> None:
    text = to_text(capability)
    at = data.draw(st.integers(0, len(text) - 1))
    for other in (text[:at], text[at:] if at else text[1:], text + text[at]):
        with pytest.raises(Mistyped):
            parse_text(other)
    swapped = text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :] if at else text
    if swapped != text:
        with pytest.raises(Mistyped):
            parse_text(swapped)


@given(capabilities)
def test_the_last_character_has_no_second_spelling(capability: SealedCapability) -> None:
    text = to_text(capability)
    for last in string.ascii_letters + string.digits + "-_":
        if last != text[-1]:
            with pytest.raises(Mistyped):
                parse_text(text[:-1] + last)


@given(st.text(max_size=40).map(lambda text: text + " "))
def test_any_other_text_is_mistyped(text: str) -> None:
    for other in (text, "avm:" + text):
        with pytest.raises(Mistyped):
            parse_text(other)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with avm:"),
        ("AVM:AAAA", "begins with avm:"),
        ("null", "begins with avm:"),
        ("null~~", "begins with avm:"),
        ("a" * 32 + "~", "begins with avm:"),
        ("avm:", "cut short"),
        ("avm:AAAA", "cut short"),
        (to_text(SAMPLE) + "=", r"character \d+ of the capability, '=', cannot"),
        (to_text(SAMPLE) + "\n", "cannot be in one"),
        ("avm:AB+DAAAAAAAA", r"character 7 of the capability, '\+', cannot"),
        ("avm:AAAAAAAAAAAAAAA", "mistyped or cut short"),
        (to_text(SAMPLE)[:-7], "mistyped|cut short"),
        ("avm:" + "A" * 9000, "too long"),
    ],
)
def test_a_mistyped_text_is_told_why(text: str, why: str) -> None:
    with pytest.raises(Mistyped, match=why):
        parse_text(text)


def test_unused_bits_must_be_zero() -> None:
    text = next(t for t in texts_of_all_lengths() if len(t[4:]) % 4 in (2, 3))
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    with pytest.raises(Mistyped, match="last character"):
        parse_text(text[:-1] + alphabet[alphabet.index(text[-1]) + 1])


def texts_of_all_lengths() -> list[str]:
    return [to_text(replace(SAMPLE, sealed=b"s" * n)) for n in range(40, 43)]


def text_over(wire: bytes) -> str:
    """Write any bytes with a right checksum, as a stranger's program could."""
    checksum = blake2b(wire, digest_size=4, person=b"avm text").digest()
    return "avm:" + urlsafe_b64encode(wire + checksum).rstrip(b"=").decode()


def test_what_is_well_spelled_and_no_sealed_capability_is_mistyped() -> None:
    assert text_over(SAMPLE.wire()) == to_text(SAMPLE)
    with pytest.raises(Mistyped, match="the text of this capability is null~"):
        parse_text(text_over(CommonName("null~").wire()))
    with pytest.raises(Mistyped, match="another version"):
        parse_text(text_over(b"\x02" + SAMPLE.wire()[1:]))


@given(st.binary(max_size=80))
def test_a_strangers_bytes_raise_malformed_only(body: bytes) -> None:
    for prefix in (b"", b"\x01", b"\x01\xd9\xa0\x8c"):
        try:
            read = parse_wire_untrusted(prefix + body)
        except Malformed:
            continue
        assert read.wire() == prefix + body


@given(capabilities, st.data())
def test_a_flipped_bit_is_another_capability_or_malformed(
    capability: SealedCapability, data: st.DataObject
) -> None:
    body = bytearray(capability.wire())
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    try:
        other = parse_wire_untrusted(bytes(body))
    except Malformed:
        return
    assert other != capability
    assert other.wire() == bytes(body)


@given(capabilities)
def test_truncated_and_trailing_bytes_are_malformed(capability: SealedCapability) -> None:
    wire = capability.wire()
    for body in (wire + b"\0", wire[:-1], wire[:1], b""):
        with pytest.raises(Malformed):
            parse_wire_untrusted(body)


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, b"a" * 31),
        (0, "a" * 32),
        (1, -1),
        (1, True),
        (1, 2**32),
        (2, 1001),
        (2, -1001),
        (2, False),
        (3, 4),
        (3, -1),
        (3, None),
        (4, -1),
        (4, 2**63),
        (4, False),
        (5, b"s" * 16),
        (5, b"s" * (SEALED_BYTES_MAX + 1)),
        (6, None),
        (6, [[1]]),
        (6, [[1, 2, 3]]),
        (6, [[-1, 2]]),
        (6, [[2**32, 2]]),
        (6, [[1, {"a": 1}]]),
        (6, [[1, b"x" * CAVEAT_BYTES_MAX]]),
        (6, [[1, [[[[[[[[[1]]]]]]]]]]]),
        (6, [[1, None]] * (CAVEATS_MAX + 1)),
        (7, b"p" * 15),
        (7, None),
    ],
    ids=str,
)
def test_a_field_out_of_its_range_is_malformed(index: int, value: object) -> None:
    fields = loads_plain_untrusted(SAMPLE.wire()[1:], max_bytes=WIRE_BYTES_MAX)
    assert isinstance(fields, list)
    fields[index] = value
    with pytest.raises(Malformed):
        parse_wire_untrusted(b"\x01" + dumps_plain(fields))


def test_the_largest_capability_fits_its_limit() -> None:
    largest = replace(
        SAMPLE,
        generation=GENERATION_MAX,
        expires_ms=TIME_MS_MAX,
        sealed=b"s" * SEALED_BYTES_MAX,
        caveats=(Caveat(2**32 - 1, b"x" * (CAVEAT_BYTES_MAX - 8)),) * CAVEATS_MAX,
    )
    assert len(largest.caveats[0].encoded) == CAVEAT_BYTES_MAX
    assert len(largest.wire()) <= WIRE_BYTES_MAX
    assert parse_wire_untrusted(largest.wire()) == largest
    assert parse_text(to_text(largest)) == largest


@given(capabilities, caveats)
def test_narrowing_keeps_the_identifier_and_replaces_the_proof(
    capability: SealedCapability, caveat: Caveat
) -> None:
    narrowed = narrow(capability, caveat)
    assert narrowed.sealed == capability.sealed
    assert narrowed.caveats == (*capability.caveats, caveat)
    assert narrowed.proof != capability.proof
    assert narrow(capability, caveat) == narrowed
    kept = replace(narrowed, caveats=capability.caveats, proof=capability.proof)
    assert kept == capability


def test_caveats_are_counted() -> None:
    capability = SAMPLE
    for number in range(CAVEATS_MAX):
        capability = narrow(capability, Caveat(number, None))
    with pytest.raises(TooBig):
        narrow(capability, Caveat(99, None))


def test_a_caveat_is_type_exact_and_frozen() -> None:
    assert Caveat(1, 1) != Caveat(1, True)
    assert Caveat(1, ["a", [1]]) == Caveat(1, ("a", (1,)))  # type: ignore[arg-type]
    assert hash(Caveat(1, ("a",))) == hash(Caveat(1, ["a"]))  # type: ignore[arg-type]
    for value in ({"a": 1}, 1.5, object(), 2**64):
        with pytest.raises(NotAValue):
            Caveat(1, value)  # type: ignore[arg-type]
    with pytest.raises(TooBig):
        Caveat(1, "x" * CAVEAT_BYTES_MAX)
    cyclic: list[object] = []
    cyclic.append(cyclic)
    with pytest.raises(NotAValue):
        Caveat(1, cyclic)  # type: ignore[arg-type]


def test_a_capability_shows_the_start_of_its_address_alone() -> None:
    assert repr(SAMPLE) == "<capability 61616161>"


@pytest.mark.parametrize(
    "name", ["", "~", "null", "Null~", "1a~", "a b~", "nu\u00e9~", "a~\n", "a" * 32 + "~"]
)
def test_a_name_that_is_not_common_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        CommonName(name)


@pytest.mark.parametrize("case", VECTORS["sealed"])
def test_pinned_capabilities_both_ways(case: dict[str, str]) -> None:
    fields = json.loads(case["fields"])
    capability: SealedCapability = SealedCapability(
        address=bytes.fromhex(fields["address"]),
        generation=fields["generation"],
        priority=fields["priority"],
        kind=fields["kind"],
        expires_ms=fields["expires_ms"],
        sealed=bytes.fromhex(fields["sealed"]),
        caveats=(),
        proof=bytes.fromhex(fields["proof"]),
    )
    for number, value in fields["narrowed_by"]:
        capability = narrow(capability, Caveat(number, value))
    wire = bytes.fromhex(case["wire"])
    assert capability.wire() == wire
    assert parse_wire_untrusted(wire) == capability
    assert to_text(capability) == case["text"]
    assert parse_text(case["text"]) == capability


@pytest.mark.parametrize("case", VECTORS["common"])
def test_pinned_common_names_both_ways(case: dict[str, str]) -> None:
    wire = bytes.fromhex(case["wire"])
    assert CommonName(case["name"]).wire() == wire
    assert parse_wire_untrusted(wire) == CommonName(case["name"])
    assert to_text(CommonName(case["name"])) == case["name"]


@pytest.mark.parametrize("wire", VECTORS["refused"])
def test_pinned_refusals(wire: str) -> None:
    with pytest.raises(Malformed):
        parse_wire_untrusted(bytes.fromhex(wire))
