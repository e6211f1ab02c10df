"""What must hold of purses, tokens and asks once all is quiet, and who is excused of what.

A worker that lied about a machine may have failed a batch of it, or made something else of it: that
machine is doubted for as much as that, and no other is.
"""

from collections import Counter
from dataclasses import dataclass

from avm.host import journal
from avm.host.state import Host
from avm.sim.client import Client
from avm.sim.events import Event, Lied
from avm.sim.invariants import Broken
from avm.sim.lies import FAILS, TWISTS
from avm.sim.world import World
from avm.store.interface import Transaction
from tests.sim.campaign import purse
from tests.sim.campaign.guests import Guests

TOKENS = 40


def hold(holds: bool, what: str) -> None:
    """Raises `Broken` where it does not."""
    if not holds:
        raise Broken(what)


class Doubts:
    """The machines that workers lied about; a watcher."""

    def __init__(self) -> None:
        # Whose state may be another than it came to, whose batches may have failed, who was given up.
        self.twisted: set[bytes] = set()
        self.hurt: set[bytes] = set()
        self.halted: set[bytes] = set()

    def happened(self, _world: World, event: Event) -> None:
        """Something has happened."""
        if isinstance(event, Lied):
            if event.lie in TWISTS:
                self.twisted.add(event.machine)
            elif event.lie in FAILS:
                self.hurt.add(event.machine)

    def asserted(self, host: Host, written: Transaction) -> str:
        """What a step asserts in a commit of a host, and is not excused of; "" for nothing.

        What comes with a machine that is not here yet was looked at where it was written.
        """
        for number, n, body, _printed in written.journal:
            if journal.form_of(body) == journal.FAILED:
                detail = str(journal.decode(n, body)["detail"])
                _, found, what = detail.partition("AssertionError: ")
                whose = _whose(host, number)
                if found and whose and not self._excuse(whose, what):
                    return what.strip()
        return ""

    def _excuse(self, machine: bytes, what: str) -> bool:
        """Whether a step may assert this: a purse that is another than it was says a token twice."""
        return machine in self.twisted or (bool(self.twisted) and "is here already" in what)


def _whose(host: Host, number: int) -> bytes:
    """The address of a machine that is at a host, or has just left; empty for none."""
    if number in host.by_id:
        return host.by_id[number].address
    left = [one.address for one in host.moves.leaving.values() if one.number == number]
    return left[0] if left else b""


@dataclass(frozen=True, slots=True)
class Ending:
    """A purse at the end: which it is, whether it fails what came for a while, and what it has come to.

    The state of one that is doubted whole is None.
    """

    n: int
    address: bytes
    was_deaf: bool
    state: purse.Purse | None


def judge_purses(
    endings: list[Ending], doubts: Doubts, guests: Guests, counts: Counter[str]
) -> None:
    """Tokens are where they can be, each ask has one outcome, and each bell has rung once."""
    tokens = list(guests.tokens)
    excused = 0
    for ending in endings:
        state = ending.state
        if state is None:
            continue
        is_hurt = ending.address in doubts.hurt
        tokens += state.tokens
        excused += state.outcomes.get("unknown", 0) + len(state.open) * is_hurt
        certain = [one for one in endings if one is not ending and one.state is not None]
        greeted = len(certain) <= state.greeted < len(endings)
        hold(greeted, f"purse{ending.n} was greeted by {state.greeted} others")
        what = f"purse{ending.n} has an ask without outcome: {state.open}"
        hold(is_hurt or not state.open, what)
        rung = sorted(state.rung)
        whole = ending.was_deaf or is_hurt or rung == list(range(1, state.set + 1))
        hold(whole, f"purse{ending.n} set {state.set} bells: {rung}")
        for why, times in state.outcomes.items():
            counts[f"outcome {why}"] += times
    for address in guests.unread:
        hold(address in doubts.twisted, "a guest did not live as its journal says")
    if not doubts.twisted:
        double = [token for token, times in Counter(tokens).items() if times > 1]
        hold(not double, f"a token is in two places: {double}")
        lost = TOKENS - len(tokens)
        hold(lost <= excused, f"{lost} are lost, {excused} unknown")


def judge_clients(clients: list[Client]) -> None:
    """Each ask of a client has one outcome."""
    for client in clients:
        double = [ask for ask, heard in client.outcomes.items() if len(heard) != 1]
        hold(not double, f"a client's ask has more than one outcome: {double}")
        hold(len(client.outcomes) == client.next_ask, "a client's ask has no outcome")
