"""Refusals take the same steps whatever their cause; `python -m tests.caps.timing` holds a clock to them."""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caps.errors import InvalidCapability
from caps.sealing import (
    GENERATIONS_KEPT,
    MachineKeys,
    feigned_context,
    pack_context,
    unpack_context,
)
from tests.caps.timing import GOOD, Presenter, measure

# Of these one stands for another: the same work, for what is genuine and for what is not.
ALIKE = {"encrypt": "cipher", "decrypt": "cipher"}
FEIGNING = {"feigned_context"}
BUILT_IN = {"blake2b", "compare_digest", "update", "digest", "encrypt", "decrypt"}
OVER = {"revoked", "of a generation that has ended", "of a generation to come", "expired"}


def steps(call: Callable[[], object]) -> list[str]:
    """The functions that were called, and of those that are built in what cryptography has."""
    found: list[str] = []

    def note(frame: FrameType, event: str, function: object) -> None:
        if event == "call" and frame.f_code.co_name not in FEIGNING | ALIKE.keys():
            found.append(frame.f_code.co_name)
        elif event == "c_call":
            name = getattr(function, "__name__", "")
            if name in BUILT_IN:
                found.append(ALIKE.get(name, name))

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def warm(chain: int) -> Presenter:
    """One whose keys of the generations that are met have all been derived."""
    presenter = Presenter(1, chain)
    for _ in range(GENERATIONS_KEPT):
        for make in presenter.ways().values():
            presenter.present(make().wire())
    return presenter


def opening(presenter: Presenter, wire: bytes) -> Callable[[], object]:
    def opened() -> None:
        try:
            presenter.forger.keys.open_untrusted(wire)
        except InvalidCapability:
            pass

    return opened


@pytest.mark.parametrize("chain", [0, 1, 4])
def test_w14_every_refusal_opens_with_the_same_steps_as_a_good_one(chain: int) -> None:
    presenter = warm(chain)
    for name, make in presenter.ways().items():
        good, wire = presenter.ways()[GOOD]().wire(), make().wire()
        first = steps(opening(presenter, good))
        assert "cipher" in first and "compare_digest" in first
        assert steps(opening(presenter, wire)) == first, name
        again = steps(opening(presenter, good))
        assert len(again) < len(first)
        assert steps(opening(presenter, wire)) == again, f"{name}, presented again"


def test_w14_what_is_over_is_judged_with_the_same_steps_whatever_is_over() -> None:
    presenter = warm(0)
    ways = presenter.ways()
    good = ways[GOOD]().wire()
    judged = steps(partial(presenter.present, good))
    for name in OVER:
        wire = ways[name]().wire()
        assert steps(partial(presenter.present, wire)) == judged, name


@pytest.mark.parametrize("chain", [0, 2])
def test_each_cause_is_refused_for_itself_and_measured(chain: int) -> None:
    first, again = measure(3, chain)
    assert first.keys() == again.keys() >= OVER | {GOOD}
    assert len(first) == (15 if chain else 14)


@given(st.binary(max_size=900), st.integers(0, 2**16))
def test_what_is_feigned_is_as_long_as_what_was_sealed(value: bytes, generation: int) -> None:
    keys, stranger = MachineKeys(b"k" * 32, b"a" * 32), MachineKeys(b"x" * 32, b"a" * 32)
    plain = pack_context(value, [])
    made = stranger.seal(plain, generation=generation, priority=0, kind=0, expires_ms=None)
    feigned, genuine = keys.unseal_or_feign(made)
    assert not genuine and len(feigned) == len(plain)
    assert len(unpack_context(feigned)[0]) == len(value)


@given(st.integers(0, 40) | st.sampled_from([1_400, 1_500, 70_000]))
def test_any_noise_makes_a_feigned_context(size: int) -> None:
    assert unpack_context(feigned_context(bytes(size)))[1] == ()
