"""Publications under way: the closest nodes are looked up, then each is asked to keep the record.

Step 7 of the journey, beforehand. When a node says that it holds a newer record of our own, our
sequence numbers went back (a restored backup): the next one is raised above it and the record is
published again. When the newer one is of a later incarnation, somebody else is the owner now.
"""

from caps.light import dataclass
from dht.asking import Asker, ForStore, Question
from dht.effects import Effect, Evidence, Published, Superseded
from dht.errors import InvalidRecord
from dht.locating import Locating
from dht.lookup import Lookup
from dht.proofs import Proofs, Proved
from dht.publishing import Publishing
from dht.wire import Status, Stored


@dataclass(slots=True)
class Publication:
    """One record on its way to its holders."""

    record: Proved
    asked: int = 0
    kept: int = 0
    waiting: int = 0
    requests: int = 0
    escalated: bool = False


class Storing:
    """Carries publications from their lookup to the last answer."""

    __slots__ = ("_asker", "_locating", "_out", "_proofs", "_publishing", "_under_way")

    def __init__(
        self,
        asker: Asker,
        locating: Locating,
        proofs: Proofs,
        publishing: Publishing,
        out: list[Effect],
    ) -> None:
        self._asker = asker
        self._locating = locating
        self._proofs = proofs
        self._publishing = publishing
        self._out = out
        self._under_way: dict[int, Publication] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, number: int) -> bool:
        return number in self._under_way

    def begin(self, now_ms: int, record: Proved) -> int:
        """Look up who shall keep a record; returns the publication's number; raises `NodeBusy`."""
        self._locating.forget_miss(record.kind, record.key)
        number = self._locating.nodes(now_ms, record.key)
        self._under_way[number] = Publication(record)
        return number

    def looked_up(self, now_ms: int, lookup: Lookup) -> None:
        """Ask those that a lookup found to keep the record."""
        publication = self._under_way[lookup.number]
        publication.escalated = lookup.escalated
        publication.requests = len(lookup.asked)
        for entry in lookup.stores():
            if self._asker.questions.full:
                break
            purpose = ForStore(lookup.number, publication.record)
            self._asker.put(now_ms, entry.contact, publication.record, purpose)
            publication.asked += 1
            publication.waiting += 1
            publication.requests += 1
        self._end_if_done(now_ms, lookup.number, publication)

    def stored(self, now_ms: int, question: Question, stored: Stored) -> None:
        """Take what a holder said; with a token it lacked, it is asked once more."""
        purpose = question.purpose
        if not isinstance(purpose, ForStore) or question.contact is None:
            return
        if stored.status is Status.TOKEN and not purpose.again:
            again = ForStore(purpose.publication, purpose.record, again=True)
            self._asker.put(now_ms, question.contact, purpose.record, again)
            return
        self._hear_standing(now_ms, purpose.record, stored)
        self._count(now_ms, purpose, stored.status is Status.KEPT)

    def lost(self, now_ms: int, question: Question) -> None:
        """Give up on a holder that does not answer."""
        if isinstance(question.purpose, ForStore):
            self._count(now_ms, question.purpose, False)

    def _count(self, now_ms: int, purpose: ForStore, kept: bool) -> None:
        number = purpose.publication
        publication = None if number is None else self._under_way.get(number)
        if number is None or publication is None:
            return
        publication.waiting -= 1
        publication.kept += kept
        self._end_if_done(now_ms, number, publication)

    def _end_if_done(self, now_ms: int, number: int, publication: Publication) -> None:
        if publication.waiting:
            return
        del self._under_way[number]
        record = publication.record
        self._publishing.ended(now_ms, record, publication.kept, publication.asked)
        self._out.append(
            Published(
                number,
                record.kind,
                record.key,
                record.order,
                publication.kept,
                publication.asked,
                publication.requests,
                publication.escalated,
            )
        )

    def _hear_standing(self, now_ms: int, ours: Proved, stored: Stored) -> None:
        if stored.status not in (Status.OLDER, Status.CONTRADICTS):
            return
        try:
            standing = self._proofs.record_untrusted(ours.kind, ours.key, stored.body, now_ms)
        except InvalidRecord:
            return
        self._locating.newest.offer(standing)
        if standing.contradicts(ours):
            self._out.append(Evidence(standing, ours))
            return
        own = self._publishing.own.get((ours.kind, ours.key))
        if own is None or standing.speaker != ours.speaker or not standing.newer_than(own.record):
            return
        if standing.order[0] > own.record.order[0]:
            self._out.append(Superseded(ours.kind, ours.key, standing))
            return
        self._publishing.raise_sequence(ours.kind, ours.key, standing.order[1])
        if own.draft is not None:
            self._publishing.add(ours.kind, ours.key, own.draft, now_ms)
