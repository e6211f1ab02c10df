"""The authority graph of a store, with where each capability came from, in people's words. Shell.

Beside the journey, for `caps`. It reads the tables, and the journals as far as they are asked for;
a journal is gone through once.
"""

from dataclasses import dataclass, field
from typing import Any

from avm.authority.holding import OPERATOR, Graph, Holding, How, What, target_of, terms_of
from avm.authority.past import UNKNOWN, Handed, Past, past_of
from avm.authority.tables import IsOwn, graph_of, in_contexts, nobodys
from avm.host.capability import Cap, Local
from avm.host.refer import slots_in
from avm.host.state import Machine
from avm.past.contexts import shape_of
from avm.past.labels import Labels, Lens
from avm.past.moments import entry_at, sound
from avm.past.reading import NoSuchTurn, Reader
from avm.past.senders import Search, Way
from avm.past.states import oldest
from caps.errors import CapsError

# Beside what the entries say of themselves, journals are searched for so many timers a command.
SEARCHES_MAX = 100


@dataclass(frozen=True, slots=True)
class Given:
    """How a capability came to where it is: in which turn, from whom, and by which turn of theirs."""

    turn: int
    sender: bytes
    seq: int = 0
    by_turn: int | None = None


@dataclass(slots=True)
class Authority:
    """Who holds what on a host.

    `ended` counts the clients that ended and had capabilities, `unknown` what was handed out of this host's
    sight and is not known any more: the machine that passed it on has not kept it.
    """

    reader: Reader
    graph: Graph
    labels: Labels
    machines: dict[bytes, Machine]
    ended: int = 0
    unknown: int = 0
    _pasts: dict[bytes, Past] = field(default_factory=dict)
    _shapes: dict[Cap, str] = field(default_factory=dict)
    _named: dict[Cap, str] = field(default_factory=dict)
    _searches: int = 0

    @classmethod
    def read(
        cls,
        reader: Reader,
        host: bytes,
        now_ms: int,
        journals: bool = True,
        is_own: IsOwn = nobodys,
    ) -> "Authority":
        """The graph of a store; with its journals also of what left this host's sight.

        `is_own` says whether this host has sealed a capability to who is gone, as far as that is known.
        """
        graph = graph_of(reader.store.rows, now_ms, host, is_own)
        machines = {one.address: one for one in reader.machines()}
        found = cls(reader, graph, reader.labels(host), machines)
        if journals:
            found._add_given()
        return found

    def _add_given(self) -> None:
        """What machines handed out to clients that are still there, and to other hosts."""
        elsewhere = {
            pair[1] for pair, _body in self.reader.store.rows("channel") if pair[0] in self.machines
        }
        found: dict[tuple[bytes, Cap], Holding] = {}
        ended: set[bytes] = set()
        out: list[Holding] = []
        for address in self.machines:
            for one in self.past(address).handed:
                if one.to in self.machines or one.to == self.labels.host:
                    continue
                self.unknown += not one.whole
                if one.cap is None or target_of(one.cap) == one.to:
                    continue
                place = (How.GIVEN, one.turn, address)
                holding = Holding(one.to, target_of(one.cap), one.cap, *place)
                out.append(holding)
                if one.to in self.graph.parties or one.to in elsewhere:
                    found.setdefault((one.to, one.cap), holding)
                elif one.to != UNKNOWN:
                    ended.add(one.to)
        self.graph.add(found.values())
        self.graph.add(in_contexts(out))
        self.ended = len(ended)

    def past(self, address: bytes) -> Past:
        """What the journal of a machine says, as far back as it goes."""
        known = self._pasts.get(address)
        if known is None:
            known = self._pasts[address] = self._past(self.machines[address])
        return known

    def _past(self, machine: Machine) -> Past:
        start = begins = 0
        if self.reader.first(machine):
            kept = oldest(self.reader, machine)
            assert kept is not None, "the journal does not begin at init"
            start, begins = kept.n + 1, kept.next_slot
        links = (sound(machine, link) for link in self.reader.walk(machine, start))
        held = self.graph.held.get(machine.address, ())
        slots = {one.place: one.cap for one in held if one.how is How.SLOT}
        return past_of(machine.address, links, slots, begins, self.machines.keys())

    def given(self, one: Holding) -> Given | None:
        """How the holder came to a capability; None where nothing says it."""
        if one.how is How.GIVEN:
            return Given(one.place, one.giver, by_turn=one.place)
        if one.how is How.COMING and one.giver in self.machines:
            by_turn = self._by_turn(Way(one.giver, one.holder, one.place), None, None)
            return Given(-1, one.giver, one.place, by_turn)
        if one.how is How.NAME and one.target in self.machines:
            return Given(-1, one.target, by_turn=0)
        if one.how is not How.SLOT or one.holder not in self.machines:
            return None
        arrival = self.past(one.holder).arrivals.get(one.place)
        return None if arrival is None else self.arrived(one.holder, arrival)

    def arrived(self, holder: bytes, arrival: Any) -> Given:
        """An arrival with the turn by which it was sent."""
        turn, sender, seq = arrival
        by_turn = None
        if sender in self.machines and seq:
            by_turn = self._by_turn(Way(sender, holder, seq), self.machines[holder], turn)
        return Given(turn, sender, seq, by_turn)

    def _by_turn(self, way: Way, taker: Machine | None, turn: int | None) -> int | None:
        by_turn = self.past(way.sender).sent.get((way.receiver, way.seq))
        if by_turn is not None or self._searches >= SEARCHES_MAX or taker is None or turn is None:
            return by_turn
        self._searches += 1
        try:
            taken = entry_at(self.reader, taker, turn).entry
        except NoSuchTurn:
            return None
        found = Search(self.reader, self.machines[way.sender], way, taken).run()
        return None if found is None else found[0]

    def looked_at(self, machine: Machine) -> tuple[int, set[int]] | None:
        """The newest turn whose state was kept, and the slots that it refers to."""
        kept = self.reader.kept(machine)
        return None if kept is None else (kept.n, slots_in(kept.references))

    # In words

    def label(self, address: bytes) -> str:
        """What a party is called."""
        if address == OPERATOR:
            return "operator"
        if address in self.graph.parties:
            return self.graph.parties[address].label
        return self.graph.party(address).label

    def called(self, cap: Cap) -> str:
        """MACHINE.name, else the machine's name and the shape of the context."""
        if type(cap) is Local and cap.caveats:
            return f"{self.called(cap._replace(caveats=()))} narrowed"
        known = self._names().get(_in_any(cap))
        if known is not None:
            return known
        if type(cap) is Local:
            return f"{self.label(cap.address)} {self.shape(cap)}"
        return self.labels.of_cap(cap)

    def _names(self) -> dict[Cap, str]:
        if not self._named:
            self._named = {_in_any(cap): name for cap, name in self.labels.named.items()}
        return self._named

    def shape(self, cap: Cap) -> str:
        """The shape of a context; empty of a capability that is not opened here."""
        if type(cap) is not Local:
            return ""
        known = self._shapes.get(cap)
        if known is None:
            lens = Lens(cap.address, {}, self.labels)
            try:
                known = shape_of(lens.state(cap.context, ["null~"] * len(cap.caps)))
            except CapsError:
                known = "what cannot be read"
            self._shapes[cap] = known
        return known

    def json(self, one: Holding) -> dict[str, Any]:
        """A holding as JSON, without where it came from."""
        terms = terms_of(one.cap)
        return {
            "to": self.called(one.cap),
            "machine": self.label(one.target),
            "address": one.target.hex() if self.is_address(one.target) else None,
            "context": self.shape(one.cap),
            "how": one.how.value,
            "place": one.place,
            "name": one.name or None,
            "generation": terms.generation,
            "kind": terms.kind,
            "priority": terms.priority / 1000,
            "expires_ms": terms.expires_ms,
            "caveats": terms.caveats,
            "reply": terms.reply,
            "dead": self.graph.dead(one) or None,
        }

    def given_json(self, given: Given | None) -> dict[str, Any] | None:
        """Where a capability came from, as JSON."""
        if given is None:
            return None
        return {
            "turn": given.turn if given.turn >= 0 else None,
            "by": self.label(given.sender) if given.sender != UNKNOWN else None,
            "address": given.sender.hex() if self.is_address(given.sender) else None,
            "by_turn": given.by_turn,
        }

    def handed_json(self, one: Handed) -> dict[str, Any]:
        """What was handed out, as JSON."""
        return {
            "turn": one.turn,
            "to": self.label(one.to) if one.to != UNKNOWN else None,
            "address": one.to.hex() if one.to != UNKNOWN else None,
            "what": "a capability that is held no more"
            if one.cap is None
            else self.called(one.cap),
            "own": one.slot < 0,
            "slot": one.slot if one.slot >= 0 else None,
        }

    def is_address(self, party: bytes) -> bool:
        """Whether a party has an address: neither the operator nor a common capability."""
        return (
            self.graph.party(party).what not in (What.OPERATOR, What.COMMONS) and party != UNKNOWN
        )


def _in_any(cap: Cap) -> Cap:
    """A capability without its generation: a name is sealed anew with each."""
    return cap._replace(generation=0) if type(cap) is Local else cap


__all__ = ["Authority", "Given"]
