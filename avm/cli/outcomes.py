"""Outcomes that are no answer, as the command tells them."""

from typing import Any, NoReturn

from avm.cli.errors import NO_ANSWER, REFUSED, USAGE, CliError


def fail(why: str, word: Any = "", machine: str = "") -> NoReturn:
    """Raises the one line of an outcome, with its exit code; `machine` is one of the operator's own."""
    said = f"{why}: {word}" if word else why
    if why == "rejected" and machine:
        said = f"{said}: `avm-host failed ls {machine}` has why"
    if why == "too large":
        raise CliError("the message is larger than the host takes: see `avm-host config`", USAGE)
    if why == "unknown":
        raise CliError(said if word else f"{why}: its fate is unknown", NO_ANSWER)
    raise CliError(said, REFUSED)
