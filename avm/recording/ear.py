"""The ear at a core's door: each input that it is told, with what came of it. Pure.

Beside the journey. The methods of one core are stood before by ones that tell; a core without an ear
pays nothing for them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from avm.host.core import Core
from avm.recording.inputs import BY_FUNCTION, METHODS, Input
from avm.recording.outputs import output_of, raised


class Ear(Protocol):
    """Hears of each input once it is done."""

    def hear(self, name: str, fresh: bool, arguments: list[Any], output: list[Any]) -> None:
        """`fresh`: the effects of all inputs before have been taken from the core."""
        ...


class _Door:
    """Tells of calls from outside, and not of those that a core makes of itself.

    Nor of those that every pass makes and that change nothing: the clock has not moved, there is no commit.
    """

    __slots__ = ("core", "ear", "inside")

    def __init__(self, core: Core, ear: Ear) -> None:
        self.core = core
        self.ear = ear
        self.inside = False

    def call(self, known: Input, does: Callable[..., Any], args: Any, more: Any) -> Any:
        if self.inside:
            return does(*args, **more)
        told = known.plain(args, more)
        host = self.core.host
        effects, clock = host.effects, (host.now_ms, host.clock_ms, host.ahead_ms)
        before = len(effects)
        self.inside = True
        try:
            result = does(*args, **more)
        except BaseException as error:
            self.ear.hear(known.name, not before, told, raised(error, effects[before:]))
            raise
        finally:
            self.inside = False
        is_idle = known.name == "take_commit" and result is None
        if known.name == "hear_clock":
            is_idle = clock == (host.now_ms, host.clock_ms, host.ahead_ms)
        if not is_idle:
            self.ear.hear(known.name, not before, told, output_of(result, effects[before:]))
        return result


def attend(core: Core, ear: Ear) -> None:
    """Has an ear told of every input from here on."""
    door = _Door(core, ear)
    for known in METHODS:
        setattr(core, known.name, _told(door, known, getattr(core, known.name)))
    setattr(core, "do", partial(_do, door))  # noqa: B010 the method of this one core


def leave(core: Core) -> None:
    """Has nobody told any more."""
    for known in METHODS:
        core.__dict__.pop(known.name, None)
    core.__dict__.pop("do", None)


def _told(door: _Door, known: Input, does: Callable[..., Any]) -> Callable[..., Any]:
    def told(*args: Any, **more: Any) -> Any:
        return door.call(known, does, args, more)

    return told


def _do(door: _Door, what: Callable[..., Any], *args: Any, **more: Any) -> Any:
    return door.call(BY_FUNCTION[what], partial(what, door.core.host), args, more)
