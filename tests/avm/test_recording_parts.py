"""The parts of a recording: the table of inputs, its bytes, and its text."""

import ast
import json
from inspect import Parameter, signature
from pathlib import Path
from struct import Struct
from typing import Any
from zlib import crc32

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.host.core import Core
from avm.recording.difference import between_outputs, deep
from avm.recording.inputs import FUNCTIONS, INPUTS, METHODS, READS, REQUIRED
from avm.recording.jsontext import from_text, to_text
from avm.recording.log import (
    BadRecording,
    End,
    Header,
    Item,
    Segment,
    State,
    Stored,
    Told,
    item_untrusted,
    pack,
)
from avm.recording.outputs import short
from avm.recording.packing import packed
from avm.recording.rerun import Rerun
from avm.recording.text import Teller, items_untrusted, patch_untrusted
from caps.codec import encode_content
from caps.errors import Malformed
from caps.map import Map
from tests.sim.recordings import of_counter, of_lives, of_orchard

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "recording.json").read_text())

# The table.


def test_every_way_to_change_a_core_is_in_the_table() -> None:
    names = {name for name in vars(Core) if not name.startswith("_")} | {"host"}
    assert names == {one.name for one in METHODS} | set(READS)


@pytest.mark.parametrize("one", [*METHODS, *FUNCTIONS], ids=lambda one: str(one.name))
def test_an_input_has_the_arguments_of_what_it_is_told_by(one: Any) -> None:
    does = one.function or getattr(Core, one.name)
    _core, *params = signature(does).parameters.values()
    assert [param.name for param in params] == [param.name for param in one.params]
    for mine, its in zip(one.params, params, strict=True):
        default = REQUIRED if its.default is Parameter.empty else its.default
        assert mine.default is default or mine.default == default


def test_shells_change_a_host_through_its_core_alone() -> None:
    """A function over a host that a shell calls by itself would not be recorded."""
    only_read = {"Figures", "leaving_by", "known_of", "gone_by", "dump_host", "endpoints"}
    only_read |= {"delay_of", "why_not_accept"}
    found: list[str] = []
    for path in [*(ROOT / "avm" / "run").glob("*.py"), *(ROOT / "avm" / "nat").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and any(map(is_host, node.args)):
                name = ast.unparse(node.func).rpartition(".")[2]
                found += [] if name in only_read else [f"{path.name}: {name}"]
            if isinstance(node, ast.Assign) and any(
                "core.host." in ast.unparse(t) for t in node.targets
            ):
                found.append(f"{path.name}: {ast.unparse(node)}")
            if isinstance(node, ast.Call) and ".host.group" in ast.unparse(node.func):
                found.append(f"{path.name}: {ast.unparse(node)}")
    assert not found


def is_host(node: ast.expr) -> bool:
    return ast.unparse(node) in ("self._core.host", "core.host")


# The bytes.


def golden() -> list[Item]:
    """An item of each kind."""
    arguments = [b"c" * 32, b"r" * 32, 1, [[[3, "null~"]], [[0, b"\x05"]]], None, b"", False]
    output = [None, [["Verdict", b"c" * 32, b"r" * 32, 1, ["applied"]]], None]
    commit = [
        7,
        [[["machine", 2], b"row"], [["ask", 2, 1], None]],
        [[2, 0, b"", b"\x81\x00", None]],
    ]
    return [
        Header("0.1.0", "3.11", 1_700_000_000_000_000_000, 3, 41, 1_700_000_000_000, b"h" * 32),
        State(b"s" * 32, b"t" * 32, b"state"),
        Told(41, "offer", True, arguments, output),
        Told(42, "take_commit", False, [], [None, [], [*commit, [[2, 0, b"kept"]], [[2, 1]]]]),
        Told(
            43, "link_room", True, [1, 65536], ["done", [["Say", 1, 0, short(b"x" * 20_000)]], None]
        ),
        Stored(2, b"k" * 32, b"bundle", (4, b"kept"), [(5, b"entry", None), (6, b"more", "said")]),
        Stored(3, b"k" * 32, None, None, []),
        End(43),
    ]


def vectors() -> dict[str, Any]:
    """All vectors, as the code makes them now."""
    teller = Teller()
    return {
        "items": [pack(one).hex() for one in golden()],
        "text": [line for one in golden() for line in teller.lines(one)],
    }


def test_the_bytes_and_the_text_are_those_of_the_vectors() -> None:
    assert vectors() == VECTORS


def test_the_bytes_of_the_vectors_say_what_they_did() -> None:
    body = bytes.fromhex("".join(VECTORS["items"]))
    assert list(Segment(body).items_untrusted()) == golden()
    assert list(items_untrusted(VECTORS["text"])) == golden()


def framed(body: bytes) -> bytes:
    """Bytes as an item whose checksums are right."""
    return Struct(">III").pack(len(body), len(body) ^ 0xFFFF_FFFF, crc32(body)) + body


@given(st.binary(max_size=60))
def test_p08_bytes_that_are_no_item_are_malformed_and_nothing_else(body: bytes) -> None:
    try:
        assert pack(item_untrusted(body))[12:] == body
    except Malformed:
        pass
    for whole in (body, framed(body)):
        try:
            list(Segment(whole).items_untrusted())
        except BadRecording:
            pass


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(INPUTS)), st.data())
def test_p08_arguments_that_are_none_are_refused_or_told_and_nothing_else(
    name: str, data: st.DataObject
) -> None:
    """Whatever stands in an edited recording: a line, or a difference."""
    header, state, *_ = of_counter().items()
    count = len(INPUTS[name].params)
    arguments = data.draw(st.lists(PLAIN, min_size=count, max_size=count))
    told = Told(1, name, True, arguments, [None, [], None])
    rerun = Rerun()
    try:
        rerun.take([header, state, told])
    except BadRecording as error:
        assert str(error).startswith("input 1")


