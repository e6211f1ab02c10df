"""The weight of a value says its size and its kinds, and neither runs over into the other."""

from typing import Any

from caps.kinds import is_kinded, kind_in, size_of
from caps.record import record
from caps.value import Affine


@record
class Pair:
    one: object
    other: object


def test_no_size_runs_over_into_the_kinds() -> None:
    plain: Any = Pair("x" * 1000, 0)
    kept: Any = Pair("x" * 1000, Affine(0))
    for doubled in range(1, 61):
        plain, kept = Pair(plain, plain), Pair(kept, kept)
        # Of these a failing assertion would write down all, which has no end.
        kinds, sizes = (is_kinded(plain), kind_in(kept)), (size_of(plain), size_of(kept))
        assert kinds == (False, "affine") and min(sizes) > 1000 * 2**doubled
