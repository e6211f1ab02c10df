"""What is no state of a machine's code: what `migrate` returns by mistake, and records without a class. Pure.

Beside the journey, where code is changed or a state is put in the place of another.
"""

from dataclasses import MISSING
from typing import Any

from avm.message import Cancel, Send
from caps.errors import CapsError
from caps.map import Map
from caps.value import Record


def refuse_no_state(state: Any) -> None:
    """Refuses what a `migrate` returns by mistake: nothing, or sends as the other functions do."""
    if state is None:
        raise CapsError("migrate returned nothing: it returns the new state")
    match state:
        case ([*sends], _) if type(state) is tuple and type(state[0]) is list:
            if all(isinstance(one, Send | Cancel) for one in sends):
                raise CapsError("migrate returned (sends, state): it returns the new state alone")


def generic_records(value: Any, records: dict[str, type]) -> str:
    """The first record in a state that fits no class of the code, with why, or ''."""
    if isinstance(value, Record):
        return _misfit(value, records)
    parts: Any = ()
    if type(value) is tuple:
        parts = value
    elif isinstance(value, Map):
        parts = value.values()
    elif hasattr(value, "__record_name__"):
        parts = [getattr(value, name) for name in value.__dataclass_fields__]
    for part in parts:
        found = generic_records(part, records)
        if found:
            return found
    return ""


def _misfit(record: Record, records: dict[str, type]) -> str:
    known: Any = records.get(record.name)
    if known is None:
        return f"{record.name}: there is no such class"
    for name in record.fields:
        if name not in known.__record_fields__:
            return f"{record.name}: it has no field {name}"
    for name in known.__record_fields__:
        made = known.__dataclass_fields__[name]
        if name not in record.fields and made.default is made.default_factory is MISSING:
            return f"{record.name}: its field {name} is new and has no default"
    return record.name
