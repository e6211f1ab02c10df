"""A worker's inside that also judges: whether what a file expects of a state holds. Shell.

Beside the journey, for `bisect`. The expectation is loaded as a machine's code is, with the same
imports, and is called with the state as the machine holds it. To its worker, besides the frames of
every other:

    EXPECT  hash, bundle    -> 0, 0, why not, whether it takes the turn too
    JUDGE   machine, turn   -> machine, turn, verdict, why, printed
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from avm.limits import Limits
from avm.machine import frames
from avm.machine.bundle import BundleRefused, decode
from avm.machine.frames import BadFrame
from avm.machine.inside import Inside
from avm.machine.live import Code
from avm.machine.loader import Expectation, load_expectation
from avm.machine.prepared import load_bytes, start
from avm.machine.raised import RAISED
from avm.machine.turn import trace
from avm.machine.worker import Tell
from caps.errors import Malformed

EXPECT, JUDGE = 100, 101
HOLDS, FAILS, UNSOUND, GONE = range(4)
WHY_CHARS_MAX = 500
PROGRAM = ("-m", "avm.machine.judge")


class Judge:
    """Machines in a worker, and one expectation of their states."""

    def __init__(self, limits: Limits, load: Callable[[bytes], Code], tell: Tell) -> None:
        """Judgments are told at once, so that the host knows of which turn there is none."""
        self._limits = limits
        self._tell = tell
        self._inside = Inside(limits, load)
        self._expectation: Expectation | None = None
        self._takes_turn = False

    def receive(self, frame: bytes) -> list[bytes]:
        """Takes one frame and gives those to send."""
        kind, *rest = frames.unpack(frame)
        if kind == EXPECT:
            return [self._expect(rest[1])]
        if kind == JUDGE:
            self._tell(self._judge(*rest))
            return []
        return self._inside.receive(frame)

    def _expect(self, bundle: bytes) -> bytes:
        try:
            loaded = load_expectation(decode(bundle), self._limits.printed_bytes)
        except (BundleRefused, Malformed) as error:
            return frames.pack([EXPECT, 0, 0, str(error), False])
        self._expectation = loaded
        self._takes_turn = _takes_two(loaded.expect)
        return frames.pack([EXPECT, 0, 0, "", self._takes_turn])

    def _judge(self, machine: int, turn: int) -> bytes:
        if self._expectation is None:
            raise BadFrame("nothing is expected")
        why_not = self._inside.why_not_of(machine)
        if why_not:
            return frames.pack([JUDGE, machine, turn, GONE, why_not, ""])
        state = self._inside.state_of(machine)
        verdict, why = self._called(self._expectation.expect, state, turn)
        printed = self._expectation.printed.drain()
        return frames.pack([JUDGE, machine, turn, verdict, why, printed])

    def _called(self, expect: Callable[..., Any], state: Any, turn: int) -> tuple[int, str]:
        try:
            held = expect(state, turn) if self._takes_turn else expect(state)
        except AssertionError as error:
            return FAILS, _line(error, self._limits)
        except RAISED as error:  # the operator's own code runs here
            return UNSOUND, _line(error, self._limits)
        if held is None or held is True:
            return HOLDS, ""
        if held is False:
            return FAILS, "expect returned False"
        return UNSOUND, f"expect returned {type(held).__name__}: return True or False, or assert"


def _takes_two(expect: Callable[..., Any]) -> bool:
    code = getattr(expect, "__code__", None)
    return code is not None and code.co_argcount > 1


def _line(error: BaseException, limits: Limits) -> str:
    """The exception and the last line of a file that it came from; code that was made has no file."""
    lines = trace(error, limits.traceback_bytes).splitlines()
    begin = 1 if lines[0].startswith("Traceback") else 0
    said = next((line for line in lines[begin:] if line and not line.startswith(" ")), "")
    where = [line for line in lines if line.startswith('  File "') and '"<' not in line]
    place = ""
    if where:
        file, _, rest = where[-1].removeprefix('  File "').partition('"')
        place = f"{file.partition(' (')[0]}:{rest.split(',')[1].removeprefix(' line ')}: "
    return f"{place}{said}"[:WHY_CHARS_MAX]


def main() -> None:
    """`python -m avm.machine.judge FD LIMITS`, the limits as a JSON object."""
    limits = Limits(**json.loads(sys.argv[2]))

    def inside(tell: Tell) -> Judge:
        return Judge(limits, lambda body: load_bytes(body, limits.printed_bytes), tell)

    start(int(sys.argv[1]), limits.worker_bytes, inside)


if __name__ == "__main__":
    main()