@settings(max_examples=40)
@given(st.data())
def test_p08_an_edited_state_is_refused_or_told_and_nothing_else(data: st.DataObject) -> None:
    header, state, *rest = of_counter().items()
    assert isinstance(state, State)
    body = bytearray(state.body)
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    rerun = Rerun()
    try:
        rerun.take([header, State(state.seed, state.secret, bytes(body)), *rest[:40]])
    except BadRecording:
        pass


# The text.


@pytest.mark.parametrize("which", range(3))
def test_p03_a_recording_is_turned_into_text_and_back_byte_for_byte(which: int) -> None:
    recorded = [of_counter(), of_lives(1), of_orchard(0)[1]][which]
    teller = Teller()
    lines = [line for item in recorded.items() for line in teller.lines(item)]
    assert b"".join(map(pack, items_untrusted(lines))) == b"".join(recorded.segments)
    told = [line for line in lines if " offer " in line]
    assert any('"$content"' in line for line in told), "what was said can be read"


@given(PLAIN | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=300))
def test_what_is_packed_by_hand_is_what_the_library_packs(plain: Any) -> None:
    assert packed(plain) == cbor2.dumps(plain)


@given(PLAIN)
def test_a_plain_value_is_turned_into_json_and_back(plain: Any) -> None:
    again = from_text(to_text(plain))
    assert cbor2.dumps(again) == cbor2.dumps(plain)


LINES = [line for one in golden() for line in Teller().lines(one)]


@given(st.sampled_from(LINES), st.integers(0, 400), st.text(max_size=3))
def test_p08_lines_that_are_none_are_refused_by_their_number(line: str, at: int, new: str) -> None:
    edited = line[:at] + new + line[at + 1 :]
    for read in (items_untrusted, patch_untrusted):
        try:
            list(read([edited]))
        except BadRecording as error:
            assert str(error).startswith("line 1: ")


