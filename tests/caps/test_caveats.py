"""Caveats and patterns: their bytes, what they let through, and that nothing is widened by one."""

import json
import re
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm import Capability, Linear, Map, Me, narrow
from avm.host.capability import Local, from_wire_untrusted, narrowed, to_wire
from avm.host.judging import is_good, patterns_of
from avm.host.state import Flight
from caps import capability, caveats
from caps.capability import SealedCapability, parse_text, to_text
from caps.caveats import CAVEATS_MAX, Caveat, parse_caveat_untrusted
from caps.codec import encode_content
from caps.errors import InvalidCapability, Malformed, Mistyped, NotAValue
from caps.pattern import LOOKS, LOOKS_A_BYTE, check_untrusted, fit
from caps.sealing import MachineKeys
from caps.slots import NULL, Foreign, Narrowed
from caps.value import freeze
from tests.caps.forging import IN_USE, OTHER, SENDER, Forger

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "caveats.json").read_text())
ADDRESS, SECRET = bytes(range(32)), b"k" * 32
KEYS = MachineKeys(SECRET, ADDRESS)
LOCAL = Local(ADDRESS, 1, 5, 0, None, b"\x63add", ())
NOW_MS = 1_700_000_000_000


def size_of(content: Any) -> int:
    return len(encode_content(content)[0])


def fits(pattern: Any, content: Any) -> bool:
    return fit([pattern], content, size_of(content))


atoms: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=3)
)
atoms |= st.binary(max_size=2)
most = st.none() | st.integers(0, 3)


def rows_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.lists(
        st.tuples(st.sampled_from("abc"), inner), max_size=3, unique_by=lambda f: f[0]
    )
    return (
        st.builds(lambda p, m: ["list", p, m], inner, most)
        | st.lists(inner, max_size=3).map(lambda ps: ["tuple", *ps])
        | st.lists(inner, min_size=1, max_size=3).map(lambda ps: ["or", *ps])
        | fields.map(lambda fs: ["map", *map(list, fs)])
        | fields.map(lambda fs: ["with", *map(list, fs)])
    )


leaves = atoms | st.sampled_from(
    [
        ["any"],
        ["bool"],
        ["float"],
        ["int"],
        ["int", 0, 2],
        ["int", None, 0],
        ["text"],
        ["text", 1],
        ["bytes", 1],
        ["cap"],
    ]
)
patterns = st.recursive(leaves, rows_of, max_leaves=6)
values = st.recursive(
    atoms | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
).map(freeze)
made = (
    st.builds(caveats.until, st.integers(0, NOW_MS * 2))
    | st.builds(caveats.uses, st.integers(1, 9), st.binary(max_size=8), st.integers(0, NOW_MS * 2))
    | st.builds(caveats.only, st.sampled_from([None, ["int", 0, 9], ["or", 1, ["text"]]]))
    | st.builds(caveats.holder, st.binary(min_size=32, max_size=32))
)
chains = st.lists(made, max_size=5)


def keys_of(address: bytes) -> MachineKeys | None:
    return KEYS if address == ADDRESS else None


def opened(sealed: SealedCapability) -> Local:
    cap = from_wire_untrusted(sealed.wire(), keys_of)
    assert isinstance(cap, Local)
    return cap


def wire_of(cap: Local) -> SealedCapability:
    sealed = capability.parse_wire_untrusted(to_wire(cap, keys_of))
    assert isinstance(sealed, SealedCapability)
    return sealed


def refused(sealed: SealedCapability) -> bool:
    with pytest.raises(InvalidCapability):
        from_wire_untrusted(sealed.wire(), keys_of)
    return True


@pytest.mark.parametrize("row", VECTORS["caveats"], ids=lambda row: str(row["value"])[:30])
def test_w26_a_caveat_is_the_bytes_that_are_pinned(row: dict[str, Any]) -> None:
    caveat = parse_caveat_untrusted(bytes.fromhex(row["encoded"]))
    assert (caveat.number, shown(caveat.value)) == (row["number"], row["value"])
    assert Caveat(caveat.number, caveat.value).encoded.hex() == row["encoded"]


