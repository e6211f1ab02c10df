"""One value, one encoding: both ways, whatever the bytes."""

import math

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caps.codec import (
    decode_content_untrusted,
    decode_state,
    dumps_plain,
    encode_content,
    encode_state,
    loads_plain_untrusted,
)
from caps.errors import Malformed, NotAValue, TooBig, TooDeep
from caps.frozen import DEPTH_MAX, KEY_DEPTH_MAX, NAN, order_of
from caps.map import Map, freeze
from caps.record import record
from caps.slots import NULL, Foreign, Me
from caps.value import Capability, Failed, Linear, Record
from tests.caps.strategies import (
    RECORDS,
    Point,
    capabilities,
    contents,
    exact,
    plain_keys,
    plain_states,
    plain_values,
    states,
)


@given(contents)
def test_content_comes_back_as_it_was(value: object) -> None:
    body, found = encode_content(value)
    back = decode_content_untrusted(body, found)
    assert exact(back) == exact(value)
    assert freeze(back) is back
    assert encode_content(back) == (body, found)


@given(states)
def test_a_state_comes_back_as_it_was(value: object) -> None:
    body, found = encode_state(value)
    back = decode_state(body, found, records=RECORDS)
    assert exact(back) == exact(value)
    assert back == freeze(value)
    assert encode_state(back) == (body, found)


@given(states)
def test_without_their_classes_records_come_back_generic(value: object) -> None:
    body, found = encode_state(value)
    back = decode_state(body, found)
    assert exact(back) == exact(value)
    assert encode_state(back) == (body, found)


@given(plain_states)
def test_the_order_of_a_value_is_its_encoding(value: object) -> None:
    assert encode_state(value)[0] == exact(value)


@given(plain_values)
def test_content_and_state_are_the_same_bytes_where_there_is_no_record(value: object) -> None:
    assert encode_content(value) == encode_state(value)


@given(plain_keys)
def test_keys_are_ordered_by_their_bytes(key: object) -> None:
    assert encode_content(key)[0] == order_of(freeze(key))


@given(st.lists(capabilities, min_size=1, max_size=6))
def test_capabilities_stand_in_order_of_first_occurrence(some: list[Capability]) -> None:
    body, found = encode_content([some, {"z": some[0], "a": some[-1]}])
    assert found == tuple(dict.fromkeys(some))
    assert decode_content_untrusted(body, found) == (tuple(some), {"z": some[0], "a": some[-1]})


def test_a_map_is_sorted_before_its_capabilities_are_counted() -> None:
    _, found = encode_content({"bb": Foreign(1), "z": Foreign(2), "a": Foreign(3)})
    assert found == (Foreign(3), Foreign(2), Foreign(1))


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 2))
@example(bytes.fromhex("d81cd99c40d81d00"), 0)
@example(b"\x81" * 5000 + b"\x00", 0)
@example(b"\xd9\xa0\x2c" * 5000 + b"\x00", 0)
@example(b"\xc6" * 5000 + b"\x00", 0)
def test_any_bytes_are_a_value_in_its_one_encoding_or_malformed(body: bytes, count: int) -> None:
    listed = tuple(map(Foreign, range(count)))
    for decode, encode in (
        (decode_content_untrusted, encode_content),
        (decode_state, encode_state),
    ):
        try:
            value = decode(body, listed)
        except Malformed:
            continue
        assert encode(value)[0] == body


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, tuple[Capability, ...]]:
    body, found = encode_state(draw(plain_states | contents))
    at = draw(st.integers(0, len(body) - 1))
    bit = draw(st.integers(0, 7))
    changed = bytes((body[at] ^ (1 << bit),))
    return draw(
        st.sampled_from(
            [
                body[:at] + changed + body[at + 1 :],
                body[:at],
                body[:at] + body[at + 1 :],
                body[:at] + changed + body[at:],
                body + changed,
            ]
        )
    ), found


@settings(max_examples=300)
@given(damaged())
def test_damaged_bytes_are_another_value_or_malformed(
    case: tuple[bytes, tuple[Capability, ...]],
) -> None:
    body, found = case
    for decode, encode in (
        (decode_content_untrusted, encode_content),
        (decode_state, encode_state),
    ):
        try:
            value = decode(body, found)
        except Malformed:
            continue
        if not found:
            assert encode(value)[0] == body


