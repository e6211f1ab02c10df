"""Simulated hosts that are recorded, each life of them a run of its own."""

from collections.abc import Iterator, Sequence
from typing import Any

from avm.host.effects import Load
from avm.machine.inside import Inside
from avm.recording.crew import Lost
from avm.recording.log import Segment
from avm.recording.rerun import Rerun
from avm.recording.tape import Tape
from avm.sim.host import SimHost
from avm.sim.worker import Dies, Hangs

TAPES: dict[int, "Taped"] = {}


class _Hooks:
    """What a recorded host does beside; a class of its own over the class of each."""

    __slots__ = ()

    def start(self) -> None:
        tape = TAPES[id(self)]
        tape.end(whole=False)
        super().start()  # type: ignore[misc]
        tape.begin()

    def carry_out(self) -> None:
        super().carry_out()  # type: ignore[misc]
        tape = TAPES[id(self)]
        # A real host looks at the time to come after each pass; that must change nothing.
        tape.world.core.next_wake_ms()
        tape.rotate()

    def _load(self, load: Load) -> None:
        taped = TAPES[id(self)]
        if taped.tape is not None:
            taped.tape.keep(taped.world.core.host.by_id[load.machine], taped.world.store)
        super()._load(load)  # type: ignore[misc]


class Taped:
    """Records a simulated host from here on, over its crashes."""

    def __init__(self, world: SimHost, segment_bytes: int = 2**40) -> None:
        self.world = world
        self.segment_bytes = segment_bytes
        self.segments: list[bytes] = []
        self.tape: Tape | None = None
        TAPES[id(world)] = self
        kind: Any = type(world)
        world.__class__ = type(f"Taped{kind.__name__}", (_Hooks, kind), {"__slots__": ()})
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

    def __init__(self, world: SimHost) -> None:
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
