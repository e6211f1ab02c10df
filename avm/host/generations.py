"""Key generations as an operator's acts: a new one begins, an old one ends.

Beside the journey: each waits until nothing of the machine is in flight, so that it holds from the next
batch on, and stands in the journal. What a machine seals from then on is of the new generation; what it
sealed before carries its own, and works until that is revoked or its grace is over.
"""

from typing import Any

from avm.host import journal
from avm.host.acts import Needs, Snapshot
from avm.host.audited import note
from avm.host.capability import Local, from_bytes, to_bytes
from avm.host.effects import ToWorker
from avm.host.entry import append
from avm.host.operate import act_on, done, refuse
from avm.host.parcel import ENDS_MAX
from avm.host.revoking import revoke
from avm.host.state import Flight, Host, Machine, Status
from avm.machine import frames
from caps.light import dataclass
from caps.shape import U32_MAX

GRACE_MS_MAX = 10 * 365 * 24 * 60 * 60 * 1000


@dataclass(slots=True)
class Rotate:
    """Begins a new generation, after a snapshot: what is loaded from there seals under it."""

    request: int
    grace_ms: int | None
    needs: Needs = Needs.STATE
    kind: int = frames.SNAPSHOT
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        return Snapshot().start(host, flight)

    def finish(self, host: Host, flight: Flight) -> bool:
        machine = flight.machine
        why = _why_not_rotated(machine, self.grace_ms, host.now_ms)
        if why:
            refuse(host, self.request, why)
            return True
        before = machine.head
        if not Snapshot().finish(host, flight):
            refuse(host, self.request, f"{machine.name} keeps its generation: its worker is broken")
            return False
        if machine.snapshot_at < before:
            refuse(host, self.request, f"{machine.name} keeps its generation: {machine.why}")
            return True
        old = machine.generation
        machine.generation = old + 1
        append(host, machine, journal.GENERATION, host.now_ms, machine.generation)
        note(host, "rotated", machine, generation=machine.generation)
        if self.grace_ms is not None:
            _revoke(host, machine, old, host.now_ms + self.grace_ms)
        _renew_names(host, machine)
        assert machine.worker is not None, "its answer is being folded"
        frame = frames.pack([frames.RENEW, machine.id, machine.generation])
        host.effects.append(ToWorker(machine.worker.id, frame))
        done(host, self.request, shown(machine, host.now_ms))
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        refuse(host, self.request, f"{machine.name} keeps its generation: {why}")


@dataclass(slots=True)
class Revoke:
    """Ends a generation and all older ones, at once; needs no worker."""

    request: int
    generation: int
    needs: Needs = Needs.NOTHING
    kind: int = -1
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        if self.generation >= machine.generation:
            now = f"{machine.name} seals under generation {machine.generation} now"
            refuse(host, self.request, f"{now}: `keys rotate {machine.name}` first")
        elif self.generation <= machine.revoked:
            why = f"generation {self.generation} of {machine.name} is revoked already"
            refuse(host, self.request, why)
        else:
            _revoke(host, machine, self.generation, host.now_ms)
            _renew_names(host, machine)
            done(host, self.request, shown(machine, host.now_ms))
        return []

    def finish(self, host: Host, flight: Flight) -> bool:
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        refuse(host, self.request, f"{machine.name} keeps its generations: {why}")


def _why_not_rotated(machine: Machine, grace_ms: int | None, now_ms: int) -> str:
    if machine.generation >= U32_MAX:
        return f"{machine.name} has no generation left"
    if grace_ms is not None and sum(end.from_ms > now_ms for end in machine.ends) >= ENDS_MAX:
        times = f"{ENDS_MAX} times of grace run for {machine.name}"
        return f"{times}: revoke one with `keys revoke {machine.name} --generation G`"
    return ""


def _revoke(host: Host, machine: Machine, generation: int, from_ms: int) -> None:
    revoke(machine, generation, from_ms, host.now_ms)
    append(host, machine, journal.REVOKE, host.now_ms, generation, from_ms)
    note(host, "revoked", machine, generation=generation, from_ms=from_ms)


def _renew_names(host: Host, machine: Machine) -> None:
    """The operator's names for the machine's own capabilities are of its newest generation."""
    for key, row in [item for item in host.bound.items() if item[0][0] == machine.id]:
        cap = from_bytes(row)
        if type(cap) is Local and cap.address == machine.address:
            newest = to_bytes(cap._replace(generation=machine.generation))
            host.bound[key] = host.group.dirty[("name", *key)] = newest


def shown(machine: Machine, now_ms: int) -> dict[str, Any]:
    """A machine's generations, for its operator."""
    ends = [{"generation": end.generation, "from_ms": end.from_ms} for end in machine.ends]
    over = [end.generation for end in machine.ends if end.from_ms <= now_ms]
    revoked = max([machine.revoked, *over])
    return {
        "machine": machine.name,
        "generation": machine.generation,
        "revoked": revoked,
        "ends": [end for end in ends if end["generation"] > revoked],
    }


def rotate(host: Host, request: int, machine: Machine, grace_ms: int | None) -> None:
    """An operator has a machine seal under a new generation; the older ones end after a grace, if any."""
    if machine.status is Status.HALTED:
        refuse(host, request, f"{machine.name} is halted for good")
        return
    act_on(host, machine, Rotate(request, grace_ms))


def revoke_generation(host: Host, request: int, machine: Machine, generation: int) -> None:
    """An operator ends a generation of a machine's capabilities, and all older ones."""
    act_on(host, machine, Revoke(request, generation))


__all__ = ["GRACE_MS_MAX", "Revoke", "Rotate", "revoke_generation", "rotate", "shown"]
