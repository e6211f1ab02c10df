"""The step author's face: everything a machine's file imports, and nothing else."""

from avm.cases import Cases
from avm.message import Cancel, Event, Message, Refused, Send, Step
from caps.map import Map
from caps.slots import NULL, Me
from caps.value import Affine, Capability, Failed, Linear, Record, Relevant, Value, record

__all__ = [
    "NULL",
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
    "record",
]
