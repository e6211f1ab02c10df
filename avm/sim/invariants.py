"""What must hold in a world whatever goes wrong: checked while it runs, and after quiet. Pure.

A `Watcher` of a world. It believes nothing that a host says of itself: it reads what became durable,
commit by commit, and compares with that what left the host and what clients were told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from avm.errors import AvmError
from avm.host import channel, journal, passage, rows
from avm.host.batch import Batch
from avm.host.chain import used_slots
from avm.host.journal import Entry
from avm.host.state import Status
from avm.machine import frames
from avm.sim.books import differs
from avm.sim.events import (
    ChannelFrozen,
    ClientHeard,
    ClientTook,
    Committed,
    Crashed,
    Delivered,
    Event,
    Folded,
    Lied,
    LinkDown,
    LinkUp,
    Located,
    Looked,
    Said,
    Started,
    Strayed,
)
from avm.sim.fairness import Fairness
from avm.sim.host import SimHost
from avm.sim.lies import TWISTS
from avm.sim.memory import Memory
from avm.sim.moved import why_not_moved
from avm.sim.offers import Offers
from avm.sim.reading import place_of, read
from avm.sim.replaying import replay
from avm.sim.wires import CONTROL
from avm.sim.world import World

VERDICTS = (journal.TURN, journal.FAILED, journal.REFUSED, journal.VOID)
# What a client is told of a batch, and the entry that its machine then has of it.
TOLD = {
    "applied": journal.TURN,
    "refused": journal.REFUSED,
    "rejected": journal.FAILED,
    "undelivered": journal.VOID,
}
# Counted by hosts: frames that are none of a host that keeps to the rules.
FOUL = ("malformed", "unproven", "frozen")
# How frames begin that offer a batch, say how far a channel is taken, or tell a verdict: see `avm.host.channel`.
OFFER, MARK = bytes((0x88, channel.OFFER)), bytes((0x89, channel.MARK))
VERDICT = bytes((0x86, channel.VERDICT))
# And of one that says that a machine's end here is committed, or that it lives here now.
READY, LANDED = bytes((0x84, passage.READY)), bytes((0x85, passage.LANDED))

# What is looked at by nobody here, which is most of what happens.
UNSEEN = frozenset({LinkUp, LinkDown, Located})

Pair = tuple[bytes, bytes]
Place = tuple[bytes, bytes, int]


class Broken(AvmError):
    """Something that must hold does not; the text says what, where and when."""


@dataclass(slots=True)
class Chain:
    """The journal of a machine as far as it is durable, wherever the machine lives."""

    hashes: list[bytes] = field(default_factory=list)
    taken: dict[bytes, int] = field(default_factory=dict)
    ordinals: dict[bytes, int] = field(default_factory=dict)
    slots: dict[int, bool] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    now_ms: int = 0


class Invariants:
    """Watches a world, and raises `Broken` where something does not hold."""

    __slots__ = (
        "_applied", "_chains", "_fairness", "_ids", "_kept", "_memory", "_offers", "_seen", "_told",
        "batches", "frozen", "messages", "twisted"
    )  # fmt: skip

    def __init__(self) -> None:
        self._chains: dict[bytes, Chain] = {}
        # Which verdict became durable for which batch, and which batches did at their sender.
        self._applied: dict[Place, int] = {}
        self._kept: set[Place] = set()
        self._ids: dict[tuple[str, int], bytes] = {}
        # What clients were told, and what the network told hosts since they started.
        self._told: dict[Place, int] = {}
        self._seen: dict[str, dict[bytes, tuple[int, int]]] = {}
        self._fairness = Fairness()
        self._memory = Memory()
        self._offers = Offers()
        self.frozen: list[ChannelFrozen] = []
        self.batches = self.messages = 0
        # Machines whose worker may have made something else of them.
        self.twisted: set[bytes] = set()

    # While the world runs.

    def happened(self, world: World, event: Event) -> None:
        """Something has happened."""
        if type(event) in UNSEEN:
            return
        if isinstance(event, Said | Delivered) and event.lane == CONTROL:
            return
        match event:
            case Committed():
                self._committed(world, event)
            case Delivered():
                self._offers.heard(event)
            case Said(frame=frame) if frame.startswith(OFFER):
                self._said(world, event)
            case Said(frame=frame) if frame.startswith((MARK, VERDICT)):
                self._acknowledged(world, event)
            case Said(frame=frame) if frame.startswith((READY, LANDED)):
                self._moved(world, event)
            case ClientHeard():
                self._heard(world, event)
            case ClientTook():
                self._took(world, event)
            case Folded():
                self._folded(world, event)
            case ChannelFrozen():
                self.frozen.append(event)
            case Lied(lie=lie) if lie in TWISTS:
                self.twisted.add(event.machine)
            case Strayed():
                what = f"a packet from {event.source} came to it through a relay, for another"
                self._fail(world, world.host(event.host), what)
            case Looked():
                self._looked(world, event)
            case Started():
                self._fairness.forget(event.host)
                self._memory.forget(world.host(event.host))
                self._seen[event.host] = {}
            case Crashed():
                self._fouled(world, world.host(event.host))

    def _committed(self, world: World, event: Committed) -> None:
        host = world.host(event.host)
        written = event.transaction
        for key, body in written.puts.items():
            match key:
                case ("outbox", bytes(sender), bytes(receiver), int(seq)) if body is not None:
                    self._kept.add((sender, receiver, seq))
                case ("machine", int(number)) if body is not None:
                    if (host.name, number) not in self._ids:
                        address = rows.decode_machine(number, body).address
                        self._ids[(host.name, number)] = address
                case ("slot", int(number), int(slot)):
                    self._slotted(world, event, number, slot, body is not None)
        for number, first in written.cuts:
            snapshot = host.store.snapshot(number)
            lives = host.store.get(("machine", number)) is not None
            if lives and first > (snapshot[0] if snapshot is not None else 0):
                self._fail(world, host, f"the journal of {number} is cut past its snapshot")
        for number, n, body, _printed in written.journal:
            machine = self._ids.get((host.name, number))
            if machine is not None:
                self._entered(world, host, machine, journal.decode(n, body))
        for key, body in written.puts.items():
            match key:
                case ("machine", int(number)) if body is None:
                    self._ids.pop((host.name, number), None)  # another may have it later
                case ("channel", bytes(sender), bytes(receiver)) if body is not None:
                    self._marked(world, host, sender, receiver, body)

    def _entered(self, world: World, host: SimHost, address: bytes, entry: Entry) -> None:
        """An entry is durable: the chain goes on, and no batch is taken twice or out of its order."""
        chain = self._chains.setdefault(address, Chain())
        if entry.n < len(chain.hashes) and chain.hashes[entry.n] == entry.hash:
            return  # it has moved here, with its history
        if entry.n != len(chain.hashes) or entry.before != b"".join(chain.hashes[-1:]):
            self._fail(world, host, f"the chain of {_short(address)} breaks at {entry.n}")
        chain.hashes.append(entry.hash)
        if entry.form == journal.COLLECT:
            chain.gone.update(entry["slots"])
        elif chain.gone and (used := chain.gone & used_slots(entry)):
            what = f"{_short(address)} uses slot {min(used)} at {entry.n}, and it was collected"
            self._fail(world, host, what)
        if entry.form not in VERDICTS or not entry["seq"]:  # a signal of the host has no number
            return
        sender, seq = entry["sender"], entry["seq"]
        before = chain.taken.get(sender, 0)
        if seq != before + 1:
            what = "taken twice" if seq <= before else "taken before those ahead of it"
            self._fail(world, host, f"{_named(sender, address, seq)} is {what}")
        chain.taken[sender] = seq
        self._applied[(sender, address, seq)] = entry.form
        told = self._told.get((sender, address, seq))
        if told is not None and told != entry.form:
            self._fail(world, host, f"{_named(sender, address, seq)} had another verdict before")
        self.batches += 1
        if entry.form == journal.TURN:
            now_ms, _channel, ordinal, _from_host, messages = frames.unpack(entry["input"])
            self.messages += len(messages)
            if ordinal < chain.ordinals.get(sender, 0):
                self._fail(world, host, f"{_named(sender, address, seq)} has message ids again")
            chain.ordinals[sender] = ordinal + len(messages)
            if now_ms < chain.now_ms:
                self._fail(world, host, f"the time of {_short(address)} goes back at {entry.n}")
            chain.now_ms = now_ms

    def _marked(
        self, world: World, host: SimHost, sender: bytes, receiver: bytes, body: bytes
    ) -> None:
        """A mark is durable: it is that of the last entry, in the same commit."""
        chain, machine = self._chains.get(receiver), host.core.host.machines.get(receiver)
        if chain is None or machine is None or host.store.get(("machine", machine.id)) is None:
            return  # What was taken up after this commit was begun comes with a later one.
        marked = rows.decode_channel(sender, receiver, body).taken
        if marked != chain.taken.get(sender, 0):
            taken = chain.taken.get(sender, 0)
            self._fail(world, host, f"{_named(sender, receiver, taken)} is taken, marked {marked}")

    def _said(self, world: World, event: Said) -> None:
        """A batch leaves its host: it is durable there."""
        offer = read(event.frame)
        assert isinstance(offer, channel.Offer)
        place = place_of(offer)
        host = world.host(event.host)
        if place not in self._kept:
            self._fail(world, host, f"{_named(*place)} leaves before it is durable")
        if why := self._offers.why_not(host, event, offer):
            self._fail(world, host, f"{_named(*place)} {why}")

    def _acknowledged(self, world: World, event: Said) -> None:
        """What a host tells another that its machine took is durable, and became of it."""
        frame = read(event.frame)
        assert isinstance(frame, channel.Mark | channel.Told)
        chain, host = self._chains.get(frame.receiver), world.host(event.host)
        if chain is None:
            return  # to a client, which has no journal
        verdicts = frame.verdicts if isinstance(frame, channel.Mark) else [frame[2:4]]
        if isinstance(frame, channel.Mark) and frame.taken > chain.taken.get(frame.sender, 0):
            place = (frame.sender, frame.receiver, frame.taken)
            self._fail(world, host, f"{_named(*place)} is said to be taken, and is not yet")
        confirmed = self._offers.confirmed.get((frame.sender, frame.receiver), 0)
        for seq, verdict in verdicts:
            place = (frame.sender, frame.receiver, seq)
            if seq <= confirmed and verdict == ["applied"]:
                continue  # an offer of before came late: its sender has the verdict, and here it is forgotten
            became = self._applied.get(place)
            if became is None and verdict[0] == "undelivered" and self._is_gone(frame.receiver):
                continue  # it has no journal any more
            if verdict[-1] != "stranger" and became != TOLD[str(verdict[0])]:
                self._fail(world, host, f"{_named(*place)} is said to be {verdict[0]}, and is not")

    def _is_gone(self, machine: bytes) -> bool:
        """Whether a machine lives nowhere."""
        return machine not in self._ids.values()

    def _moved(self, world: World, event: Said) -> None:
        """What a host says of a machine that moves is durable there."""
        host, frame = world.host(event.host), read(event.frame)
        if isinstance(frame, passage.Ready | passage.Landed):
            here = {one for (at, _number), one in self._ids.items() if at == host.name}
            if why := why_not_moved(host, frame, here):
                self._fail(world, host, f"{_short(frame.address)} {why}")

    def _slotted(self, world: World, event: Committed, number: int, slot: int, there: bool) -> None:
        """A slot is given a capability, or none: its number is not used again for another."""
        host = world.host(event.host)
        address = self._ids.get((host.name, number))
        if address is None:
            return
        slots = self._chains.setdefault(address, Chain()).slots
        if there and slots.get(slot) is False:
            self._fail(world, host, f"slot {slot} of {_short(address)} is used again")
        # A machine that leaves takes its slots along: they are not given up.
        if there or event.transaction.puts.get(("machine", number), b"") is not None:
            slots[slot] = there

    def _heard(self, world: World, event: ClientHeard) -> None:
        """A client is told what became of its batch: it did, and that is durable."""
        place = (event.client, event.receiver, event.seq)
        host, told = world.host(event.host), TOLD.get(str(event.verdict[0]))
        became = self._applied.get(place)
        if told == journal.TURN and became != told:
            self._fail(world, host, f"{_named(*place)} is acknowledged, and not applied")
        if told is not None and became is not None and became != told:
            self._fail(world, host, f"{_named(*place)} is {event.verdict[0]}, and was not so")
        if told is not None:
            self._told[place] = told

    def _looked(self, world: World, event: Looked) -> None:
        """A host is told where something lives: never of what was so before the last it heard."""
        seen = self._seen.setdefault(event.host, {})
        if event.order < seen.get(event.key, event.order):
            back = f"goes back from {seen[event.key]} to {event.order}"
            self._fail(world, world.host(event.host), f"the location of {_short(event.key)} {back}")
        seen[event.key] = event.order

    def _fouled(self, world: World, host: SimHost) -> None:
        """No host is told nonsense: all keep to the rules here."""
        for name in FOUL:
            if count := host.core.host.counts[name]:
                self._fail(world, host, f"{count} frames were {name}")

    def _took(self, world: World, event: ClientTook) -> None:
        """A client is given a batch: it is durable at its sender's host."""
        batch: Batch = event.batch
        place = (batch.sender, batch.receiver, batch.seq)
        if place not in self._kept:
            early = f"{_named(*place)} is delivered before it is durable"
            self._fail(world, world.host(event.host), early)

    def _folded(self, world: World, event: Folded) -> None:
        """Memory stays within its limits."""
        host = world.host(event.host)
        if waits := self._fairness.look(host):
            self._fail(world, host, waits)
        if over := self._memory.look(host):
            self._fail(world, host, over)

    # After quiet.

    def quiet(self, world: World) -> None:
        """What must hold once nobody owes anybody anything: all is drained, and replay equals live."""
        for host in world.hosts:
            core = host.core.host
            self._drained(world, host)
            for machine in core.machines.values():
                is_doubted = machine.address in self.twisted
                if machine.status is not Status.HALTED and machine.asks and not is_doubted:
                    self._fail(world, host, f"{machine.name} has an open ask")
                why = replay(host, machine)
                if why and not is_doubted:
                    self._fail(world, host, f"replay of {machine.name} is not as it lived: {why}")
            self._fouled(world, host)
            if other := differs(host):
                self._fail(world, host, f"a host that starts now would not be the same: {other}")
        for host, sender, seq in _unsettled(world):
            self._fail(world, host, f"a client's batch {seq} to {_short(sender)} has no verdict")
        if self.frozen:
            first = self.frozen[0]
            self._fail(world, world.host(first.host), f"a channel was frozen: {first.why}")

    def _drained(self, world: World, host: SimHost) -> None:
        """Nothing waits but the bare headers of what was for somebody who is gone for good."""
        core = host.core.host
        there = {one for each in world.hosts for one in _owners(each)}
        waits = [one for one in core.outbox.values() if one.body or one.receiver in there]
        for batch in (*waits, *core.inbox.values()):
            place = (batch.sender, batch.receiver, batch.seq)
            self._fail(world, host, f"{_named(*place)} still waits")
        for machine in core.machines.values():
            own = [one for one in core.outbox.values() if one.sender == machine.address]
            room = sum(len(one.header) for one in own)
            if machine.outbox_bytes > room:
                what = f"{machine.outbox_bytes} bytes in its outbox, where {room} wait"
                self._fail(world, host, f"{machine.name} counts {what}")

    def _fail(self, world: World, host: SimHost, what: str) -> NoReturn:
        at_s = world.scene.now_us / 1_000_000
        raise Broken(f"at {at_s:.3f} s on {host.name}: {what}")


def _unsettled(world: World) -> Iterator[tuple[SimHost, bytes, int]]:
    for host in world.hosts:
        for client in host.clients.values():
            for receiver, sender in client.senders.items():
                for seq in sender.waiting:
                    yield host, receiver, seq


def _owners(host: SimHost) -> Iterator[bytes]:
    yield host.core.host.address
    yield from host.core.host.machines
    yield from host.core.host.clients


def _short(address: bytes) -> str:
    return address.hex()[:8]


def _named(sender: bytes, receiver: bytes, seq: int) -> str:
    return f"batch {seq} from {_short(sender)} to {_short(receiver)}"
