"""Values in JSON, and the pinned encodings of values, both ways."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caps.codec import decode_content_untrusted, decode_state, encode_content, encode_state
from caps.errors import Malformed, NotAValue
from caps.jsonform import dumps, from_json, loads, parse, to_json
from caps.map import Map
from caps.slots import Common, Foreign, Me
from caps.value import Capability, Failed, Linear, Record
from tests.caps.strategies import RECORDS, Point, containers, exact, foreign, forms
from tests.caps.strategies import atoms as all_atoms

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "values.json").read_text())

named = foreign | st.sampled_from([Common("null~"), Common("clock~")])
values = st.recursive(all_atoms | named, containers, max_leaves=12)
states = st.recursive(all_atoms | named, forms, max_leaves=12)


def name_of(capability: Capability) -> str:
    match capability:
        case Foreign():
            return f"slot:{capability._slot}"
        case Common():
            return capability._name
    raise AssertionError


def resolve(text: str) -> Capability:
    return Foreign(int(text.removeprefix("slot:"))) if text.startswith("slot:") else Common(text)


@given(states)
def test_a_value_comes_back_from_its_json(value: object) -> None:
    text = dumps(value, name_of=name_of)
    back = loads(text, resolve=resolve)
    assert exact(back) == exact(value)
    assert dumps(back, name_of=name_of) == text
    assert from_json(to_json(value, name_of=name_of), resolve=resolve) == back


@given(values)
def test_the_text_is_standard_json_on_one_line(value: object) -> None:
    text = dumps(value, name_of=name_of)
    assert "\n" not in text
    json.loads(text, parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [None, True, 1.0, 0.1]}, '{"a": [null, true, 1.0, 0.1], "b": 1}'),
        (2**200, str(2**200)),
        (b"\xff\xfe", '{"$bytes": "__4"}'),
        (b"", '{"$bytes": ""}'),
        (float("nan"), '{"$float": "nan"}'),
        (-float("inf"), '{"$float": "-inf"}'),
        ({1: "x", "a": 2}, '{"$map": [[1, "x"], ["a", 2]]}'),
        ({"$cap": 1}, '{"$map": [["$cap", 1]]}'),
        ({}, "{}"),
        (Foreign(3), '{"$cap": "slot:3"}'),
        (Linear([1]), '{"$linear": [1]}'),
        (Point(1, "é"), '{"$record": ["Point", {"x": 1, "y": "é"}]}'),
        (Me().within("a").within(1), '{"$me": ["a", 1]}'),
        (Failed("late", "x"), '{"$failed": ["late", "x"]}'),
    ],
)
def test_the_forms_are_those_written_down(value: object, text: str) -> None:
    assert dumps(value, name_of=name_of) == text
    assert exact(loads(text, resolve=resolve)) == exact(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "b" 2}', "not JSON: line 2, column 6: Expecting ':' delimiter"),
        ("", "not JSON: line 1, column 1: Expecting value"),
        ("[1] 2", "not JSON: line 1, column 5: Extra data"),
        ('{"a": 1, "a": 2}', "the key 'a' comes twice"),
        ("[NaN]", 'NaN is not JSON; write {"$float": ...}'),
        ("-Infinity", '-Infinity is not JSON; write {"$float": ...}'),
        ("1e999", "the number 1e999 is out of range"),
        ('{"$tuple": []}', "there is no $tuple; a key that begins with $ goes into $map"),
        ('{"$cap": "a", "b": 1}', "'$cap' stands beside other keys; write the map as $map"),
        ('{"a": 1, "$b": 1}', "'$b' stands beside other keys; write the map as $map"),
        ('{"$cap": 1}', "$cap takes the text of a capability"),
        ('{"$bytes": "YQ=="}', "$bytes takes unpadded base64url"),
        ('{"$bytes": "a+b/"}', "$bytes takes unpadded base64url"),
        ('{"$bytes": "YWJjZ"}', "$bytes takes unpadded base64url"),
        ('{"$bytes": "YR"}', "$bytes with unused bits that are not zero"),
        ('{"$float": "1.5"}', '$float takes "nan", "inf" or "-inf"'),
        ('{"$float": 1.5}', '$float takes "nan", "inf" or "-inf"'),
        ('{"$map": [[1]]}', "$map takes a list of pairs"),
        ('{"$map": {"a": 1}}', "$map takes a list of pairs"),
        ('{"$map": [[1, 2], [1, 3]]}', "a key comes twice in a $map"),
        ('{"$map": [[1, 2], [true, 3]]}', "keys 1 and True are equal"),
        ('{"$map": [[{}, 2]]}', "a Map cannot be a key"),
        ('{"$record": ["R"]}', "$record takes a name and an object of fields"),
        ('{"$record": ["R", {"$cap": "x"}]}', "$record takes a name and an object of fields"),
        ('["\\ud800"]', "at [0]: a text with half a surrogate pair is no value"),
        ("9" * 1300, "an integer of more than 4,096 bits"),
        ("[" * 70 + "]" * 70, "nested too deeply"),
        ("[" * 100_000, "not JSON of ours: nested too deeply"),
    ],
)
def test_what_is_no_value_in_json_is_malformed(text: str, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        loads(text, resolve=resolve)
    assert str(caught.value).endswith(message)


@settings(max_examples=200)
@given(st.text(alphabet='{}[]":,$capbytesmrdlinfu0123456789.-\\ ', max_size=40))
def test_any_text_is_a_value_or_malformed(text: str) -> None:
    try:
        value = loads(text, resolve=resolve)
    except Malformed:
        return
    assert exact(loads(dumps(value, name_of=name_of), resolve=resolve)) == exact(value)


def test_integers_keep_every_digit() -> None:
    largest = (1 << 4096) - 1
    assert loads(dumps(-largest), resolve=resolve) == -largest
    assert parse("12345678901234567890123") == 12345678901234567890123


def test_a_capability_without_a_name_cannot_be_written() -> None:
    with pytest.raises(NotAValue, match="a capability has no text here"):
        dumps([Foreign(1)])


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda vector: str(vector["name"]))
def test_the_pinned_bytes_of_values_hold_both_ways(vector: dict[str, str]) -> None:
    value = from_json(vector["json"], resolve=resolve)
    listed = tuple(map(resolve, vector["capabilities"]))
    body = bytes.fromhex(vector["hex"])
    if vector["in"] == "content":
        assert encode_content(value) == (body, listed)
        assert exact(decode_content_untrusted(body, listed)) == exact(value)
    assert encode_state(value) == (body, listed)
    assert exact(decode_state(body, listed)) == exact(value)
    assert to_json(decode_state(body, listed, records=RECORDS), name_of=name_of) == vector["json"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: str(vector["name"]))
def test_the_pinned_bytes_of_no_value_are_malformed(vector: dict[str, str]) -> None:
    listed = tuple(map(resolve, vector["capabilities"]))
    with pytest.raises(Malformed):
        decode_content_untrusted(bytes.fromhex(vector["hex"]), listed)


def test_a_record_from_json_is_generic() -> None:
    back = loads('{"$record": ["Point", {"x": 1, "y": 2}]}', resolve=resolve)
    assert back == Record("Point", Map({"x": 1, "y": 2}))
    assert exact(back) == exact(Point(1, 2))
