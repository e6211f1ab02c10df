"""Cases: the case is chosen by context and by the annotation of the content."""

from dataclasses import replace

import pytest

from avm import Capability, Cases, Failed, Map, Me, Message, Refused, Send, Step, record
from caps.slots import Foreign


@record
class State:
    total: int = 0


@record
class Waiting:
    amount: int


def made() -> Cases[State]:
    step = Cases[State]()

    @step.on("add")
    def add(message: Message, state: State, n: int) -> Step[State]:
        return message.answer(state.total + n), replace(state, total=state.total + n)

    @step.on("add")
    def add_word(message: Message, state: State, word: str | None) -> Step[State]:
        return message.answer(word), state

    @step.on("read")
    def read(message: Message, state: State) -> Step[State]:
        return message.answer(state.total), state

    @step.on(Waiting)
    def answered(message: Message, state: State, content: Map[str, int]) -> Step[State]:
        assert isinstance(message.context, Waiting)
        return [], replace(state, total=state.total + message.context.amount)

    @step.on(Waiting)
    def failed(message: Message, state: State, failure: Failed) -> Step[State]:
        return [], replace(state, total=-1)

    @step.on("meet")
    def meet(message: Message, state: State, peer: Capability) -> Step[State]:
        return [Send(peer, "hello")], state

    return step


def take(context: object, content: object) -> tuple[object, int]:
    message = Message(context, content, Foreign(0))
    sends, state = made()(message, State(5))
    first = sends[0] if sends else None
    return (first.content if isinstance(first, Send) else None), state.total


def test_a_case_is_chosen_by_context_and_content() -> None:
    assert take("add", 2) == (7, 7)
    assert take("add", "word") == ("word", 5)
    assert take("add", None) == (None, 5)
    assert take("read", None) == (5, 5)
    assert take(Waiting(3), Map({"a": 1})) == (None, 8)
    assert take(Waiting(3), Failed("late")) == (None, -1)
    assert take("meet", Foreign(3)) == ("hello", 5)


def test_what_was_sealed_within_a_part_is_chosen_by_its_last() -> None:
    sealed = Me().within("purse")("read")
    assert Me().open(sealed) == ("purse", "read")
    assert take(("purse", "read"), None) == (5, 5)


@pytest.mark.parametrize(
    "context, content", [("add", True), ("add", 1.0), ("read", 1), ("other", None), (b"add", 1)]
)
def test_what_fits_no_case_is_refused(context: object, content: object) -> None:
    with pytest.raises(Refused):
        take(context, content)


def test_a_failed_is_taken_only_by_a_case_that_names_it() -> None:
    with pytest.raises(Refused):
        take("add", Failed("late"))


def test_a_case_with_an_odd_annotation_is_told_when_it_is_made() -> None:
    step = Cases[State]()

    def case(message: Message, state: State, n: "list[int]") -> Step[State]:
        return [], state

    with pytest.raises(TypeError, match="cannot be annotated"):
        step.on("add")(case)


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ("list[int]", "a list comes as a tuple"),
        ("set[int]", "a list comes as a tuple"),
        ("dict[str, int]", "come as a Map"),
        ("State", "come as a Map"),
        ("complex", "one of bool, int, float"),
    ],
)
def test_an_odd_annotation_is_told_with_what_comes(annotation: str, says: str) -> None:
    def case(message: Message, state: State, n: object) -> Step[State]:
        return [], state

    case.__annotations__["n"] = annotation
    with pytest.raises(TypeError, match=says):
        Cases[State]().on("add")(case)


@pytest.mark.parametrize("context", [len, 5, ("add", 1), Waiting(1), None])
def test_on_without_a_name_or_a_class_is_told(context: object) -> None:
    with pytest.raises(TypeError, match="on takes a context's name or a record class"):
        Cases[State]().on(context)  # type: ignore[arg-type]
