"""Who can reach whom in a world of tests, and who gave each capability to whom. Pure.

The graph is what the hosts' tables say, all hosts of the world together; what a client of the test
has heard counts as held by it. A chain from holder to holder is what could happen: how far each goes along
is for its step to say. Replies to open asks and common capabilities are nobody's authority here.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from avm.authority.holding import OPERATOR, Graph, Holding, How, Party, What, target_of
from avm.authority.layout import PARTIES_MAX, laid_out
from avm.authority.past import Past, past_of
from avm.authority.reach import Chain, one_capability, path, reached_from
from avm.authority.svg import drawn
from avm.authority.tables import graph_of
from avm.host import capability
from avm.host.capability import Cap, Local, Named, Reply, Sealed
from avm.host.chain import Fault, walk
from avm.host.rows import Rows, decode_machine
from avm.host.state import Machine
from avm.testing.ground import Ground, Sight
from caps.codec import decode_state
from caps.errors import CapsError
from caps.slots import Foreign
from caps.value import Capability, Record

GIVERS_MAX = 8
SHOWN_MAX = 12


class Holder(Protocol):
    """A machine or a client of the world."""

    @property
    def name(self) -> str:
        """What the test calls it."""

    @property
    def address(self) -> bytes:
        """Its address."""


@dataclass(frozen=True, slots=True)
class Held:
    """A client of the test: its name, and the capabilities that have come to it."""

    name: str
    caps: list[Capability]


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody of the world, or one capability to it."""

    label: str
    address: bytes
    cap: Cap | None = None


