"""All that a host core knows: plain values, no behaviour beyond keeping their own books.

What must survive a crash changes only when a turn is folded or an operator's act is; it is noted
as dirty there, and encoded once when the store takes the next group.
"""

from collections import Counter, deque
from enum import Enum
from typing import Any, Final, NamedTuple

from avm.host.auditlog import AuditLog
from avm.host.batch import Batch
from avm.host.capability import Cap, Local
from avm.host.cases import Cases
from avm.host.deadlines import Deadlines
from avm.host.keys import Keyring
from avm.host.moves import Moves
from avm.host.peers import Incoming, Link, Outgoing, Pair, Peer, Place, Proof
from avm.host.roster import Roster
from avm.host.scheduler import Queue
from avm.host.spans import Spans
from avm.limits import Limits
from caps.identity import Endpoint
from caps.light import dataclass, field

Key = tuple[str, *tuple[int | str | bytes, ...]]


class Status(Enum):
    """Where a machine is in its life."""

    CREATING = 0
    RUNNING = 1
    SUSPENDED = 2
    HALTED = 3


# What is asked at every turn: a member by its name takes fifteen times as long on Python 3.11.
RUNNING: Final = Status.RUNNING
SUSPENDED: Final = Status.SUSPENDED


class Mode(Enum):
    """What a suspended machine does with what comes."""

    HOLD = 0
    FAIL = 1


class End(NamedTuple):
    """Capabilities of this generation and of older ones are refused from this time on."""

    generation: int
    from_ms: int


class Use(NamedTuple):
    """How many messages a caveat has let through, and until when that is counted."""

    taken: int
    expires_ms: int


@dataclass(slots=True)
class Ask:
    """An open ask: the own capability its outcome comes to, and the batch that carried it."""

    number: int
    to: Local | None
    deadline_ms: int
    receiver: bytes
    seq: int
    closing: bool = False


@dataclass(slots=True)
class Timer:
    """A send that waits for its time."""

    to: Cap
    content: bytes
    caps: tuple[Cap, ...]
    reply: Cap | None
    due_ms: int
    deadline_ms: int
    apart: bool


@dataclass(slots=True)
class Channel:
    """From a sender to a receiver: what was sent, and what was taken.

    `taken` is the applied mark: every batch up to it has its verdict. `received` runs ahead of it
    in memory only. `verdicts` are those other than applied that a client has not confirmed.

    Between hosts, `digest` is that of the last header sent or taken, `epoch` the highest incarnation
    of the other end, `base` the last number that the receiver keeps nothing of; a frozen channel has
    its reason and the evidence.
    """

    sender: bytes
    receiver: bytes
    sent: int = 0
    sent_ordinal: int = 0
    taken: int = 0
    taken_ordinal: int = 0
    received: int = 0
    received_ordinal: int = 0
    position: bytes = b""
    verdicts: dict[int, list[Any]] = field(default_factory=dict)
    text: bytes = b""
    digest: bytes = b""
    epoch: int = 0
    base: int = 0
    frozen: str = ""
    evidence: bytes = b""


@dataclass(slots=True)
class Flight:
    """Something that was given to a worker, or is judged without one, and awaits its fold.

    Of capabilities that have a kind `came` counts those that came with it, by their numbers, and
    `held` lists those in the state before and after, as the worker says.
    """

    machine: "Machine"
    token: int
    batch: Batch | None = None
    place: bytes = b""
    given: bytes = b""
    now_ms: int = 0
    fresh: list[Cap] = field(default_factory=list)
    fresh_of: dict[Cap, int] = field(default_factory=dict)
    claimed: list[int] = field(default_factory=list)
    places: list[int] | None = None
    answer: list[Any] | None = None
    output: bytes = b""
    printed: str = ""
    judged: tuple[str, int] | None = None
    alone: bool = False
    dropped: bool = False
    replies: bool = False
    came: dict[int, int] | None = None
    held: list[list[int]] | None = None
    act: Any = None
    uses: dict[bytes, Use] | None = None


