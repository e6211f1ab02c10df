"""The ear at a core's door: each input that it is told, with what came of it. Pure.

Beside the journey. The methods of one core are stood before by ones that tell; a core without an ear
pays nothing for them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from avm.host.core import Core
from avm.host.state import Host
from avm.recording.inputs import BY_FUNCTION, METHODS, Input
from avm.recording.outputs import packed_output, raised
from avm.recording.packing import packed


class Ear(Protocol):
    """Hears of each input once it is done."""

    def hear(self, name: str, fresh: bool, arguments: bytes, output: bytes) -> None:
        """Arguments and output are packed; `fresh`: the effects of all inputs before were taken."""
        ...


class _Door:
    """Tells of calls from outside, and not of those that a core makes of itself.

    Nor of those that every pass makes and that change nothing: the clock has not moved, nobody has work.
    """

    __slots__ = ("core", "ear", "inside")

    def __init__(self, core: Core, ear: Ear) -> None:
        self.core = core
        self.ear = ear
        self.inside = False

    def call(self, known: Input, does: Callable[..., Any], args: Any, more: Any) -> Any:
        if self.inside:
            return does(*args, **more)
        told = known.packed(args, more)
        host = self.core.host
        effects, clock = host.effects, (host.now_ms, host.clock_ms, host.ahead_ms)
        before = len(effects)
        idle = IDLE.get(known.name)
        is_idle = idle is not None and idle(host, args)
        self.inside = True
        try:
            result = does(*args, **more)
        except BaseException as error:
            output = packed(raised(error, effects[before:]))
            self.ear.hear(known.name, not before, told, output)
            raise
        finally:
            self.inside = False
        if known.name == "hear_clock":
            is_idle = clock == (host.now_ms, host.clock_ms, host.ahead_ms)
        if not is_idle:
            self.ear.hear(known.name, not before, told, packed_output(result, effects[before:]))
        return result


def _nobody_is_ready(host: Host, _args: tuple[Any, ...]) -> bool:
    waits = any(worker.waiting for worker in host.workers.values())
    return not (host.ready or host.links or waits)


def _nothing_to_commit(host: Host, _args: tuple[Any, ...]) -> bool:
    return host.committing is not None or not host.group


def _nothing_to_confirm(host: Host, args: tuple[Any, ...]) -> bool:
    client, receiver, *_seq = args
    channel = host.channels.get((client, receiver))
    return client in host.clients and (channel is None or not channel.verdicts)


# What changes nothing, as is seen before it is told.
IDLE: dict[str, Callable[[Host, tuple[Any, ...]], bool]] = {
    "pump": _nobody_is_ready,
    "take_commit": _nothing_to_commit,
    "confirm": _nothing_to_confirm,
}


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
