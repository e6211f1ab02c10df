"""The weather of a world: what the faults that are there now do to each path, disk and worker. Pure."""

from dataclasses import dataclass, field

from avm.sim.chance import Chance
from avm.sim.plan import (
    Asymmetric,
    Clog,
    Duplicate,
    Fault,
    Latency,
    Loss,
    Partition,
    RefuseCommits,
    Reorder,
    SlowDisk,
    SlowWorker,
)

# One way between two hosts: from so much up to twice as much and more, the same for the pair always.
PATH_US_MIN = 2_000
PATH_US_SPREAD = 40_000
JITTER = 16
RESENT_US_MIN = 25_000
RESENDS_MAX = 8


@dataclass(slots=True)
class Weather:
    """Faults that are there now."""

    now: list[Fault] = field(default_factory=list)
    paths: dict[tuple[int, int], int] = field(default_factory=dict)

    def begin(self, fault: Fault) -> None:
        """A fault is there."""
        self.now.append(fault)

    def end(self, fault: Fault) -> None:
        """A fault is over."""
        if fault in self.now:
            self.now.remove(fault)

    # Paths.

    def is_blocked(self, source: str, target: str) -> bool:
        """Whether nothing gets from one host to another."""
        for fault in self.now:
            if type(fault) is Partition:
                is_cut = (source in fault.hosts) != (target in fault.hosts)
            elif type(fault) is Asymmetric:
                is_cut = source in fault.sources and target in fault.targets
            else:
                is_cut = False
            if is_cut:
                return True
        return False

    def is_lost(self, source: str, target: str, chance: Chance) -> bool:
        """Whether a packet is, this time."""
        losses = [one for one in self.now if type(one) is Loss]
        return any(_is_on(one.hosts, source, target) and chance.hits(one.share) for one in losses)

    def is_doubled(self, source: str, target: str, chance: Chance) -> bool:
        """Whether a datagram comes twice, this time."""
        doubles = [one for one in self.now if type(one) is Duplicate]
        return any(_is_on(one.hosts, source, target) and chance.hits(one.share) for one in doubles)

    def way_us(
        self, seed: int, one: int, other: int, names: tuple[str, str], chance: Chance
    ) -> int:
        """How long a packet takes from one host, by its number and name, to another."""
        pair = (one, other) if one < other else (other, one)
        base = self.paths.get(pair)
        if base is None:
            own = Chance(seed ^ pair[0] << 40 ^ pair[1] << 20)
            own.draw()
            base = self.paths[pair] = PATH_US_MIN + own.below(PATH_US_SPREAD)
        way_us = base + chance.tail(base // JITTER)
        for fault in self.now:
            if type(fault) is Latency and _is_on(fault.hosts, *names):
                way_us += 1000 * fault.add_ms
            elif type(fault) is Reorder and _is_on(fault.hosts, *names):
                way_us += chance.below(1000 * fault.spread_ms + 1)
        return way_us

    def resent_us(self, source: str, target: str, way_us: int, chance: Chance) -> int:
        """How much later a frame of a link comes because its packets were lost and sent again."""
        late_us = 0
        for _ in range(RESENDS_MAX):
            if not self.is_lost(source, target, chance):
                break
            late_us += 3 * way_us + RESENT_US_MIN
        return late_us

    def bytes_s(self, source: str, target: str) -> int | None:
        """How much a link carries; None for as much as one likes."""
        slowest: int | None = None
        for fault in self.now:
            if type(fault) is Clog and fault.source == source and fault.target == target:
                slowest = min(fault.bytes_s, slowest or fault.bytes_s)
        return slowest

    # Hosts.

    def refuses_commits(self, host: str) -> bool:
        """Whether its disk is full."""
        return any(type(one) is RefuseCommits and one.host == host for one in self.now)

    def commit_us(self, host: str) -> int | None:
        """How long its commits take, if something slows them."""
        slow = [one.commit_ms for one in self.now if type(one) is SlowDisk and one.host == host]
        return 1000 * max(slow) if slow else None

    def turn_us(self, host: str) -> int | None:
        """How long a frame takes its workers, if something slows them."""
        slow = [one.turn_ms for one in self.now if type(one) is SlowWorker and one.host == host]
        return 1000 * max(slow) if slow else None


def _is_on(hosts: tuple[str, ...], source: str, target: str) -> bool:
    return not hosts or source in hosts or target in hosts
