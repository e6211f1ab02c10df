"""Simulated hosts that are recorded, each life of them a run of its own."""

from collections.abc import Iterator, Sequence
from typing import Any

from avm.host.effects import Load
from avm.machine.inside import Inside
from avm.recording.crew import Lost
from avm.recording.log import Segment
from avm.recording.rerun import Rerun
from avm.recording.tape import Tape
from avm.sim.world import Dies, Hangs, World


class Taped:
    """Records a simulated host from here on, over its crashes."""

    def __init__(self, world: World, segment_bytes: int = 2**40) -> None:
        self.world = world
        self.segment_bytes = segment_bytes
        self.segments: list[bytes] = []
        self.tape: Tape | None = None
        start: Any = world._start
        crash_safe: Any = world.carry_out
        load_machine: Any = world._load

        def started() -> None:
            self.end(whole=False)
            start()
            self.begin()

        def carried_out() -> None:
            crash_safe()
            # A real host looks at the time to come after each pass; that must change nothing.
            self.world.core.next_wake_ms()
            self.rotate()

        def loaded(load: Load) -> None:
            if self.tape is not None:
                self.tape.keep(self.world.core.host.by_id[load.machine], self.world.store)
            load_machine(load)

        world._load = loaded  # type: ignore[method-assign]
        world._start = started  # type: ignore[method-assign]
        world.carry_out = carried_out  # type: ignore[method-assign]
        self.begin()

    def begin(self) -> None:
        """A host has been started: its recording goes on in a new run."""
        before = self.tape
        run = 1 if before is None else before.run + 1
        last = 0 if before is None else before.last
        self.tape = Tape(self.world.core, self, run, len(self.segments), last)
        self.tape.begin()
        self.tape.keep_loaded(self.world.store, 2**30)

    def segment(self, number: int) -> None:
        """What comes from here on is of another segment."""
        self.segments.append(b"")

    def write(self, packed: bytes) -> None:
        """Takes the next item."""
        self.segments[-1] += packed

    def rotate(self) -> None:
        """Begins another segment when this one is long enough."""
        if self.tape is not None and self.tape.size > self.segment_bytes:
            self.tape.begin_segment()
            self.tape.keep_loaded(self.world.store, 2**30)

    def end(self, whole: bool = True) -> list[bytes]:
        """Ends it; the segments."""
        assert self.tape is not None
        self.tape.end(whole)
        return self.segments


def rerun(segments: list[bytes], rerun: Rerun | None = None) -> Rerun:
    """The segments told again."""
    one = rerun or Rerun()
    for body in segments:
        if not one.take(Segment(body).items_untrusted()):
            break
    return one


class InProcess:
    """Workers of a rerun in this process, as the simulated host has them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[bytes] = []
        self.insides: dict[int, Inside] = {}

    def begin(self, number: int) -> None:
        """Starts one."""
        self.insides[number] = Inside(self.world.limits, self.world._code, self.told.append)

    def end(self, number: int) -> None:
        """Ends one."""
        del self.insides[number]

    def exchange(self, number: int, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        """Has it take frames."""
        try:
            for frame in frames:
                self.told += self.insides[number].receive(frame)
        except (Dies, Hangs):
            raise Lost("died") from None
        for _ in range(answers):
            yield self.told.pop(0)
