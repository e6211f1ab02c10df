"""The shapes of a machine's references: what stands inside one. Pure.

Steps 4 and 5 of the journey. A reference is a slot number, a common name, a literal of six fields whose
last are the references in its context, or one of these with caveats more: [reference, [caveat, ..]].
"""

from typing import Any


def is_narrowed(reference: Any) -> bool:
    """Whether it is another reference with caveats more; beside a number nothing else is one."""
    pair = isinstance(reference, list | tuple) and len(reference) == 2
    return pair and isinstance(reference[1], list | tuple)


def inner_of(reference: list[Any]) -> list[Any]:
    """The references inside a literal, or the one that has caveats more."""
    inner: list[Any] = reference[:1] if len(reference) == 2 else reference[5]
    return inner


def with_inner(reference: list[Any], inner: list[Any]) -> list[Any]:
    """The same literal, or the same caveats, over other references."""
    return [*inner, reference[1]] if len(reference) == 2 else [*reference[:5], inner]


def plain_of(reference: Any) -> Any:
    """A reference without the caveats that were added to it."""
    while is_narrowed(reference):
        reference = reference[0]
    return reference


__all__ = ["inner_of", "is_narrowed", "plain_of", "with_inner"]
