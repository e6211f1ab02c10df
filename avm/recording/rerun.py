"""Tells a core again what it was told, and holds what comes of it against what came then. Pure.

Beside the journey. Nothing but the recording is read: no clock, no entropy, no store, no socket, no
worker. The first answer that is another ends it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from avm.graph import BadGraph, NotPlain
from avm.host.core import Core
from avm.host.keys import Keyring
from avm.host.saved import dump_host, load_core_untrusted
from avm.limits import Limits
from avm.recording.difference import Difference, between_outputs
from avm.recording.inputs import CLOCKS, INPUTS
from avm.recording.log import VERSION, BadRecording, End, Header, Item, Segment, State, Stored, Told
from avm.recording.outputs import output_of, raised
from avm.recording.parts import Absent
from caps.errors import CapsError, Malformed

NO_STATE = "the recording does not begin with what the core knew"


@dataclass(frozen=True, slots=True)
class Found:
    """The first input whose answer is another, and what differs; the time is the host's."""

    n: int
    name: str
    now_ms: int
    difference: Difference


@dataclass(slots=True)
class Rerun:
    """A recording told again, item by item.

    It goes no further than the input `until` and the time `until_ms`; `version` is the avm-host that
    has to have recorded it. Counts what was told and what came of it; `found` ends it. `ended`: the
    last host that was recorded stopped by itself. `is_whole`: nothing was left out.
    """

    version: str | None = None
    until: int | None = None
    until_ms: int | None = None
    core: Core | None = None
    header: Header | None = None
    runs: int = 0
    segments: int = 0
    inputs: int = 0
    effects: int = 0
    commits: int = 0
    first: int = 0
    last: int = 0
    began_ms: int = 0
    ended: bool = False
    found: Found | None = None
    is_whole: bool = True
    fits: bool = field(default=False)

    def take(self, items: Iterable[Item]) -> bool:
        """Tells what is in a segment; False when there is no need for more. Raises BadRecording."""
        for item in items:
            match item:
                case Header():
                    self._begin(item)
                case State():
                    self._state(item)
                case Told():
                    if self._is_over(item):
                        self.is_whole = False
                        return False
                    self.tell(item)
                case End():
                    self.ended = True
                case Stored():
                    pass
            if self.found is not None:
                return False
        return True

    def _begin(self, header: Header) -> None:
        check(header, self.version)
        before = self.header
        goes_on = before is not None and before.run == header.run and not self.ended
        if goes_on and header.first != self.last + 1:
            raise BadRecording(f"what comes before segment {header.segment} is missing")
        self.fits = goes_on
        if not goes_on:
            self.last = header.first - 1
        self.runs += not goes_on
        self.segments += 1
        self.ended = False
        self.header = header

    def _state(self, state: State) -> None:
        if self.header is None:
            raise BadRecording("the recording does not begin with a header")
        if not self.fits or self.core is None:
            self.core = core_of(state)
            self.began_ms = self.began_ms or self.core.host.now_ms
            return
        self.core.host.effects.clear()
        if _known(self.core) != state.body:
            difference = Difference("what the core knows", "another state", "this one")
            self.found = Found(self.last, "segment", self.core.host.now_ms, difference)

    def _is_over(self, told: Told) -> bool:
        return is_over(told, self.until, self.until_ms, self.core)

    def tell(self, told: Told) -> None:
        """Tells one input, and compares."""
        core = self.core
        if core is None:
            raise BadRecording(NO_STATE)
        self.first = self.first or told.n
        self.last = told.n
        self.inputs += 1
        now = answer(core, told)
        self.effects += len(now[1])
        self.commits += now[2] is not None
        if now != told.output:
            found = between_outputs(told.output, now)
            self.found = Found(told.n, told.name, core.host.now_ms, found)


def is_over(told: Told, until: int | None, until_ms: int | None, core: Core | None) -> bool:
    """Whether an input is beyond a number, or a time of the host's clock, which inputs tell it."""
    if until is not None and told.n > until:
        return True
    if until_ms is None or core is None:
        return False
    now_ms = told.arguments[0] if told.name in CLOCKS and told.arguments else 0
    return core.host.now_ms > until_ms or (type(now_ms) is int and now_ms > until_ms)


def _known(core: Core) -> bytes:
    """What a core knows; nothing where an edited recording has put in what is no part of it."""
    try:
        return dump_host(core.host)
    except (NotPlain, AttributeError, TypeError):
        return b""


def check(header: Header, version: str | None, python: str | None = None) -> None:
    """Whether a segment is of this form, of this avm-host and Python; None for any. BadRecording."""
    if header.version != VERSION:
        what = f"it is a recording of form {header.version}, and this avm-host reads {VERSION}"
        raise BadRecording(f"{what}: rerun it with the version that made it")
    if version is not None and header.avm != version:
        what = f"avm-host {header.avm} recorded it, and this is {version}"
        raise BadRecording(f"{what}: rerun it with that version, or with --force")
    if python is not None and header.python != python:
        what = f"its steps were taken by Python {header.python}, and this is {python}"
        raise BadRecording(f"{what}: rerun it there, or with --force")


def core_of(state: State) -> Core:
    """The core that a segment begins with; raises BadRecording."""
    try:
        keys = Keyring.of(state.seed, state.secret, state.identity, state.certificate)
        return load_core_untrusted(state.body, keys)
    except (BadGraph, Malformed, ValueError) as error:
        raise BadRecording(f"what the core knew cannot be read: {error}") from None


def limits_of(segment: Segment) -> Limits:
    """What the host allowed; raises BadRecording."""
    for item in segment.items_untrusted():
        if isinstance(item, Header):
            check(item, None)
        if isinstance(item, State):
            return core_of(item).host.limits
    raise BadRecording(NO_STATE)


def answer(core: Core, told: Told) -> list[Any]:
    """What a core answers to an input now; raises BadRecording for what is no input."""
    known = INPUTS.get(told.name)
    if known is None:
        raise BadRecording(f"input {told.n:,}: there is no {told.name!r:.40}")
    effects = core.host.effects
    if told.fresh:
        effects.clear()
    before = len(effects)
    try:
        does = known.prepared(core, told.arguments)
    except (Absent, CapsError) as error:
        raise BadRecording(f"input {told.n:,}, {told.name}: {error}") from None
    result, defect = attempt(does)
    if defect is not None:
        return raised(defect, effects[before:])
    return output_of(result, effects[before:])


def attempt(does: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What a call gives back, or the error that it ends with: a defect of the host is an answer like any."""
    try:
        return does(), None
    except Exception as error:  # noqa: BLE001
        return None, error
