"""Plans of faults for Hypothesis: it shrinks them to few faults, early, short and of the first host."""

from collections.abc import Sequence
from typing import Any, get_type_hints

from hypothesis import strategies as st

from avm.sim.plan import FAULTS, WORDS, Fault, Plan


def faults(hosts: Sequence[str], duration_ms: int = 5_000) -> st.SearchStrategy[Fault]:
    """Any fault of these hosts."""
    return st.one_of([_of(kind, hosts, duration_ms) for kind in FAULTS])


def plans(hosts: Sequence[str], duration_ms: int = 5_000, most: int = 8) -> st.SearchStrategy[Plan]:
    """Plans of a few faults."""
    return st.lists(faults(hosts, duration_ms), max_size=most).map(lambda some: Plan(tuple(some)))


def _of(kind: type[Fault], hosts: Sequence[str], duration_ms: int) -> st.SearchStrategy[Fault]:
    fields: dict[str, st.SearchStrategy[Any]] = {
        name: _value(name, hint, hosts, duration_ms) for name, hint in get_type_hints(kind).items()
    }
    return st.builds(kind, **fields)


def _value(name: str, hint: Any, hosts: Sequence[str], duration_ms: int) -> st.SearchStrategy[Any]:
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    if hint is str:
        return st.sampled_from(hosts)
    if hint is bool:
        return st.booleans()
    if hint is float:
        return st.sampled_from((0.0, 0.01, 0.3))
    if hint is int:
        most = {"commit": 9, "bytes_s": 10_000, "ppm": 50_000, "answers": 3}.get(name, duration_ms)
        return st.integers(-most if name in ("ppm", "by_ms") else 0, most)
    return st.lists(st.sampled_from(hosts), min_size=1, max_size=2, unique=True).map(tuple)