@pytest.mark.parametrize(
    "lines, why",
    [
        (["flies 5"], "line 1: a line does not begin with 'flies'"),
        (["", "5 - fly {}"], "line 2: there is no input 'fly'"),
        (["5 - tick"], "line 1: an input is NUMBER TIME NAME {arguments}"),
        (['5 - tick {"now": 1}'], "line 1: tick takes {now_ms}"),
        (['5 - tick {"now_ms": 1.5}', "= null"], "line 1: a number that is no integer"),
        (['5 - tick {"now_ms": 1}'], "line 1: what came of it is missing below"),
        (['5 - tick {"now_ms": 1}', "end 5"], "line 2: what came of an input stands below it, after ="),
        (["= [null, [], null]"], "line 1: what came of an input stands below it, after ="),
        (['5 - pump {}', "= [null, []]"], "line 2: malformed output"),
        (['5 - pump {}', "= [nul"], "line 2: not JSON: line 1, column 2: Expecting value"),
        (['state {"seed": 1}'], "line 1: state takes {seed, secret, body}"),
    ],
)  # fmt: skip
def test_a_text_that_is_none_is_told_with_its_line(lines: list[str], why: str) -> None:
    with pytest.raises(BadRecording) as caught:
        list(items_untrusted(lines))
    assert str(caught.value) == why


def test_a_patch_has_inputs_alone_and_each_once() -> None:
    patch = patch_untrusted(["# a note", "7 gone", "", '8 - tick {"now_ms": 9}', "= [1]"])
    assert patch[7] is None and isinstance(patch[8], Told) and patch[8].arguments == [9]
    with pytest.raises(BadRecording, match="line 2: input 7 stands here twice"):
        patch_untrusted(["7 gone", "7 gone"])
    with pytest.raises(BadRecording, match="line 1: a patch has inputs alone"):
        patch_untrusted(["end 9"])


# What differs.


def test_a_difference_is_named_down_to_a_value_in_a_frame() -> None:
    def effect(content: int) -> list[Any]:
        return ["ToWorker", 1, cbor2.dumps([4, 2, 9, 0, cbor2.dumps([5, [b"x", content]])])]

    found = between_outputs([None, [effect(1)], None], [None, [effect(2)], None])
    assert str(found) == "effect 1, ToWorker frame[4][1][1]: recorded 1, now 2"
    found = between_outputs([None, [effect(1)], None], [None, [], None])
    assert (found.where, found.now) == ("effect 1", "nothing")
    long = [["Say", 1, 0, short(b"x" * 20_000)], ["Say", 1, 0, short(b"y" * 20_001)]]
    found = between_outputs([None, long[:1], None], [None, long[1:], None])
    assert found.where == "effect 1, Say frame" and found.was.startswith("20,000 bytes of digest ")
    found = between_outputs([["raised", "KeyError", "x"], [], None], [None, [], None])
    assert str(found) == "the call: recorded KeyError: x, now no error"


def test_p03_a_difference_in_a_map_is_named_by_its_key() -> None:
    def said(cents: int) -> bytes:
        return encode_content(Map({"who": "ann", "cents": cents, "why": {"n": (1, cents)}}))[0]

    other = encode_content(Map({"who": "ann"}))[0]
    digest = b"\xa2" + bytes(range(31))
    assert str(deep("input", [b"", said(10)], [b"", said(70)])) == (
        "input[1]['why']['n'][1]: recorded 10, now 70"
    )
    assert str(deep("input", said(10), other)) == (
        "input: recorded {'who': 'ann', 'why': {'n': [1, 10]}, 'cents': 10}, now {'who': 'ann'}"
    )
    assert str(deep("row", b"\x80", b"\x81\x01")) == "row: recorded [], now [1]"
    assert str(deep("row", b"\xa0", said(1))).startswith("row: recorded {}, now {'who': 'ann', ")
    assert str(deep("digest", digest, digest[::-1])).startswith("digest: recorded h'a20001")
