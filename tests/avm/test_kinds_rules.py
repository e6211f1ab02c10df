"""The rule of kinds against a model of it, in the worker and in the host, and the kinds of capabilities."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm import NULL, Affine, Linear, Me, Message, Relevant, Send
from avm.host import kinds
from avm.host.capability import Local, Reply, Sealed, kind_of, to_wire
from avm.host.commons import draw, furnish
from avm.host.keys import Keyring
from avm.host.plan import Unfit
from avm.host.state import Flight, Host, Machine, Status
from avm.limits import Limits
from avm.machine import frames
from avm.machine.kinds import Copied, Dropped, Watch, follow, slots_of
from avm.machine.turn import APPLIED, REJECTED, References, take_turn
from caps.capability import kind_of_wire, parse_wire_untrusted
from caps.codec import encode_content
from caps.heads import has_tag
from caps.kinds import KINDS, kind_in, size_of
from caps.map import Map, freeze
from caps.slots import Foreign
from caps.value import Value

ME = Me()
OTHER = Foreign(90)
NAMES = ("linear", "affine", "relevant")
THINGS: dict[str, list[Value]] = {
    "": [5, "x"],
    "linear": [Linear(1), Foreign(1, "linear"), ME("l", kind="linear"), ME(Linear(9))],
    "affine": [Affine(1), Foreign(2, "affine"), ME("a", kind="affine")],
    "relevant": [Relevant(1), Foreign(3, "relevant"), ME("r", kind="relevant")],
}
ALL = [(kind, thing) for kind, some in THINGS.items() for thing in some]
things = st.sampled_from(ALL)


@dataclass(frozen=True)
class Plan:
    """What a step does with each thing that came: how often it keeps, sends and gives it up."""

    state: list[tuple[str, Value]]
    content: list[tuple[str, Value]]
    does: list[tuple[int, int, int]]

    def step(self, message: Message, state: Any) -> Any:
        came = [*self.state, *self.content]
        kept: list[Value] = []
        sends: list[Send] = []
        for (_kind, thing), (keep, send, give) in zip(came, self.does, strict=False):
            kept += [{"in": [thing]}] * keep
            sends += [Send(OTHER, [1, thing])] * send + [Send(NULL, thing)] * give
        return sends, kept

    def holds(self) -> bool:
        """Whether the rule allows it, counted thing by thing."""
        came = [*self.state, *self.content]
        kinds_of = {repr_of(thing): kind for kind, thing in came}
        arrived = Counter(repr_of(thing) for _kind, thing in came)
        left: Counter[str] = Counter()
        gone: Counter[str] = Counter()
        for (_kind, thing), (keep, send, give) in zip(came, self.does, strict=False):
            left[repr_of(thing)] += keep + send
            gone[repr_of(thing)] += give
        return all(
            allowed(kinds_of[key], count, left[key], gone[key]) for key, count in arrived.items()
        )


def allowed(kind: str, came: int, left: int, gone: int) -> bool:
    if kind == "linear":
        return left <= came <= left + gone
    if kind == "affine":
        return left <= came
    return kind != "relevant" or left + gone > 0


def repr_of(thing: Value) -> str:
    return f"{THINGS_AT.index(thing)}"


THINGS_AT = [thing for _kind, thing in ALL]
amounts = st.tuples(*[st.sampled_from([0, 0, 0, 1, 1, 2])] * 3)
lists = st.lists(things, max_size=4)
plans = st.builds(Plan, lists, lists, st.lists(amounts, min_size=8, max_size=8))


@given(plans)
def test_w16_a_turn_is_taken_exactly_when_the_model_allows_it(plan: Plan) -> None:
    watch = Watch()
    watch.came = True
    state = freeze([thing for _kind, thing in plan.state])
    message = Message(None, freeze({"it": [thing for _kind, thing in plan.content]}))
    taken = take_turn(plan.step, state, [message], References(99, 1024), Limits(), watch)
    assert taken.verdict in (APPLIED, REJECTED)
    assert (taken.verdict == APPLIED) == plan.holds(), taken.why
    if taken.verdict == REJECTED:
        assert taken.state is state and not taken.sends, "a failed batch has spent nothing"


def _flight(plan: Plan) -> tuple[Flight, list[Any]]:
    """A flight as the host has it, and the sends of a worker that lets everything pass."""
    machine = Machine(1, b"m" * 32, "m", Status.RUNNING, b"", b"", b"")
    slots = {1: 1, 2: 2, 3: 3}
    machine.slots = {
        slot: Local(b"o" * 32, 0, 0, kind, None, b"", ()) for slot, kind in slots.items()
    }
    flight = Flight(machine, 1)
    flight.came = {thing._slot: 1 for _kind, thing in plan.content if isinstance(thing, Foreign)}
    sends, after = plan.step(Message(None, None), None)
    references = References(99, 1024)
    rows = []
    for send in sends:
        body, caps = encode_content(freeze(send.content))
        to = references.of(send.to)
        rows.append([to, body, [references.of(cap) for cap in caps], None, None, None, False])
    flight.held = [
        slots_of(freeze([thing for _kind, thing in plan.state])),
        slots_of(freeze(after)),
    ]
    return flight, [rows]


handles = st.sampled_from([(kind, Foreign(slot, kind)) for slot, kind in enumerate(NAMES, 1)])
by_slot = st.lists(handles, max_size=3, unique_by=lambda one: one[0])
slot_plans = st.builds(
    Plan, st.just([]), by_slot, st.lists(amounts, min_size=3, max_size=3)
) | st.builds(Plan, by_slot, st.just([]), st.lists(amounts, min_size=3, max_size=3))


@given(slot_plans)
def test_w16_the_host_finds_by_slot_what_a_worker_lets_pass(plan: Plan) -> None:
    flight, sends = _flight(plan)
    try:
        kinds.check(flight, sends)
    except Unfit as error:
        assert not plan.holds(), str(error)
    else:
        assert plan.holds()


def test_w16_a_worker_that_reports_nothing_has_dropped_what_is_linear() -> None:
    flight, sends = _flight(Plan([], [("linear", Foreign(1, "linear"))], [(1, 0, 0)]))
    kinds.check(flight, sends)
    flight.held = None
    with pytest.raises(Unfit, match="linear capability in slot 1 was dropped"):
        kinds.check(flight, sends)


@given(st.lists(things, max_size=5))
def test_w16_a_capabilitys_kind_is_the_least_that_covers_its_context(
    inside: list[tuple[str, Value]],
) -> None:
    found = {kind for kind, _thing in inside}
    uncopied, undropped = found & {"linear", "affine"}, found & {"linear", "relevant"}
    least = KINDS[{(0, 0): 0, (1, 1): 1, (1, 0): 2, (0, 1): 3}[bool(uncopied), bool(undropped)]]
    context = {"it": [thing for _kind, thing in inside]}
    assert ME(context)._kind == least == kind_in(freeze(context))  # type: ignore[attr-defined]
    for kind in KINDS:
        stronger = {kind, least} - {""}
        joined = "linear" if len(stronger) == 2 else next(iter(stronger), "")
        assert ME(context, kind=kind)._kind == joined  # type: ignore[attr-defined]


def test_w16_a_me_is_not_narrowed_by_what_it_would_copy() -> None:
    with pytest.raises(ValueError, match="cannot be in a Me"):
        ME.within((1, Affine(2)))


@given(
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([0, 23, 24, 255, 256, 70_000]),
    st.sampled_from([-1000, -25, -24, -1, 0, 23, 24, 300, 1000]),
    st.sampled_from([None, 0, 1_700_000_000_000]),
)
def test_w16_the_kind_is_read_off_the_wire_without_decoding(
    kind: int, generation: int, priority: int, expires_ms: int | None
) -> None:
    keys = Keyring(b"s" * 32, b"t" * 32)
    address = keys.address
    local = Local(address, generation, priority, kind, expires_ms, b"\xf6", ())
    wire = to_wire(local, keys)
    parsed = parse_wire_untrusted(wire)
    assert kind_of_wire(wire) == (kind, expires_ms is not None)
    assert parsed.kind == kind  # type: ignore[union-attr]
    assert kind_of(Sealed(address, wire)) == kind_of(local)
    assert kind_of(Reply(address, 1, 5)) == 0


@given(
    st.recursive(
        st.sampled_from(
            [
                None,
                1,
                -500,
                2.5,
                "abc",
                b"\xd9\xa0\x2c",
                "x" * 300,
                Linear(1),
                Relevant(1),
                Affine(1),
            ]
        ),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
    )
)
def test_a_tag_is_found_without_decoding_and_bytes_are_not_taken_for_one(value: Any) -> None:
    frozen = freeze(value)
    body, _caps = encode_content(frozen)
    for wrapper, tag in ((Linear, 41004), (Affine, 41005), (Relevant, 41006)):
        assert has_tag(body, (tag,)) == _holds(frozen, wrapper)
    assert size_of(frozen) == len(body)


def _holds(value: Value, wrapper: type) -> bool:
    if isinstance(value, wrapper):
        return True
    if isinstance(value, Linear | Affine | Relevant):
        return _holds(value.value, wrapper)
    parts: Any = value if type(value) is tuple else value.values() if isinstance(value, Map) else ()
    return any(_holds(part, wrapper) for part in parts)


def test_the_bytes_of_references_reports_and_random_draws_are_these() -> None:
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "kinds.json").read_text())
    references = References(5, 1024)
    made = {
        "linear slot 3": frames.pack(references.of(Foreign(3, "linear"))),  # type: ignore[arg-type]
        "affine and new": frames.pack(references.of(Foreign(5, "affine"))),  # type: ignore[arg-type]
        "relevant slot 4": frames.pack(references.of(Foreign(4, "relevant"))),  # type: ignore[arg-type]
    }
    held = [[3, 4], [3, -1]]
    answer = [frames.TURN, 1, 2, frames.UNCHANGED, "", None, held]
    made["a report"] = frames.pack(answer)
    host = Host(b"h" * 32, Limits(), Keyring(b"s" * 32, b"t" * 32))
    furnish(host, bytes(range(32)))
    made["100 random bytes"], made["8 more"] = draw(host, 100), draw(host, 8)
    assert {name: body.hex() for name, body in made.items()} == vectors
    assert frames.held_in(frames.unpack_untrusted(bytes.fromhex(vectors["a report"]))) == held


@pytest.mark.parametrize(
    "report", [[], [[1]], [[1], 2], [[1], ["a"]], [[1], [True]], [[1], [2], [3]]]
)
def test_a_report_of_another_shape_is_a_bad_frame(report: list[Any]) -> None:
    with pytest.raises(frames.BadFrame):
        frames.held_in([frames.TURN, 1, 2, frames.UNCHANGED, "", None, report])


coins = st.integers(0, 5).map(Linear) | st.integers(0, 2).map(Relevant) | st.integers(0, 9)
changes = st.lists(st.tuples(st.integers(0, 60), st.none() | coins), max_size=4)


@given(st.lists(coins, min_size=40, max_size=40), changes, st.lists(st.integers(0, 60), max_size=2))
def test_w16_what_is_left_as_it_was_is_passed_over_and_judged_all_the_same(
    held: list[Value], changed: list[tuple[int, Value]], sent: list[int]
) -> None:
    before: Map[Any, Any] = Map({f"k{place:02}": coin for place, coin in enumerate(held)})
    after = before
    for place, coin in changed:
        key = f"k{place:02}"
        after = (
            after.put(key, coin) if coin is not None else after.drop(key) if key in after else after
        )
    sends = [Send(OTHER, before.get(f"k{place:02}")) for place in sent]
    left = Counter([*after.values(), *(send.content for send in sends)])
    came = Counter(before.values())
    holds = all(
        allowed({Linear: "linear", Relevant: "relevant"}.get(type(one), ""), count, left[one], 0)
        for one, count in came.items()
    )
    again = Map(dict(after.items()))  # the same, and no part of it the same object
    for state in (after, again):
        try:
            follow(Message(None, None), (before, 1), sends, (state, 1))
        except (Copied, Dropped):
            assert not holds
        else:
            assert holds
