"""What led to a turn: the batch it took, the turn that sent that, and so on back. Shell.

Beside the journey, for `cause`. A turn's entry has the channel and the number of its batch, and the entry
of the turn that sent it says so; a number that no turn has sent is a timer's. The line
ends at a client, at the host's or the operator's own word, or where another host knows more.
"""

from dataclasses import dataclass

from avm.host import journal
from avm.host.chain import input_of, is_signal
from avm.host.journal import Entry
from avm.host.state import Machine
from avm.machine.frames import channel_name
from avm.past.moments import entry_at
from avm.past.reading import NoSuchTurn, Reader
from avm.past.senders import Search, Way

STEPS_MAX = 1_000
BY_OPERATOR = (journal.CODE, journal.EDIT, journal.SUSPEND, journal.RESUME, journal.HALT)
# Why a line ends.
CLIENT, HOST, OPERATOR = "client", "host", "operator"
ELSEWHERE, GONE, PRUNED, DEPTH = "elsewhere", "gone", "pruned", "depth"


@dataclass(frozen=True, slots=True)
class Step:
    """A turn in a line of causes; `took` is its batch, and `timer` that what follows was set here."""

    machine: Machine
    turn: int
    took: Way | None
    timer: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """Where a line ends, and whose batch it was that nothing is known of before."""

    why: str
    way: Way | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """A line of causes, the latest first; `begins` is the batch that it was asked of, if it was one."""

    begins: Way | None
    steps: tuple[Step, ...]
    end: End


@dataclass(slots=True)
class Causes:
    """The journals of one host, looked through for what led to what; `host` is its address.

    In a fork `origin` is that of the host that it is of, whose word is in the turns before.
    """

    reader: Reader
    host: bytes
    origin: bytes = b""

    def of_turn(self, machine: Machine, turn: int, depth: int = STEPS_MAX) -> Trail:
        """The line that leads to a turn; raises NoSuchTurn, StoreDamaged."""
        return self._followed(None, [Step(machine, turn, self._took(machine, turn))], depth)

    def of_batch(self, way: Way, depth: int = STEPS_MAX) -> Trail:
        """The line that leads to a batch that was sent from here; raises NoSuchTurn, StoreDamaged."""
        found = self._sent(way)
        if isinstance(found, End):
            self._check_number(way)
            return Trail(way, (), found)
        return self._followed(way, [found], depth)

    def _check_number(self, way: Way) -> None:
        """Whether so many batches were sent, as far as the channel is there to say so; NoSuchTurn."""
        channel = self.reader.channel(way.sender, way.receiver)
        if channel is not None and way.seq > channel.sent:
            why = f"there is no batch {way.seq} on that channel"
            raise NoSuchTurn(f"{why}: the newest is {channel.sent}")

    def _followed(self, begins: Way | None, steps: list[Step], depth: int) -> Trail:
        while True:
            last = steps[-1]
            if last.took is None:
                return Trail(begins, tuple(steps), End(self._own_word(last)))
            if len(steps) >= depth:
                return Trail(begins, tuple(steps), End(DEPTH, last.took))
            found = self._sent(last.took, self._entry(last.machine, last.turn))
            if isinstance(found, End):
                return Trail(begins, tuple(steps), found)
            steps.append(found)

    def _entry(self, machine: Machine, n: int) -> Entry:
        return entry_at(self.reader, machine, n).entry

    def _took(self, machine: Machine, turn: int) -> Way | None:
        """The batch of a turn; None where it took none, or took the host's own word."""
        entry = self._entry(machine, turn)
        if entry.form == journal.INIT:
            return self._asked_for(entry, machine)
        if not entry.fields.get("seq") or is_signal(entry):
            return None
        return Way(entry["sender"], machine.address, entry["seq"])

    def _asked_for(self, entry: Entry, machine: Machine) -> Way:
        """What a machine began with: a client's word, or the batch in which a factory asked the host."""
        sender, given = entry["sender"], input_of(entry)
        for host in (self.host, self.origin):
            if given is not None and given.channel == channel_name(sender, host):
                # Each such batch has one message: of one with more no machine is made.
                return Way(sender, host, given.ordinal + 1)
        return Way(sender, machine.address, 0)

    def _own_word(self, step: Step) -> str:
        entry = self._entry(step.machine, step.turn)
        return OPERATOR if entry.form in BY_OPERATOR else HOST

    def _sent(self, way: Way, taken: Entry | None = None) -> Step | End:
        """The turn by which a batch was sent; `taken` is the entry of the turn that took it."""
        if way.sender in (self.host, self.origin):
            return End(HOST, way)
        machine = next((m for m in self.reader.machines() if m.address == way.sender), None)
        if machine is None:
            return End(self._stranger(way), way)
        found = Search(self.reader, machine, way, taken).run()
        if found is None:
            return End(PRUNED, way)
        turn, timer = found
        return Step(machine, turn, self._took(machine, turn), timer)

    def _stranger(self, way: Way) -> str:
        """Who a sender is that is no machine here."""
        if way.sender in self.reader.clients() or not way.seq:
            return CLIENT
        channel = self.reader.channel(way.sender, way.receiver)
        if channel is not None and channel.digest:
            return ELSEWHERE
        return ELSEWHERE if self.reader.gone(way.sender.hex()) else GONE


__all__ = [
    "CLIENT",
    "DEPTH",
    "ELSEWHERE",
    "GONE",
    "HOST",
    "OPERATOR",
    "PRUNED",
    "STEPS_MAX",
    "Causes",
    "End",
    "Step",
    "Trail",
]