@dataclass(slots=True)
class Holders:
    """The graph of a world at one moment, with what each test says of it."""

    ground: Ground
    clients: dict[bytes, Held]
    picture: Callable[[str], str] | None = None
    graph: Graph = field(init=False)
    _sights: list[Sight] = field(default_factory=list)
    _kept: dict[bytes, set[int]] = field(default_factory=dict)
    _named: dict[Cap, str] = field(default_factory=dict)
    _pasts: dict[bytes, Past] = field(default_factory=dict)
    _homes: dict[bytes, tuple[Sight, Machine]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = Graph(self.ground.now_ms)
        self._sights = self.ground.sights()
        for sight in self._sights:
            self._home(sight)
        for sight in self._sights:
            seen = graph_of(sight.store.rows, self.ground.now_ms)
            for address, party in seen.parties.items():
                if party.what is not What.MACHINE or self._homes[address][0] is sight:
                    self.graph.parties[address] = party
            every = [one for held in seen.held.values() for one in held]
            self.graph.add(self._plain(one) for one in every if self._is_kept(one))
            self.graph.open_asks |= seen.open_asks
        for address, client in self.clients.items():
            self.graph.parties[address] = Party(address, client.name, What.CLIENT)
            caps = [self.opened(self.ground.cap_of(one)) for one in client.caps]
            self.graph.add(Holding(address, target_of(cap), cap, How.GIVEN) for cap in caps)

    def _home(self, sight: Sight) -> None:
        rows: Rows = sight.store.rows
        for (number,), body in rows("machine"):
            machine = decode_machine(number, body)
            known = self._homes.get(machine.address)
            if known is None or known[1].incarnation < machine.incarnation:
                self._homes[machine.address] = (sight, machine)
        by_number = {machine.id: machine for at, machine in self._homes.values() if at is sight}
        for (number, name), body in rows("name"):
            cap = self.opened(capability.from_bytes(body))
            if number in by_number:
                self._named[cap] = f"{by_number[number].name}.{name}"

    def opened(self, cap: Cap) -> Cap:
        """A capability as its own host has it, if that is of this world."""
        if isinstance(cap, Sealed):
            for sight in self._sights:
                try:
                    found = sight.open_untrusted(cap.wire)
                except CapsError:
                    continue
                if not isinstance(found, Sealed):
                    return found
        return cap

    def _is_kept(self, one: Holding) -> bool:
        """Whether a slot is named by its machine's state: one that is not is about to be collected."""
        if one.how is not How.SLOT:
            return True
        sight, machine = self._homes[one.holder]
        kept = self._kept.get(one.holder)
        if kept is None:
            kept = self._kept[one.holder] = sight.kept(machine.name)
        return one.place in kept

    def _plain(self, one: Holding) -> Holding:
        return one._replace(cap=self.opened(one.cap)) if isinstance(one.cap, Sealed) else one

    # What a test says.

    def assert_can_reach(self, a: Holder, b: "Holder | Capability") -> None:
        """There is a chain from `a` to `b`."""
        target = self._find(b)
        if self._chain(a, target) is None:
            lines = [f"{a.name} cannot reach {target.label}; it holds:", *self._all_of(a)]
            raise AssertionError(self._drawn(lines, ()))

    def assert_cannot_reach(self, a: Holder, b: "Holder | Capability") -> None:
        """There is no chain from `a` to `b`."""
        target = self._find(b)
        chain = self._chain(a, target)
        if chain is not None:
            lines = [f"{a.name} can reach {target.label}:"]
            for one in chain:
                lines += self._told(one)
            raise AssertionError(self._drawn(lines, chain))

    def assert_only(self, a: Holder, names: frozenset[str]) -> None:
        """What `a` holds of others has these names."""
        more = [one for one in self._others(a.address) if not names & self._names(one.cap)]
        if more:
            lines = [f"{a.name} holds more than {', '.join(sorted(names)) or 'nothing'}:"]
            for one in more[:SHOWN_MAX]:
                lines += self._told(one)
            raise AssertionError(self._drawn(lines, tuple(more)))

    def assert_confined(self, a: Holder) -> None:
        """`a` holds nothing of others."""
        found = self._others(a.address)
        if found:
            lines = [f"{a.name} is not confined:"]
            for one in found[:SHOWN_MAX]:
                lines += self._told(one)
            raise AssertionError(self._drawn(lines, tuple(found)))

    # What is looked up.

    def _find(self, b: "Holder | Capability") -> Found:
        if isinstance(b, Capability):
            cap = self.opened(self.ground.cap_of(b))
            return Found(self._label(cap), target_of(cap), cap)
        return Found(b.name, b.address)

    def _chain(self, a: Holder, b: Found) -> Chain | None:
        meant = None if b.cap is None else one_capability(b.cap)
        return path(self._authority(), a.address, b.address, meant)

    def _authority(self) -> Graph:
        """The graph without replies and common capabilities, and without what the operator holds."""
        now = self.graph
        graph = Graph(now.now_ms, now.open_asks, now.parties)
        graph.add(one for held in self.graph.held.values() for one in held if _counts(one))
        return graph

    def _others(self, address: bytes) -> list[Holding]:
        held = self.graph.held.get(address, ())
        found = [one for one in held if _counts(one) and one.target != address]
        unique = {one.cap: one for one in found if not self.graph.dead(one)}
        return list(unique.values())

    def _names(self, cap: Cap) -> set[str]:
        """What a test may call a capability."""
        label = self._label(cap)
        return {label, label.rpartition(".")[2]}

    def _label(self, cap: Cap) -> str:
        """MACHINE.name by which `init` answered it, else by its context."""
        known = self._named.get(cap)
        if known is not None:
            return known
        owner = self.graph.party(target_of(cap)).label
        match cap:
            case Named(name):
                return name
            case Local():
                return f"{owner}.{_name_of(cap)}"
            case Reply():
                return f"reply to {owner}"
        return owner

    def _all_of(self, a: Holder) -> Iterator[str]:
        others = self._others(a.address)
        for one in others[:SHOWN_MAX]:
            yield from self._told(one)
        if not others:
            yield "  nothing of others"
        reached = reached_from(self._authority(), a.address)
        labels = sorted(self.graph.party(one).label for one in reached)
        if labels:
            yield f"  and reaches: {', '.join(labels[:SHOWN_MAX])}"

    # Who gave what to whom.

    def _told(self, one: Holding) -> Iterator[str]:
        """One link of a chain, and how its holder came to it, giver by giver."""
        holder = self.graph.party(one.holder).label
        yield f"  {holder} holds {self._label(one.cap)}{_place(one)}"
        seen = {one.holder}
        at: Holding | None = one
        for _ in range(GIVERS_MAX):
            if at is None:
                return
            given = self._given(at)
            if given is None:
                return
            turn, giver = given
            name = "the test" if giver == OPERATOR else self.graph.party(giver).label
            in_turn = "when it was created" if turn == 0 else f"in turn {turn}"
            yield f"    {name} gave it to {self.graph.party(at.holder).label} {in_turn}"
            if giver in seen or giver == one.target:
                return
            seen.add(giver)
            of_giver = self.graph.held.get(giver, ())
            at = next((other for other in of_giver if other.cap == one.cap), None)

    def _given(self, one: Holding) -> tuple[int, bytes] | None:
        """In which turn a slot came to be, and from whom."""
        if one.how is not How.SLOT or one.holder not in self._homes:
            return None
        arrival = self._past(one.holder).arrivals.get(one.place)
        if arrival is None:
            return None
        known = arrival.sender in self.graph.parties
        return arrival.turn, arrival.sender if known and arrival.turn else OPERATOR

    def _past(self, address: bytes) -> Past:
        known = self._pasts.get(address)
        if known is None:
            sight, machine = self._homes[address]
            entries = sight.store.entries(machine.id)
            rows: Rows = sight.store.rows
            slots = {
                slot: self.opened(capability.from_bytes(body))
                for (number, slot), body in rows("slot")
                if number == machine.id
            }
            links = [link for link in walk(entries) if not isinstance(link, Fault)]
            known = past_of(address, links, slots, 0, self._homes.keys())
            self._pasts[address] = known
        return known

    def _drawn(self, lines: Iterable[str], wrong: tuple[Holding, ...]) -> str:
        text = "\n".join(lines)
        if self.picture is None:
            return text
        graph = self._authority()
        parties = [
            one
            for one in graph.everyone()
            if graph.held.get(one.address) or graph.to.get(one.address)
        ]
        if len(parties) > PARTIES_MAX:
            near = {address for one in wrong for address in (one.holder, one.target)}
            parties = [one for one in parties if one.address in near]
        layout = laid_out(graph, parties)
        return f"{text}\ndrawn in {self.picture(drawn(layout, lambda one: self._label(one.cap)))}"


def _counts(one: Holding) -> bool:
    return not isinstance(one.cap, Named | Reply) and one.holder != OPERATOR


def _place(one: Holding) -> str:
    match one.how:
        case How.SLOT:
            return f" (slot {one.place})"
        case How.GIVEN | How.NAME:
            return ""
        case How.CONTEXT:
            return " (inside a capability of its own)"
        case How.TIMER:
            return " (in a timer)"
        case How.COMING:
            return " (in a batch on its way)"
        case How.FAILED:
            return " (in a batch set aside)"
    return f" ({one.how.value})"


def _name_of(cap: Local) -> str:
    """A context as a name: its text, its record's name, or the first of what it begins with."""
    try:
        value = decode_state(cap.context, [Foreign(place) for place in range(len(cap.caps))])
    except CapsError:
        return "?"
    while isinstance(value, tuple) and value:
        value = value[0]
    match value:
        case str():
            return value
        case Record():
            return value.name
    return type(value).__name__
