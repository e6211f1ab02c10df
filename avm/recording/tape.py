"""Writes down what the ear hears, segment by segment. Pure.

Beside the journey. Where the bytes go, and when a segment has become long enough, is its owner's affair.
"""

from collections.abc import Iterable
from typing import Protocol

from avm.host.core import Core
from avm.host.making import codes_made
from avm.host.saved import dump_host
from avm.host.state import Group, Host, Key, Machine
from avm.recording.ear import attend, leave
from avm.recording.log import End, Header, State, Stored, pack, pack_told

# The number of no machine: code that none has yet.
NO_MACHINE = 0
Snapshot = tuple[int, bytes]
Entry = tuple[int, bytes, str | None]


class Sink(Protocol):
    """Where a recording goes."""

    def segment(self, number: int) -> None:
        """What comes from here on is of another segment."""
        ...

    def write(self, packed: bytes) -> None:
        """Takes the next item."""
        ...


class Reads(Protocol):
    """What is read of a store."""

    def get(self, key: Key) -> bytes | None:
        """The value of one row."""
        ...

    def snapshot(self, machine: int) -> Snapshot | None:
        """The newest snapshot of a machine."""
        ...

    def entries(self, machine: int, start: int = 0) -> Iterable[Entry]:
        """A machine's entries from a number on."""
        ...


class Tape:
    """Hears a core, and gives on what is to be kept."""

    def __init__(self, core: Core, sink: Sink, run: int, segment: int = 0, last: int = 0) -> None:
        """`run` tells one start of the host from another; `segment` and `last` are those before."""
        self.core = core
        self.sink = sink
        self.run = run
        self.segment = segment
        self.last = last
        self.size = 0
        self.codes: set[bytes] = set()

    def begin(self) -> None:
        """Begins to listen, with a segment."""
        self.begin_segment()
        attend(self.core, self)

    def begin_segment(self) -> None:
        """Begins a segment: its header, and what the core knows.

        In the middle of a run all effects have been taken by then.
        """
        host = self.core.host
        self.segment += 1
        self.size = 0
        self.codes.clear()
        self.sink.segment(self.segment)
        place = (self.run, self.segment, self.last + 1, host.now_ms)
        self._write(pack(Header(host.version, host.python, *place, host.address)))
        proof = host.keys.proof
        shown = (proof.identity.to_bytes(), proof.certificate_bytes)
        self._write(pack(State(*host.keys.secrets, dump_host(host), *shown)))

    def hear(self, name: str, fresh: bool, arguments: bytes, output: bytes) -> None:
        """Writes an input down; see `Ear`."""
        self.last += 1
        self._write(pack_told(self.last, name, fresh, arguments, output))

    def keep(self, machine: Machine, store: Reads) -> int:
        """Writes down what a machine is loaded from, its code once a segment; the bytes it took."""
        bundle = None if machine.code in self.codes else store.get(("code", machine.code))
        if bundle is not None:
            self.codes.add(machine.code)
        packed = pack(stored_of(self.core.host, machine, bundle, store))
        self._write(packed)
        return len(packed)

    def keep_loaded(self, store: Reads, bytes_max: int) -> None:
        """Writes down, at the beginning of a segment, what those are loaded from that are, within bounds.

        First what factories make: of that no machine may be there yet.
        """
        machines = self.core.host.machines.values()
        for code in {code for one in machines for code in codes_made(self.core.host, one)}:
            self._keep_code(code, store)
        for machine in machines:
            if machine.worker is not None and bytes_max > 0:
                bytes_max -= self.keep(machine, store)

    def _keep_code(self, code: bytes, store: Reads) -> None:
        bundle = store.get(("code", code))
        if bundle is not None:
            self.codes.add(code)
            self._write(pack(Stored(NO_MACHINE, code, bundle, None, [])))

    def end(self, whole: bool = True) -> None:
        """Listens no more; `whole`: the host stops by itself."""
        leave(self.core)
        if whole:
            self._write(pack(End(self.last)))

    def _write(self, packed: bytes) -> None:
        self.size += len(packed)
        self.sink.write(packed)


def stored_of(host: Host, machine: Machine, bundle: bytes | None, store: Reads) -> Stored:
    """What a machine is loaded from: what the store has, and what is on its way there."""
    snapshot = store.snapshot(machine.id)
    groups = [one for one in (host.committing, host.group) if one is not None]
    for group in groups:
        kept = [(n, body) for number, n, body in group.snapshots if number == machine.id]
        snapshot = max([*kept, *([snapshot] if snapshot else [])], default=None)
    start = 0 if snapshot is None else snapshot[0] + 1
    found = {entry[0]: entry for entry in store.entries(machine.id, start)}
    for group in groups:
        found |= {entry[0]: entry for entry in _journaled(group, machine.id) if entry[0] >= start}
    return Stored(machine.id, machine.code, bundle, snapshot, [found[n] for n in sorted(found)])


def _journaled(group: Group, number: int) -> list[Entry]:
    return [(n, body, printed) for machine, n, body, printed in group.journal if machine == number]