REFUSED = {
    "nothing": "",
    "something after the end": "0000",
    "an integer longer than needed": "1817",
    "a length longer than needed": "7800",
    "a short text behind a long head": "780568656c6c6f",
    "an indefinite array": "9fff",
    "an indefinite text": "7f6161ff",
    "a key twice": "a2616101616102",
    "keys out of order": "a2616201616102",
    "a longer key first": "a262616101616102",
    "text before bytes": "a2616101416102",
    "text before longer bytes": "a261610142616102",
    "an integer key in a map": "a10102",
    "half a float": "f93e00",
    "a single float": "fa3fc00000",
    "negative zero": "fb8000000000000000",
    "another NaN": "fb7ff8000000000001",
    "half an infinity": "f97c00",
    "undefined": "f7",
    "a simple value": "e0",
    "a simple value in two bytes": "f820",
    "a small big integer": "c24105",
    "a big integer with a zero first": "c24a00ffffffffffffffffff",
    "a date": "c06a323032342d30312d3031",
    "a shared value": "d81c80",
    "a cyclic value": "d81cd99c40d81d00",
    "a regular expression": "d8236161",
    "a fraction": "c48202187b",
    "an unknown tag": "d9a03000",
    "a tag longer than needed": "da0000a02800",
    "not UTF-8": "62c328",
    "a longer text that is not UTF-8": "7818" + 22 * "61" + "c328",
    "something after a longer text": "7818" + 25 * "61",
    "a longer text that ends too soon": "7818" + 23 * "61",
    "half a surrogate pair": "63eda080",
    "a capability there is not": "d9a02800",
    "a capability by a negative number": "d9a02820",
    "a capability by a text": "d9a0286130",
    "pairs that need none": "d9a02981826161f6",
    "no pairs": "d9a02980",
    "pairs out of order": "d9a02982820200820100",
    "pairs with one key twice": "d9a02982820100820100",
    "1 and True": "d9a0298282010082f500",
    "1 and 1.0": "d9a0298282010082fb3ff000000000000000",
    "a pair of three": "d9a0298183010000",
    "a wrapper as a key": "d9a0298182d9a02c0000",
    "a record": "d9a02a8261 50a0".replace(" ", ""),
    "a Me": "d9a02b80",
    "a failure without a detail": "d9a02f816161",
}


@pytest.mark.parametrize("name", REFUSED)
def test_content_of_another_form_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        decode_content_untrusted(bytes.fromhex(REFUSED[name]), ())
    if name not in ("a record", "a Me"):
        with pytest.raises(Malformed):
            decode_state(bytes.fromhex(REFUSED[name]), ())


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("00", 1),
        ("d9a02800", 2),
        ("82d9a02801d9a02800", 2),
        ("83d9a02801d9a02800d9a02801", 2),
        ("f6", 1),
        ("6161", 1),
    ],
)
def test_capabilities_unreferred_to_or_out_of_order_are_malformed(body: str, count: int) -> None:
    with pytest.raises(Malformed):
        decode_content_untrusted(bytes.fromhex(body), tuple(map(Foreign, range(count))))


def test_a_map_keyed_by_capabilities_follows_the_order_of_its_sender() -> None:
    body, found = encode_content({Foreign(1): "a", Foreign(2): "b", 7: "c"})
    here = {Foreign(1): Foreign(20), Foreign(2): Foreign(10)}
    back = decode_content_untrusted(body, [here[c] for c in found if isinstance(c, Foreign)])
    assert back == Map({Foreign(20): "a", Foreign(10): "b", 7: "c"})
    with pytest.raises(Malformed):
        decode_content_untrusted(body, [Foreign(5), Foreign(5)])


def nested(levels: int, wrap: str) -> object:
    value: object = 0
    for _ in range(levels):
        match wrap:
            case "list":
                value = [value]
            case "pairs":
                value = {1: value}
            case "linear":
                value = Linear(value)
            case "record":
                value = Point(value)
    return value


@pytest.mark.parametrize("wrap", ["list", "pairs", "linear", "record"])
def test_depth_is_bounded_alike_both_ways(wrap: str) -> None:
    deepest = nested(DEPTH_MAX, wrap)
    body, _ = encode_state(deepest)
    assert decode_state(body, (), records=RECORDS) == freeze(deepest)
    with pytest.raises(TooDeep):
        encode_state(nested(DEPTH_MAX + 1, wrap))
    with pytest.raises(Malformed):
        decode_state(body, (), depth=DEPTH_MAX - 1)


def test_keys_nest_within_the_deepest_map() -> None:
    key: object = 0
    for _ in range(KEY_DEPTH_MAX):
        key = (key,)
    value: object = {key: 1}
    for _ in range(DEPTH_MAX - 1):
        value = {0: value}
    body, _ = encode_content(value)
    assert decode_content_untrusted(body, ()) == freeze(value)
    with pytest.raises(TooDeep):
        encode_content({(key,): 1})


def test_size_is_bounded_both_ways() -> None:
    body, _ = encode_content("x" * 100)
    assert encode_content("x" * 100, max_bytes=102)[0] == body
    with pytest.raises(TooBig):
        encode_content("x" * 100, max_bytes=101)
    with pytest.raises(Malformed):
        decode_content_untrusted(body, (), max_bytes=101)
    with pytest.raises(TooBig):
        encode_content(b"x" * 256 * 1024)


def test_integers_over_4096_bits_are_malformed() -> None:
    largest = (1 << 4096) - 1
    assert decode_content_untrusted(encode_content(-largest)[0], ()) == -largest
    with pytest.raises(Malformed):
        decode_content_untrusted(cbor2.dumps(largest + 1), ())


