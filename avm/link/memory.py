"""Links in memory: the simulator's transport, an equal of the one over QUIC. Pure.

A `MemoryNetwork` carries what sessions write after `latency_s`, in pieces of at most `piece_bytes`,
within the credit that the other side gave; it has a clock of its own, or keeps to another's. Endpoints
can be parted, connections severed, and a host can vanish as one does whose process is killed.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator

from avm.link.errors import EndpointInUse, TooManyLinks
from avm.link.handshake import Credentials, Handshake, Shown
from avm.link.interface import Address, Down, Link, Moment, Owner, Why
from avm.link.limits import NONCE_BYTES, STREAM_WINDOW_BYTES, STREAMS, LinkLimits
from avm.link.port import Take
from avm.link.session import Session
from caps.identity import Endpoint, Route, parse_endpoint

PIECE_BYTES = 16 * 1024
# Timers are no finer: what is due within a rounding of the clock would be looked at for ever.
TICK_S = 0.001
FOREVER_MS = 253_402_300_799_000

# Told what is carried: its kind, from where, to where, the bytes.
Watch = Callable[[str, Endpoint, Endpoint, bytes], None]


def _unwatched(_kind: str, _source: Endpoint, _target: Endpoint, _carried: bytes) -> None:
    return None


class MemoryNetwork:
    """Where memory listeners meet; nothing happens but in `advance`."""

    def __init__(
        self,
        at: Moment,
        *,
        latency_s: float = 0.0,
        piece_bytes: int = PIECE_BYTES,
        clock: Callable[[], Moment] | None = None,
        watch: Watch = _unwatched,
        sooner: Callable[[], None] = lambda: None,
    ) -> None:
        """With a `clock` that tells the time, `advance` does what is due by it, and no more.

        `sooner` is called when something is planned that is due before all else.
        """
        self._at = at
        self._clock = clock
        self.watch = watch
        self._sooner = sooner
        self.latency_s = latency_s
        self.piece_bytes = piece_bytes
        self.listeners: dict[Endpoint, MemoryListener] = {}
        self.ports: dict[Endpoint, Take] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self._parted: set[frozenset[Endpoint]] = set()

    @property
    def at(self) -> Moment:
        """What its clocks say now."""
        return self._at if self._clock is None else self._clock()

    def plan(self, delay_s: float, what: Callable[[], None]) -> None:
        """Have something happen after a time."""
        self._planned += 1
        planned = (self.at.now_s + delay_s, self._planned, what)
        heapq.heappush(self._due, planned)
        if self._due[0] is planned:
            self._sooner()

    def next_s(self) -> float | None:
        """When something happens next."""
        return self._due[0][0] if self._due else None

    def advance(self, by_s: float = 0.0) -> None:
        """Let time pass, and everything happen that is due until then, in its order."""
        end_s = self.at.now_s + by_s
        while self._due and self._due[0][0] <= end_s:
            due_s, _, what = heapq.heappop(self._due)
            self._set_clock(due_s)
            what()
        self._set_clock(end_s)

    def part(self, one: Endpoint, other: Endpoint) -> None:
        """Carry nothing between two endpoints."""
        self._parted.add(frozenset((one, other)))

    def join(self, one: Endpoint, other: Endpoint) -> None:
        """Carry between two endpoints again."""
        self._parted.discard(frozenset((one, other)))
        for listener in (self.listeners.get(one), self.listeners.get(other)):
            for end in list(listener.ends) if listener else ():
                end.stir()

    def join_all(self) -> None:
        """Carry everywhere again."""
        for one, other in sorted(sorted(pair) for pair in self._parted):
            self.join(one, other)

    def sever(self, one: Endpoint, other: Endpoint) -> None:
        """Break the connections between two endpoints, and lose what is on its way.

        The one side notices at once, the other when it next has something to say.
        """
        listener = self.listeners.get(one)
        for end in list(listener.ends) if listener else ():
            if end.far == other:
                end.vanish()
                end.session.ended(Down(Why.BROKEN))

    def is_parted(self, one: Endpoint, other: Endpoint) -> bool:
        """Whether nothing is carried between two endpoints."""
        return frozenset((one, other)) in self._parted

    def _set_clock(self, now_s: float) -> None:
        if self._clock is None:
            passed_ms = round((now_s - self._at.now_s) * 1000)
            self._at = Moment(now_s, self._at.now_ms + passed_ms)


class MemoryListener:
    """A host's place in a memory network."""

    def __init__(
        self,
        network: MemoryNetwork,
        endpoint: Endpoint,
        me: Credentials,
        owner: Owner,
        entropy: Callable[[int], bytes],
        limits: LinkLimits,
    ) -> None:
        if endpoint in network.listeners:
            raise EndpointInUse(f"{endpoint} is in use")
        self.network = network
        self.endpoint = endpoint
        self.me = me
        self.owner = owner
        self.entropy = entropy
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.ends: dict[MemoryEnd, None] = {}
        self._closed = False
        network.listeners[endpoint] = self

    def dial_nowait(self, route: Route) -> Link:
        """Begin a link to a host; raises `TooManyLinks`. The owner is told how it went."""
        return self._dial(route.address, route.endpoint)

    def dial_at_nowait(self, host: bytes, address: Address) -> Link:
        """The same, by the address of a socket; nobody is at that of a tunnel."""
        return self._dial(host, endpoint_at(address))

    def _dial(self, host: bytes, far: Endpoint) -> Link:
        if self._closed or len(self.ends) >= self.limits.links:
            raise TooManyLinks(f"there are {len(self.ends)} links")
        end = MemoryEnd(self, Handshake.dialing(self.me, host), far)
        self.network.plan(self.network.latency_s, end.connect)
        return end.session

    def address_of(self, link: Link) -> Address | None:
        """Where the other side of a link is."""
        return next((there for one, there in self.addresses() if one is link), None)

    def addresses(self) -> Iterator[tuple[Link, Address]]:
        """Where the other side of each link is."""
        for end in self.ends:
            yield end.session, (end.far.host_text, end.far.port)

    def close(self) -> None:
        """End all links and take no more."""
        self._leave()
        for end in list(self.ends):
            end.session.close()

    def vanish(self) -> None:
        """The host has died: nothing more goes or comes, and nobody is told of it."""
        self._leave()
        for end in list(self.ends):
            end.vanish()

    def _leave(self) -> None:
        self._closed = True
        if self.network.listeners.get(self.endpoint) is self:
            del self.network.listeners[self.endpoint]


