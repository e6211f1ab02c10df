"""Whether what a host keeps for its machines stays within its limits. Pure; part of the invariants."""

from avm.host.state import Host, Machine
from avm.sim.host import SimHost

Way = tuple[str, bytes, bytes]


class Memory:
    """Watches the queues and outboxes of hosts."""

    __slots__ = ("_sent_here",)

    def __init__(self) -> None:
        # The last number that was queued on a host while its sender lived there too.
        self._sent_here: dict[Way, int] = {}

    def look(self, host: SimHost) -> str:
        """What is over its limit on a host, if anything is."""
        core = host.core.host
        limits = core.limits
        # What was in flight comes back when its worker dies.
        most = limits.inbox_batches + limits.flights_machine + 1
        for machine in core.machines.values():
            count = self._most_of_one_sender(host.name, core, machine) if machine.queue else 0
            if count > most:
                return f"{machine.name} has {count} batches of one sender waiting"
            if machine.outbox_bytes > limits.outbox_bytes + limits.turn_bytes:
                return f"{machine.name} has {machine.outbox_bytes} bytes in its outbox"
        return ""

    def forget(self, host: SimHost) -> None:
        """A host has died: what waited there and was not held is offered to it again, as it has room."""
        held = {(host.name, columns[1], columns[0]) for columns, _body in host.store.rows("inbox")}
        self._sent_here = {
            way: seq for way, seq in self._sent_here.items() if way[0] != host.name or way in held
        }

    def _most_of_one_sender(self, name: str, core: Host, machine: Machine) -> int:
        """But for what stands in its sender's outbox, and is bounded there.

        That is all that is sent on one host, also when its sender has left with its outbox since.
        """
        counts: dict[bytes, int] = {}
        for one in machine.queue or ():
            way = (name, one.sender, machine.address)
            if one.sender in core.machines or one.sender in core.moves.leaving:
                self._sent_here[way] = max(self._sent_here.get(way, 0), one.seq)
            elif one.digest and one.seq > self._sent_here.get(way, 0):
                counts[one.sender] = counts.get(one.sender, 0) + 1
        return max(counts.values(), default=0)