def test_a_record_travels_as_its_fields_and_a_me_not_at_all() -> None:
    assert encode_content(Point(1, [2])) == encode_content({"x": 1, "y": (2,)})
    assert encode_content([Record("R", Map({"a": 1}))]) == encode_content([{"a": 1}])
    for holder in (Me(), [Me()], {"a": Linear(Me())}, Point(Me())):
        with pytest.raises(NotAValue, match="a Me stays inside its machine"):
            encode_content(holder)
    assert decode_content_untrusted(encode_content(Failed("late", "x"))[0], ()) == Failed(
        "late", "x"
    )


@record
class Account:
    me: Me
    total: int
    limit: int = 10
    tags: tuple[str, ...] = ()


def test_a_record_that_gained_fields_takes_their_defaults() -> None:
    old = Record("Account", Map({"me": Me(2), "total": 5}))
    body, found = encode_state(old)
    back = decode_state(body, found, records={"Account": Account}, me=Me(7))
    assert back == Account(Me(), 5, 10, ())
    assert isinstance(back, Account)
    assert back.me._generation == 7
    for fields in ({"total": 5}, {"me": 1, "total": 5, "extra": 1}):
        body, found = encode_state(Record("Account", Map(fields)))
        assert decode_state(body, found, records={"Account": Account}) == Record(
            "Account", Map(fields)
        )


def test_floats_are_eight_bytes_whatever_they_are() -> None:
    for number in (0.0, 1.5, -2.0, math.inf, -math.inf, NAN, 5e-324):
        body, _ = encode_content([number])
        assert len(body) == 10
        assert exact(decode_content_untrusted(body, ())) == exact([number])
    assert encode_content(-0.0) == encode_content(0.0)
    assert encode_content(NAN)[0].hex() == "fb7ff8000000000000"


def test_colliding_integer_keys_are_decoded_without_a_dict() -> None:
    step = (1 << 61) - 1
    body, _ = encode_content({n * step: 0 for n in range(1, 300)})
    assert len(decode_content_untrusted(body, ())) == 299  # type: ignore[arg-type]


def test_large_maps_come_back() -> None:
    large = Map({f"key{n}": (n, Foreign(n % 3), NULL) for n in range(2000)})
    body, found = encode_state(large)
    assert decode_state(body, found) == large


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(-(1 << 64), (1 << 64) - 1), inner)
    ),
    max_leaves=12,
)


@given(plain)
def test_plain_structures_come_back_as_they_were(value: object) -> None:
    body = dumps_plain(value)
    assert loads_plain_untrusted(body) == value


@settings(max_examples=300)
@given(st.binary(max_size=40))
@example(b"\x81" * 500 + b"\x00")
@example(bytes.fromhex("9bffffffffffffffff"))
@example(bytes.fromhex("bb7fffffffffffffff"))
@example(bytes.fromhex("a1800000"))
def test_any_bytes_are_plain_in_their_one_encoding_or_malformed(body: bytes) -> None:
    try:
        value = loads_plain_untrusted(body)
    except Malformed:
        return
    assert dumps_plain(value) == body


@pytest.mark.parametrize(
    "body",
    [
        "a1180100",
        "a2020001 00",
        "a2010001 00",
        "a10001 00",
        "a1f500",
        "a1f93c0000",
        "a101 1817",
        "bf0100ff",
    ],
)
def test_plain_maps_with_integer_keys_have_one_encoding(body: str) -> None:
    with pytest.raises(Malformed):
        loads_plain_untrusted(bytes.fromhex(body))


@pytest.mark.parametrize(
    "name", [name for name in REFUSED if name not in ("an integer key in a map",)]
)
def test_plain_bytes_of_another_form_are_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        loads_plain_untrusted(bytes.fromhex(REFUSED[name]))


@given(plain, st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_is_another_plain_value_or_malformed(
    value: object, at: int, byte: int
) -> None:
    body = bytearray(dumps_plain([value, {1: value}]))
    body[at % len(body)] = byte
    try:
        back = loads_plain_untrusted(bytes(body))
    except Malformed:
        return
    assert dumps_plain(back) == body


@pytest.mark.parametrize("value", [1.5, 1 << 64, {1}, {b"a": 1}, {(1,): 1}, "\ud800", {True: 1}])
def test_what_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(NotAValue):
        dumps_plain([value])


def test_plain_depth_and_size_are_bounded() -> None:
    assert loads_plain_untrusted(dumps_plain([{"a": []}], depth=3), depth=3) == [{"a": []}]
    for body in (dumps_plain([{"a": []}]), dumps_plain([{1: []}])):
        with pytest.raises(Malformed):
            loads_plain_untrusted(body, depth=2)
    with pytest.raises(TooDeep):
        dumps_plain([{"a": []}], depth=2)
    with pytest.raises(Malformed):
        loads_plain_untrusted(dumps_plain("abc"), max_bytes=3)
