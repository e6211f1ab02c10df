"""What a campaign has seen happen: counted, so that what it never meets is known."""

from collections import Counter

from avm.host import channel, journal
from avm.sim.events import (
    ClientHeard,
    ClientTook,
    Committed,
    Crashed,
    Delivered,
    Event,
    LinkDown,
    Located,
    Said,
    Started,
    Unlinked,
)
from avm.sim.host import SimHost
from avm.sim.reading import place_of, read
from avm.sim.wires import CONTROL
from avm.sim.world import World
from caps.errors import Malformed

# What a long campaign must have met, each at least once. Those of hosts are their own counters.
WANTED = (
    "crash",
    "crash during recovery",
    "crash before a commit",
    "crash after a commit",
    "crash with a commit under way",
    "crash while machines are being loaded",
    "crash while a machine leaves",
    "crash while a machine lands",
    "crash with an open ask",
    "crash with a timer set",
    "crash with batches on their way to another host",
    "crash with an operator's act under way",
    "crash with a client's batch held",
    "restart",
    "restart on another endpoint",
    "fsync error",
    "commit refused",
    "worker killed in a turn",
    "worker died of a step",
    "step that never ends",
    "clock set back",
    "clock set ahead",
    "suspended machine resumed",
    "machine has moved",
    "machine has moved with batches waiting",
    "snapshot kept",
    "journal cut",
    "timer kept",
    "ask kept",
    "batch held in an inbox",
    "batch set aside as failed",
    "batch offered to another host",
    "batch offered to another host again",
    "batch offered again to a host that had it",
    "header offered without its body",
    "body in instalments",
    "channel opened again",
    "verdict said again",
    "offer answered expected",
    "offer answered busy",
    "host has redirected",
    "receiver is gone",
    "link lost",
    "nobody knew an address",
    "client told busy",
    "client told expected",
    "client told held",
    "client told undelivered",
    "client told refused",
    "client told rejected",
    "batch given to a client again",
    "outcome answer",
    "outcome refused",
    "outcome rejected",
    "outcome undelivered",
    "outcome late",
    "outcome unknown",
    "host inert",
    "host void",
    "world has lived on",
)
KEPT = {"timer": "timer kept", "ask": "ask kept", "inbox": "batch held in an inbox"}


class Happenings:
    """Counts what happens in one world."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self._offered: set[tuple[bytes, bytes, int]] = set()
        # Which batch is in the frames that offer one whole, or its first part.
        self._places: dict[bytes, tuple[bytes, bytes, int]] = {}
        self._came: set[tuple[bytes, bytes, int]] = set()
        self._told: set[tuple[bytes, bytes, int]] = set()
        self._opened: set[tuple[bytes, bytes]] = set()
        self._taken: set[tuple[bytes, bytes, int]] = set()

    def happened(self, world: World, event: Event) -> None:
        """Something has happened."""
        match event:
            case Said(lane=lane) if lane != CONTROL:
                self._said(event.frame)
            case Delivered(lane=lane) if lane != CONTROL:
                self._delivered(event.frame)
            case Committed():
                self._committed(world, event)
            case Crashed():
                self._crashed(world.host(event.host))
            case Started(life=life) if life > 1:
                self.counts["restart"] += 1
            case LinkDown():
                self.counts["link lost"] += 1
            case Unlinked():
                self.counts["link closed for what came by it"] += 1
            case Located(where=b""):
                self.counts["nobody knew an address"] += 1
            case ClientHeard():
                self.counts[f"client told {event.verdict[0]}"] += 1
            case ClientTook():
                batch = event.batch
                self._once(
                    self._taken, (batch.sender, batch.receiver, batch.seq), "given to a client"
                )

    def _once(
        self, known: set[tuple[bytes, bytes, int]], place: tuple[bytes, bytes, int], what: str
    ) -> None:
        self.counts[f"batch {what} again" if place in known else f"batch {what}"] += 1
        known.add(place)

    def _said(self, body: bytes) -> None:
        match _frame(body):
            case channel.Offer(size=0):
                self.counts["header offered without its body"] += 1
            case channel.Offer() as offer:
                place = self._places[body] = place_of(offer)
                if place in self._came:
                    self.counts["batch offered again to a host that had it"] += 1
                self._once(self._offered, place, "offered to another host")
            case channel.Told(sender=sender, receiver=receiver, seq=seq):
                if (sender, receiver, seq) in self._told:
                    self.counts["verdict said again"] += 1
                self._told.add((sender, receiver, seq))
            case channel.Again(why=why):
                self.counts[f"offer answered {why}"] += 1
            case channel.Open(sender=sender, receiver=receiver):
                if (sender, receiver) in self._opened:
                    self.counts["channel opened again"] += 1
                self._opened.add((sender, receiver))
            case channel.Part():
                self.counts["body in instalments"] += 1
            case channel.Gone():
                self.counts["receiver is gone"] += 1

    def _delivered(self, body: bytes) -> None:
        place = self._places.get(body)
        if place is not None:
            self._came.add(place)

    def _committed(self, world: World, event: Committed) -> None:
        written = event.transaction
        if written.snapshots:
            self.counts["snapshot kept"] += 1
        if written.cuts:
            self.counts["journal cut"] += 1
        for key, body in written.puts.items():
            if body is None:
                continue
            if key[0] in KEPT:
                self.counts[KEPT[key[0]]] += 1
            elif key[0] == "failed":
                self.counts["batch set aside as failed"] += 1
        core = world.host(event.host).core.host
        for number, _n, body, _printed in written.journal:
            if journal.form_of(body) == journal.INCARNATION and number in core.by_id:
                self.counts["machine has moved"] += 1
                if core.by_id[number].queue:
                    self.counts["machine has moved with batches waiting"] += 1
        if core.moves.redirects:
            self.counts["host has redirected"] += 1

    def _crashed(self, host: SimHost) -> None:
        """What a host was about when it died, and what it had counted."""
        core = host.core.host
        machines = list(core.machines.values())
        about = {
            "crash while a machine leaves": bool(core.moves.asked or core.moves.leaving),
            "crash while a machine lands": bool(core.moves.landing),
            "crash with an open ask": any(one.asks for one in machines),
            "crash with a timer set": any(one.timers for one in machines),
            "crash with batches on their way to another host": host.core.owes() > 0,
            "crash with an operator's act under way": any(one.acts for one in machines),
            "crash with a client's batch held": bool(core.inbox),
        }
        self.counts.update(name for name, is_so in about.items() if is_so)
        self.ended(host)

    def ended(self, host: SimHost) -> None:
        """Takes over what a host has counted itself."""
        for name, count in host.core.host.counts.items():
            self.counts[f"host {name}"] += count


def _frame(body: bytes) -> channel.AnyFrame | None:
    """A frame of a channel; None for one of another lane."""
    try:
        return read(body)
    except Malformed:
        return None
