"""A plan of faults from a seed. Pure."""

from collections.abc import Callable, Mapping, Sequence

from avm.sim.chance import Chance
from avm.sim.lies import LIES
from avm.sim.plan import (
    NAT_KINDS,
    Asymmetric,
    BreakLinks,
    ClockDrift,
    ClockJump,
    Clog,
    Crash,
    CrashAtCommit,
    DeadWorker,
    Duplicate,
    Fault,
    FsyncError,
    KillWorker,
    Latency,
    Loss,
    LyingWorker,
    Nat,
    Partition,
    Plan,
    RefuseCommits,
    Reorder,
    SlowDisk,
    SlowWorker,
)

# How often each fault comes, one against another.
WEIGHTS: Mapping[str, int] = {
    "Crash": 6,
    "CrashAtCommit": 6,
    "FsyncError": 2,
    "Partition": 3,
    "Asymmetric": 2,
    "BreakLinks": 4,
    "Loss": 3,
    "Duplicate": 2,
    "Reorder": 2,
    "Latency": 2,
    "Clog": 2,
    "SlowDisk": 2,
    "RefuseCommits": 2,
    "SlowWorker": 2,
    "KillWorker": 4,
    "DeadWorker": 1,
    "ClockDrift": 1,
    "ClockJump": 2,
    "Nat": 0,
    "LyingWorker": 0,
}
A_FAULT_S = 2.0
JUMPS_MS = (-3_600_000, -1_500, -50, 50, 1_500, 3_600_000)


def draw(
    seed: int,
    hosts: Sequence[str],
    duration_s: float,
    weights: Mapping[str, int] = WEIGHTS,
    every_s: float = A_FAULT_S,
) -> Plan:
    """Draws a plan for these hosts: a fault every so often, as often of each kind as it weighs."""
    chance = Chance(seed)
    kinds = [name for name, weight in sorted(weights.items()) for _ in range(weight)]
    faults: list[Fault] = []
    end_ms = round(1000 * duration_s)
    for _ in range(round(duration_s / every_s)):
        at_ms = chance.below(max(1, end_ms))
        faults.append(_DRAWN[chance.choice(kinds)](chance, at_ms, hosts))
    return Plan(tuple(sorted(faults, key=lambda one: one.at_ms)))


def _lasts(chance: Chance) -> int:
    return 50 + chance.tail(1_500)


def _down(chance: Chance) -> int:
    return 1 + chance.tail(400)


def _some(chance: Chance, hosts: Sequence[str]) -> tuple[str, ...]:
    """Some of the hosts; often just one."""
    if chance.hits(0.5) or len(hosts) < 3:
        return (chance.choice(hosts),)
    return tuple(one for one in hosts if chance.hits(0.4)) or (chance.choice(hosts),)


def _any(chance: Chance, hosts: Sequence[str]) -> tuple[str, ...]:
    """All hosts, or some."""
    return () if chance.hits(0.4) else _some(chance, hosts)


def _pair(chance: Chance, hosts: Sequence[str]) -> tuple[str, str]:
    return chance.choice(hosts), chance.choice(hosts)


_Drawn = Callable[[Chance, int, Sequence[str]], Fault]
_DRAWN: dict[str, _Drawn] = {
    "Crash": lambda c, at, of: Crash(at, c.choice(of), _down(c), c.hits(0.3)),
    "CrashAtCommit": lambda c, at, of: CrashAtCommit(
        at, c.choice(of), c.below(8), c.hits(0.5), _down(c)
    ),
    "FsyncError": lambda c, at, of: FsyncError(at, c.choice(of), c.below(8), c.hits(0.5), _down(c)),
    "Partition": lambda c, at, of: Partition(at, _lasts(c), _some(c, of)),
    "Asymmetric": lambda c, at, of: Asymmetric(at, _lasts(c), _some(c, of), _some(c, of)),
    "BreakLinks": lambda c, at, of: BreakLinks(at, *_pair(c, of), c.hits(0.5)),
    "Loss": lambda c, at, of: Loss(at, _lasts(c), c.choice((0.01, 0.05, 0.3)), _any(c, of)),
    "Duplicate": lambda c, at, of: Duplicate(at, _lasts(c), c.choice((0.05, 0.5)), _any(c, of)),
    "Reorder": lambda c, at, of: Reorder(at, _lasts(c), c.choice((20, 200)), _any(c, of)),
    "Latency": lambda c, at, of: Latency(at, _lasts(c), c.choice((50, 500, 3_000)), _any(c, of)),
    "Clog": lambda c, at, of: Clog(at, _lasts(c), *_pair(c, of), c.choice((500, 5_000))),
    "SlowDisk": lambda c, at, of: SlowDisk(at, _lasts(c), c.choice(of), c.choice((20, 500))),
    "RefuseCommits": lambda c, at, of: RefuseCommits(at, _lasts(c), c.choice(of)),
    "SlowWorker": lambda c, at, of: SlowWorker(at, _lasts(c), c.choice(of), c.choice((5, 300))),
    "KillWorker": lambda c, at, of: KillWorker(at, c.choice(of)),
    "DeadWorker": lambda c, at, of: DeadWorker(at, c.choice(of)),
    "LyingWorker": lambda c, at, of: LyingWorker(
        at, c.choice(of), c.choice(tuple(LIES)), 1 + c.below(2)
    ),
    "ClockDrift": lambda c, at, of: ClockDrift(
        at, _lasts(c), c.choice(of), c.choice((-50_000, -200, 200, 50_000))
    ),
    "ClockJump": lambda c, at, of: ClockJump(at, c.choice(of), c.choice(JUMPS_MS)),
    "Nat": lambda c, at, of: Nat(at, c.choice(of), c.choice(NAT_KINDS), c.choice((20_000, 60_000))),
}
