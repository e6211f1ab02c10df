"""The step author's face: everything a machine's file imports, and nothing else."""

from avm.message import Cancel, Event, Message, Refused, Send, Step
from caps.light import TYPE_CHECKING, later
from caps.map import Map
from caps.slots import INSPECT, NULL, RANDOM, TIME, Me
from caps.value import Affine, Capability, Failed, Linear, Record, Relevant, Value

if TYPE_CHECKING:
    from avm.cases import Cases
    from caps.narrowing import narrow
    from caps.record import record

__all__ = [
    "INSPECT",
    "NULL",
    "RANDOM",
    "TIME",
    "Affine",
    "Cancel",
    "Capability",
    "Cases",
    "Event",
    "Failed",
    "Linear",
    "Map",
    "Me",
    "Message",
    "Record",
    "Refused",
    "Relevant",
    "Send",
    "Step",
    "Value",
    "narrow",
    "record",
]

# These need `dataclasses` and `typing`, which take longer to import than all the rest.
_LATER = {"Cases": "avm.cases", "narrow": "caps.narrowing", "record": "caps.record"}

if not TYPE_CHECKING:  # a checker would take every name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return later(_LATER[name], name)
