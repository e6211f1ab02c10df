"""What the authority graph answers: who can reach what, by which chain, and what a revocation breaks. Pure.

Beside the journey, for `caps who-can`, `caps path` and `caps revoke --dry-run`. Who holds a capability
to a machine can use what that machine holds only as far as its step goes along: a chain is what
could happen, and where there is none, nothing can.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from avm.authority.holding import Graph, Holding, How, Party, terms_of, within
from avm.host.capability import Cap, Local, Reply

Chain = tuple[Holding, ...]
# Which capabilities are meant, or are to be revoked.
Cut = Callable[[Holding], bool]
# Who stands before a holder is looked at for at most so many of them when a revocation is tried.
AFFECTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Loss:
    """What a party loses: what it holds itself, and whom it can reach no more."""

    party: Party
    holdings: tuple[Holding, ...]
    unreached: tuple[Party, ...]


@dataclass(frozen=True, slots=True)
class Losses:
    """What a revocation would break; `left_out` parties were not looked at."""

    found: tuple[Loss, ...]
    left_out: int = 0


def who_can(graph: Graph, address: bytes, meant: Cut | None = None) -> list[tuple[Party, Chain]]:
    """Everyone who can reach a machine, or one of the capabilities `meant`, with a shortest chain each.

    The chain begins with what the party holds; those with the shortest come first.
    """
    chains: dict[bytes, Chain] = {}
    waiting: deque[bytes] = deque()
    for one in graph.to.get(address, ()):
        if one.holder == address or one.holder in chains or not (meant is None or meant(one)):
            continue
        if _carries(graph, one):
            chains[one.holder] = (one,)
            waiting.append(one.holder)
    while waiting:
        reached = waiting.popleft()
        for one in graph.to.get(reached, ()):
            if one.holder in chains or one.holder == address or not _carries(graph, one):
                continue
            chains[one.holder] = (one, *chains[reached])
            waiting.append(one.holder)
    order = [(graph.party(holder), chain) for holder, chain in chains.items()]
    return sorted(order, key=lambda found: (len(found[1]), found[0].label, found[0].address))


def path(graph: Graph, start: bytes, end: bytes, meant: Cut | None = None) -> Chain | None:
    """The shortest chain of who holds whom from one party to another; None where there is none.

    With `meant` it ends with one of these. A party's chain to itself has at least one capability.
    """
    came: dict[bytes, Holding] = {}
    waiting = deque([start])
    while waiting:
        at = waiting.popleft()
        for one in graph.held.get(at, ()):
            if not _carries(graph, one):
                continue
            if one.target == end and (meant is None or meant(one)):
                return _back(came, start, one)
            if one.target not in came and one.target != start:
                came[one.target] = one
                waiting.append(one.target)
    return None


def _back(came: dict[bytes, Holding], start: bytes, last: Holding) -> Chain:
    chain = [last]
    while chain[-1].holder != start:
        chain.append(came[chain[-1].holder])
    return tuple(reversed(chain))


def _carries(graph: Graph, one: Holding) -> bool:
    """Whether a message can go this way now: what was set aside waits for the operator's word."""
    return one.how is not How.FAILED and not graph.dead(one)


def reached_from(graph: Graph, start: bytes, cut: Cut | None = None) -> set[bytes]:
    """Whom a party can reach, itself left out; `cut` says what is not there any more."""
    found = {start}
    waiting = [start]
    while waiting:
        for one in graph.held.get(waiting.pop(), ()):
            if one.target in found or not _carries(graph, one) or (cut is not None and cut(one)):
                continue
            found.add(one.target)
            waiting.append(one.target)
    return found - {start}


def losses(graph: Graph, address: bytes, cut: Cut) -> Losses:
    """What everyone would lose when the capabilities to a machine that `cut` names were revoked."""
    gone = [one for one in graph.to.get(address, ()) if cut(one) and not graph.dead(one)]
    direct: dict[bytes, list[Holding]] = {}
    for one in gone:
        direct.setdefault(one.holder, []).append(one)
    before = list(_upstream(graph, direct))
    looked = before[:AFFECTED_MAX]
    found: list[Loss] = []
    for holder in looked:
        lost = reached_from(graph, holder) - reached_from(graph, holder, cut)
        if lost or holder in direct:
            parties = sorted(map(graph.party, lost), key=lambda one: (one.label, one.address))
            own = tuple(direct.get(holder, ()))
            found.append(Loss(graph.party(holder), own, tuple(parties)))
    found.sort(key=lambda one: (not one.holdings, one.party.label, one.party.address))
    return Losses(tuple(found), len(before) - len(looked))


def _upstream(graph: Graph, holders: Iterable[bytes]) -> Iterator[bytes]:
    """These, and whoever can reach one of them."""
    found = dict.fromkeys(holders)
    waiting = deque(found)
    while waiting:
        at = waiting.popleft()
        yield at
        for one in graph.to.get(at, ()):
            if one.holder not in found and _carries(graph, one):
                found[one.holder] = None
                waiting.append(one.holder)


def one_capability(cap: Cap) -> Cut:
    """One capability and those narrowed from it, wherever they are held."""
    return lambda one: within(one.cap, cap)


def of_any_generation(cap: Cap) -> Cut:
    """The same, whichever key generation it was sealed in: a name is sealed anew with each."""
    if type(cap) is not Local:
        return one_capability(cap)
    bare = cap._replace(generation=0)
    return lambda one: type(one.cap) is Local and within(one.cap._replace(generation=0), bare)


def a_generation(address: bytes, generation: int) -> Cut:
    """A machine's capabilities of this key generation and of those before it; names are sealed anew."""

    def cut(one: Holding) -> bool:
        if one.target != address or one.how is How.NAME or type(one.cap) is Reply:
            return False
        return terms_of(one.cap).generation <= generation

    return cut


__all__ = [
    "AFFECTED_MAX",
    "Chain",
    "Loss",
    "Losses",
    "a_generation",
    "losses",
    "of_any_generation",
    "one_capability",
    "path",
    "reached_from",
    "who_can",
]
