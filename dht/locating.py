"""The lookups under way, and what they come to: found, a miss, or the nodes closest to a key.

Step 7 of the journey. Records from several holders meet here: a newer one replaces an older, a
contradiction is told, a holder of an older one is sent the newer, and a miss is remembered a while.
"""

from dataclasses import replace

from caps.light import dataclass
from dht.asking import Asker, ForLookup, ForStore, Purpose, Question
from dht.contact import Contact, is_loopback, reachable
from dht.effects import Effect, Ended, Evidence, Found
from dht.errors import InvalidRecord, NodeBusy
from dht.lookup import Lookup, Near
from dht.newest import Newest, Verdict
from dht.path import State
from dht.proofs import Kind, Proofs, Proved
from dht.settings import CLOSEST, Settings
from dht.shelf import Shelf
from dht.wire import Answer

RECORDS_TAKEN_MAX = {Kind.IDENTITY: 1, Kind.LOCATION: 2, Kind.PROVIDER: 20}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lookups start from: our own id, and the contacts that are known.

    `held` are the records that this node keeps itself: it is a holder like any other.
    """

    own_id: bytes
    near: Near
    held: Shelf


class Locating:
    """All lookups of a node, at most `lookups_max`, and the marks of what they found.

    `towards` is when the last lookup went into each bucket's part of the space.
    """

    __slots__ = (
        "_around",
        "_asker",
        "_lookups",
        "_misses",
        "_next",
        "_out",
        "_proofs",
        "_settings",
        "ended",
        "newest",
        "towards",
    )

    def __init__(
        self,
        settings: Settings,
        around: Surroundings,
        asker: Asker,
        proofs: Proofs,
        out: list[Effect],
    ) -> None:
        self._settings = settings
        self._around = around
        self._asker = asker
        self._proofs = proofs
        self._out = out
        self._next = 1
        self._lookups: dict[int, Lookup] = {}
        self.towards: dict[int, int] = {}
        self._misses: dict[tuple[Kind, bytes], int] = {}
        self.newest = Newest(settings.newest_max)
        self.ended: list[Lookup] = []

    @property
    def full(self) -> bool:
        """Whether another lookup has to wait."""
        return len(self._lookups) >= self._settings.lookups_max

    def locate(self, now_ms: int, key: bytes, kind: Kind) -> int:
        """Begin a lookup for records, or join the one under way; raises `NodeBusy`."""
        for number, lookup in self._lookups.items():
            if lookup.key == key and lookup.kind is kind:
                return number
        if now_ms < self._misses.get((kind, key), 0):
            number = self._number()
            self._out.append(Ended(number, kind, key, (), 0, None, 0, cached=True))
            return number
        return self._begin(now_ms, key, kind, self._settings)

    def nodes(self, now_ms: int, key: bytes, width: int | None = None) -> int:
        """Begin a lookup for the nodes closest to a key; raises `NodeBusy`.

        It leaves room for a put to each of them within `requests_max`.
        """
        s = self._settings
        stores = CLOSEST + s.region_paths * s.region_stores
        settings = replace(s, requests_max=s.requests_max - stores)
        if width is not None:
            settings = replace(settings, width=width, put_paths=2)
        return self._begin(now_ms, key, None, settings)

    def forget_misses(self) -> None:
        """Somebody is there again who may know what nobody knew."""
        self._misses.clear()

    def forget_miss(self, kind: Kind, key: bytes) -> None:
        """Let a key be looked for again at once."""
        self._misses.pop((kind, key), None)

    def answered(
        self, now_ms: int, question: Question, answer: Answer, authentic: bool, note: str
    ) -> None:
        """Carry a lookup on by an answer; without proof of who gave it only its records count."""
        lookup = self._of(question)
        if question.contact is None:
            return
        if lookup is None:
            self._answered_late(now_ms, question.contact, question.purpose, answer)
            return
        records, refused = self._records(now_ms, lookup, answer)
        if not authentic and not records:
            lookup.failed(question.contact, note)
        else:
            named = self._believable(question.contact, answer) if authentic else []
            lookup.answered(question.contact, now_ms, named, records)
            lookup.asked[question.contact].note = refused or note
            lookup.asked[question.contact].token = answer.token
        self._pump(now_ms, lookup)

    def late(self, now_ms: int, question: Question) -> None:
        """Go on beside a question whose answer is late."""
        lookup = self._of(question)
        if lookup is not None and question.contact is not None:
            lookup.slow(question.contact)
            self._pump(now_ms, lookup)

    def lost(self, now_ms: int, question: Question) -> None:
        """Go on without an answer."""
        lookup = self._of(question)
        if lookup is not None and question.contact is not None:
            lookup.failed(question.contact, "no answer")
            self._pump(now_ms, lookup)

    def _believable(self, contact: Contact, answer: Answer) -> list[Contact]:
        # Nobody out there may send us to ourselves, or to what listens on this machine alone.
        near = is_loopback(contact.endpoint)
        return [
            named
            for named in answer.contacts
            if named.id != self._around.own_id
            and reachable(named.endpoint)
            and (near or not is_loopback(named.endpoint))
        ]

    def _number(self) -> int:
        number = self._next
        self._next += 1
        return number

    def _begin(self, now_ms: int, key: bytes, kind: Kind | None, settings: Settings) -> int:
        if self.full:
            raise NodeBusy(f"at most {self._settings.lookups_max} lookups at a time")
        number = self._number()
        around = self._around
        own = int.from_bytes(around.own_id, "big")
        self.towards[(own ^ int.from_bytes(key, "big")).bit_length()] = now_ms
        lookup = Lookup(number, key, kind, around.near, settings, now_ms)
        self._lookups[number] = lookup
        self._pump(now_ms, lookup)
        return number

    def _of(self, question: Question) -> Lookup | None:
        purpose = question.purpose
        return self._lookups.get(purpose.number) if isinstance(purpose, ForLookup) else None

    def _pump(self, now_ms: int, lookup: Lookup) -> None:
        purpose = ForLookup(lookup.number, lookup.key, lookup.kind)
        for contact, near in lookup.next_asks(now_ms):
            if self._asker.questions.full:
                lookup.failed(contact, "too much under way")
            elif lookup.kind is None:
                self._asker.find(now_ms, contact.endpoint, contact, near, purpose)
            else:
                self._asker.get(now_ms, contact, near, lookup.key, lookup.kind, purpose)
        if lookup.ended and lookup.number in self._lookups:
            del self._lookups[lookup.number]
            self._end(now_ms, lookup)

    def _records(
        self, now_ms: int, lookup: Lookup, answer: Answer
    ) -> tuple[tuple[Proved, ...], str]:
        if lookup.kind is None:
            return (), ""
        records, note = [], ""
        for body in answer.records[: RECORDS_TAKEN_MAX[lookup.kind]]:
            try:
                record = self._proofs.record_untrusted(lookup.kind, lookup.key, body, now_ms)
            except InvalidRecord as error:
                note = str(error)
                continue
            match self.newest.offer(record):
                case Verdict.CONTRADICTS:
                    mark = self.newest.mark(record.kind, record.key)
                    assert mark is not None
                    if mark.newest.contradicts(record):
                        self._out.append(Evidence(mark.newest, record))
                    note = "contradicts a record seen before"
                    continue
                case Verdict.NEWER:
                    self._out.append(Found(lookup.number, record))
                case Verdict.SAME if not lookup.holders:
                    self._out.append(Found(lookup.number, record))
                case _:
                    pass
            records.append(record)
        return tuple(records), note

    def _answered_late(
        self, now_ms: int, contact: Contact, purpose: Purpose, answer: Answer
    ) -> None:
        # The lookup has ended without it; a holder that lags behind is corrected all the same.
        if not isinstance(purpose, ForLookup) or purpose.kind is None:
            return
        for body in answer.records[: RECORDS_TAKEN_MAX[purpose.kind]]:
            try:
                held = self._proofs.record_untrusted(purpose.kind, purpose.key, body, now_ms)
            except InvalidRecord:
                continue
            mark = self.newest.mark(held.kind, held.key, held.speaker)
            if mark is not None and mark.newest.newer_than(held):
                self._send_newer(now_ms, contact, mark.newest)

    def _send_newer(self, now_ms: int, contact: Contact, newest: Proved) -> None:
        if not self._asker.questions.full:
            self._asker.put(now_ms, contact, newest, ForStore(None, newest))

    def _end(self, now_ms: int, lookup: Lookup) -> None:
        self.ended.append(lookup)
        if lookup.kind is None:
            return
        records = self._best(now_ms, lookup)
        if not records and any(entry.answered_ms is not None for entry in lookup.asked.values()):
            # Where nobody answered nothing was learned.
            self._misses[lookup.kind, lookup.key] = now_ms + self._settings.miss_ms
            if len(self._misses) > self._settings.misses_max:
                del self._misses[next(iter(self._misses))]
        self._correct(now_ms, lookup, records)
        self._out.append(
            Ended(
                lookup.number,
                lookup.kind,
                lookup.key,
                records,
                len(lookup.asked),
                lookup.first_hop,
                now_ms - lookup.begun_ms,
                lookup.escalated,
                trace=lookup.trace(),
            )
        )

    def _best(self, now_ms: int, lookup: Lookup) -> tuple[Proved, ...]:
        # What was seen before counts: a holder that lags behind must not take the reader back.
        if lookup.kind is None:
            return ()
        own = self._around.held.get(lookup.kind, lookup.key, now_ms)
        for record in own:
            self.newest.offer(record)
        found: dict[bytes, Proved] = {}
        for record in [*own, *(one for entry in lookup.holders for one in entry.records)]:
            mark = self.newest.mark(record.kind, record.key, record.speaker)
            best = record if mark is None else mark.newest
            try:
                best.check_time(now_ms)
            except InvalidRecord:
                continue
            found[record.speaker] = best
        return tuple(found.values())

    def _correct(self, now_ms: int, lookup: Lookup, records: tuple[Proved, ...]) -> None:
        newest = {record.speaker: record for record in records}
        for entry in lookup.asked.values():
            if entry.state is not State.ANSWERED:
                continue
            for held in entry.records:
                best = newest.get(held.speaker)
                if best is not None and best.newer_than(held):
                    self._send_newer(now_ms, entry.contact, best)
