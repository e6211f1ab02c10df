"""What the command line says when it cannot do what was asked: one line, and the exit code."""

from avm.errors import AvmError

REFUSED, USAGE, NO_HOST, NO_ANSWER, DAMAGED = 1, 2, 3, 4, 5


class CliError(AvmError):
    """The thing asked for does not hold."""

    code = REFUSED

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code


class Usage(CliError):
    """The command, a value, a line or a file is malformed."""

    code = USAGE


class NoValue(CliError):
    """The bytes that came as a content are none."""


class NoHost(CliError):
    """No host is running there."""

    code = NO_HOST


class NoAnswer(CliError):
    """There was no answer in time; the text says what is known."""

    code = NO_ANSWER


class Lost(CliError):
    """The connection to the host broke."""

    code = NO_HOST
