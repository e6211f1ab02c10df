"""A core as bytes, and back: all that it knows, its keys among it. Pure.

Beside the journey. What is only remembered to be quick is left out: a core that was restored answers
as the one that was saved, input by input.
"""

from dataclasses import astuple
from enum import Enum
from types import ModuleType

from avm.graph import BadGraph, Form, Made
from avm.host import (
    acts,
    batch,
    capability,
    cases,
    channel,
    deadlines,
    doubt,
    effects,
    exchange,
    moves,
    operate,
    parcel,
    parting,
    passage,
    peers,
    roster,
    scheduler,
    spans,
    state,
)
from avm.host.core import Core
from avm.host.keys import Keyring
from avm.host.state import Host
from avm.limits import Limits
from caps.identity import Endpoint, Identity, parse_identity_untrusted

ROOMS = (
    acts,
    batch,
    capability,
    cases,
    channel,
    deadlines,
    doubt,
    effects,
    exchange,
    moves,
    operate,
    parcel,
    parting,
    passage,
    peers,
    roster,
    scheduler,
    spans,
    state,
)
MADE = (
    Made(Keyring, Keyring.parts, Keyring.from_parts),
    Made(Limits, astuple, Limits),
    Made(Identity, lambda one: (one.to_bytes(),), parse_identity_untrusted),
)


def _values_of(room: ModuleType) -> list[type]:
    """The classes of a room that hold something: those with fields, and the enums."""
    found = [one for one in vars(room).values() if isinstance(one, type)]
    own = [one for one in found if one.__module__ == room.__name__]
    return [
        one
        for one in own
        if issubclass(one, Enum) or hasattr(one, "_fields") or "__slots__" in vars(one)
    ]


FORM = Form([Endpoint, *(one for room in ROOMS for one in _values_of(room))], MADE)


def saved(core: Core) -> bytes:
    """All that a core knows."""
    return FORM.dumps(core.host)


def restored_untrusted(body: bytes) -> Core:
    """The core that was saved; raises `BadGraph`."""
    host = FORM.loads_untrusted(body)
    if type(host) is not Host:
        raise BadGraph("it holds no host")
    core = Core.__new__(Core)
    core.host = host
    return core


__all__ = ["BadGraph", "restored_untrusted", "saved"]
