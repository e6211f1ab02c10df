"""The errors of this package: whose fault it was, in a sentence the user can read.

A value error is the step author's or ours; `Malformed` and what derives from it is a stranger's.
"""

from collections.abc import Callable


class CapsError(Exception):
    """Something is wrong with a value or a capability."""


class NotAValue(CapsError):
    """Only None, bool, int, float, str, bytes, tuples, maps, capabilities and records are values."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"at {path}: {why}" if path else why)
        self.why = why
        self.path = path

    def within(self, part: str) -> "NotAValue":
        """Return the same error as seen from the container that holds it under `part`."""
        return type(self)(self.why, part + self.path)


class TooDeep(NotAValue):
    """The value is nested too deeply."""


class TooBig(NotAValue):
    """The value is too large."""


class Malformed(CapsError):
    """The bytes or the text are not a well-formed value."""


class InvalidCapability(CapsError):
    """The capability is not valid."""


class Mistyped(CapsError):
    """The text of the capability was mistyped: its checksum does not match."""


def why_no_value(value: object) -> str:
    """Why an object that is no value is none, and what is one in its place."""
    name = type(value).__name__
    if hasattr(type(value), "__members__"):
        return f"a member of {name} is no value, use its .value"
    for base in (bool, int, float, str, bytes, tuple, list, dict):
        if isinstance(value, base):
            return f"a {name} is no value, make it exactly {base.__name__}"
    return f"a {name} is no value{_instead(type(value))}"


def _instead(kind: type) -> str:
    """What is a value in the place of one of this class, or ''."""
    if issubclass(kind, set | frozenset):
        return ", sorted(..) of it is one"
    if hasattr(kind, "isoformat"):
        return ", its .isoformat() is one"
    if hasattr(kind, "total_seconds"):
        return ", its .total_seconds() is one"
    if hasattr(kind, "as_integer_ratio"):
        return ", its str(..) is one"
    if hasattr(kind, "__dataclass_fields__"):
        return ", a @record is one"
    if hasattr(kind, "__iter__"):
        return ", list(..) of it is one"
    has_fields = kind.__dictoffset__ and not issubclass(kind, Callable)  # type: ignore[arg-type]
    return ", a @record is one" if has_fields else ""