@dataclass(slots=True)
class Machine:
    """A machine of this host.

    Capabilities of generations up to `revoked` are refused, and by each of `ends` those up to a
    generation from a time on. `uses` counts, by the proof, what caveats count. `untold` are the events in
    its life that it has not heard yet.
    """

    id: int
    address: bytes
    name: str
    status: Status
    code: bytes
    sealed_keys: bytes
    identity: bytes
    has_signal: bool = False
    mode: Mode = Mode.HOLD
    why: str = ""
    head: int = 0
    chain: bytes = b""
    now_ms: int = 0
    next_slot: int = 0
    next_ask: int = 0
    generation: int = 0
    incarnation: int = 1
    snapshot_at: int = -1
    bytes_since: int = 0
    turns_since: int = 0
    state_bytes: int = 0
    failed: int = 0
    refused: int = 0
    python: str = ""
    version: str = ""
    revoked: int = -1
    ends: tuple[End, ...] = ()
    untold: tuple[str, ...] = ()
    uses: dict[bytes, Use] | None = None
    slots: dict[int, Cap] | None = None
    slot_of: dict[Cap, int] | None = None
    asks: dict[int, Ask] | None = None
    timers: dict[bytes, Timer] | None = None
    claimed: set[int] | None = None
    signals: list[str] | None = None
    queue: Queue[Batch] | None = None
    flights: deque[Flight] | None = None
    acts: deque[Any] | None = None
    worker: "Worker | None" = None
    loaded: bool = False
    exclusive: bool = False
    listed: bool = False
    want_snapshot: bool = False
    group: int = 0
    outbox_bytes: int = 0
    act_deaths: int = 0
    lasting: tuple[tuple[Any, ...], bytes] | None = None


@dataclass(slots=True)
class Client:
    """A sender and receiver that is no machine: a session of the command line, or a listener."""

    id: int
    address: bytes
    durable: bool
    name: str = ""
    tag: bytes = b""
    stored: bool = False
    connected: bool = False
    asks: dict[int, Ask] = field(default_factory=dict)
    channels: set[tuple[bytes, bytes]] = field(default_factory=set)
    waiting: dict[tuple[bytes, int], Batch] = field(default_factory=dict)
    outbox_bytes: int = 0


@dataclass(slots=True)
class Ending:
    """A client that has ended, and a receiver whose host still has a channel of it; told by `link`.

    `shown`: there it was shown who speaks for the client, before the end was said.
    """

    client: bytes
    receiver: bytes
    host: bytes
    tag: bytes
    link: int = 0
    shown: bool = False


@dataclass(slots=True)
class Worker:
    """A worker process as the core sees it: what it was given, in order."""

    id: int
    flights: deque[Flight] = field(default_factory=deque)
    flying: int = 0
    waiting: deque[Machine] = field(default_factory=deque)
    machines: dict[int, Machine] = field(default_factory=dict)
    codes: set[bytes] = field(default_factory=set)
    head_since_ms: int = 0
    alone: bool = False
    killed_for: str = ""
    slow: bool = False
    looked: int = 0
    look_again_ms: int = 0


@dataclass(slots=True)
class Making:
    """What a factory has asked the host to make, in order; `machine` is the first's, once it is begun.

    `over` is the number of the last batch that asks nothing: what is before it is not made any more.
    """

    batches: deque[Batch] = field(default_factory=deque)
    machine: Machine | None = None
    over: int = 0


@dataclass(slots=True)
class Group:
    """What the next commit holds: whole folds only."""

    number: int
    journal: list[tuple[int, int, bytes, str | None]] = field(default_factory=list)
    snapshots: list[tuple[int, int, bytes]] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)
    dirty: dict[Key, Any] = field(default_factory=dict)
    new: set[Key] = field(default_factory=set)
    after: list[Any] = field(default_factory=list)
    away: list[Batch] = field(default_factory=list)
    heard: list[tuple[Outgoing, int]] = field(default_factory=list)

    def add(self, key: Key, thing: Any) -> None:
        """Notes a row that the store does not have yet."""
        self.dirty[key] = thing
        self.new.add(key)

    def __bool__(self) -> bool:
        return bool(self.dirty or self.journal or self.snapshots or self.cuts or self.after)


