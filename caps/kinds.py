"""Kinds, the substructural discipline of values: which may be dropped, and which copied.

A linear value is neither dropped nor copied, an affine one may be dropped, a relevant one copied. What
is frozen notes it in its weight, above the bits of its size: so whether a value holds anything of a
kind is known without a walk, and costs nothing where nothing does.
"""

from __future__ import annotations

from caps.frozen import SIZE_BITS, weight_of

KINDS = ("", "linear", "affine", "relevant")
UNCOPIED, UNDROPPED = 1 << SIZE_BITS, 1 << 2 * SIZE_BITS
# What a value of each kind adds to the weight of all that it stands in.
MARKS = {
    "": 0,
    "linear": UNCOPIED | UNDROPPED,
    "affine": UNCOPIED,
    "relevant": UNDROPPED,
}
SIZE_MAX = UNCOPIED - 1


def size_of(value: object) -> int:
    """Return how many bytes a frozen value takes when it is encoded as a state."""
    return weight_of(value) & SIZE_MAX


def is_kinded(value: object) -> bool:
    """Return whether a frozen value is, or holds, anything that may not be dropped or copied."""
    return weight_of(value) > SIZE_MAX


def kind_in(value: object) -> str:
    """Return the least kind that keeps the discipline of everything in a frozen value."""
    weight = weight_of(value)
    if weight <= SIZE_MAX:
        return ""
    copied = not weight % UNDROPPED >= UNCOPIED
    return "relevant" if copied else "linear" if weight >= UNDROPPED else "affine"


def joined(first: str, second: str) -> str:
    """Return the least kind that is at least both."""
    if first == second or not second:
        return first
    return second if not first else "linear"


def covers(kind: int, other: int) -> bool:
    """Return whether the kind at one place in `KINDS` is at least that at another."""
    return joined(KINDS[kind], KINDS[other]) == KINDS[kind]
