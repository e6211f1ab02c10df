"""All that a world is: hosts with their places, what is on its way, and what will happen. Values.

Behaviour is in the rooms beside it, each over a `Scene`: `wires` links, `post` datagrams, `ways` the
network's records, `passes` the hosts themselves, `faults` what goes wrong.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from marshal import dumps
from operator import attrgetter
from typing import Any, get_args

from avm.link.limits import LinkLimits
from avm.nat.effects import Tunnel
from avm.nat.finding import Finder, LookUp
from avm.nat.traversal import Traversal
from avm.sim.agenda import Agenda
from avm.sim.chance import Chance
from avm.sim.entropy import Entropy
from avm.sim.events import ClientTook, Committed, Event, FaultBegan, FaultEnded
from avm.sim.host import START_MS, SimHost
from avm.sim.plan import CrashAtCommit, FsyncError, Plan
from avm.sim.router import Router
from avm.sim.weather import Weather
from caps.identity import Endpoint, Route
from dht.node import Node
from dht.proofs import Proofs
from dht.record import Place
from dht.settings import Settings

PROOFS_MAX = 200_000
# The last format of `marshal` that writes the same bytes for what is equal, shared or not.
PLAIN = 2


class Aim(Enum):
    """What a link is made for, and what follows when it is not."""

    PLACE = "a place where a host may be"
    INTRODUCER = "one that introduces a host"
    BETTER = "a better way beside a link"


# In the place of a relay's number.
LOST = -1


@dataclass(slots=True)
class Lane:
    """Frames in their order, each with when it is there; `stopped` ones wait for the path to open."""

    frames: deque[tuple[int, bytes]] = field(default_factory=deque)
    stopped: deque[bytes] = field(default_factory=deque)
    last_us: int = 0


@dataclass(slots=True, eq=False)
class End:
    """One end of a link, and what is on its way to it; without `other` nobody is there any more.

    `at` is where its host sees the other's, `relay` who relays for the two (`LOST`: who did is gone).
    `silent_us`: since when nothing gets here. `pace_us`: when the last byte of a slow path is there.
    """

    link: int
    site: int
    peer: int
    other: int
    dialed: bool
    up: bool
    at: Endpoint | Tunnel
    relay: int | None = None
    lanes: dict[int, Lane] = field(default_factory=dict)
    coming: int = 0
    pace_us: int = 0
    silent_us: int | None = None
    tight: bool = False
    told: bool = False


@dataclass(slots=True, eq=False)
class Dial:
    """A link that is being made: to the next place, through an introducer, or as a better way."""

    site: int
    host: bytes
    at: Endpoint | Tunnel
    aim: Aim
    rest: tuple[Place, ...]
    until_us: int


class Asked:
    """What a core asks of the network, kept until the host's pass carries it out."""

    __slots__ = ("effects",)

    def __init__(self) -> None:
        self.effects: list[Any] = []

    def __call__(self, host: SimHost, effect: Any) -> None:
        self.effects.append(effect)


@dataclass(slots=True, eq=False)
class Site:
    """A host and all that is its own in the world.

    Its clock shows the world's time, `jumped_us` and `drifted_us` off, of which the node knows what
    was so at the start; it goes `ppm` parts in a million faster since `since_us`.
    """

    number: int
    host: SimHost
    asked: Asked
    entropy: Entropy
    endpoint: Endpoint
    bootstrap: tuple[Route, ...] = ()
    life: int = 0
    node: Node | None = None
    finder: Finder = field(default_factory=Finder)
    router: Router | None = None
    nat: Traversal | None = None
    wake_nat_us: int | None = None
    tunnels: dict[int, Tunnel] = field(default_factory=dict)
    places: dict[bytes, tuple[Place, ...]] = field(default_factory=dict)
    lookups: dict[int, list[LookUp]] = field(default_factory=dict)
    wake_us: int | None = None
    wake_node_us: int | None = None
    node_stirred: bool = False
    saves: bool = False
    speaking: dict[bytes, int] = field(default_factory=dict)
    commits: int = 0
    folded: int = 0
    armed: list[tuple[int, CrashAtCommit | FsyncError]] = field(default_factory=list)
    jumped_us: int = 0
    drifted_us: int = 0
    ppm: int = 0
    since_us: int = 0
    started_jumped_us: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.host.name

    @property
    def address(self) -> bytes:
        """The address of the host."""
        return self.host.core.host.address

    def _own_us(self, now_us: int) -> int:
        return now_us + self.drifted_us + (now_us - self.since_us) * self.ppm // 1_000_000

    def clock_ms(self, now_us: int) -> int:
        """What its clock shows."""
        return START_MS + (self._own_us(now_us) + self.jumped_us) // 1000

    def node_ms(self, now_us: int) -> int:
        """What its node takes for the time: the clock at the start, and steady since."""
        return START_MS + (self._own_us(now_us) + self.started_jumped_us) // 1000

    def drift(self, ppm: int, now_us: int) -> None:
        """Its clock goes faster or slower from now on."""
        self.drifted_us = self._own_us(now_us) - now_us
        self.ppm, self.since_us = ppm, now_us


