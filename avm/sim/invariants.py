"""What must hold in a world whatever goes wrong: checked while it runs, and after quiet. Pure.

A `Watcher` of a world. It believes nothing that a host says of itself: it reads what became durable,
commit by commit, and compares with that what left the host and what clients were told.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from avm.errors import AvmError
from avm.host import channel, journal, rows
from avm.host.batch import Batch
from avm.host.header import parse_header_untrusted
from avm.host.journal import Entry
from avm.host.state import Status
from avm.machine import frames
from avm.sim.events import ChannelFrozen, ClientHeard, ClientTook, Committed, Event, Folded, Said
from avm.sim.host import SimHost
from avm.sim.replaying import replay
from avm.sim.world import World

VERDICTS = (journal.TURN, journal.FAILED, journal.REFUSED, journal.VOID)
# How the bytes of a frame begin that offers a batch: see `avm.host.channel`.
OFFER = bytes((0x88, channel.OFFER))

Pair = tuple[bytes, bytes]
Place = tuple[bytes, bytes, int]


class Broken(AvmError):
    """Something that must hold does not; the text says what, where and when."""


@dataclass(slots=True)
class Chain:
    """The journal of a machine as far as it is durable, wherever the machine lives."""

    hashes: list[bytes] = field(default_factory=list)
    taken: dict[bytes, int] = field(default_factory=dict)
    now_ms: int = 0


class Invariants:
    """Watches a world, and raises `Broken` where something does not hold."""

    __slots__ = ("_applied", "_chains", "_ids", "_kept", "batches", "frozen", "messages")

    def __init__(self) -> None:
        self._chains: dict[bytes, Chain] = {}
        # Which verdict became durable for which batch, and which batches did at their sender.
        self._applied: dict[Place, int] = {}
        self._kept: set[Place] = set()
        self._ids: dict[tuple[str, int], bytes] = {}
        self.frozen: list[ChannelFrozen] = []
        self.batches = self.messages = 0

    # While the world runs.

    def happened(self, world: World, event: Event) -> None:
        """Something has happened."""
        match event:
            case Committed():
                self._committed(world, event)
            case Said(frame=frame) if frame.startswith(OFFER):
                self._said(world, event)
            case ClientHeard(verdict=["applied", *_]):
                self._heard(world, event)
            case ClientTook():
                self._took(world, event)
            case Folded():
                self._folded(world, event)
            case ChannelFrozen():
                self.frozen.append(event)

    def _committed(self, world: World, event: Committed) -> None:
        host = world.host(event.host)
        written = event.transaction
        changed: list[tuple[Any, bytes | None]] = list(written.puts.items())
        for (table, *place), body in changed:
            if table == "outbox" and body is not None:
                self._kept.add((place[0], place[1], place[2]))
            elif table == "machine" and body is not None and (host.name, place[0]) not in self._ids:
                address = rows.decode_machine(place[0], body).address
                self._ids[(host.name, place[0])] = address
        for number, n, entry, _printed in written.journal:
            whose = self._ids.get((host.name, number))
            if whose is not None:
                self._entered(world, host, whose, journal.decode(n, entry))
        for (table, *place), body in changed:
            if table == "channel" and body is not None:
                self._marked(world, host, place[0], place[1], body)

    def _entered(self, world: World, host: SimHost, address: bytes, entry: Entry) -> None:
        """An entry is durable: the chain goes on, and no batch is taken twice or out of its order."""
        chain = self._chains.setdefault(address, Chain())
        if entry.n < len(chain.hashes) and chain.hashes[entry.n] == entry.hash:
            return  # it has moved here, with its history
        if entry.n != len(chain.hashes) or entry.before != b"".join(chain.hashes[-1:]):
            self._fail(world, host, f"the chain of {_short(address)} breaks at {entry.n}")
        chain.hashes.append(entry.hash)
        if entry.form not in VERDICTS or not entry["seq"]:  # a signal of the host has no number
            return
        sender, seq = entry["sender"], entry["seq"]
        before = chain.taken.get(sender, 0)
        if seq != before + 1:
            what = "taken twice" if seq <= before else "taken before those ahead of it"
            self._fail(world, host, f"{_named(sender, address, seq)} is {what}")
        chain.taken[sender] = seq
        self._applied[(sender, address, seq)] = entry.form
        self.batches += 1
        if entry.form == journal.TURN:
            now_ms, _channel, _ordinal, _from_host, messages = frames.unpack(entry["input"])
            self.messages += len(messages)
            if now_ms < chain.now_ms:
                self._fail(world, host, f"the time of {_short(address)} goes back at {entry.n}")
            chain.now_ms = now_ms

    def _marked(
        self, world: World, host: SimHost, sender: bytes, receiver: bytes, body: bytes
    ) -> None:
        """A mark is durable: it is that of the last entry, in the same commit."""
        chain = self._chains.get(receiver)
        if chain is None or host.core.host.machines.get(receiver) is None:
            return
        marked = rows.decode_channel(sender, receiver, body).taken
        if marked != chain.taken.get(sender, 0):
            taken = chain.taken.get(sender, 0)
            self._fail(world, host, f"{_named(sender, receiver, taken)} is taken, marked {marked}")

    def _said(self, world: World, event: Said) -> None:
        """A batch leaves its host: it is durable there."""
        offer = channel.unpack_frame_untrusted(event.frame)
        assert isinstance(offer, channel.Offer)
        seq = parse_header_untrusted(offer.header).seq
        place = (offer.sender, offer.receiver, seq)
        if place not in self._kept:
            host = world.host(event.host)
            self._fail(world, host, f"{_named(*place)} leaves before it is durable")

    def _heard(self, world: World, event: ClientHeard) -> None:
        """A client is told that its batch was applied: it was, and that is durable."""
        place = (event.client, event.receiver, event.seq)
        if self._applied.get(place) != journal.TURN:
            host = world.host(event.host)
            self._fail(world, host, f"{_named(*place)} is acknowledged, and not applied")

    def _took(self, world: World, event: ClientTook) -> None:
        """A client is given a batch: it is durable at its sender's host."""
        batch: Batch = event.batch
        place = (batch.sender, batch.receiver, batch.seq)
        if place not in self._kept:
            host = world.host(event.host)
            self._fail(world, host, f"{_named(*place)} is delivered before it is durable")

    def _folded(self, world: World, event: Folded) -> None:
        """Memory stays within its limits."""
        host = world.host(event.host)
        core, limits = host.core.host, host.core.host.limits
        for machine in core.machines.values():
            # What is sent here stands in its senders' outboxes, and is bounded there.
            waiting = Counter(one.sender for one in machine.queue or () if one.digest)
            if waiting and max(waiting.values()) > limits.inbox_batches + 1:
                most = max(waiting.values())
                self._fail(world, host, f"{machine.name} has {most} batches of one sender waiting")
            if machine.outbox_bytes > limits.outbox_bytes + limits.turn_bytes:
                size = machine.outbox_bytes
                self._fail(world, host, f"{machine.name} has {size} bytes in its outbox")

    # After quiet.

    def quiet(self, world: World) -> None:
        """What must hold once nobody owes anybody anything: all is drained, and replay equals live."""
        for host in world.hosts:
            core = host.core.host
            if core.outbox or core.inbox:
                whose = [*core.outbox.values(), *core.inbox.values()][0]
                place = (whose.sender, whose.receiver, whose.seq)
                self._fail(world, host, f"{_named(*place)} still waits")
            for machine in core.machines.values():
                if machine.status is not Status.HALTED and machine.asks:
                    self._fail(world, host, f"{machine.name} has an open ask")
                why = replay(host, machine)
                if why:
                    self._fail(world, host, f"replay of {machine.name} is not as it lived: {why}")
        for host, sender, seq in _unsettled(world):
            self._fail(world, host, f"a client's batch {seq} to {_short(sender)} has no verdict")
        if self.frozen:
            first = self.frozen[0]
            self._fail(world, world.host(first.host), f"a channel was frozen: {first.why}")

    def _fail(self, world: World, host: SimHost, what: str) -> NoReturn:
        at_s = world.scene.now_us / 1_000_000
        raise Broken(f"at {at_s:.3f} s on {host.name}: {what}")


def _unsettled(world: World) -> Iterator[tuple[SimHost, bytes, int]]:
    for host in world.hosts:
        for client in host.clients.values():
            for receiver, sender in client.senders.items():
                for seq in sender.waiting:
                    yield host, receiver, seq


def _short(address: bytes) -> str:
    return address.hex()[:8]


def _named(sender: bytes, receiver: bytes, seq: int) -> str:
    return f"batch {seq} from {_short(sender)} to {_short(receiver)}"
