"""Machines that keep, give away and drop capabilities by name, and what they should hold by then."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from avm.host.capability import Cap
from avm.limits import Limits
from avm.past.authority import Authority
from avm.past.reading import Reader
from avm.sim.client import Client
from avm.sim.host import SimHost
from tests.avm.journals import make, tell

HOLDER = """
from dataclasses import replace
from avm import Map, Me, Message, Refused, Send, Step, record

@record
class Holder:
    me: Me
    kept: Map

def init(message, me):
    names = ("keep", "give", "part", "drop", "use", "seal", "wrap", "later", "open")
    return message.answer({name: me(name) for name in names}), Holder(me, Map())

def step(message, state):
    match message.context, message.content:
        case "keep", {"as": name, "cap": cap}:
            return [], replace(state, kept=state.kept.put(name, cap))
        case "give", {"what": name, "to": to}:
            if name in state.kept and to in state.kept:
                gift = {"as": name, "cap": state.kept[name]}
                return [Send(state.kept[to], gift)], state
            return [], state
        case "part", {"what": name, "to": to}:
            gift = {"as": name, "cap": state.kept[name]}
            return [Send(state.kept[to], gift)], replace(state, kept=state.kept.drop(name))
        case "seal", {"as": name, "kind": kind}:
            return [], replace(state, kept=state.kept.put(name, state.me((name,), kind=kind)))
        case "later", {"what": name, "to": to}:
            gift = {"as": name, "cap": state.kept[name]}
            return [Send(state.kept[to], gift, after_s=2)], state
        case "open", name:
            inner = state.kept[name]
            return message.answer(state.me(("opened", inner))), replace(state, kept=state.kept.drop(name))
        case "drop", name:
            return [], replace(state, kept=state.kept.drop(name)) if name in state.kept else state
        case "wrap", {"as": name, "to": to}:
            return [Send(state.kept[to], {"as": "wrapped", "cap": state.me((name, state.kept[name]))})], state
        case "use", None:
            return [], state
    raise Refused("no such thing")
"""
NAMES = ("ann", "bob", "cid", "dan")
Act = tuple[str, int, int, int]


@dataclass(slots=True)
class Holders:
    """A world of holders, and beside it what each has by which name: (of whom, what it is for)."""

    names: Sequence[str] = NAMES
    limits: Limits = field(default_factory=lambda: Limits(snapshot_turns=1))
    seed: int = 1
    world: SimHost = field(init=False)
    client: Client = field(init=False)
    caps: dict[str, dict[str, Cap]] = field(init=False)
    held: dict[str, dict[str, tuple[str, str]]] = field(init=False)

    def __post_init__(self) -> None:
        self.world = SimHost(self.seed, limits=self.limits)
        self.caps = {name: dict(make(self.world, name, HOLDER).names) for name in self.names}
        self.client = self.world.client()
        self.held = {name: {} for name in self.names}

    def introduce(self, holder: str, other: str, use: str = "keep") -> None:
        """The client gives a holder a capability to another, by the other's name."""
        gift = {"as": other, "cap": self.client.hold(self.caps[other][use])}
        self.say(holder, "keep", gift)
        self.held[holder][other] = (other, use)

    def give(self, holder: str, what: str, to: str) -> None:
        """A holder gives one it has to another."""
        self.say(holder, "give", {"what": what, "to": to})
        kept = self.held[holder]
        if what in kept and kept.get(to, ("", ""))[1] == "keep":
            self.held[kept[to][0]][what] = kept[what]

    def drop(self, holder: str, what: str) -> None:
        """A holder drops one."""
        self.say(holder, "drop", what)
        self.held[holder].pop(what, None)

    def say(self, holder: str, context: str, content: object) -> None:
        """The client sends a holder a message, and all that follows happens."""
        tell(self.client, self.world, self.client.hold(self.caps[holder][context]), content)

    def do(self, acts: Iterable[Act]) -> None:
        """Does what a plan says."""
        for what, one, two, three in acts:
            names = [self.names[at % len(self.names)] for at in (one, two, three)]
            match what:
                case "introduce":
                    self.introduce(names[0], names[1])
                case "give":
                    self.give(*names)
                case "drop":
                    self.drop(*names[:2])

    def authority(self, now_ms: int | None = None) -> Authority:
        """The graph of the world's store."""
        now = self.world.core.host.now_ms if now_ms is None else now_ms
        return Authority.read(Reader(self.world.store), self.world.core.host.address, now)

    def address(self, name: str) -> bytes:
        """The address of a holder."""
        return self.world.machine(name).address
