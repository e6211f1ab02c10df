"""What if an input, or a machine's code, had been another? The steps are really taken again. Pure.

Beside the journey. The host is told all that came from outside, in its order; what its workers answered
and when its commits were done is not taken from the recording but happens, at the places where it did.
What has no place there, once the two lives have come apart, happens at the next tick.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avm.host.core import Core
from avm.host.effects import Kill, Load, SendCode, ToWorker
from avm.machine import frames
from avm.recording.apart import Lives
from avm.recording.crew import Crew, Hands, Kept, Lost, Swap
from avm.recording.inputs import INPUTS
from avm.recording.log import BadRecording, End, Header, Item, State, Stored, Told
from avm.recording.outputs import output_of
from avm.recording.parts import Absent
from avm.recording.rerun import NO_STATE, attempt, check, core_of, is_over
from caps.errors import Malformed

# So often workers, commits and their effects are gone through at one tick, before it is given up.
ROUNDS_MAX = 10_000
OWN = ("answer", "worker_up", "worker_down", "take_commit", "committed", "refused")


@dataclass(slots=True)
class WhatIf:
    """A recording told again with something changed.

    Only the first start of a host is gone through (`has_more`): the next one begins with what the
    store of the other life held.
    """

    hands: Hands
    patch: Mapping[int, Told | None] = field(default_factory=dict)
    swap: Swap | None = None
    until: int | None = None
    until_ms: int | None = None
    version: str | None = None
    python: str | None = None
    lives: Lives = field(default_factory=Lives)
    kept: Kept = field(default_factory=Kept)
    core: Core | None = None
    header: Header | None = None
    crew: Crew = field(init=False)
    inputs: int = 0
    last: int = 0
    began_ms: int = 0
    untold: int = 0
    is_apart: bool = False
    has_more: bool = False
    at_start: bool = True
    patched: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.crew = Crew(self.hands, self.kept, self.swap)

    def take(self, items: Iterable[Item]) -> bool:
        """Tells what is in a segment; False when there is no need for more. Raises BadRecording."""
        for item in items:
            match item:
                case Header():
                    check(item, self.version, self.python)
                    if self.header is not None and item.run != self.header.run:
                        self.has_more = True
                        return False
                    self.header = item
                case State():
                    if self.core is None:
                        self.core = core_of(item)
                        self.began_ms = self.core.host.now_ms
                case Stored():
                    is_swapped = self.swap is not None and item.machine == self.swap.number
                    self.kept.store(item, anew=not self.is_apart and not is_swapped)
                case Told():
                    if self._is_over(item):
                        return False
                    self._tell(item)
                case End():
                    pass
        return not self.lives.too_many

    def end(self) -> None:
        """There is no more: what only one of the two lives did is apart too. Raises BadRecording."""
        unknown = sorted(self.patch.keys() - self.patched)
        if unknown:
            raise BadRecording(f"there is no input {unknown[0]:,} in what was told")
        if self.swap is not None and self.swap.since is None:
            name = self.swap.machine
            raise BadRecording(f"no machine {name} took a turn in what was told")
        if self.core is not None and self.is_apart:
            self._catch_up(self.core)
        self.lives.end()

    def _is_over(self, told: Told) -> bool:
        return is_over(told, self.until, self.until_ms, self.core)

    def _tell(self, told: Told) -> None:
        core = self.core
        if core is None:
            raise BadRecording(NO_STATE)
        if self.at_start:
            self.at_start = False
            self.crew.resume(core.host)
        self.inputs += 1
        self.last = told.n
        self.lives.recorded(told.n, told.output)
        asked: Told | None = told
        if told.n in self.patch:
            asked = self.patch[told.n]
            self.patched.add(told.n)
            self.is_apart = True
        if told.fresh:
            core.host.effects.clear()
        before = len(core.host.effects)
        if asked is not None:
            self._ask(core, asked)
        came = output_of(None, core.host.effects[before:])[1]
        self.is_apart |= came != told.output[1] or self.lives.first is not None
        if self.is_apart and told.name == "tick":
            self._catch_up(core)

    def _ask(self, core: Core, told: Told) -> None:
        try:
            if told.name in OWN:
                self._own(core, told)
            else:
                self._outside(core, told)
        except (Absent, Malformed) as error:
            if not self.is_apart or told.n in self.patch:
                raise BadRecording(f"input {told.n:,}, {told.name}: {error}") from None
            self.untold += 1

    def _outside(self, core: Core, told: Told) -> None:
        known = INPUTS.get(told.name)
        if known is None:
            raise Malformed(f"there is no input {told.name[:40]!r}")
        does = known.prepared(core, told.arguments)
        before = len(core.host.effects)
        _result, error = attempt(does)
        if error is not None:
            if told.n in self.patch:
                raise BadRecording(
                    f"input {told.n:,}, {told.name}: the host fails on it: {error!r}"
                )
            # What it speaks of is no more as it was, or it failed then too.
            self.untold += self.is_apart
        self._follow(core, told.n, before)

    def _own(self, core: Core, told: Told) -> None:
        """What workers and the store did then: it has its place here, and happens anew."""
        arguments = INPUTS[told.name].arguments(core.host, told.arguments)
        before = len(core.host.effects)
        match told.name:
            case "worker_up":
                self.crew.begin(arguments[0])
                core.worker_up(arguments[0])
            case "worker_down":
                self.crew.end(arguments[0])
                core.worker_down(*arguments)
            case "answer":
                self._answer(core, arguments[0], arguments[1])
            case "take_commit":
                self._take_commit(core, told.n)
            case "committed":
                if core.host.committing is not None:
                    core.committed()
            case "refused":
                core.refused()
        self._follow(core, told.n, before)

    def _answer(self, core: Core, number: int, was: bytes = b"") -> None:
        """A worker answers what it was given.

        How far a turn is that is tried alone may be the last that was heard of it.
        """
        post = self.crew.posts.get(number)
        if post is None or not post.wants or post.killed:
            if not self.is_apart:
                raise BadRecording(
                    f"input {self.last:,}: worker {number} was given nothing to answer"
                )
            return
        if _kind(was) == frames.COME:
            if not self.is_apart:
                core.answer(number, was)
            return
        try:
            for answer in self.crew.answers(core.host, number):
                core.answer(number, answer)
        except Lost as lost:
            self._lose(core, number, str(lost))

    def _lose(self, core: Core, number: int, why: str) -> None:
        self.is_apart = True
        self.crew.end(number)
        core.worker_down(number, why)
        self.crew.begin(number)
        core.worker_up(number)

    def _take_commit(self, core: Core, n: int) -> None:
        group = core.take_commit()
        if group is None:
            return
        self.kept.commit(group)
        self.lives.came(n, output_of(group, []))

    def _follow(self, core: Core, n: int, before: int) -> None:
        """Carries out for the workers what an input has made the core ask for."""
        effects = core.host.effects[before:]
        self.lives.came(n, output_of(None, effects))
        for effect in effects:
            match effect:
                case ToWorker() | Load():
                    self.crew.give(core.host, effect)
                case SendCode(worker, code):
                    bundle = self.kept.codes.get(code)
                    if bundle is not None:
                        packed = frames.pack([frames.CODE, code, bundle])
                        self.crew.give(core.host, ToWorker(worker, packed))
                case Kill(worker, why):
                    if worker in self.crew.posts:
                        self.crew.posts[worker].killed = why

    def _catch_up(self, core: Core) -> None:
        """Does what is left to do and has no place in the recording."""
        for _ in range(ROUNDS_MAX):
            before = len(core.host.effects)
            moved = False
            for number in [one for one, post in self.crew.posts.items() if post.killed]:
                self._lose(core, number, self.crew.posts[number].killed)
                moved = True
            for number in self.crew.wants():
                self._answer(core, number)
                moved = True
            core.pump()
            if core.host.committing is None and core.host.group:
                self._take_commit(core, self.last)
            if core.host.committing is not None:
                core.committed()
                moved = True
            self._follow(core, self.last, before)
            core.host.effects.clear()
            if not moved:
                return


def _kind(frame: bytes) -> Any:
    try:
        return frames.unpack_untrusted(frame)[0]
    except frames.BadFrame:
        return None


__all__ = ["WhatIf"]
