"""The capabilities in a value, and the value with others in their places.

What a pattern needs that looks after more than the one capability it stands before.
"""

from collections.abc import Iterator, Mapping

from avm import Affine, Capability, Failed, Linear, Map, Relevant, Value


def capabilities_in(value: Value) -> tuple[Capability, ...]:
    """Each capability in a value, once, in the order in which they come."""
    return tuple(dict.fromkeys(_each(value)))


def _each(value: Value) -> Iterator[Capability]:
    match value:
        case Capability():
            yield value
        case tuple():
            for part in value:
                yield from _each(part)
        case Map():
            for key, part in value.items():
                yield from _each(key)
                yield from _each(part)
        case Linear(inner) | Affine(inner) | Relevant(inner):
            yield from _each(inner)
        case Failed():
            yield from _each(value.content)


def replaced(value: Value, others: Mapping[Capability, Value]) -> Value:
    """The value, with what `others` says in the place of each capability that is named there."""
    match value:
        case Capability():
            return others.get(value, value)
        case tuple():
            return tuple(replaced(part, others) for part in value)
        case Map():
            pairs = value.items()
            return Map({replaced(key, others): replaced(part, others) for key, part in pairs})
        case Linear(inner) | Affine(inner) | Relevant(inner):
            return type(value)(replaced(inner, others))
        case Failed():
            return Failed(value.why, value.detail, replaced(value.content, others))
    return value
