"""A store read without its host: machines by name, their rows, entries and states. Shell.

Beside the journey: what `ls`, `show`, `state`, `log`, `replay`, `verify` and `failed` know. It opens
the store to read only, whether or not a host runs on it, and asks the host nothing.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

import cbor2

from avm.errors import AvmError
from avm.host import capability, journal, moves, rows
from avm.host.batch import Batch, from_bytes
from avm.host.capability import Cap
from avm.host.chain import Fault, Link, Row, walk
from avm.host.moves import Leaving, Moves
from avm.host.state import Ask, Channel, Machine, Timer
from avm.near import did_you_mean
from avm.past.labels import Labels
from avm.run.directory import Directory
from avm.store.errors import StoreDamaged
from avm.store.interface import ALL, Store
from avm.store.sqlite import SqliteStore


class NoSuchMachine(AvmError):
    """There is no such machine: `ls` shows those there are."""


class NoSuchTurn(AvmError):
    """The machine has no such turn, or the journal does not reach back to it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot of the store: the state after turn `n`."""

    n: int
    code: bytes
    body: bytes
    references: list[Any]
    next_slot: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """A batch that broke a machine, as it was set aside."""

    n: int
    sender: bytes
    reason: str
    index: int
    detail: str
    now_ms: int
    batch: Batch


class Reader:
    """A store, read."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, directory: Directory) -> "Reader":
        """The store of a directory; NoStore, StoreNewer, StoreOlder, StoreDamaged."""
        return cls(SqliteStore.open_readonly(directory.store, directory.files))

    def reading(self) -> AbstractContextManager[None]:
        """Within the block everything is read from one and the same commit."""
        return self.store.reading()

    def close(self) -> None:
        """Lets go of the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # Machines

    def machines(self) -> list[Machine]:
        """All machines, by name."""
        found = [rows.decode_machine(key[0], body) for key, body in self._rows("machine")]
        return sorted(found, key=lambda machine: machine.name)

    def leaving(self) -> list[Leaving]:
        """The machines that have left and that the other host has not taken up yet."""
        return sorted(self._moves().leaving.values(), key=lambda one: one.name)

    def _moves(self) -> Moves:
        found = Moves()
        for key, body in self._rows("meta"):
            moves.load(found, str(key[0]), body)
        return found

    def machine(self, named: str) -> Machine:
        """A machine by its name or by a unique start of its address; NoSuchMachine."""
        found = self.machines()
        for machine in found:
            if machine.name == named:
                return machine
        start = [machine for machine in found if machine.address.hex().startswith(named)]
        if not named or not start:
            gone = self.gone(named)
            mark = did_you_mean(named, (machine.name for machine in found), ":")
            said = f"there is no machine {named or moves.NAMELESS}{mark} `ls` shows those there are"
            raise NoSuchMachine(gone or said)
        if len(start) > 1:
            names = ", ".join(machine.name for machine in start[:5])
            raise NoSuchMachine(f"{named} begins the address of several machines: {names}")
        return start[0]

    def gone(self, named: str) -> str:
        """Where a machine of this name or start of an address has moved, in words; empty for none."""
        return moves.gone_by(self._moves(), named) if named else ""

    def machine_now(self, number: int) -> Machine | None:
        """The row of a machine as it stands now; None when it has been removed."""
        body = self.store.get(("machine", number))
        return None if body is None else rows.decode_machine(number, body)

    def names(self, machine: Machine) -> dict[str, Cap]:
        """What `init` answered by name, for MACHINE.name."""
        found = self._rows_of("name", machine.id)
        return {str(key[1]): capability.from_bytes(body) for key, body in found}

    def slots(self, machine: Machine) -> dict[int, Cap]:
        """The capabilities a machine holds, by slot."""
        found = self._rows_of("slot", machine.id)
        return {int(key[1]): capability.from_bytes(body) for key, body in found}

    def asks(self, machine: Machine) -> dict[int, int]:
        """Open asks: their number, and their deadline in ms."""
        found = self._rows_of("ask", machine.id)
        return {int(key[1]): int(cbor2.loads(body)[1]) for key, body in found}

    def open_asks(self, machine: Machine) -> list[Ask]:
        """Open asks, whole."""
        found = self._rows_of("ask", machine.id)
        return [rows.decode_ask(int(key[1]), body) for key, body in found]

    def timers(self, machine: Machine) -> list[Timer]:
        """The timers that are set, the next due first."""
        found = [rows.decode_timer(body) for _key, body in self._rows_of("timer", machine.id)]
        return sorted(found, key=lambda timer: timer.due_ms)

    def channels(self, machine: Machine) -> list[Channel]:
        """The channels that begin or end at a machine, with their marks."""
        found: list[Channel] = []
        for (sender, receiver), body in self._rows("channel"):
            if machine.address in (sender, receiver):
                found.append(rows.decode_channel(sender, receiver, body))
        return found

    def channel(self, sender: bytes, receiver: bytes) -> Channel | None:
        """The channel from one address to another."""
        body = self.store.get(("channel", sender, receiver))
        return None if body is None else rows.decode_channel(sender, receiver, body)

    def waiting(self) -> dict[bytes, int]:
        """How many committed batches wait for each machine, by its address."""
        count: dict[bytes, int] = {}
        keys = [key[1] for key, _body in self._rows("outbox")]
        keys += [key[0] for key, _body in self._rows("inbox")]
        for address in keys:
            count[address] = count.get(address, 0) + 1
        return count

    def clients(self) -> list[bytes]:
        """The addresses of the clients the store knows."""
        return [key[0] for key, _body in self._rows("client")]

    def labels(self, host: bytes = b"", origin: bytes = b"") -> Labels:
        """What capabilities and addresses are called in this store, `host` being the host's.

        In a fork `origin` is that of the host that it is of, whose word is in the turns before.
        """
        machines = self.machines()
        named = {
            cap: f"{machine.name}.{name}"
            for machine in machines
            for name, cap in self.names(machine).items()
        }
        # What was sealed in another generation has the name as well.
        named |= {
            cap._replace(generation=0): name
            for cap, name in named.items()
            if isinstance(cap, capability.Local)
        }
        clients = {
            key[0]: str(cbor2.loads(body)[2]) or "client" for key, body in self._rows("client")
        }
        known = {one.address: one.name for one in machines} | ({origin: "host"} if origin else {})
        return Labels(known, clients, named, host)

    # Journal, snapshots, code

    def head(self, machine: Machine) -> int:
        """The number after the newest entry's."""
        last = self.store.last_entry(machine.id)
        return 0 if last is None else last[0] + 1

    def walk(
        self, machine: Machine, start: int = 0, stop: int | None = None
    ) -> Iterator[Link | Fault]:
        """The entries from `start` up to, not including, `stop`, with every fault in its place."""
        entries = self._entries(machine, start, stop)
        return walk(entries, (machine.head, machine.chain) if stop is None else None)

    def first(self, machine: Machine) -> int | None:
        """The number of the oldest entry that is kept."""
        return next((n for n, _entry, _printed in self._entries(machine, 0, None)), None)

    def _entries(self, machine: Machine, start: int, stop: int | None) -> Iterator[Row]:
        """The rows of a journal, going on behind each that is damaged."""
        at = start
        while True:
            try:
                for row in self.store.entries(machine.id, at, stop):
                    yield row
                    at = row[0] + 1
                return
            except StoreDamaged as damage:
                if damage.table != "journal" or len(damage.key) != 2:
                    raise
                n = int(damage.key[1])
                yield from self.store.entries(machine.id, at, n)
                yield n, None, str(damage)
                at = n + 1

    def kept(self, machine: Machine, at_most: int | None = None) -> Kept | None:
        """The newest snapshot not above a turn; None when there is none."""
        found = self.store.snapshot(machine.id, at_most)
        return None if found is None else Kept(found[0], *cbor2.loads(found[1]))

    def snapshots(self, machine: Machine) -> Iterator[Kept]:
        """All snapshots, the newest first."""
        kept = self.kept(machine, ALL - 1)
        while kept is not None:
            yield kept
            kept = self.kept(machine, kept.n - 1) if kept.n else None

    def generation(self, machine: Machine, n: int) -> int:
        """The key generation after an entry, -1 being before the first; as counted back from now."""
        if not machine.generation:
            return 0
        begun = sum(
            entry is not None and journal.form_of(entry) == journal.GENERATION
            for _n, entry, _printed in self._entries(machine, n + 1, None)
        )
        return machine.generation - begun

    def bundle(self, code: bytes) -> bytes | None:
        """The bundle of this hash."""
        return self.store.get(("code", code))

    # Failed batches

    def failed(self, machine: Machine) -> list[FailedBatch]:
        """The batches that broke a machine and were neither retried nor dropped."""
        return [
            _failed(machine, int(key[1]), body) for key, body in self._rows_of("failed", machine.id)
        ]

    def failed_at(self, machine: Machine, n: int) -> FailedBatch:
        """The failed batch of a turn; NoSuchTurn."""
        body = self.store.get(("failed", machine.id, n))
        if body is None:
            why = f"{machine.name} has no failed batch at turn {n}"
            raise NoSuchTurn(f"{why}: `failed ls {machine.name}` shows those there are")
        return _failed(machine, n, body)

    def _rows(self, table: str) -> Iterator[tuple[tuple[Any, ...], bytes]]:
        return self.store.rows(table)

    def _rows_of(self, table: str, first: int) -> Iterator[tuple[tuple[Any, ...], bytes]]:
        return self.store.rows_of(table, first)


def _failed(machine: Machine, n: int, body: bytes) -> FailedBatch:
    sender, reason, index, detail, now_ms, batch = cbor2.loads(body)
    made = from_bytes(sender, machine.address, 0, batch)
    return FailedBatch(n, sender, reason, index, detail, now_ms, made)


__all__ = ["FailedBatch", "Kept", "NoSuchMachine", "NoSuchTurn", "Reader"]
