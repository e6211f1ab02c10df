"""The errors of this package: whose fault it was, in a sentence the user can read.

A value error is the step author's or ours; `Malformed` and what derives from it is a stranger's.
"""


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