def test_w26_a_narrowed_capability_is_the_bytes_that_are_pinned() -> None:
    cap: Any = LOCAL
    for row in VECTORS["caveats"]:
        cap = narrowed(cap, [parse_caveat_untrusted(bytes.fromhex(row["encoded"]))])
        assert wire_of(cap).proof.hex() == row["proof"]
    assert to_text(wire_of(cap)) == VECTORS["text"]
    assert parse_text(VECTORS["text"]) == wire_of(cap)


def shown(value: Any) -> Any:
    """A caveat's value as the vectors have it: bytes as hexadecimal digits."""
    if isinstance(value, tuple):
        return [shown(one) for one in value]
    return value.hex() if isinstance(value, bytes) else value


@pytest.mark.parametrize("encoded", VECTORS["refused"])
def test_w26_another_number_or_value_is_refused(encoded: str) -> None:
    with pytest.raises(Malformed):
        parse_caveat_untrusted(bytes.fromhex(encoded))


@given(chains)
def test_w26_narrowed_here_or_sealed_it_is_one_capability(chain: list[Caveat]) -> None:
    here: Any = narrowed(LOCAL, chain)
    there = wire_of(LOCAL)
    for caveat in chain:
        there = capability.narrow(there, caveat)
    assert wire_of(here) == there and opened(there) == here


@given(chains, chains)
def test_w26_a_caveat_that_is_there_stays(first: list[Caveat], more: list[Caveat]) -> None:
    cap: Any = narrowed(narrowed(LOCAL, first), more)
    assert cap.caveats[: len(first)] == tuple(one.encoded for one in first)
    assert cap._replace(caveats=()) == LOCAL


@given(st.lists(made, min_size=1, max_size=4), chains)
def test_w26_removed_reordered_widened_or_spliced_caveats_are_refused(
    chain: list[Caveat], others: list[Caveat]
) -> None:
    sealed = wire_of(narrowed(LOCAL, chain))  # type: ignore[arg-type]
    rows = {tuple(chain[:i] + chain[i + 1 :]) for i in range(len(chain))}
    rows |= set(permutations(chain)) | {tuple(others), (*chain, caveats.until(NOW_MS * 3))}
    rows |= {(caveats.until(NOW_MS * 3), *chain[1:]), ()}
    assert all(refused(replace(sealed, caveats=row)) for row in rows - {tuple(chain)})
    other = wire_of(narrowed(LOCAL, others))  # type: ignore[arg-type]
    if other.proof != sealed.proof:
        assert refused(replace(sealed, proof=other.proof))


def test_w26_seventeen_caveats_and_unknown_numbers_are_refused() -> None:
    sealed = wire_of(LOCAL)
    for _ in range(CAVEATS_MAX):
        sealed = capability.narrow(sealed, caveats.until(NOW_MS))
    assert len(opened(sealed).caveats) == CAVEATS_MAX
    extended = capability.extend_proof(sealed.proof, caveats.until(NOW_MS))
    longer = replace(sealed, caveats=(*sealed.caveats, caveats.until(NOW_MS)), proof=extended)
    assert refused(longer)
    for number in (0, 5, 2**32 - 1):
        assert refused(capability.narrow(wire_of(LOCAL), Caveat(number, NOW_MS)))
    for value in (-1, None, "later", 1 << 63, (1,)):
        assert refused(capability.narrow(wire_of(LOCAL), Caveat(caveats.UNTIL, value)))


senders = st.sampled_from([SENDER, OTHER, b"x" * 32])
near = st.builds(caveats.until, st.integers(NOW_MS - 1, NOW_MS + 1))
near |= st.builds(caveats.uses, st.integers(1, 2), st.just(b""), st.integers(NOW_MS, NOW_MS + 1))
near |= st.builds(caveats.only, st.sampled_from([None, ["int", 0, 9], ["any"], ["text"]]))
near |= st.builds(caveats.holder, senders)


