"""The lives of a host that are cut short everywhere: three, and a small one of all that is in them."""

from dataclasses import dataclass, replace

from avm.limits import Limits
from avm.sim.entropy import Entropy
from tests.crashes.play import Move

TOKENS = 12
POUCHES = ("pouch0", "pouch1", "pouch2")


@dataclass(frozen=True, slots=True)
class Workload:
    """A plan, and what makes the store do much in little of it."""

    name: str
    plan: tuple[Move, ...]
    limits: Limits
    log_pages_max: int


def _pouches() -> list[Move]:
    share = TOKENS // len(POUCHES)
    plan: list[Move] = [("client", False), ("client", True)]
    for i, name in enumerate(POUCHES):
        plan.append(("create", name, "pouch", tuple(range(i * share, (i + 1) * share))))
    return [*plan, ("meet", *POUCHES), ("settle",)]


def _going(entropy: Entropy, moves: int) -> list[Move]:
    """Tokens that are handed on while others are on their way."""
    plan: list[Move] = []
    for n in range(moves):
        c, name = entropy.below(2), entropy.choice(POUCHES)
        ways = [(entropy.below(1000), entropy.below(50)) for _ in range(1 + entropy.below(3))]
        plan.append(("go", c, name, *ways) if n % 4 else ("ask", c, name, *ways[0]))
        plan.append(("steps", entropy.below(9)))
    return plan


def tokens() -> Workload:
    """Tokens moved between machines by asks, with timers, broken batches and workers that die."""
    entropy = Entropy(82)
    plan = [*_pouches(), *_going(entropy, 8), ("alarm", 0, "pouch1", 0.5), ("break", 1, "pouch0")]
    plan += [("steps", 3), ("kill",), *_going(entropy, 6), ("advance", 1.0)]
    plan += [*_going(entropy, 6), ("drop", "pouch0"), ("advance", 30.0)]
    limits = replace(Limits(), snapshot_turns=12, turn_s=2.0)
    return Workload("tokens", tuple(plan), limits, 48)


def life() -> Workload:
    """All that an operator does to a host: to its machines, its journals, its directory."""
    entropy = Entropy(83)
    plan = [*_pouches(), ("create", "sheet", "sheet", None), ("swell", 0, "sheet", 1, 300)]
    plan += [*_going(entropy, 4), ("edit", "sheet", 40), ("upgrade", "sheet", "sheet")]
    plan += [("suspend", "pouch2"), *_going(entropy, 4), ("backup", "monday.avm")]
    plan += [("resume", "pouch2"), ("upgrade", "pouch1", "pouch"), ("swell", 0, "sheet", 41, 900)]
    plan += [("create", "brief", "sheet", None), ("swell", 1, "brief", 1, 9_000), ("settle",)]
    plan += [("halt", "brief"), *_going(entropy, 3), ("rm", "brief"), ("prune", "pouch0")]
    plan += [("break", 0, "pouch2"), ("settle",), ("retry", "pouch2"), ("restart",)]
    plan += [*_going(entropy, 3), ("backup", "tuesday.avm"), ("put", "tuesday.avm", "again")]
    plan += [("come", "again"), ("edit", "sheet", 7), ("advance", 5.0)]
    limits = replace(Limits(), snapshot_turns=8, turn_s=2.0)
    return Workload("life", tuple(plan), limits, 64)


def checkpoints() -> Workload:
    """Large states and a snapshot every few turns: the log is copied and begun again and again."""
    plan: list[Move] = [("client", False), ("client", True)]
    plan += [("create", "one", "sheet", None), ("create", "two", "sheet", None)]
    for n in range(1, 11):
        plan.append(("swell", 0, "one", n, 2_000 * n))
        plan.append(("swell", 1, "two", n, (40_000, 200, 12_000)[n % 3]))
        plan.append(("steps", 4) if n % 3 else ("settle",))
        if n == 7:
            plan.append(("prune", "two"))
    plan += [("settle",), ("advance", 1.0)]
    limits = replace(Limits(), snapshot_turns=2, snapshot_bytes=2_000)
    return Workload("checkpoints", tuple(plan), limits, 16)


def small() -> Workload:
    """The shortest life in which everything is written that a host writes."""
    plan: list[Move] = [("client", True), ("create", "sheet", "sheet", None)]
    plan += [("swell", 0, "sheet", 1, 9_000), ("backup", "monday.avm"), ("swell", 0, "sheet", 2, 0)]
    plan += [("put", "monday.avm", "again"), ("come", "again"), ("swell", 0, "sheet", 3, 20_000)]
    return Workload("small", tuple(plan), Limits(), 8)


WORKLOADS = {one.name: one for one in (small(), tokens(), life(), checkpoints())}
