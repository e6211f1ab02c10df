"""Questions under way: whom a node has asked what, since when, and when it stops waiting.

Step 7 of the journey, between the lookups and the wire. A reply counts only when its nonce and the
endpoint it comes from are those of a question. How long is waited adapts to the round trips measured
(Jacobson, 1988): late is a little over the usual, lost is far over it.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

from caps.identity import Endpoint
from caps.light import dataclass
from dht.contact import Contact
from dht.effects import Effect, Send
from dht.proofs import Kind, Proved
from dht.settings import Settings
from dht.wire import NONCE_BYTES, PADDED_BYTES, Find, Get, Put, Request, encode_request


@dataclass(frozen=True, slots=True)
class ForLookup:
    """The question is a step of a lookup; without a kind it asks for no records."""

    number: int
    key: bytes
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class ForCheck:
    """The question only asks whether the contact is there, and who it is.

    `elsewhere`: at an endpoint that it named itself, having answered from another.
    """

    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class ForStore:
    """The question is a put; `publication` is None for the correction of a stale holder."""

    publication: int | None
    record: Proved
    again: bool = False


Purpose: TypeAlias = ForLookup | ForCheck | ForStore


@dataclass(frozen=True, slots=True)
class Question:
    """One request under way; the contact is None when only an endpoint was known."""

    nonce: bytes
    endpoint: Endpoint
    contact: Contact | None
    purpose: Purpose
    sent_ms: int


class RoundTrips:
    """The usual round trip and how far it strays, both smoothed; milliseconds."""

    __slots__ = ("_settings", "smoothed", "stray")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.smoothed = float(settings.rtt_first_ms)
        self.stray = settings.rtt_first_ms / 3

    def measured(self, rtt_ms: int) -> None:
        """Take one round trip into the average (RFC 6298)."""
        self.stray += (abs(rtt_ms - self.smoothed) - self.stray) / 4
        self.smoothed += (rtt_ms - self.smoothed) / 8

    @property
    def late_ms(self) -> int:
        """After this an answer is late, and another contact is asked beside it."""
        return min(int(self.smoothed + self.stray) + 1, self._settings.wait_ms_max // 2)

    @property
    def lost_ms(self) -> int:
        """After this an answer is not waited for."""
        s = self._settings
        return int(min(max(self.smoothed + 6 * self.stray, s.wait_ms_min), s.wait_ms_max))


class Questions:
    """The table of questions under way and their times, at most `pending_max`."""

    __slots__ = ("_due", "_settings", "_under_way", "round_trips")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.round_trips = RoundTrips(settings)
        self._under_way: dict[bytes, Question] = {}
        self._due: list[tuple[int, bytes, bool]] = []

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def full(self) -> bool:
        """Whether another question has to wait."""
        return len(self._under_way) >= self._settings.pending_max

    def put(self, question: Question) -> None:
        """Note a question that is sent now."""
        self._under_way[question.nonce] = question
        lost_ms = question.sent_ms + self.round_trips.lost_ms
        late_ms = question.sent_ms + self.round_trips.late_ms
        if isinstance(question.purpose, ForLookup) and late_ms < lost_ms:
            heappush(self._due, (late_ms, question.nonce, False))
        heappush(self._due, (lost_ms, question.nonce, True))

    def take(self, nonce: bytes, endpoint: Endpoint, now_ms: int) -> Question | None:
        """Return the question that a reply belongs to, and be done with it."""
        question = self._under_way.get(nonce)
        if question is None or question.endpoint != endpoint:
            return None
        del self._under_way[nonce]
        self.round_trips.measured(now_ms - question.sent_ms)
        return question

    def due(self, now_ms: int) -> list[tuple[Question, bool]]:
        """Return the questions that are late now, and with True those that are lost."""
        found = []
        while self._due and self._due[0][0] <= now_ms:
            _, nonce, lost = heappop(self._due)
            question = self._under_way.get(nonce)
            if question is not None:
                found.append((question, lost))
                if lost:
                    del self._under_way[nonce]
        return found

    def next_ms(self) -> int | None:
        """Return when the next question becomes late or lost."""
        while self._due and self._due[0][1] not in self._under_way:
            heappop(self._due)
        return self._due[0][0] if self._due else None


class Asker:
    """Puts requests to contacts: nonce, token or padding, and the note of what is under way."""

    __slots__ = ("_entropy", "_out", "_settings", "_tokens", "questions", "requests", "sender")

    def __init__(
        self, settings: Settings, entropy: Callable[[int], bytes], out: list[Effect]
    ) -> None:
        self._settings = settings
        self._entropy = entropy
        self._out = out
        self._tokens: dict[Endpoint, tuple[bytes, int]] = {}
        self.questions = Questions(settings)
        self.sender: bytes | None = None
        self.requests = 0

    def find(
        self,
        now_ms: int,
        endpoint: Endpoint,
        contact: Contact | None,
        near: bytes,
        purpose: Purpose,
        padded_bytes: int = PADDED_BYTES,
    ) -> None:
        """Ask an endpoint for the contacts closest to a point."""
        nonce, token = self._note(now_ms, endpoint, contact, purpose)
        self._send(Find(nonce, self.sender, token, near), endpoint, padded_bytes)

    def get(
        self, now_ms: int, contact: Contact, near: bytes, key: bytes, kind: Kind, purpose: Purpose
    ) -> None:
        """Ask a contact for the records under a key, and the contacts closest to a point."""
        nonce, token = self._note(now_ms, contact.endpoint, contact, purpose)
        self._send(Get(nonce, self.sender, token, near, key, kind), contact.endpoint)

    def put(self, now_ms: int, contact: Contact, record: Proved, purpose: Purpose) -> None:
        """Ask a contact to keep a record."""
        nonce, token = self._note(now_ms, contact.endpoint, contact, purpose)
        put = Put(nonce, self.sender, token, record.key, record.kind, record.body)
        self._send(put, contact.endpoint)

    def learn_token(self, endpoint: Endpoint, token: bytes, now_ms: int) -> None:
        """Keep the token that an endpoint gave us."""
        self._tokens.pop(endpoint, None)
        self._tokens[endpoint] = (token, now_ms)
        if len(self._tokens) > self._settings.pending_max:
            del self._tokens[next(iter(self._tokens))]

    def _note(
        self, now_ms: int, endpoint: Endpoint, contact: Contact | None, purpose: Purpose
    ) -> tuple[bytes, bytes]:
        nonce = self._entropy(NONCE_BYTES)
        self.questions.put(Question(nonce, endpoint, contact, purpose, now_ms))
        self.requests += 1
        token, made_ms = self._tokens.get(endpoint, (b"", now_ms))
        return nonce, token if now_ms - made_ms < self._settings.token_ms else b""

    def _send(self, request: Request, endpoint: Endpoint, padded_bytes: int = PADDED_BYTES) -> None:
        padded_bytes = 0 if request.token else padded_bytes
        self._out.append(Send(encode_request(request, padded_bytes=padded_bytes), endpoint))
