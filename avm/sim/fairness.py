"""That no sender waits while others' batches go ahead of its own without end. Pure.

Looks at the queues of a host's machines, and counts for each sender's first batch how many of every
other sender have been given out since it waits. `avm.host.scheduler` promises one at equal size.
"""

from avm.host.state import Host, Machine, Status
from avm.sim.host import SimHost

# A batch of ten messages costs twice one of a single message, and a sender may be one batch ahead.
OVERTAKEN_MAX = 6

Given = dict[bytes, int]
Place = tuple[int, bytes]


class Fairness:
    """Who waits in which queue, and what had been given out when that began."""

    __slots__ = ("_waits",)

    def __init__(self) -> None:
        self._waits: dict[str, dict[Place, tuple[int, Given]]] = {}

    def forget(self, host: str) -> None:
        """A host has started anew: its queues are others."""
        self._waits.pop(host, None)

    def look(self, host: SimHost) -> str:
        """Looks at a host now; who there is overtaken too often, empty for nobody."""
        before = self._waits.get(host.name, {})
        waits = self._waits[host.name] = {}
        for machine in host.core.host.machines.values():
            heads = _heads(machine)
            if not heads:
                continue
            given = _given(host.core.host, machine)
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


def _heads(machine: Machine) -> dict[bytes, int]:
    """The first batch of each sender that waits."""
    heads: dict[bytes, int] = {}
    if machine.status is not Status.RUNNING:
        return heads  # nothing is given out; what its deadline ends there overtakes nobody
    for batch in machine.queue or ():
        heads.setdefault(batch.sender, batch.seq)
    return heads if len(heads) > 1 else {}


def _given(host: Host, machine: Machine) -> Given:
    """How many batches of each sender are no longer in the queue."""
    given = {
        sender: channel.taken
        for (sender, receiver), channel in host.channels.items()
        if receiver == machine.address
    }
    for flight in machine.flights or ():
        if flight.batch is not None:
            given[flight.batch.sender] = given.get(flight.batch.sender, 0) + 1
    return given