@given(st.lists(near, max_size=4), st.lists(near, max_size=4), senders, st.integers(0, 3), values)
def test_w26_what_a_narrowed_capability_lets_in_so_does_the_one_it_was_made_of(
    first: list[Caveat], more: list[Caveat], sender: bytes, used: int, content: Any
) -> None:
    forger = Forger(0)
    machine = forger.machines[0]
    wide: Any = narrowed(LOCAL._replace(address=machine.address, generation=IN_USE), first)
    tight: Any = narrowed(wide, more)

    def lets_in(cap: Local) -> bool:
        flight = Flight(machine, 1, now_ms=NOW_MS)
        for _ in range(used):
            is_good(forger.host, flight, sender, cap)
        good = is_good(forger.host, flight, sender, cap)
        return good and fit(patterns_of(cap), content, size_of(content))

    assert not lets_in(tight) or lets_in(wide)


# Patterns.


@given(patterns)
def test_a_pattern_is_one_whatever_itsrows_of_are_made_of(pattern: Any) -> None:
    check_untrusted(pattern)
    caveat = caveats.only(pattern)
    assert parse_caveat_untrusted(caveat.encoded) == caveat


@given(patterns, values)
def test_w26_what_fits_both_of_two_patterns_fits_each(pattern: Any, value: Any) -> None:
    assert fits(["or", pattern, ["any"]], value)
    assert fits(["or", pattern, pattern], value) == fits(pattern, value)
    assert fits(["tuple", pattern], (value,)) == fits(pattern, value)
    assert fits(["list", pattern, 1], (value,)) == fits(pattern, value)
    assert not fits(["tuple", pattern], (value, value))


def test_w26_an_atom_fits_itself_alone() -> None:
    some: list[Any] = [
        None,
        True,
        False,
        0,
        1,
        -1,
        "",
        "1",
        b"",
        b"1",
        1.0,
        (),
        (1,),
        Map({"a": 1}),
    ]
    some += [NULL, Linear(1)]
    for pattern in some[:10]:
        assert [value for value in some if fits(pattern, value)] == [pattern]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (["int", 0, 10], [0, 10], [-1, 11, True, 1.0, "1"]),
        (["int", None, 10], [-(2**200)], [11]),
        (["text", 2], ["", "ab"], ["abc", b"ab"]),
        (["bytes", 1], [b"a"], [b"ab", "a"]),
        (["cap"], [NULL, Foreign(1)], ["avm:", None]),
        (["map", ["a", ["int"]]], [{"a": 1}], [{}, {"a": 1, "b": 1}, {"a": "1"}, (1,)]),
        (["with", ["a", ["int"]]], [{"a": 1, "b": 2}], [{"b": 1}]),
        (["list", ["int", 0, 1], 2], [(), (0, 1)], [(0, 1, 0), (2,), 0]),
        (["tuple", "pay", ["int", 1, None]], [("pay", 7)], [("pay", 0), ("pay",), ("take", 1)]),
        (["or", None, ["bool"]], [None, True], [0]),
    ],
    ids=str,
)
def test_w26_a_pattern_lets_through_what_it_says(
    pattern: Any, good: list[Any], bad: list[Any]
) -> None:
    assert all(fits(pattern, freeze(one)) for one in good)
    assert not any(fits(pattern, freeze(one)) for one in bad)


@pytest.mark.parametrize(
    "pattern",
    [
        [],
        ["what"],
        ["any", 1],
        ["int", 1],
        ["int", "a", 2],
        ["text", -1],
        ["or"],
        ["list"],
        {"a": 1},
        ["map", ["a"]],
        ["map", ["a", 1], ["a", 2]],
        ["map", [True, 1]],
        ["tuple", 1.5],
        1.5,
        [["any"]],
        ["list", ["list", ["list", ["list", ["list", ["list", ["list", ["list", ["any"]]]]]]]]],
    ],
    ids=str,
)
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(Malformed):
        check_untrusted(pattern)
    with pytest.raises(NotAValue):
        caveats.only(pattern)