@dataclass(slots=True, eq=False)
class Scene:
    """A whole world; see the module. The first `over` faults of the plan are over, or will not be."""

    seed: int
    plan: Plan
    settings: Settings
    link_limits: LinkLimits
    dht: bool
    chance: Chance
    agenda: Agenda
    now_us: int = 0
    over: int = 0
    sites: list[Site] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    addresses: dict[bytes, int] = field(default_factory=dict)
    weather: Weather = field(default_factory=Weather)
    ends: dict[int, End] = field(default_factory=dict)
    dials: dict[int, Dial] = field(default_factory=dict)
    at: dict[bytes, int] = field(default_factory=dict)
    next_link: int = 1
    next_ip: int = 1
    proofs: Proofs = field(default_factory=lambda: Proofs(PROOFS_MAX))
    touched: dict[int, None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    digest: bytes = bytes(32)
    happened: list[Event] = field(default_factory=list)

    @property
    def now_ms(self) -> int:
        """The world's time in milliseconds since 1970."""
        return START_MS + self.now_us // 1000

    @property
    def now_s(self) -> float:
        """The world's time in seconds since it began, by which ways round routers go."""
        return self.now_us / 1_000_000

    def plan_in(self, wait_us: int, what: Any) -> None:
        """Has something happen after a time."""
        self.agenda.put(self.now_us + wait_us, what)

    def note(self, event: Event) -> None:
        """Something has happened: it is in the trace, and those who watch will hear of it."""
        self.trace(event_bytes(event))
        self.happened.append(event)

    def trace(self, body: bytes) -> None:
        """Takes something into the digest of all that happened, with its time."""
        moment = self.now_us.to_bytes(8, "big")
        self.digest = blake2b(self.digest + moment + body, digest_size=32).digest()

    def enter(self, site: Site) -> None:
        """A host is about to be told something: it hears its clock, and its pass will follow."""
        site.host.now_ms = site.clock_ms(self.now_us)
        site.host.core.hear_clock(site.host.now_ms)
        self.touched[site.number] = None

    def enter_node(self, site: Site) -> Node:
        """A node is about to be told or asked something: its next time may be another."""
        assert site.node is not None
        site.node_stirred = True
        return site.node

    def lives(self, site: int, life: int) -> Site | None:
        """The host something was meant for, if it has not died since."""
        found = self.sites[site]
        return found if found.host.up and found.life == life else None

    def way_us(self, one: Site, other: Site) -> int:
        """How long a packet takes now from one host to another."""
        names = (one.name, other.name)
        return self.weather.way_us(self.seed, one.number, other.number, names, self.chance)

    def is_blocked(self, one: Site, other: Site) -> bool:
        """Whether nothing gets from one host to another."""
        return self.weather.is_blocked(one.name, other.name)


def event_bytes(event: Event) -> bytes:
    """An event as it stands in the trace: the same in every process."""
    kind = type(event)
    return dumps((kind.__name__, _VALUES[kind](event)), PLAIN)


def _committed(event: Committed) -> tuple[Any, ...]:
    written = event.transaction
    rows = (dict(written.puts), tuple(written.journal), written.snapshots, written.cuts)
    return event.host, event.commit, rows


_VALUES: dict[type, Callable[[Any], Any]] = {
    **{kind: attrgetter(*kind.__slots__) for kind in get_args(Event)},
    Committed: _committed,
    # Of what is no plain value, as it is shown.
    ClientTook: repr,
    FaultBegan: repr,
    FaultEnded: repr,
}
