"""What is done to one machine alone, between its turns: loading, signals, snapshots.

An act waits until nothing of the machine is in flight, and the next batch waits for the act.
"""

from enum import Enum
from typing import Any, Protocol

import cbor2

from avm.host import journal
from avm.host.effects import Load, ToWorker
from avm.host.entry import append
from avm.host.fold import fold, suspend
from avm.host.judging import drop_expired
from avm.host.refer import BadReference, TooNarrow, collect, resolve, slots_in
from avm.host.state import Flight, Host, Machine, Mode, Status
from avm.machine import frames
from caps.codec import encode_content
from caps.light import dataclass

NONE_BODY = encode_content(None)[0]


class Needs(Enum):
    """What an act needs before it can start."""

    NOTHING = 0
    WORKER = 1
    STATE = 2


class Act(Protocol):
    """Something that needs a machine for itself."""

    needs: Needs
    kind: int
    again: bool

    def start(self, host: Host, flight: Flight) -> list[Any]:
        """The effects that begin it; an act that needs nothing is done after this."""
        ...

    def finish(self, host: Host, flight: Flight) -> bool:
        """Folds the worker's answer; False when the worker's state is not what holds."""
        ...

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        """The machine cannot be loaded, or is gone."""
        ...


@dataclass(slots=True)
class Loading:
    """Brings a machine's state into a worker, from its snapshot and the turns since."""

    needs: Needs = Needs.WORKER
    kind: int = frames.LOADED
    again: bool = False

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        worker = machine.worker
        assert worker is not None
        send_code = machine.code not in worker.codes
        worker.codes.add(machine.code)
        where = (worker.id, machine.id, machine.code, send_code)
        return [Load(*where, machine.next_slot, machine.generation, flight.token)]

    def finish(self, host: Host, flight: Flight) -> bool:
        assert flight.answer is not None
        machine, why = flight.machine, flight.answer[3]
        machine.loaded = not why
        host.spans.begin(machine.id, machine.snapshot_at)
        if machine.loaded:
            _note_runtime(host, machine)
            return True
        host.counts["unloadable"] += 1
        if machine.status is Status.RUNNING:
            suspend(host, machine, Mode.HOLD, why)
        acts, machine.acts = machine.acts, None
        for act in acts or ():
            act.abandon(host, machine, why)
        return False

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        return None


def _note_runtime(host: Host, machine: Machine) -> None:
    """Notes who takes the turns from here on; what another Python came to is kept before the first."""
    if (machine.python, machine.version) == (host.python, host.version):
        return
    machine.want_snapshot = machine.want_snapshot or machine.python != host.python
    machine.python, machine.version = host.python, host.version
    append(host, machine, journal.RUNTIME, host.now_ms, host.python, host.version)


@dataclass(slots=True)
class Signal:
    """Tells a machine of an event in its life; its answer is folded like a turn."""

    name: str
    needs: Needs = Needs.STATE
    kind: int = frames.TURN
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        assert machine.worker is not None
        flight.now_ms = max(host.now_ms, machine.now_ms)
        said = [NONE_BODY, encode_content(self.name)[0]]
        flight.given = frames.pack([flight.now_ms, "host", 0, True, [said]])
        turn = [frames.TURN, machine.id, flight.token, frames.SIGNAL, flight.given]
        return [ToWorker(machine.worker.id, frames.pack(turn))]

    def finish(self, host: Host, flight: Flight) -> bool:
        if not fold(host, flight):
            return False
        untold = flight.machine.untold
        if self.name in untold:
            place = untold.index(self.name)
            flight.machine.untold = untold[:place] + untold[place + 1 :]
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        return None


@dataclass(slots=True)
class Snapshot:
    """Keeps a machine's state whole, so that the turns before need not be taken again."""

    needs: Needs = Needs.STATE
    kind: int = frames.SNAPSHOT
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        assert machine.worker is not None
        frame = frames.pack([frames.SNAPSHOT, machine.id, flight.token])
        return [ToWorker(machine.worker.id, frame)]

    def finish(self, host: Host, flight: Flight) -> bool:
        assert flight.answer is not None
        _kind, _machine, _token, body, references, why = flight.answer
        machine = flight.machine
        if why:
            suspend(host, machine, Mode.HOLD, why)
            return True
        if not holds_references(host, flight, references):
            return False
        digest = journal.digest_of(body, references)
        append(host, machine, journal.SNAPSHOT, digest)
        keep_snapshot(host, machine, body, references, digest)
        gone = collect(host, machine, slots_in(references))
        if gone:
            append(host, machine, journal.COLLECT, gone)
        drop_expired(host, machine, machine.now_ms)
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        return None


def holds_references(host: Host, flight: Flight, references: list[Any]) -> bool:
    """Whether a state refers only to what the machine holds."""
    for reference in references:
        try:
            resolve(host, flight.machine, flight, reference)
        except TooNarrow:
            continue  # It is refused where it is sent: a step cannot tell what may be narrowed.
        except BadReference:
            return False
    return True


def keep_snapshot(
    host: Host, machine: Machine, body: bytes, references: list[Any], digest: bytes
) -> None:
    """Stores a state as that after the machine's last entry."""
    n = machine.head - 1
    row = [machine.code, body, references, machine.next_slot, digest]
    host.group.snapshots.append((machine.id, n, cbor2.dumps(row)))
    host.spans.keep(machine.id, machine.address, machine.snapshot_at, n, host.group.number)
    machine.snapshot_at = n
    machine.state_bytes = len(body)
    machine.bytes_since = machine.turns_since = 0
    host.touch(machine)
