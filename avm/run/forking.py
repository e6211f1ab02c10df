"""The rows of a fork: machines as they were after a turn, in a store of their own. Shell.

Beside the journey, for `fork`. What a journal says of a machine is copied up to the turn: entries,
snapshots, code, names and capabilities. What a fork of now finds waiting comes along: timers, open
asks, and batches on their way to its own machines. Nothing of other hosts, and no client, is in it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import cbor2

from avm.host import capability, journal, rows
from avm.host.capability import Cap, Sealed
from avm.host.chain import input_of
from avm.host.journal import Entry
from avm.host.keys import Keyring
from avm.host.state import Channel, Machine, Mode, Status
from avm.run.moments import Moment, entry_at, moment_at, newest_by, sound
from avm.run.reading import Kept, Reader
from avm.store.interface import Key, Transaction
from caps.codec import encode_state
from caps.sealing import pack_context

# So many entries are copied in one transaction.
ENTRIES_MAX = 2_000
KEY_BYTES = 88
Puts = dict[Key, bytes | None]


@dataclass(slots=True)
class Copy:
    """One fork being made out of a store: `chosen` says of each machine up to which turn.

    `waiting` is whether it is a fork of now; `keys` are the fork's own, and `entropy` gives bytes.
    """

    reader: Reader
    chosen: Mapping[int, int]
    waiting: bool
    keys: Keyring

    def transactions(self, entropy: Iterator[bytes]) -> Iterator[Transaction]:
        """What makes the fork's store; raises NoSuchTurn, StoreDamaged."""
        machines = [one for one in self.reader.machines() if one.id in self.chosen]
        inside = {machine.address for machine in machines}
        for machine in machines:
            moment = moment_at(self.reader, machine, self.chosen[machine.id])
            yield from self._history(machine, moment.turn)
            yield Transaction(self._rows(machine, moment, inside, next(entropy)))
        if self.waiting:
            yield Transaction(self._under_way(inside))

    def _history(self, machine: Machine, turn: int) -> Iterator[Transaction]:
        """Entries and snapshots up to the turn, and the code that they name."""
        entries: list[tuple[int, int, bytes, str | None]] = []
        codes: set[bytes] = set()
        for n, body, printed in self.reader.store.entries(machine.id, 0, turn + 1):
            entries.append((machine.id, n, body, printed))
            if journal.form_of(body) in (journal.INIT, journal.CODE):
                codes.add(journal.decode(n, body)["code"])
            if len(entries) == ENTRIES_MAX:
                yield Transaction(journal=entries)
                entries = []
        yield Transaction(journal=entries)
        for kept in self.reader.snapshots(machine):
            if kept.n <= turn:
                codes.add(kept.code)
                yield Transaction(snapshots=[(machine.id, kept.n, _snapshot(kept))])
        puts: Puts = {("code", code): self.reader.bundle(code) for code in codes}
        yield Transaction({key: body for key, body in puts.items() if body is not None})

    def _rows(
        self, machine: Machine, moment: Moment, inside: Collection[bytes], entropy: bytes
    ) -> Puts:
        """The machine's row, names, capabilities and channels as they were after the turn."""
        puts: Puts = {
            ("name", machine.id, name): capability.to_bytes(cap)
            for name, cap in self.reader.names(machine).items()
        }
        gone, channels = self._walked(machine, moment.turn, inside)
        held = self.reader.slots(machine)
        for slot in range(moment.next_slot):
            if slot not in gone:
                cap = held.get(slot) or self._lost(machine, slot)
                puts[("slot", machine.id, slot)] = capability.to_bytes(cap)
        copy = self.reader.machine_now(machine.id)
        assert copy is not None, "it is read from one commit"
        copy.head, copy.chain = (
            moment.turn + 1,
            entry_at(self.reader, machine, moment.turn).entry.hash,
        )
        copy.now_ms, copy.next_slot, copy.code = moment.now_ms, moment.next_slot, moment.code
        copy.generation = moment.generation
        copy.sealed_keys = self.keys.close_machine(entropy[:32], entropy[32:64], entropy[64:])
        copy.status, copy.mode, copy.why, copy.has_signal = Status.RUNNING, Mode.HOLD, "", False
        kept = self.reader.kept(machine, moment.turn)
        copy.snapshot_at = -1 if kept is None else kept.n
        copy.bytes_since = copy.turns_since = copy.failed = copy.refused = 0
        puts[("machine", machine.id)] = rows.encode(copy)
        for channel in channels:
            puts[("channel", channel.sender, channel.receiver)] = rows.encode(channel)
        return puts

    def _lost(self, machine: Machine, slot: int) -> Cap:
        """Stands for a capability that was given up since: whose it was is not known any more."""
        name = b"%b %d" % (machine.address, slot)
        address = blake2b(name, digest_size=32, person=b"avm lost slot").digest()
        plain = pack_context(encode_state(None)[0], [])
        keys = self.keys.of_gone(address)
        sealed = keys.seal(plain, generation=0, priority=0, kind=0, expires_ms=None)
        return Sealed(address, sealed.wire())

    def _walked(
        self, machine: Machine, turn: int, inside: Collection[bytes]
    ) -> tuple[set[int], list[Channel]]:
        """The slots that were given up by then, and how far each sender was taken.

        A machine of the fork has sent no more than what was taken.
        """
        marks: dict[bytes, tuple[int, int]] = {}
        gone: set[int] = set()
        for link in self.reader.walk(machine, 0, turn + 1):
            entry = sound(machine, link).entry
            if entry.fields.get("seq"):
                before = marks.get(entry["sender"], (0, 0))[1]
                marks[entry["sender"]] = (entry["seq"], _ordinal_after(entry, before))
            elif entry.form == journal.COLLECT:
                gone.update(entry["slots"])
        return gone, [
            Channel(sender, machine.address, *(mark if sender in inside else (0, 0)), *mark)
            for sender, mark in marks.items()
        ]

    def _under_way(self, inside: Collection[bytes]) -> Puts:
        """Timers and open asks, and the batches from machines of the fork to machines of the fork."""
        store = self.reader.store
        puts: Puts = {}
        for table in ("ask", "timer"):
            for key, body in store.rows(table):
                if key[0] in self.chosen:
                    puts[(table, *key)] = body
        for (sender, receiver), body in store.rows("channel"):
            if sender in inside and receiver in inside:
                puts[("channel", sender, receiver)] = body
        for (sender, receiver, seq), body in store.rows("outbox"):
            if sender in inside and receiver in inside:
                puts[("outbox", sender, receiver, seq)] = body
        return puts


def _snapshot(kept: Kept) -> bytes:
    return cbor2.dumps([kept.code, kept.body, kept.references, kept.next_slot, kept.digest])


def _ordinal_after(entry: Entry, before: int) -> int:
    """How many messages the channel has had after this entry."""
    given = input_of(entry)
    if given is not None:
        return given.ordinal + len(given.messages)
    return before + int(entry.fields.get("count", 0))


def turns_at(reader: Reader, now_ms: int) -> dict[int, int]:
    """Each machine's newest turn that is not after a time; one that was made later is not among them."""
    found = {one.id: newest_by(reader, one, now_ms) for one in reader.machines()}
    return {number: turn for number, turn in found.items() if turn >= 0}


__all__ = ["KEY_BYTES", "Copy", "turns_at"]
