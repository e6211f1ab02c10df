"""Cases: one typed function for each kind of message, found by context and content.

The only layer of sugar. A case is chosen by the context's text, or the class of the
record in it, and by the annotation of its `content`; its result is an ordinary step.
"""

from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from avm.message import Message, Refused, Step
from caps.map import Map
from caps.value import Affine, Capability, Failed, Linear, Relevant

S = TypeVar("S")
Case = Callable[..., Any]

CONTENT_TYPES: tuple[type, ...] = (bool, int, float, str, bytes, tuple, Map, Capability, Failed)
CONTENT_TYPES += (Linear, Affine, Relevant, NoneType)


class Cases(Generic[S]):
    """A step made of cases: `step = Cases[State]()`, then `@step.on("add")` above each function.

    A case is `case(message, state)` or `case(message, state, content)`, where the annotation of
    `content` says what it takes. `@step.on(RecordClass)` gives the case the record as its context.
    """

    def __init__(self) -> None:
        self._cases: list[tuple[str | type, tuple[type, ...] | None, int, Case]] = []

    def on(self, context: str | type) -> Callable[[Case], Case]:
        """Registers the function below as the case for this context's name or record class."""
        if not isinstance(context, str | type):
            why = 'on takes a context\'s name or a record class: `@step.on("add")`'
            raise TypeError(f"{why}, not a {type(context).__name__}")

        def register(case: Case) -> Case:
            arguments = case.__code__.co_argcount
            if arguments not in (2, 3):
                raise TypeError(f"{case.__name__} must take (message, state) or with a content")
            self._cases.append((context, _content_types(case, arguments), arguments, case))
            return case

        return register

    def __call__(self, message: Message, state: S) -> Step[S]:
        for context, types, arguments, case in self._cases:
            if not _fits(context, message.context):
                continue
            if types is None:
                if isinstance(message.content, Failed):
                    continue
            elif type(message.content) not in types and not _is_capability(message.content, types):
                continue
            given = (message, state, message.content)[:arguments]
            result: Step[S] = case(*given)
            return result
        raise Refused


def _fits(wanted: str | type, context: object) -> bool:
    if isinstance(wanted, str):
        head = context[-1] if isinstance(context, tuple) and context else context
        return head == wanted if isinstance(head, str) else False
    head = context[-1] if isinstance(context, tuple) and context else context
    return isinstance(head, wanted)


def _is_capability(content: object, types: tuple[type, ...]) -> bool:
    return isinstance(content, Capability) and Capability in types


def _content_types(case: Case, arguments: int) -> tuple[type, ...] | None:
    """The classes that the third parameter's annotation admits; None: anything but a `Failed`.

    A case without the parameter takes no content: only None.
    """
    if arguments == 2:
        return (NoneType,)
    name = case.__code__.co_varnames[2]
    hint = get_type_hints(case).get(name, object)
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    types: list[type] = []
    for option in options:
        origin = get_origin(option) or option
        if origin in (object, Any):
            return None
        if origin not in CONTENT_TYPES:
            why = f"{case.__name__}: {name} cannot be annotated with {option!r}"
            raise TypeError(f"{why}: {_comes_as(origin)}")
        types.append(origin)
    return tuple(types)


def _comes_as(origin: object) -> str:
    """What a content of this class is when it comes."""
    if isinstance(origin, type) and issubclass(origin, list | set):
        return "a list comes as a tuple"
    if hasattr(origin, "__record_name__") or (
        isinstance(origin, type) and issubclass(origin, Mapping)
    ):
        return "a dict and a record come as a Map"
    return f"one of {', '.join(one.__name__ for one in CONTENT_TYPES[:-1])}, None"