class MemoryEnd:
    """One end of a connection in memory: the engine of one session."""

    def __init__(self, listener: MemoryListener, handshake: Handshake, far: Endpoint) -> None:
        self._listener = listener
        self._network = listener.network
        self.far = far
        self._other: MemoryEnd | None = None
        self._out = [bytearray() for _ in range(STREAMS)]
        self._sent = [0] * STREAMS
        self._limit = [STREAM_WINDOW_BYTES] * STREAMS
        self._told: dict[int, int] = {}
        self._datagrams: deque[bytes] = deque()
        self._pings = 0
        self._stirred = False
        self._is_left = False
        self._over: Down | None = None
        limits = listener.limits
        self.session = Session(self, listener.owner, handshake, limits, self._network.at)
        listener.ends[self] = None
        self._tick_later()

    def connect(self) -> None:
        """Reach the other listener, if there is one and it has room."""
        far = self._network.listeners.get(self.far)
        if self._over or far is None or len(far.ends) >= far.limits.links:
            return
        if self._network.is_parted(self._listener.endpoint, self.far):
            self._network.plan(self._listener.limits.keep_alive_s / 10, self.connect)
            return
        handshake = Handshake.listening(far.me, far.entropy(NONCE_BYTES))
        other = MemoryEnd(far, handshake, self._listener.endpoint)
        self._other, other._other = other, self
        other.session.begin()

    def vanish(self) -> None:
        """Be no more, without a word; the other side notices by silence, or when it speaks."""
        self._over = Down(Why.BROKEN)
        self._listener.ends.pop(self, None)
        if self._other is not None:
            self._other._other, self._other._is_left = None, True
            self._other = None

    # The engine.

    def shown(self) -> Shown | None:
        """What the other side's certificate says; None on the side that was dialed."""
        assert self._other is not None
        return Shown(self._other._listener.me.key.public_key, 0, FOREVER_MS)

    def write(self, stream: int, chunk: bytes) -> None:
        """Take bytes to be carried in order."""
        self._out[stream] += chunk
        self.stir()

    def waiting_bytes(self, stream: int) -> int:
        """How much was written and has not been carried."""
        return len(self._out[stream])

    def credit_bytes(self, stream: int) -> int:
        """How much more the peer's credit allows."""
        return self._limit[stream] - self._sent[stream]

    def allow(self, stream: int, limit: int) -> None:
        """Tell the peer how far in a stream it may send."""
        self._told[stream] = limit
        self.stir()

    def write_datagram(self, datagram: bytes) -> None:
        """Take a datagram to be carried at most once."""
        self._datagrams.append(datagram)
        self.stir()

    def waiting_datagrams(self) -> int:
        """How many datagrams have not left."""
        return len(self._datagrams)

    def ping(self) -> None:
        """Have the other side answer without telling its owner."""
        self._pings += 1
        self.stir()

    def end(self, refused: bool) -> None:
        """Close the connection; the peer learns whether it was refused, and no more."""
        self._over = Down(Why.REFUSED if refused else Why.LEFT)
        self._listener.ends.pop(self, None)
        self.stir()

    def round_trip_s(self) -> float:
        """Twice the latency."""
        return 2 * self._network.latency_s

    def lost_packets(self) -> int:
        """Nothing is lost in memory."""
        return 0

    def packet_bytes(self) -> int:
        """There are no packets."""
        return 0

    # Carrying.

    def stir(self) -> None:
        """Have what waits carried after the latency."""
        if not self._stirred:
            self._stirred = True
            self._network.plan(self._network.latency_s, self._carry)

    def _carry(self) -> None:
        self._stirred = False
        other = self._other
        if other is None:
            self._ask_who_is_there()
            return
        if self._network.is_parted(self._listener.endpoint, self.far):
            self._datagrams.clear()
            return
        other._hear_limits(self)
        more = self._carry_pieces(other)
        while self._datagrams:
            other._session_now().heard_datagram(self._datagrams.popleft())
        while self._pings:
            self._pings -= 1
            self._session_now().heard_ping()
        if self._over and not more:
            other._listener.ends.pop(other, None)
            other._over = other._over or self._over
            other._session_now().ended(self._over)
            return
        self._session_now().acknowledged()
        if more:
            self.stir()

    def _ask_who_is_there(self) -> None:
        """The other side is gone; another that is there now knows nothing of this connection."""
        network = self._network
        if self._over or not self._is_left or self.far not in network.listeners:
            return
        if not network.is_parted(self._listener.endpoint, self.far):
            self._over = Down(Why.FORGOTTEN)
            self._listener.ends.pop(self, None)
            self._session_now().ended(self._over)

    def _carry_pieces(self, other: "MemoryEnd") -> bool:
        """Carry one piece of each stream; tells whether more could be carried at once."""
        more = False
        for stream, out in enumerate(self._out):
            count = min(len(out), self._network.piece_bytes, self.credit_bytes(stream))
            if count <= 0:
                continue
            piece = bytes(out[:count])
            del out[:count]
            self._sent[stream] += count
            self._network.watch(f"piece {stream}", self._listener.endpoint, self.far, piece)
            other._session_now().heard(stream, piece)
            more = more or (bool(out) and self.credit_bytes(stream) > 0)
        return more

    def _hear_limits(self, other: "MemoryEnd") -> None:
        told, other._told = other._told, {}
        for stream, limit in told.items():
            self._limit[stream] = max(limit, self._limit[stream])
        if told:
            self.stir()

    def _session_now(self) -> Session:
        self.session.at = self._network.at
        return self.session

    # Time.

    def _tick_later(self) -> None:
        wait_s = max(TICK_S, self.session.wake_s() - self._network.at.now_s)
        self._network.plan(wait_s, self._tick)

    def _tick(self) -> None:
        if self._over is None and not self.session.is_ended:
            self._session_now().tick()
            if not self.session.is_ended:
                self._tick_later()


def endpoint_at(address: Address) -> Endpoint:
    """The endpoint of an address."""
    host, port = address
    return parse_endpoint(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
