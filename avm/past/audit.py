"""A whole store held against itself: chains, snapshots, slots and seals. Shell.

Beside the journey, for `verify`. What the store's own checksums find comes last, unless it was told
with its machine and turn before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import cbor2

from avm.host import journal
from avm.host.auditlog import Broken
from avm.host.capability import Cap, Local, Reply, from_wire_untrusted, to_wire
from avm.host.chain import STATES, Fault, Slots
from avm.host.journal import Entry
from avm.host.keys import Keyring
from avm.host.moves import Leaving
from avm.host.parcel import from_bytes_untrusted
from avm.host.refer import slots_in
from avm.host.state import Machine, Status
from avm.past.reading import Kept, Reader
from avm.run import auditing
from avm.store.errors import StoreDamaged
from avm.store.interface import ALL
from caps.errors import CapsError

One = TypeVar("One", Machine, Leaving)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the store that does not hold; `machine` and `turn` where it has them."""

    machine: str
    turn: int | None
    why: str

    def __str__(self) -> str:
        if not self.machine:
            return self.why
        turn = "" if self.turn is None else f", turn {self.turn}"
        return f"{self.machine}{turn}: {self.why}"


@dataclass(slots=True)
class Audit:
    """One pass over a store; `keys` is None where the keys cannot be read."""

    reader: Reader
    keys: Keyring | None
    entries: int = 0
    told: set[str] = field(default_factory=set)
    machines: set[bytes] = field(default_factory=set)

    def problems(self) -> Iterator[Problem]:
        """Everything that does not hold."""
        try:
            machines = self.reader.machines()
        except (StoreDamaged, cbor2.CBORError, ValueError, TypeError) as error:
            machines = []
            yield self._damage("", None, error)
        self.machines = {machine.address for machine in machines}
        for machine in machines:
            yield from self._checked(machine, self._machine)
        for left in self._leaving():
            yield from self._checked(left, self._left)
        yield from self._audit_log()
        for text in self.reader.store.verify():
            if text not in self.told:
                yield Problem("", None, text)

    def _damage(self, machine: str, turn: int | None, error: Exception) -> Problem:
        self.told.add(str(error))
        return Problem(machine, turn, str(error))

    def _audit_log(self) -> Iterator[Problem]:
        try:
            for one in auditing.walk(self.reader.store, auditing.log_of(self.reader.store)):
                if isinstance(one, Broken):
                    yield Problem("", None, f"the audit log, entry {one.n}: {one.why}")
        except StoreDamaged as error:
            yield self._damage("", None, error)

    def _leaving(self) -> list[Leaving]:
        """What is on its way to another host; a row of it that is damaged is told with the rest."""
        try:
            return self.reader.leaving()
        except (StoreDamaged, cbor2.CBORError, ValueError, TypeError):
            return []

    def _checked(self, one: One, check: Callable[[One], Iterator[Problem]]) -> Iterator[Problem]:
        try:
            yield from check(one)
        except (StoreDamaged, CapsError, cbor2.CBORError, ValueError, TypeError) as error:
            yield self._damage(one.name, None, error)

    def _left(self, left: Leaving) -> Iterator[Problem]:
        """The history of a machine on its way to another host, which fetches it from here."""
        parcel = from_bytes_untrusted(left.parcel)
        place = (left.number, left.address, left.name, Status.HALTED)
        machine = Machine(*place, parcel.code, left.keys, parcel.identity)
        machine.head, machine.chain = parcel.head, parcel.chain
        machine.next_slot = parcel.next_slot
        states: dict[int, Entry | None] = {}
        slots = Slots()
        yield from self._journal(machine, slots, states)
        held = {number for number, _wire in parcel.slots}
        yield from self._snapshots(machine, slots, states, held)

    def _machine(self, machine: Machine) -> Iterator[Problem]:
        states: dict[int, Entry | None] = {}
        slots = Slots()
        yield from self._journal(machine, slots, states)
        yield from self._snapshots(machine, slots, states, set(self.reader.slots(machine)))
        yield from self._held(machine, slots)

    def _journal(
        self, machine: Machine, slots: Slots, states: dict[int, Entry | None]
    ) -> Iterator[Problem]:
        """The chain, and that it refers only to what the machine held."""
        follows = not self.reader.first(machine)
        for link in self.reader.walk(machine):
            if isinstance(link, Fault):
                follows = False
                self.told.add(link.why)
                states[link.n] = None
                yield Problem(machine.name, link.n, link.why)
                continue
            self.entries += 1
            entry = link.entry
            if entry.form in STATES:
                states[entry.n] = entry
            if not follows and entry.form in STATES:
                follows = self._catch_up(machine, slots, entry)
                continue
            try:
                why = slots.take(entry) if follows else ""
            except (TypeError, ValueError, LookupError):
                follows, why = False, "its references cannot be read"
            if why:
                yield Problem(machine.name, entry.n, why)
        if follows and slots.next != machine.next_slot:
            why = f"its row counts {machine.next_slot} slots, its journal {slots.next}"
            yield Problem(machine.name, None, why)

    def _catch_up(self, machine: Machine, slots: Slots, entry: Entry) -> bool:
        """Takes the number of slots from a snapshot where the turns before are not there."""
        try:
            kept = self.reader.kept(machine, entry.n)
        except (StoreDamaged, cbor2.CBORError, ValueError, TypeError):
            return False
        if kept is None or kept.n != entry.n:
            return False
        slots.next = kept.next_slot
        return True

    def _kept(self, machine: Machine) -> Iterator[Kept | Problem]:
        """The snapshots, newest first, going on behind each that cannot be read."""
        at = ALL - 1
        while at >= 0:
            try:
                kept = self.reader.kept(machine, at)
            except StoreDamaged as damage:
                if damage.table != "snapshot" or len(damage.key) != 2:
                    yield self._damage(machine.name, None, damage)
                    return
                at = int(damage.key[1]) - 1
                yield self._damage(machine.name, at + 1, damage)
                continue
            except (cbor2.CBORError, ValueError, TypeError) as error:
                yield self._damage(machine.name, None, error)
                return
            if kept is None:
                return
            yield kept
            at = kept.n - 1

    def _snapshots(
        self, machine: Machine, slots: Slots, states: dict[int, Entry | None], held: set[int]
    ) -> Iterator[Problem]:
        """Each snapshot against its digest and its entry, its slots against those there were."""
        for kept in self._kept(machine):
            if isinstance(kept, Problem):
                yield kept
                continue
            digest = journal.digest_of(kept.body, kept.references)
            told = states.get(kept.n, kept) is None
            entry = states.get(kept.n)
            if digest != kept.digest:
                yield Problem(machine.name, kept.n, "the snapshot is not what its digest says")
            elif not told and (entry is None or entry["digest"] != digest):
                why = "the snapshot's digest is not the one in the journal"
                yield Problem(machine.name, kept.n, why)
            for slot in sorted(slots_in(kept.references) - held - slots.gone):
                yield Problem(machine.name, kept.n, f"slot {slot} of the snapshot is lost")
            if self.reader.bundle(kept.code) is None:
                yield Problem(machine.name, kept.n, f"its code {kept.code.hex()[:8]} is lost")

    def _held(self, machine: Machine, slots: Slots) -> Iterator[Problem]:
        """The slot table and the names, each capability's seal, the code."""
        if self.reader.bundle(machine.code) is None:
            yield Problem(machine.name, None, f"its code {machine.code.hex()[:8]} is lost")
        for number, cap in self.reader.slots(machine).items():
            if number >= machine.next_slot or number in slots.gone:
                yield Problem(machine.name, None, f"slot {number} is not one it has")
            if not self._seals(cap):
                yield Problem(machine.name, None, f"the seal of slot {number} does not hold")
        for name, cap in self.reader.names(machine).items():
            if not self._seals(cap):
                yield Problem(machine.name, None, f"the seal of {machine.name}.{name} is broken")

    def _seals(self, cap: Cap) -> bool:
        """Whether a capability of this host is the same again when it was sealed and opened."""
        if self.keys is None or not isinstance(cap, Local | Reply):
            return True
        try:
            if self.keys(cap.address) is None:
                return cap.address not in self.machines
            if not all(map(self._has_keys, cap.caps if isinstance(cap, Local) else ())):
                return (
                    True  # It leads on to who is gone: what is sealed to them is opened by nobody.
                )
            return from_wire_untrusted(to_wire(cap, self.keys), self.keys) == cap
        except CapsError:
            return False

    def _has_keys(self, cap: Cap) -> bool:
        """Whether what is in a capability's context could be opened here, all of it."""
        if not isinstance(cap, Local | Reply):
            return True
        inner = cap.caps if isinstance(cap, Local) else ()
        return (
            self.keys is not None
            and self.keys(cap.address) is not None
            and all(map(self._has_keys, inner))
        )


__all__ = ["Audit", "Problem"]
