"""The authority graph: parties, and who of them holds a capability to which. Pure.

Beside the journey. An edge is one capability in one place: a slot of a machine, a name that `init`
answered, a message on its way. A capability is never shown by its bytes, but by what it leads to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from avm.host.capability import Cap, Local, Named, Reply, Sealed
from avm.host.revoking import is_revoked
from avm.host.state import Machine
from caps.capability import SealedCapability, parse_wire_untrusted
from caps.caveats import Caveat, parse_caveat_untrusted

OPERATOR = b"operator"
KINDS = ("", "linear", "affine", "relevant")
# What a party that is gone was: its address does not tell which.
WHO_IS_GONE = "a client that has ended, or a machine that was removed"


class What(Enum):
    """What a party is."""

    MACHINE = "machine"
    CLIENT = "client"
    ELSEWHERE = "elsewhere"  # a machine or client of another host
    COMMONS = "commons"
    OPERATOR = "operator"
    HOST = "host"  # its own word: outcomes, timers, what it creates
    GONE = "gone"  # a client that ended, or a machine that was removed


class How(Enum):
    """In which way a capability is held."""

    SLOT = "slot"  # a machine's slot: its state may use it
    NAME = "name"  # what `init` answered by this name, which the operator's commands use
    CONTEXT = (
        "context"  # sealed into a capability to the holder, which gets it back when that is used
    )
    TIMER = "timer"  # a send that waits for its time
    COMING = "coming"  # in a batch that is not taken yet
    ASK = "ask"  # the reply to an open ask, held outside of this host
    GIVEN = "given"  # sent to where no table of this host says what is kept
    FAILED = "failed"  # in a batch that was set aside, for the operator to try again


@dataclass(frozen=True, slots=True)
class Party:
    """Who can hold a capability, or be reached by one; a machine of this host has its row.

    `ended` is that it is halted.
    """

    address: bytes
    label: str
    what: What
    machine: Machine | None = None
    ended: bool = False


class Holding(NamedTuple):
    """One capability in one place; `place` is the slot, the batch's number, the ask's or the turn.

    `giver` is who sent it, where the place says so itself; `name` that of a capability which `init` answered.
    """

    holder: bytes
    target: bytes
    cap: Cap
    how: How
    place: int = 0
    giver: bytes = b""
    name: str = ""


class Terms(NamedTuple):
    """What stands on a capability beside its context."""

    generation: int = 0
    kind: str = ""
    priority: int = 0
    expires_ms: int | None = None
    caveats: int = 0
    reply: bool = False
    only: tuple[bytes, ...] = ()


def target_of(cap: Cap) -> bytes:
    """The party a capability leads to: an address, or a common capability's name."""
    return cap.name.encode() if isinstance(cap, Named) else cap.address


def terms_of(cap: Cap) -> Terms:
    """What stands on a capability; of one from another host what its sealed form says openly."""
    match cap:
        case Local():
            stands = (cap.generation, KINDS[cap.kind], cap.priority)
            caveats = tuple(parse_caveat_untrusted(one) for one in cap.caveats)
            return _narrowed(Terms(*stands, cap.expires_ms), caveats)
        case Reply():
            return Terms(kind="affine", expires_ms=cap.deadline_ms, reply=True)
        case Sealed():
            parsed = parse_wire_untrusted(cap.wire)
            if isinstance(parsed, SealedCapability):
                stands = (parsed.generation, KINDS[parsed.kind], parsed.priority)
                return _narrowed(Terms(*stands, parsed.expires_ms), parsed.caveats)
        case Named():
            pass
    return Terms()


def _narrowed(terms: Terms, caveats: tuple[Caveat, ...]) -> Terms:
    """The terms with what the caveats add: the earliest time, and the only holder."""
    for caveat in caveats:
        value, until_ms = caveat.value, terms.expires_ms
        match caveat.number:
            case 1 if type(value) is int:
                until_ms = value
            case 2 if type(value) is tuple and type(value[-1]) is int:
                until_ms = value[-1]
            case 4 if type(value) is bytes:
                terms = terms._replace(only=(*terms.only, value))
        if until_ms is not None and (terms.expires_ms is None or until_ms < terms.expires_ms):
            terms = terms._replace(expires_ms=until_ms)
    return terms._replace(caveats=len(caveats))


def within(one: Cap, cap: Cap) -> bool:
    """Whether a capability is another one, or is narrowed from it."""
    if type(one) is Local and type(cap) is Local:
        return one[:7] == cap[:7] and one.caveats[: len(cap.caveats)] == cap.caveats
    return one == cap


@dataclass(slots=True)
class Graph:
    """Parties by address, and what each holds; `now_ms` is the time by which what expired is told."""

    now_ms: int = 0
    open_asks: set[tuple[bytes, int]] = field(default_factory=set)
    parties: dict[bytes, Party] = field(default_factory=dict)
    held: dict[bytes, list[Holding]] = field(default_factory=dict)
    to: dict[bytes, list[Holding]] = field(default_factory=dict)

    def add(self, holdings: Iterable[Holding]) -> None:
        """Adds edges; a party that is not known yet is one of another host."""
        held, to = self.held, self.to
        for one in holdings:
            try:
                held[one.holder].append(one)
            except KeyError:
                held[one.holder] = [one]
            try:
                to[one.target].append(one)
            except KeyError:
                to[one.target] = [one]

    def party(self, address: bytes) -> Party:
        """Who an address is."""
        known = self.parties.get(address)
        return known if known is not None else stranger(address)

    def everyone(self) -> list[Party]:
        """All parties worth telling: machines, then the others, by label.

        Not the host itself, nor who is gone where nothing but replies that are over leads there.
        """
        addresses = dict.fromkeys((*self.parties, *self.held, *self.to))
        order = list(What)
        found = [party for one in addresses if self._is_told(party := self.party(one))]
        return sorted(found, key=lambda one: (order.index(one.what), one.label, one.address))

    def _is_told(self, party: Party) -> bool:
        if party.what is What.GONE:
            return any(map(self.counts, self.to.get(party.address, ())))
        return party.what is not What.HOST

    def counts(self, one: Holding) -> bool:
        """Whether a capability is worth telling by itself: a reply that is over is not."""
        return not (self.dead(one) and terms_of(one.cap).reply)

    def dead(self, one: Holding) -> str:
        """Why a capability does nothing any more; empty of one that is good."""
        party = self.parties.get(one.target)
        if party is not None and party.ended:
            return "gone" if party.what is What.GONE else "halted"
        if type(one.cap) is Named:
            return ""
        terms = terms_of(one.cap)
        if terms.expires_ms is not None and terms.expires_ms <= self.now_ms:
            return "expired"
        if any(holder != one.holder for holder in terms.only):
            return "good for another holder alone"
        if type(one.cap) is Reply:
            return "" if (one.target, one.cap.ask) in self.open_asks else "used"
        machine = None if party is None else party.machine
        if machine is not None and is_revoked(machine, terms.generation, self.now_ms):
            return "revoked"
        return ""


def stranger(address: bytes) -> Party:
    """An address that no table of this host has."""
    if address == OPERATOR:
        return Party(address, "operator", What.OPERATOR)
    if address.endswith(b"~"):
        return Party(address, address.decode(errors="replace"), What.COMMONS)
    return Party(address, f"{address.hex()[:8]}..", What.ELSEWHERE)


__all__ = [
    "OPERATOR",
    "WHO_IS_GONE",
    "Graph",
    "Holding",
    "How",
    "Party",
    "Terms",
    "What",
    "stranger",
    "target_of",
    "terms_of",
    "within",
]
