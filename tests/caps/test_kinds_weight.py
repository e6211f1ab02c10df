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
    for _ in range(60):
        plain, kept = Pair(plain, plain), Pair(kept, kept)
    assert not is_kinded(plain) and size_of(plain) > 1000 * 2**60
    assert kind_in(kept) == "affine" and size_of(kept) > 1000 * 2**60
