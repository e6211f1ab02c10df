"""A simulated worker: frames that wait for it, and the inside that takes them. Pure.

Step 4 of the journey. The inside is the one that a worker process has; a step may hang or die here.
"""

from collections import deque
from collections.abc import Callable

from avm.limits import Limits
from avm.machine.inside import Inside
from avm.machine.live import Code
from avm.sim.lies import Liar

CodeOf = Callable[[bytes], Code]


class Hangs(BaseException):
    """Raised by a step of a simulation: it never returns."""


class Dies(BaseException):
    """Raised by a step of a simulation: it takes its worker down."""


class SimWorker:
    """A worker: frames that wait, and the inside that takes them; one that hangs takes no more."""

    __slots__ = ("frames", "hangs", "inside", "is_planned", "liar", "told")

    def __init__(self, limits: Limits, load: CodeOf) -> None:
        self.told: list[bytes] = []
        self.inside = Inside(limits, load, self.told.append)
        self.frames: deque[bytes] = deque()
        self.hangs = False
        self.is_planned = False
        self.liar: Liar | None = None

    def heard(self, answers: list[bytes]) -> list[bytes]:
        """What the host hears of it: what it told meanwhile and these answers, if it does not lie."""
        said = [*self.told, *answers]
        self.told.clear()
        return said if self.liar is None else self.liar.told(said)
