"""Keeping the table true: who answered, who is silent, who is lost and may come back.

Step 7 of the journey, between lookups. A contact that does not answer is asked once more at once and
then loses its seat; it is remembered and tried again, soon at first and then now and then, so two
halves of a network that were cut apart find each other when they can.
"""

from enum import Enum, auto
from typing import NamedTuple

from caps.identity import Endpoint
from dht.asking import Asker, ForCheck, Question
from dht.contact import Contact, is_loopback, reachable
from dht.density import estimated_size
from dht.effects import Effect, TableChanged
from dht.errors import InvalidRecord
from dht.proofs import Proofs
from dht.settings import CLOSEST, ID_BYTES, Settings
from dht.silences import Silences
from dht.table import Table
from dht.wire import CHECK_BYTES, Answer

LOST_AT_ONCE = 4


class Came(Enum):
    """What there is to tell of a contact that answered: it was lost since before the start, or since."""

    NOTHING_NEW = auto()
    FOUND = auto()
    BACK = auto()


class Heard(NamedTuple):
    """When a contact was seated, when it answered last, and how long that took."""

    since_ms: int
    last_ms: int
    round_trip_ms: int


class Upkeep:
    """Judges contacts by their answers and seats or unseats them."""

    __slots__ = (
        "_asker",
        "_checking",
        "_failures",
        "_out",
        "_seen",
        "_settings",
        "_silences",
        "table",
    )

    def __init__(self, settings: Settings, table: Table, asker: Asker, out: list[Effect]) -> None:
        self.table = table
        self._settings = settings
        self._asker = asker
        self._out = out
        self._checking: set[Contact] = set()
        self._failures: dict[Contact, int] = {}
        self._seen: dict[Contact, Heard] = {}
        s = settings
        self._silences = Silences(s.lost_soon_ms, s.lost_retry_ms, s.lost_max)

    def closest(self, point: int, count: int) -> list[Contact]:
        """Return the contacts closest to a point, without those that left a question unanswered."""
        if not self._failures:
            return self.table.closest(point, count)
        found = self.table.closest(point, count + len(self._failures))
        return [contact for contact in found if contact not in self._failures][:count]

    @property
    def is_few(self) -> bool:
        """Whether fewer nodes are known than keep a record: then each of them has to."""
        return len(self.table) < CLOSEST

    def network_size(self) -> float:
        """Return about how many nodes the network has, by how close the neighbours are."""
        return estimated_size(self.table)

    def heard(self, contact: Contact) -> Heard | None:
        """Return what is noted of a seated contact; None where it has not answered this node yet."""
        return self._seen.get(contact)

    def failures(self, contact: Contact) -> int:
        """Return how many questions in a row a contact left unanswered."""
        return self._failures.get(contact, 0)

    def proved(self, now_ms: int, contact: Contact, round_trip_ms: int = 0) -> Came:
        """Seat a contact that answered from its endpoint; tell how it came."""
        self._checking.discard(contact)
        self._failures.pop(contact, None)
        seated = self.table.seated(contact)
        was_lost = contact.id in self.table.lost
        if seated is not None and seated != contact:
            # The id has moved: the endpoint that answered now is the one it is at.
            self.table.remove_contact(seated)
        added, was_here = self.table.add_contact(contact), False
        if added:
            was_here = was_lost and self._silences.end(contact)
            self._see(now_ms, contact, round_trip_ms)
            if seated != contact:
                self._out.append(TableChanged())
        else:
            self._check_oldest(now_ms, contact)
        if not (was_lost and added):
            return Came.NOTHING_NEW
        return Came.BACK if was_here else Came.FOUND

    def silent(self, now_ms: int, contact: Contact) -> None:
        """Note that a contact did not answer: it is asked again, then it loses its seat."""
        self._checking.discard(contact)
        if self.table.seated(contact) != contact:
            return
        failures = self._failures.get(contact, 0) + 1
        if failures >= self._settings.failures_max:
            self._failures.pop(contact, None)
            self._seen.pop(contact, None)
            self.table.remove_contact(contact)
            self._silences.begin(now_ms, contact)
            self._out.append(TableChanged())
        else:
            self._failures[contact] = failures
            self.check(now_ms, contact)

    def check(self, now_ms: int, contact: Contact, elsewhere: bool = False) -> None:
        """Ask a contact whether it is there, unless that is under way or too many are.

        Without a token this takes `CHECK_BYTES`, little enough for a stranger that only asked.
        """
        if not self._may_check(contact):
            return
        self._checking.add(contact)
        near = self.table.own.to_bytes(ID_BYTES, "big")
        self._asker.find(now_ms, contact.endpoint, contact, near, ForCheck(elsewhere), CHECK_BYTES)

    def wants_untrusted(self, contact: Contact) -> bool:
        """Tell whether a stranger that asked us something would get a seat, and can be checked."""
        if not reachable(contact.endpoint) or not self._may_check(contact):
            return False
        return self.table.wants(contact)

    def check_elsewhere(self, now_ms: int, asked: Contact, endpoints: tuple[Endpoint, ...]) -> None:
        """Ask a stranger that answered where it says it is: what it sends may come from elsewhere.

        Once, and no stranger far away sends us to what listens on this machine alone.
        """
        for endpoint in endpoints:
            contact = Contact(asked.id, endpoint)
            near = is_loopback(asked.endpoint) or not is_loopback(endpoint)
            if near and self.wants_untrusted(contact):
                self.check(now_ms, contact, elsewhere=True)
                return

    def retry_silent(self, now_ms: int) -> None:
        """Try those that fell silent lately and whose time it is."""
        for contact in self._silences.due(now_ms):
            if self.table.lost.get(contact.id) == contact:
                self.check(now_ms, contact)
            else:
                self._silences.end(contact)

    def next_ms(self) -> int | None:
        """Return when `retry_silent` has something to do."""
        return self._silences.next_ms()

    def retry_lost(self, now_ms: int) -> None:
        """Try a few of the contacts that were lost, in turn."""
        lost = list(self.table.lost.values())[:LOST_AT_ONCE]
        for contact in lost:
            self.table.lost[contact.id] = self.table.lost.pop(contact.id)
            self.check(now_ms, contact)

    def _may_check(self, contact: Contact) -> bool:
        if contact in self._checking or self._asker.questions.full:
            return False
        return len(self._checking) < self._settings.checks_max

    def _see(self, now_ms: int, contact: Contact, round_trip_ms: int) -> None:
        before = self._seen.pop(contact, None)
        since_ms = now_ms if before is None else before.since_ms
        self._seen[contact] = Heard(since_ms, now_ms, round_trip_ms)
        if len(self._seen) > self._settings.pending_max:
            del self._seen[next(iter(self._seen))]

    def _check_oldest(self, now_ms: int, newcomer: Contact) -> None:
        oldest = self.table.oldest(newcomer)
        if oldest is not None:
            heard = self._seen.get(oldest)
            if heard is None or now_ms - heard.last_ms >= self._settings.fresh_ms:
                self.check(now_ms, oldest)

    def who(
        self, now_ms: int, question: Question, answer: Answer, proofs: Proofs
    ) -> tuple[Contact | None, str]:
        """Who has answered, by its own record, and what is to be said of that."""
        if not answer.node_record:
            return None, "does not say who it is"
        try:
            record = proofs.node_untrusted(answer.node_record, now_ms)
        except InvalidRecord as error:
            return None, str(error)
        if question.endpoint not in record.endpoints:
            asked, purpose = question.contact, question.purpose
            is_first = isinstance(purpose, ForCheck) and not purpose.elsewhere
            if is_first and asked is not None and asked.id == record.id:
                self.check_elsewhere(now_ms, asked, record.endpoints)
            return None, "its node record is for another endpoint"
        contact = Contact(record.id, question.endpoint)
        if question.contact is not None and question.contact != contact:
            return contact, "another node answers there"
        return contact, ""