@dataclass(slots=True)
class Host:
    """A whole host.

    `entropy` is what `random~` draws from, `off` are the commons that are not answered here, `origin`
    is where they are, in wire form. `bound` are the names of machines with their capabilities as rows, opened when one is asked for.
    """

    address: bytes
    limits: Limits
    keys: Keyring
    python: str = ""
    version: str = ""
    now_ms: int = 0
    clock_ms: int = 0
    ahead_ms: int = 0
    machines: dict[bytes, Machine] = field(default_factory=dict)
    by_id: dict[int, Machine] = field(default_factory=dict)
    names: dict[str, Machine] = field(default_factory=dict)
    bound: dict[tuple[int, str], bytes] = field(default_factory=dict)
    clients: dict[bytes, Client] = field(default_factory=dict)
    channels: dict[tuple[bytes, bytes], Channel] = field(default_factory=dict)
    outbox: dict[tuple[bytes, bytes, int], Batch] = field(default_factory=dict)
    inbox: dict[tuple[bytes, bytes, int], Batch] = field(default_factory=dict)
    networked: bool = False
    places: dict[bytes, Place] = field(default_factory=dict)
    peers: dict[bytes, Peer] = field(default_factory=dict)
    links: dict[int, Link] = field(default_factory=dict)
    outgoing: dict[Pair, Outgoing] = field(default_factory=dict)
    arriving: dict[Pair, Incoming] = field(default_factory=dict)
    proofs: dict[bytes, Proof] = field(default_factory=dict)
    hints: dict[bytes, bytes] = field(default_factory=dict)
    roster: Roster = field(default_factory=Roster)
    moves: Moves = field(default_factory=Moves)
    cases: Cases = field(default_factory=Cases)
    endings: dict[Pair, Ending] = field(default_factory=dict)
    making: dict[bytes, Making] = field(default_factory=dict)
    audit: AuditLog = field(default_factory=AuditLog)
    dials: dict[bytes, list[tuple[int, Endpoint | None]]] = field(default_factory=dict)
    workers: dict[int, Worker] = field(default_factory=dict)
    ready: deque[Machine] = field(default_factory=deque)
    unloaded: list[Machine] = field(default_factory=list)
    stranded: list[Machine] = field(default_factory=list)
    deadlines: Deadlines[Key] = field(default_factory=Deadlines)
    group: Group = field(default_factory=lambda: Group(1))
    committing: Group | None = None
    committed: int = 0
    effects: list[Any] = field(default_factory=list)
    next_id: int = 1
    next_token: int = 1
    entropy: bytes = b""
    off: tuple[str, ...] = ()
    origin: bytes = b""
    draining: bool = False
    full: bool = False
    folded: int = 0
    messages: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    spans: Spans = field(default_factory=Spans)

    def new_id(self) -> int:
        """A number for a machine or a client, unique in this store."""
        number = self.next_id
        self.next_id += 1
        return number

    def channel(self, sender: bytes, receiver: bytes) -> Channel:
        """The channel of a pair, new when there is none."""
        key = (sender, receiver)
        found = self.channels.get(key)
        if found is None:
            found = self.channels[key] = Channel(sender, receiver)
        return found

    def touch(self, thing: Machine | Channel | Client) -> None:
        """Notes that a row is to be written with the next commit."""
        if isinstance(thing, Channel):
            self.group.dirty[("channel", thing.sender, thing.receiver)] = thing
        elif isinstance(thing, Machine):
            self.group.dirty[("machine", thing.id)] = thing
        else:
            self.group.dirty[("client", thing.address)] = thing

    def owner(self, address: bytes) -> Machine | Client | None:
        """Whose address this is on this host."""
        return self.machines.get(address) or self.clients.get(address)
