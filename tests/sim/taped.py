"""Simulated hosts that are recorded, each life of them a run of its own."""

from typing import Any

from avm.recording.log import Segment
from avm.recording.rerun import Rerun
from avm.recording.tape import Tape
from avm.sim.world import World


class Taped:
    """Records a simulated host from here on, over its crashes."""

    def __init__(self, world: World, segment_bytes: int = 2**40) -> None:
        self.world = world
        self.segment_bytes = segment_bytes
        self.segments: list[bytes] = []
        self.tape: Tape | None = None
        start: Any = world._start
        crash_safe: Any = world.carry_out

        def started() -> None:
            self.end(whole=False)
            start()
            self.begin()

        def carried_out() -> None:
            crash_safe()
            self.rotate()

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
