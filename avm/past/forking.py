"""The rows of a fork: machines as they were after a turn, in a store of their own. Shell.

Beside the journey, for `fork`. What a journal says of a machine is copied up to the turn: entries,
snapshots, code, names and capabilities. Batches on their way between machines of the fork come along; with
a fork of now timers and open asks too. Nothing of other hosts, and no client, is in it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import cbor2

from avm.host import capability, journal, rows
from avm.host.batch import to_bytes
from avm.host.capability import Cap, Local, Sealed
from avm.host.chain import input_of
from avm.host.journal import Entry
from avm.host.keys import Keyring
from avm.host.state import Channel, Machine, Mode, Status
from avm.past.moments import Moment, entry_at, moment_at, newest_by, sound
from avm.past.reading import Kept, Reader
from avm.past.targets import targets_of
from avm.past.underway import Ends, Sent, UnderWay
from avm.store.interface import Key, Transaction
from caps.codec import encode_state
from caps.sealing import pack_context

# So many entries are copied in one transaction.
ENTRIES_MAX = 2_000
KEY_BYTES = 88
NONE = (0, 0)
Puts = dict[Key, bytes | None]


@dataclass(slots=True)
class Past:
    """What a machine's journal says up to a turn: slots given up, and how far its channels had come.

    `taken` is by sender the last number and how many messages that was, `sent` by receiver the last.
    """

    gone: set[int] = field(default_factory=set)
    taken: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    sent: dict[bytes, int] = field(default_factory=dict)


@dataclass(slots=True)
class Copy:
    """One fork being made out of a store: `chosen` says of each machine up to which turn.

    `waiting` is whether it is a fork of now; `keys` are the fork's own, and `entropy` gives bytes.
    """

    reader: Reader
    chosen: Mapping[int, int]
    waiting: bool
    keys: Keyring
    _by_address: dict[bytes, Machine] = field(default_factory=dict)

    def transactions(self, entropy: Iterator[bytes]) -> Iterator[Transaction]:
        """What makes the fork's store; raises NoSuchTurn, StoreDamaged."""
        machines = [one for one in self.reader.machines() if one.id in self.chosen]
        self._by_address = {one.address: one for one in machines}
        moments = [moment_at(self.reader, one, self.chosen[one.id]) for one in machines]
        pasts: dict[bytes, Past] = {}
        for machine, moment in zip(machines, moments, strict=True):
            yield from self._history(machine, moment.turn)
            past = pasts[machine.address] = past_of(self.reader, machine, moment.turn)
            yield Transaction(self._rows(machine, moment, past.gone, next(entropy)))
        for machine, moment in zip(machines, moments, strict=True):
            yield Transaction(self._channels(machine, moment, pasts))
        if self.waiting:
            yield Transaction(self._waiting(pasts))

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
        self, machine: Machine, moment: Moment, gone: Collection[int], entropy: bytes
    ) -> Puts:
        """The machine's row, names and capabilities as they were after the turn."""
        puts: Puts = {
            ("name", machine.id, name): capability.to_bytes(_of_then(cap, moment))
            for name, cap in self.reader.names(machine).items()
        }
        held = self.reader.slots(machine)
        for slot in range(moment.next_slot):
            if slot not in gone:
                cap = held.get(slot) or self._lost(machine, slot)
                puts[("slot", machine.id, slot)] = capability.to_bytes(cap)
        copy = self.reader.machine_now(machine.id)
        assert copy is not None, "it is read from one commit"
        last = entry_at(self.reader, machine, moment.turn).entry
        copy.head, copy.chain = moment.turn + 1, last.hash
        copy.now_ms, copy.next_slot, copy.code = moment.now_ms, moment.next_slot, moment.code
        copy.generation = moment.generation
        # Keys are new ones in a fork: what is revoked here is so there, but for what begins later.
        copy.revoked = min(copy.revoked, moment.generation - 1)
        copy.ends = tuple(end for end in copy.ends if end.generation < moment.generation)
        copy.sealed_keys = self.keys.close_machine(entropy[:32], entropy[32:64], entropy[64:])
        copy.status, copy.mode, copy.why, copy.has_signal = Status.RUNNING, Mode.HOLD, "", False
        kept = self.reader.kept(machine, moment.turn)
        copy.snapshot_at = -1 if kept is None else kept.n
        copy.bytes_since = copy.turns_since = copy.failed = copy.refused = 0
        puts[("machine", machine.id)] = rows.encode(copy)
        return puts

    def _lost(self, machine: Machine, slot: int) -> Cap:
        """Stands for a capability that was given up since: whose it was is not known any more."""
        name = b"%b %d" % (machine.address, slot)
        address = blake2b(name, digest_size=32, person=b"avm lost slot").digest()
        plain = pack_context(encode_state(None)[0], [])
        keys = self.keys.of_gone(address)
        sealed = keys.seal(plain, generation=0, priority=0, kind=0, expires_ms=None)
        return Sealed(address, sealed.wire())

    def _channels(self, machine: Machine, moment: Moment, pasts: Mapping[bytes, Past]) -> Puts:
        """How far each sender was taken, and what machines of the fork had sent and was not taken yet."""
        taken = pasts[machine.address].taken
        ends = {
            sender: Ends(taken.get(sender, NONE)[0], past.sent.get(machine.address, 0))
            for sender, past in pasts.items()
        }
        channels = {
            sender: Channel(sender, machine.address, 0, 0, *mark) for sender, mark in taken.items()
        }
        for sender in pasts.keys() & channels.keys():
            channels[sender].sent, channels[sender].sent_ordinal = taken[sender]
        puts: Puts = {}
        under_way = UnderWay(self.reader, machine, moment, self._lost, self._sent_to(machine))
        for batch in under_way.batches({} if self.waiting else ends):
            puts[("outbox", batch.sender, batch.receiver, batch.seq)] = to_bytes(batch)
            channel = channels.setdefault(batch.sender, Channel(batch.sender, machine.address))
            channel.sent, channel.sent_ordinal = batch.seq, batch.ordinal + batch.count
        for sender, channel in channels.items():
            puts[("channel", sender, machine.address)] = rows.encode(channel)
        return puts

    def _sent_to(self, receiver: Machine) -> Sent:
        """How what was sent to a machine is found in its senders' journals."""

        def sent(sender: bytes, numbers: range) -> Mapping[int, Sequence[Cap]]:
            machine = self._by_address[sender]
            turn = self.chosen[machine.id]
            return targets_of(self.reader, machine, turn, receiver.address, numbers)

        return sent

    def _waiting(self, inside: Collection[bytes]) -> Puts:
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


def _of_then(cap: Cap, moment: Moment) -> Cap:
    """A named capability, which is sealed anew with each generation, as it was."""
    if not isinstance(cap, Local) or cap.generation <= moment.generation:
        return cap
    return cap._replace(generation=moment.generation)


def past_of(reader: Reader, machine: Machine, turn: int) -> Past:
    """What a machine's entries say up to a turn."""
    past = Past()
    for link in reader.walk(machine, 0, turn + 1):
        entry = sound(machine, link).entry
        if entry.fields.get("seq"):
            before = past.taken.get(entry["sender"], NONE)[1]
            past.taken[entry["sender"]] = (entry["seq"], _ordinal_after(entry, before))
        elif entry.form == journal.COLLECT:
            past.gone.update(entry["slots"])
        for receiver, first, count in entry.fields.get("sent", ()):
            past.sent[receiver] = first + count - 1
    return past


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
