"""One turn: what a step may return, and what becomes of it when it may not."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from avm import Cancel, Failed, Me, Message, Refused, Send
from avm.limits import Limits
from avm.machine.turn import APPLIED, EXHAUSTED, REFUSED, REJECTED, References, Taken, take_turn
from caps.codec import encode_content
from caps.map import Map
from caps.slots import NULL, Foreign

SMALL = Limits(turn_bytes=2000, content_bytes=500, context_bytes=100)


def turn(
    call: Callable[[Message, Any], Any],
    *contents: Any,
    state: Any = "state",
    limits: Limits = SMALL,
) -> Taken:
    messages = [Message("go", content, Foreign(7)) for content in contents or (None,)]
    return take_turn(call, state, messages, References(5, 100), limits)


def test_sends_are_kept_message_by_message_with_references() -> None:
    def step(message: Message, state: Any) -> Any:
        own = Me()("mine")
        return [*message.answer(message.content), Send(Foreign(2), own), Cancel(own)], state

    taken = turn(step, 1, 2)
    assert taken.verdict == APPLIED and not taken.changed
    fresh, old, cancel = taken.sends[1]
    assert fresh == [-3, encode_content(2)[0]], "slot 7 is the third new one after five"
    assert old[0] == 2 and old[2][0][4] == b"\x64mine" and len(cancel) == 1


def test_the_same_state_object_is_read_only_and_an_equal_one_is_not() -> None:
    assert not turn(lambda message, state: ((), state), state=(1, 2)).changed
    assert turn(lambda message, state: ((), (*state, 2)), state=(1,)).changed
    assert turn(lambda message, state: ((), (*state[:1], *state[1:])), state=(1, 2)).changed


@pytest.mark.parametrize("raised", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_what_ends_a_program_fails_the_batch_with_its_line(raised: type[BaseException]) -> None:
    def step(message: Message, state: Any) -> Any:
        raise raised("enough")

    taken = turn(step, 1)
    assert taken.verdict == REJECTED and taken.why == f"{raised.__name__}: enough"
    assert taken.detail.startswith("Traceback (most recent call last)")
    assert 'raise raised("enough")' in taken.detail


def test_who_runs_a_step_in_their_own_process_can_interrupt_it() -> None:
    def step(message: Message, state: Any) -> Any:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        turn(step)


@pytest.mark.parametrize(
    "result",
    [None, 5, [], ([],), ([], 1, 2), ({}, 1), ("", 1), [[], 1]],
    ids=repr,
)
def test_falling_off_or_returning_no_pair_fails_the_batch(result: Any) -> None:
    taken = turn(lambda message, state: result)
    assert taken.verdict == (REFUSED if result is None else REJECTED)


@pytest.mark.parametrize(
    "sends, why",
    [
        ([1], "a send is a Send"),
        ([Send("no", 1)], "not a capability"),  # type: ignore[arg-type]
        ([Send(NULL, object())], "the content of a send"),
        ([Send(NULL, Me())], "Me"),
        ([Send(Foreign(1), "x" * 600)], "too large"),
        ([Send(Foreign(1), "x" * 400)] * 6, "too large"),
        ([Send(Foreign(1), 1, after_s=float("nan"))], "after_s is a number of seconds"),
        ([Send(Foreign(1), 1, deadline_s=-1)], "deadline_s is a number of seconds"),
        ([Send(Me()("x" * 200), 1)], "too large"),
    ],
)
def test_what_cannot_be_sent_rejects_the_batch(sends: list[Any], why: str) -> None:
    taken = turn(lambda message, state: (sends, state))
    assert taken.verdict == REJECTED, taken
    assert why.lower() in (taken.why + taken.detail).lower()


def test_a_state_that_is_no_value_rejects_the_batch() -> None:
    taken = turn(lambda message, state: ([], {"a": object()}))
    assert taken.verdict == REJECTED
    assert taken.why == "NotASend: the state: at .a: a object is no value"


def test_a_traceback_ends_at_the_steps_own_line_however_deep_it_broke_in_ours() -> None:
    def step(message: Message, state: Any) -> Any:
        nested: list[Any] = [object()]
        for _ in range(50):
            nested = [nested]
        return message.answer(Me()(nested)), state

    detail = turn(step).detail
    assert "in step\n" in detail and "Me()(nested)" in detail
    assert "/caps/" not in detail and detail.splitlines()[-1].startswith("NotAValue: ")


def test_p01_a_traceback_is_the_same_wherever_python_and_the_package_are() -> None:
    def step(message: Message, state: Any) -> Any:
        return (), json.loads("{")

    detail = turn(step).detail
    assert 'File "tests/avm/test_turn.py", line ' in detail and 'File "json/' in detail


def test_the_first_message_that_fails_is_named_and_undoes_all() -> None:
    def step(message: Message, state: Any) -> Any:
        if message.content == 3:
            raise Refused("three")
        return message.answer(1), (*state, message.content)

    taken = turn(step, 1, 2, 3, 4, state=())
    assert (taken.verdict, taken.index, taken.why) == (REFUSED, 2, "three")
    assert taken.state == () and not taken.sends and not taken.changed


def test_limits_of_the_machine_are_told_apart_from_exceptions() -> None:
    def deep(message: Message, state: Any) -> Any:
        return deep(message, state)

    def hungry(message: Message, state: Any) -> Any:
        raise MemoryError

    assert turn(deep).verdict == EXHAUSTED and turn(hungry).verdict == EXHAUSTED


def test_a_hostile_exception_harms_nobody() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise ValueError("again")

    def step(message: Message, state: Any) -> Any:
        raise Hostile

    taken = turn(step)
    assert taken.verdict == REJECTED and "Hostile" in taken.why


def test_a_failed_that_is_refused_is_discarded() -> None:
    def step(message: Message, state: Any) -> Any:
        raise Refused("what?")

    assert turn(step, Failed("late")).verdict == APPLIED
    assert turn(step, "late").verdict == REFUSED


def test_a_messages_parts_cannot_be_changed() -> None:
    def step(message: Message, state: Any) -> Any:
        message.content = 5  # type: ignore[misc]
        return [], state

    taken = turn(step)
    assert taken.verdict == REJECTED and "cannot assign" in taken.why


def test_a_word_and_a_traceback_are_bounded() -> None:
    def step(message: Message, state: Any) -> Any:
        raise Refused("x" * 100_000)

    def bug(message: Message, state: Any) -> Any:
        raise ValueError("y" * 100_000)

    assert len(turn(step).why) < 2000 and len(turn(bug).detail) < 10_000


def test_a_turn_that_makes_the_state_too_large_is_rejected_and_says_so() -> None:
    limits = replace(SMALL, state_bytes=500)

    def grows(message: Message, state: Any) -> Any:
        return [], (*state, message.content)

    def twice(message: Message, state: Any) -> Any:
        return [], (state, state)

    def vast(message: Message, state: Any) -> Any:
        doubled = Map({"a": state})
        for _ in range(30):
            doubled = Map({"a": doubled, "b": doubled})
        return [], doubled

    state: Any = ()
    for _ in range(9):
        taken = turn(grows, b"x" * 50, state=state, limits=limits)
        assert taken.verdict == APPLIED
        state = taken.state
    for call in (grows, twice, vast):
        taken = turn(call, b"x" * 25, b"x" * 25, state=state, limits=limits)
        assert taken.verdict == REJECTED and taken.state is state and taken.index == 1
        assert "too large: the state: " in taken.why
