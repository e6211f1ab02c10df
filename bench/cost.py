"""What one call costs: processor time, the best of many short rounds, several works by turns.

A core that shares its execution units with a busy neighbour takes up to twice as long for everything, for
seconds on end, and nothing on this side shows it. So the rounds are short and spread over a time, and works
that are compared have theirs in the same moments.
"""

from collections.abc import Callable, Mapping
from time import perf_counter, process_time
from typing import TypeAlias

# So many calls, to the processor time that they took, in seconds.
Round: TypeAlias = Callable[[int], float]


def calls(once: Callable[[], object]) -> Round:
    """Rounds of calls, one after the other."""

    def of(times: int) -> float:
        begun = process_time()
        for _ in range(times):
            once()
        return process_time() - begun

    return of


def best_us(works: Mapping[str, Round], times: int, spread_s: float) -> dict[str, float]:
    """Microseconds of one call of each work: the best round of `times` calls within `spread_s` seconds."""
    best = dict.fromkeys(works, float("inf"))
    until = perf_counter() + spread_s
    while True:
        for name, work in works.items():
            best[name] = min(best[name], work(times))
        if perf_counter() >= until:
            return {name: took_s / times * 1e6 for name, took_s in best.items()}