def test_w26_the_worst_patterns_take_no_more_looks_than_the_contents_size_allows() -> None:
    content = freeze([0] * 250_000 + [1])
    bomb: Any = ["or", *[["list", 0]] * 34, ["any"]]
    caveats.only(bomb)
    began = process_time()
    assert not fits(bomb, content) and not fit([bomb] * CAVEATS_MAX, content, 250_006)
    small = freeze([0, 1])
    assert fits(bomb, small) and fits(["list", ["int", 0, 1]], content)
    assert not fit([bomb] * CAVEATS_MAX, small, size_of(small))
    assert process_time() - began < 2 * (LOOKS + LOOKS_A_BYTE * 250_006) / 1_000_000


# In a step.


def test_w26_a_step_narrows_offline_by_appending() -> None:
    cap = Foreign(3)
    once = narrow(cap, until=10)
    twice = narrow(once, uses=2, until=5.5, nonce="a", only=["int"], holder="ab" * 32)
    assert isinstance(once, Narrowed) and isinstance(twice, Narrowed)
    assert twice._inner == cap and twice._caveats[:1] == once._caveats
    row = [parse_caveat_untrusted(one) for one in twice._caveats[1:]]
    assert [(one.number, one.value) for one in row] == [
        (caveats.USES, (2, b"a", 5500)),
        (caveats.ONLY, ("int",)),
        (caveats.HOLDER, bytes.fromhex("ab" * 32)),
    ]


def test_w26_a_narrowed_capability_equals_what_is_narrowed_alike_and_nothing_else() -> None:
    me = Me()
    cap = narrow(me("add"), until=10)
    assert cap == narrow(me("add"), until=10) and hash(cap) == hash(narrow(me("add"), until=10))
    others: list[Capability] = [me("add"), NULL, Foreign(0), narrow(me("add"), until=11)]
    others += [narrow(cap, until=10), narrow(me("read"), until=10), narrow(Foreign(0), until=10)]
    assert all(cap != other for other in others)
    assert me.open(cap) is None and Map({cap: 1})[cap] == 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "narrow by something"),
        ({"uses": 1}, "uses need an until"),
        ({"uses": 0, "until": 1}, "a whole number of messages, at least 1"),
        ({"uses": True, "until": 1}, "a whole number of messages"),
        ({"uses": 1.5, "until": 1}, "a whole number of messages"),
        ({"until": -1}, "in seconds since 1970"),
        ({"until": float("nan")}, "in seconds since 1970"),
        ({"until": "now"}, "in seconds since 1970"),
        ({"holder": "me"}, "64 lower-case hexadecimal digits"),
        ({"holder": "AB" * 32}, "64 lower-case hexadecimal digits"),
        ({"only": ["what"]}, 'a pattern like ["int", 0, 10]'),
        ({"only": {"n": ["int"]}}, 'a pattern like ["int", 0, 10]'),
        ({"only": 1.5}, 'a pattern like ["int", 0, 10]'),
        ({"only": "n" * 300}, "at most 256 bytes"),
        ({"uses": 1, "until": 1, "nonce": "n" * 65}, "a nonce is a text of at most 64 bytes"),
        ({"uses": 1, "until": 1, "nonce": 5}, "a nonce is a text of at most 64 bytes"),
    ],
    ids=str,
)
def test_what_narrows_by_nothing_or_by_nonsense_is_an_error(
    more: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        narrow(Foreign(1), **more)


def test_a_step_cannot_narrow_a_common_capability_or_beyond_sixteen() -> None:
    with pytest.raises(TypeError):
        narrow(NULL, until=1)
    cap: Capability = Foreign(1)
    for number in range(CAVEATS_MAX):
        cap = narrow(cap, until=number)
    with pytest.raises(ValueError, match="at most 16"):
        narrow(cap, until=1)


def test_w15_a_narrowed_capability_has_one_text_and_each_altered_character_is_mistyped() -> None:
    text = VECTORS["text"]
    for place in range(4, len(text)):
        other = "A" if text[place] != "A" else "B"
        with pytest.raises(Mistyped):
            parse_text(text[:place] + other + text[place + 1 :])
    whole = parse_text(text)
    assert isinstance(whole, SealedCapability) and refused(replace(whole, caveats=()))
