"""Handles and Me: authority that no step can turn into bytes or make of bytes."""

import copy
import pickle
from collections.abc import Callable
from operator import index

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caps.map import Map
from caps.slots import NULL, Common, Foreign, Me, Own, sort_key
from caps.value import Capability
from tests.caps.strategies import atoms, capabilities, exact, plain_states


@given(capabilities)
def test_x02_a_capability_cannot_be_turned_into_bytes(capability: Capability) -> None:
    assert repr(capability) == str(capability) == f"{capability}" == "<capability>"
    turns: list[Callable[[object], object]] = [bytes, int, list, float, index, pickle.dumps]  # type: ignore[list-item]
    for turn in turns:
        with pytest.raises(TypeError):
            turn(capability)
    with pytest.raises(TypeError):
        format(capability, "x")
    assert not hasattr(capability, "__dict__")
    assert copy.deepcopy(capability) is capability


@given(st.integers(0, 5), st.integers(0, 5))
def test_x02_a_number_cannot_be_turned_into_a_capability(held: int, wanted: int) -> None:
    capability = Foreign(held)
    for made in (type(capability), capability.__class__):
        with pytest.raises(TypeError):
            made(wanted)
    with pytest.raises(AttributeError):
        capability._slot = wanted
    with pytest.raises(AttributeError):
        object.__setattr__(capability, "_slot", wanted)
    empty = object.__new__(type(capability))
    with pytest.raises(AttributeError):
        object.__setattr__(empty, "_slot", wanted)
    with pytest.raises(TypeError):
        Capability(wanted)  # type: ignore[call-arg]
    assert capability == Foreign(held)


@given(plain_states, plain_states)
def test_an_own_capability_opens_to_its_context_exactly(context: object, other: object) -> None:
    me = Me(3)
    sealed = me(context)
    assert exact(me.open(sealed)) == exact(context)
    assert me(context) == sealed
    assert hash(me(context)) == hash(sealed)
    assert (me(other) == sealed) == (exact(other) == exact(context))


@given(atoms, atoms, plain_states)
def test_within_seals_pairs_and_opens_only_its_own(
    outer: object, inner: object, context: object
) -> None:
    me = Me()
    narrow = me.within(outer)
    assert narrow(context) == me((outer, context))
    assert narrow.within(inner)(context) == me((outer, (inner, context)))
    assert exact(narrow.open(narrow(context))) == exact(context)
    assert exact(narrow.within(inner).open(narrow((inner, context)))) == exact(context)
    assert narrow.open(me((inner, context))) is None or exact(inner) == exact(outer)
    assert narrow.open(me(7)) is None
    assert narrow != me
    assert narrow == Me(9).within(outer)


def test_equality_goes_by_the_exact_type() -> None:
    me = Me()
    assert len({me(1), me(True), me(1.0), me((1,)), me((True,)), me([1])}) == 5
    assert me("a") != me("a", priority=0.001)
    assert me("a") != me("a", kind="linear")
    assert me("a") != me("a", expires=1)
    assert me("a") != Me(1)("a")
    assert me.within(1).open(me.within(True)("a")) is None
    assert me.within(1) != me.within(True)
    assert Foreign(1) != Foreign(2)
    assert Foreign(1) != me(1)
    assert Common("null~") == NULL


def test_me_refuses_what_is_out_of_range() -> None:
    me = Me()
    for priority in (1.001, -1.001, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="priority"):
            me(1, priority=priority)
    with pytest.raises(ValueError, match="kind"):
        me(1, kind="other")
    for expires in (-1.0, float("inf"), float("nan"), 1e300):
        with pytest.raises(ValueError, match="expiry"):
            me(1, expires=expires)
    made = me(1, priority=-0.5, kind="affine", expires=12.3456)
    assert isinstance(made, Own)
    assert (made._priority, made._kind, made._expires_ms) == (-500, "affine", 12346)


def test_only_own_capabilities_open() -> None:
    assert Me().open(Foreign(0)) is None
    assert Me().open(NULL) is None
    assert repr(Me().within("secret")) == "<me>"


@given(st.lists(capabilities, max_size=8))
def test_the_order_is_slots_then_own_then_commons(some: list[Capability]) -> None:
    def rank(capability: Capability) -> int:
        return [isinstance(capability, one) for one in (Foreign, Own, Common)].index(True)

    ordered = sorted(some, key=sort_key)
    assert [rank(c) for c in ordered] == sorted(rank(c) for c in some)
    slots = [c._slot for c in ordered if isinstance(c, Foreign)]
    assert slots == sorted(slots)


def test_a_context_may_hold_capabilities_and_me() -> None:
    me = Me()
    context = me.open(me({"k": Foreign(4), "me": me.within(1)}))
    assert context == Map({"k": Foreign(4), "me": me.within(1)})
