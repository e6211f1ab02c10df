"""A node of the network as one sans-IO object: datagrams, calls and ticks in, effects out.

Step 7 of the journey. `locate` and `publish` begin a lookup; `receive_untrusted` and `tick` carry it
on; what is to be sent and what has ended is fetched with `take_effects`. It holds no socket, clock or
entropy of its own: the same node runs under UDP, beside QUIC on one port, and in the simulator.

Theory of operation. A contact is believed to be where it is said to be only when an answer to our own
nonce came from there with its node record, and only then sits in the table. Records prove themselves,
whoever brings them. A node that knows no endpoint of its own, or is told not to serve, is a client: it
asks, names no id, and answers nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from caps.certificate import Certificate
from caps.hostproof import HostProof
from caps.identity import Endpoint, Identity, RootKey
from dht.asking import Asker, ForLookup, ForStore, Question
from dht.contact import NODE_ENDPOINTS_MAX, Contact, node_id, reachable, sign_node_record
from dht.effects import Alone, Effect, Seen
from dht.errors import InvalidPacket
from dht.joining import ENDPOINTS_MAX, Joining
from dht.locating import Locating, Surroundings
from dht.observed import Observed
from dht.portrait import Portrait, count, portrait
from dht.proofs import Kind, Proofs, Proved
from dht.provider import Provider
from dht.publishing import Publishing
from dht.record import Location, Where
from dht.refreshing import Refreshing
from dht.saved import Saved
from dht.serving import UNPROVEN_TIMES, Server
from dht.settings import Settings
from dht.shelf import Shelf
from dht.storing import Storing
from dht.table import Table
from dht.tokens import SECRET_BYTES
from dht.upkeep import Came, Upkeep
from dht.wire import CHECK_BYTES, Answer, Reply, Request, Stored, parse_packet_untrusted

PUBLICATIONS_AT_ONCE = 16
DEFAULTS = Settings()


class Node:
    """One node; all its calls take the time in milliseconds since 1970 and none waits."""

    __slots__ = (
        "_asker", "_endpoints", "_entropy", "_joined", "_joining", "_key", "_learns",
        "_locating", "_node_record", "_node_record_until_ms", "_observed", "_out", "_proofs",
        "_publishing", "_refresh_ms", "_refreshing", "_retry_ms", "_server", "_serving",
        "_shelf", "_storing", "_upkeep", "counts", "id", "malformed", "settings"
    )  # fmt: skip

    def __init__(
        self,
        key: RootKey,
        entropy: Callable[[int], bytes],
        *,
        endpoints: tuple[Endpoint, ...] = (),
        serving: bool = True,
        settings: Settings = DEFAULTS,
        proofs: Proofs | None = None,
    ) -> None:
        if len(endpoints) > NODE_ENDPOINTS_MAX:
            raise ValueError(f"a node has at most {NODE_ENDPOINTS_MAX} endpoints")
        self.id = node_id(key.public_key)
        self.settings = settings
        self._key = key
        self._entropy = entropy
        self._serving = serving
        self._endpoints = endpoints
        self._learns = not endpoints
        self._observed = Observed()
        self._node_record, self._node_record_until_ms = b"", 0
        self._out: list[Effect] = []
        self._proofs = Proofs(settings.proofs_max) if proofs is None else proofs
        self._shelf = Shelf(self.id, settings)
        self._publishing = Publishing(key, settings)
        self._asker = Asker(settings, entropy, self._out)
        self._upkeep = Upkeep(settings, Table(self.id, settings), self._asker, self._out)
        around = Surroundings(self.id, self._upkeep, self._shelf)
        self._locating = Locating(settings, around, self._asker, self._proofs, self._out)
        self._storing = Storing(
            self._asker, self._locating, self._proofs, self._publishing, self._out
        )
        self._server = Server(
            settings, self._upkeep, self._shelf, self._proofs, entropy(SECRET_BYTES)
        )
        self.malformed, self.counts = 0, Counter[str]()
        self._joining = Joining(settings, self._asker)
        self._refreshing = Refreshing(self.table, self._locating, entropy, settings)
        self._refresh_ms: int | None = None
        self._retry_ms: int | None = None
        self._joined = True

    @property
    def table(self) -> Table:
        """The routing table, to look at."""
        return self._upkeep.table

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints of its own that it was told or has learned."""
        return self._endpoints

    def serve(self, now_ms: int, endpoints: tuple[Endpoint, ...]) -> None:
        """Go on as a node that others reach at these endpoints; with none, as a client."""
        self._serving, self._learns = bool(endpoints), False
        self._endpoints = endpoints
        self._node_record_until_ms = 0
        self._asker.sender = None
        self._serves(now_ms)

    def take_effects(self) -> list[Effect]:
        """Return what is to be done since the last call, in order."""
        effects = self._out[:]
        self._out.clear()
        for effect in effects:
            count(self.counts, effect)
        return effects

    def portrait(self, now_ms: int) -> Portrait:
        """Return what it knows, holds for others and announces, to look at."""
        return portrait(now_ms, self._upkeep, self._asker, self._shelf, self._publishing)

    def announce(self, now_ms: int, places: Iterable[tuple[Kind, bytes]]) -> None:
        """Put own records again, before all others and as fast as `publish_rate` allows."""
        for kind, key in places:
            self._publishing.hasten(kind, key)
        self._announce(now_ms)
        self._go_on(now_ms)

    def join(self, now_ms: int, endpoints: Iterable[Endpoint]) -> None:
        """Enter the network through nodes of which only the endpoints are known."""
        self._joining.endpoints = tuple(endpoints)[:ENDPOINTS_MAX]
        self._joined = False
        self._be_awake(now_ms)
        self.ask(now_ms, self._joining.endpoints)

    def met(self, now_ms: int, endpoint: Endpoint) -> None:
        """Note that a host was linked anew, whose node may be at this endpoint.

        If it has started again, it holds nothing of what it held for others.
        """
        if not len(self.table):
            self.join(now_ms, (endpoint,))
        elif self._upkeep.is_few and any(one.endpoint == endpoint for one in self.table):
            self._publishing.hasten_all()
            self.announce(now_ms, ())

    def ask(self, now_ms: int, endpoints: Iterable[Endpoint]) -> None:
        """Ask, once, whether there are nodes at these endpoints: what `Alone` is answered with."""
        self._joining.ask(now_ms, self.id, endpoints, self._endpoints)

    def locate(self, now_ms: int, key: bytes, kind: Kind = Kind.LOCATION) -> int:
        """Begin to look for the records under a key; raises `NodeBusy`.

        Returns the number that `Found` and `Ended` will name; one already under way is joined.
        """
        self._be_awake(now_ms)
        number = self._locating.locate(now_ms, key, kind)
        self._go_on(now_ms)
        return number

    def publish_location(
        self,
        now_ms: int,
        subject: Identity,
        incarnation: int,
        where: Where,
        certificate: Certificate | None = None,
        *,
        at_once: bool = True,
    ) -> Proved:
        """Sign and publish where an address lives, now and each hour; raises `InvalidRecord`.

        `certificate` is of this host's key. One of many that have not changed need not be put `at_once`.
        """
        draft, key = Location(subject, incarnation, 0, 0, where, certificate), subject.address
        record = self._publishing.add(Kind.LOCATION, key, draft, now_ms, at_once=at_once)
        return self._publish(now_ms, record)

    def publish_provider(
        self, now_ms: int, key: bytes, host: HostProof, metadata: Mapping[str, str]
    ) -> Proved:
        """Sign and publish that this host serves an address, now and each hour."""
        draft = Provider(key, host.identity, 0, 0, 0, metadata, host.certificate)
        return self._publish(now_ms, self._publishing.add(Kind.PROVIDER, key, draft, now_ms))

    def publish(self, now_ms: int, kind: Kind, key: bytes, body: bytes) -> Proved:
        """Publish a record that is signed already, now and each hour; raises `InvalidRecord`."""
        record = self._proofs.record_untrusted(kind, key, body, now_ms)
        self._publishing.add_signed(record)
        return self._publish(now_ms, record)

    def withdraw(self, kind: Kind, key: bytes) -> None:
        """Publish a record no more; it ends where it is held when it expires."""
        self._publishing.withdraw(kind, key)

    def receive_untrusted(self, now_ms: int, datagram: bytes, endpoint: Endpoint) -> None:
        """Take a datagram from the network; anything that is no packet is counted and dropped."""
        try:
            packet = parse_packet_untrusted(datagram)
        except InvalidPacket:
            self.malformed += 1
            return
        if isinstance(packet, Answer | Stored):
            self._reply(now_ms, packet, endpoint)
        elif self._serves(now_ms):
            self._request(now_ms, packet, UNPROVEN_TIMES * len(datagram), endpoint)

    def tick(self, now_ms: int) -> None:
        """Do what is due at this time; calling it early or late is no harm."""
        self._be_awake(now_ms)
        for question, lost in self._asker.questions.due(now_ms):
            if lost:
                self._lost(now_ms, question)
            else:
                self._locating.late(now_ms, question)
        self._announce(now_ms)
        self._upkeep.retry_silent(now_ms)
        if self._refresh_ms is not None and now_ms >= self._refresh_ms:
            self._refresh_ms = now_ms + self.settings.refresh_ms
            self._shelf.sweep(now_ms)
            self._refreshing.near()
        if self._retry_ms is not None and now_ms >= self._retry_ms:
            self._retry_ms = now_ms + self.settings.lost_retry_ms
            self._upkeep.retry_lost(now_ms)
            if len(self.table) == 0:
                self._joining.tries += 1
                self.ask(now_ms, self._joining.endpoints)
                self._out.append(Alone())
        self._go_on(now_ms)

    def next_wake_ms(self) -> int | None:
        """Return when `tick` has something to do; None before the node is used at all."""
        wakes = [self._asker.questions.next_ms(), self._upkeep.next_ms()]
        wakes += (self._refresh_ms, self._retry_ms)
        if self._may_publish():
            wakes.append(self._publishing.next_ms())
        return min((wake for wake in wakes if wake is not None), default=None)

    def saved(self) -> Saved:
        """Return what is to be stored before a stop; sequences before their records are sent."""
        sequences = self._publishing.sequences
        return Saved(
            self.table.saved(),
            tuple((kind, key, number) for (kind, key), number in sequences.items()),
            self._locating.newest.saved(),
            self._shelf.saved(),
        )

    def load(self, now_ms: int, saved: Saved) -> None:
        """Go on from what was stored; contacts have to prove themselves again."""
        for kind, key, number in saved.sequences:
            self._publishing.raise_sequence(kind, key, number)
        self._locating.newest.load(saved.marks)
        self._shelf.load(saved.held)
        for octets, endpoint in (*saved.table.lost, *saved.table.contacts):
            self.table.lose(Contact(octets, endpoint))
        self._joined = False
        self._be_awake(now_ms)
        for octets, endpoint in saved.table.contacts[:ENDPOINTS_MAX]:
            self._upkeep.check(now_ms, Contact(octets, endpoint))
        self._hasten_if_alone(now_ms)

    def _may_publish(self) -> bool:
        return len(self._storing) < PUBLICATIONS_AT_ONCE and not self._locating.full

    def _be_awake(self, now_ms: int) -> None:
        if self._refresh_ms is None:
            self._refresh_ms = now_ms + self.settings.refresh_ms
            self._retry_ms = now_ms + self.settings.lost_retry_ms
            self._serves(now_ms)

    def _serves(self, now_ms: int) -> bool:
        # Signed anew when half its life is over, so that nobody meets one about to expire.
        if not self._serving or not self._endpoints:
            return False
        life_ms = self.settings.node_record_life_ms
        if now_ms >= self._node_record_until_ms:
            record = sign_node_record(self._key, self._endpoints, now_ms + life_ms)
            self._node_record = record.to_bytes()
            self._node_record_until_ms = now_ms + life_ms // 2
            self._asker.sender = self.id
        return True

    def _publish(self, now_ms: int, record: Proved) -> Proved:
        self._keep_own(now_ms, record)
        self._be_awake(now_ms)
        self._announce(now_ms)
        self._go_on(now_ms)
        return record

    def _announce(self, now_ms: int) -> None:
        while self._may_publish() and (record := self._publishing.due(now_ms)) is not None:
            self._keep_own(now_ms, record)
            self._storing.begin(now_ms, record)

    def _keep_own(self, now_ms: int, record: Proved) -> None:
        if self._serving:
            self._shelf.put(record, now_ms)
        self._locating.newest.offer(record)

    def _request(self, now_ms: int, request: Request, budget: int, endpoint: Endpoint) -> None:
        # The check of a stranger that has a seat here is part of what its question may cause.
        stranger = None if request.sender is None else Contact(request.sender, endpoint)
        if stranger is not None and not self._upkeep.wants_untrusted(stranger):
            stranger = None
        budget -= CHECK_BYTES if stranger is not None else 0
        answers = self._server.answer_untrusted(
            now_ms, request, budget, endpoint, self._node_record
        )
        self._out += answers
        self.counts["requests.answered" if answers else "requests.over_rate"] += 1
        if answers and stranger is not None:
            self._upkeep.check(now_ms, stranger)

    def _reply(self, now_ms: int, reply: Reply, endpoint: Endpoint) -> None:
        question = self._asker.questions.take(reply.nonce, endpoint, now_ms)
        if question is None:
            return
        self.counts["answers.received"] += 1
        if reply.token:
            self._asker.learn_token(endpoint, reply.token, now_ms)
        if isinstance(reply, Stored):
            self._storing.stored(now_ms, question, reply)
        elif not isinstance(question.purpose, ForStore):
            self._answered(now_ms, question, reply)
        self._go_on(now_ms)

    def _answered(self, now_ms: int, question: Question, answer: Answer) -> None:
        contact, note = self._upkeep.who(now_ms, question, answer, self._proofs)
        if contact is not None:
            self._observe(now_ms, question.endpoint, answer.seen)
            self._enter(now_ms, contact, now_ms - question.sent_ms)
        authentic = contact is not None and contact == question.contact
        # A long record leaves no room for the node record: that is nobody's fault.
        crowded_out = bool(answer.records) and not answer.node_record
        if not authentic and not crowded_out and question.contact is not None:
            self._upkeep.silent(now_ms, question.contact)
        self._hasten_if_alone(now_ms)
        self._locating.answered(now_ms, question, answer, authentic, note)

    def _enter(self, now_ms: int, contact: Contact, round_trip_ms: int) -> None:
        came = self._upkeep.proved(now_ms, contact, round_trip_ms)
        self._joining.tries = 0
        if not self._joined or came is not Came.NOTHING_NEW:
            if not self._joined or (came is Came.BACK and self._upkeep.is_few):
                self._publishing.hasten_all()
            self._joined = True
            self._locating.forget_misses()
            if not self._refreshing.has_near:
                self._refreshing.near()

    def _observe(self, now_ms: int, observer: Endpoint, seen: Endpoint) -> None:
        if not reachable(seen):
            return
        if self._observed.see(observer, seen):
            self._out.append(Seen(observer, seen))
        if not self._learns:
            return
        agreed = self._observed.endpoint()
        if agreed is not None and self._endpoints != (agreed,):
            self._endpoints = (agreed,)
            self._node_record_until_ms = 0
            self._serves(now_ms)

    def _lost(self, now_ms: int, question: Question) -> None:
        self.counts["answers.lost"] += 1
        if question.contact is not None:
            self._upkeep.silent(now_ms, question.contact)
        self._hasten_if_alone(now_ms)
        match question.purpose:
            case ForLookup():
                self._locating.lost(now_ms, question)
            case ForStore():
                self._storing.lost(now_ms, question)

    def _hasten_if_alone(self, now_ms: int) -> None:
        """One datagram that was lost must not leave a node outside for long."""
        if len(self.table) or not (self._joining.endpoints or self.table.lost):
            return
        wait_ms = self._joining.wait_ms()
        if self._retry_ms is None or self._retry_ms > now_ms + wait_ms:
            self._retry_ms = now_ms + wait_ms

    def _go_on(self, now_ms: int) -> None:
        # What lookups end may begin others, and those may end at once.
        while True:
            while self._locating.ended:
                lookup = self._locating.ended.pop(0)
                if lookup.number in self._storing:
                    self._storing.looked_up(now_ms, lookup)
                else:
                    self._refreshing.looked_up(now_ms, lookup)
            if not self._refreshing.begin_one(now_ms):
                return
