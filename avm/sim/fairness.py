"""That no sender waits while others' batches go ahead of its own without end. Pure.

Looks at the queues of a host's machines, and counts for each sender's first batch how many of every
other sender have been given out since it waits. `avm.host.scheduler` promises one at equal size.
"""

from avm.host.state import Machine, Status
from avm.sim.host import SimHost

# A batch of ten messages costs twice one of a single message, and a sender may be one batch ahead.
OVERTAKEN_MAX = 6

Given = dict[bytes, int]
Place = tuple[int, bytes]
Pair = tuple[bytes, bytes]


class Fairness:
    """Who waits in which queue, and what had been given out when that began."""

    __slots__ = ("_ahead", "_voids", "_waits")

    def __init__(self) -> None:
        self._waits: dict[str, dict[Place, tuple[int, Given]]] = {}
        # The last number taken of each channel, and how many batches of it went ahead of others.
        self._ahead: dict[str, dict[Pair, tuple[int, int]]] = {}
        self._voids: dict[str, int] = {}

    def forget(self, host: str) -> None:
        """A host has started anew: its queues are others."""
        self._waits.pop(host, None)
        self._ahead.pop(host, None)

    def look(self, host: SimHost) -> str:
        """Looks at a host now; who there is overtaken too often, empty for nobody."""
        before = self._waits.get(host.name, {})
        waits = self._waits[host.name] = {}
        self._count(host)
        for machine in host.core.host.machines.values():
            heads = _heads(machine)
            if not heads:
                continue
            given = self._given(host, machine)
            for sender, seq in heads.items():
                place = (machine.id, sender)
                since = before.get(place)
                if since is None or since[0] != seq:
                    since = (seq, dict(given))
                waits[place] = since
                for other, count in given.items():
                    ahead = count - since[1].setdefault(other, count)
                    if other != sender and ahead > OVERTAKEN_MAX:
                        return (
                            f"batch {seq} to {machine.name} waits while {ahead} of another go ahead"
                        )
        return ""

    def _count(self, host: SimHost) -> None:
        """Notes what was taken since the last look; what deadlines ended meanwhile went ahead of nobody."""
        ahead = self._ahead.setdefault(host.name, {})
        voids = host.core.host.counts["void"]
        is_void = self._voids.get(host.name, 0) != voids
        self._voids[host.name] = voids
        for pair, channel in host.core.host.channels.items():
            taken, count = ahead.get(pair, (channel.taken, 0))
            if not is_void:
                count += channel.taken - taken
            ahead[pair] = (channel.taken, count)

    def _given(self, host: SimHost, machine: Machine) -> Given:
        """How many batches of each sender are no longer in the queue of a machine."""
        given = {
            sender: count
            for (sender, receiver), (_taken, count) in self._ahead[host.name].items()
            if receiver == machine.address
        }
        for flight in machine.flights or ():
            if flight.batch is not None:
                given[flight.batch.sender] = given.get(flight.batch.sender, 0) + 1
        return given


def _heads(machine: Machine) -> dict[bytes, int]:
    """The first batch of each sender that waits."""
    heads: dict[bytes, int] = {}
    if machine.status is not Status.RUNNING:
        return heads  # nothing is given out; what its deadline ends there overtakes nobody
    for batch in machine.queue or ():
        heads.setdefault(batch.sender, batch.seq)
    return heads if len(heads) > 1 else {}
