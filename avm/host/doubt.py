"""The next span to run again, and what follows from what was found in it. Pure.

Beside the journey. A machine whose turns come out otherwise is suspended in a commit of its own,
holding what comes; a span without a verdict is counted, and no more.
"""

from enum import Enum
from itertools import islice
from typing import Any

from avm.host.acts import Needs
from avm.host.fold import suspend
from avm.host.operate import act_on
from avm.host.spans import LOOKS_MAX, Span
from avm.host.state import Flight, Host, Machine, Mode, Status
from avm.machine import frames
from caps.light import dataclass

NONDETERMINISTIC = "nondeterministic: "


class Verdict(Enum):
    """What came of running a span again."""

    AGREED = 0
    DIFFERENT = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class Found:
    """The verdict on a span, how many of its turns were taken again, and what differs or failed."""

    verdict: Verdict
    turns: int = 0
    why: str = ""


@dataclass(slots=True)
class Doubt:
    """Suspends a machine of which two runs do not agree; a snapshot comes first when it resumes."""

    why: str
    needs: Needs = Needs.NOTHING
    kind: int = frames.TURN
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        if machine.status is Status.RUNNING:
            suspend(host, machine, Mode.HOLD, self.why)
            machine.want_snapshot = True
        return []

    def finish(self, host: Host, flight: Flight) -> bool:
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        return None


def run_again(host: Host, share: int) -> None:
    """One of so many spans is to be run again; 0: none."""
    host.spans.share = share


def next_span(host: Host) -> Span | None:
    """The span to run again next, which is in the store; None when there is none."""
    spans = host.spans
    while spans.chosen and spans.chosen[0].group <= host.committed:
        span = spans.chosen.popleft()
        if _may_run(host, host.by_id.get(span.machine)):
            return span
    idle = not any(worker.flights for worker in host.workers.values())
    for number in list(islice(spans.young, LOOKS_MAX)):
        looked = spans.young.pop(number)
        machine = host.by_id.get(number)
        if machine is None or machine.status is Status.HALTED:
            continue
        spans.young[number] = looked
        if _may_run(host, machine) and spans.is_due(number, machine.head, idle):
            spans.young[number] = machine.head
            return Span(number, -1, machine.head)
    return None


def _may_run(host: Host, machine: Machine | None) -> bool:
    """Whether what the machine does now is to be judged, by the Python that took its turns."""
    running = machine is not None and machine.status is Status.RUNNING
    return running and machine is not None and machine.python == host.python


def concluded(host: Host, span: Span, found: Found) -> Machine | None:
    """Takes the verdict on a span; gives the machine that is to be suspended for it."""
    host.counts["rerun_spans"] += 1
    host.counts["rerun_turns"] += found.turns
    if found.verdict is Verdict.NONE:
        host.counts["rerun_without_verdict"] += 1
    if found.verdict is not Verdict.DIFFERENT:
        return None
    machine = host.by_id.get(span.machine)
    if machine is None or machine.status is not Status.RUNNING:
        return None
    host.counts["nondeterministic"] += 1
    act_on(host, machine, Doubt(NONDETERMINISTIC + found.why))
    return machine


__all__ = [
    "NONDETERMINISTIC",
    "Doubt",
    "Found",
    "Verdict",
    "concluded",
    "next_span",
    "run_again",
]
