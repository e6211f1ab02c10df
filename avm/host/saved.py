"""The whole of what a host core knows, as bytes, and back. Pure.

Beside the journey: the record of a live host begins with it, a simulated host is saved and forked by
it. The host's two secrets are not in it: whoever restores it has them.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from avm.graph import BadGraph, Form, Made
from avm.host import (
    acts,
    capability,
    cases,
    channel,
    effects,
    exchange,
    generations,
    moves,
    operate,
    passage,
    peers,
    state,
)
from avm.host.auditlog import AuditLog
from avm.host.batch import Batch, Said
from avm.host.core import Core
from avm.host.deadlines import Deadlines
from avm.host.doubt import Doubt, Found
from avm.host.doubt import Verdict as Doubted
from avm.host.header import Header
from avm.host.keys import Keyring
from avm.host.machine_file import Unpacked
from avm.host.making import Make
from avm.host.parcel import Parcel
from avm.host.parting import Leave
from avm.host.plan import Plan
from avm.host.rebuild import Rebuild
from avm.host.roster import Known, Roster
from avm.host.scheduler import Queue
from avm.host.spans import Span, Spans
from avm.host.state import Host
from avm.limits import Limits
from caps.certificate import Certificate, Renewal, Terms
from caps.identity import Endpoint, Identity, parse_identity_untrusted

_STATE = (
    *(
        state.Status,
        state.Mode,
        state.End,
        state.Use,
        state.Ask,
        state.Timer,
        state.Channel,
        state.Flight,
    ),
    *(state.Machine, state.Client, state.Ending, state.Worker, state.Group, Host),
    *(Batch, Said, AuditLog, Queue, Span, Spans, Known, Roster, Limits, Plan, Header),
    *(capability.Local, capability.Reply, capability.Sealed, capability.Named),
    *(Doubt, Doubted, Found),
)
_OTHERS = (
    *(
        peers.Place,
        peers.Peer,
        peers.Outgoing,
        peers.Partial,
        peers.Incoming,
        peers.Link,
        peers.Proof,
    ),
    *(cases.Decision, cases.Claim, cases.Contradiction, cases.Cases),
    *(moves.Asked, moves.Leaving, moves.Redirect, moves.Landing, moves.Moves, Parcel, Leave),
    *(moves.Carried, state.Making, Make, Rebuild, generations.Rotate, generations.Revoke),
    *(passage.Move, passage.Willing, passage.Ready, passage.Fetch, passage.Piece),
    *(passage.Landed, passage.Moved, exchange.Want, exchange.Peers),
    *(channel.Open, channel.Mark, channel.Offer, channel.Part, channel.Told, channel.Again),
    *(channel.Gone, channel.End, Certificate, Renewal, Terms, Endpoint),
)
_ACTS = (
    *(acts.Needs, acts.Loading, acts.Signal, acts.Snapshot),
    *(operate.Created, operate.Create, operate.Upgrade, operate.Edit, operate.Change),
)
_EFFECTS = (
    *(effects.ToWorker, effects.Load, effects.SendCode, effects.Kill, effects.Say, effects.Seek),
    *(effects.Dial, effects.Publish, effects.Carry, effects.Unlink, effects.Frozen),
    *(effects.Verdict, effects.Deliver, effects.Done, effects.Mark),
    *(effects.Export, effects.Exported, effects.Discard),
)
# Every class that a host's state can hold, but for those that are made anew.
CLASSES = (*_STATE, *_OTHERS, *_ACTS, *_EFFECTS)


def _make_keyring(keys: Any, *known: Any) -> Keyring:
    if not isinstance(keys, Keyring):
        raise BadGraph("nobody has its keys")
    return keys.knowing(*known)


def _make_buffer(_given: object, body: object) -> bytearray:
    if type(body) is not bytes:
        raise BadGraph("bytes that are none")
    return bytearray(body)


# What comes in parts of another host, or out of a file.
BUFFER = Made(bytearray, lambda one: (bytes(one),), _make_buffer)
IDENTITY = Made(
    Identity,
    lambda one: (one.to_bytes(),),
    lambda _given, body: parse_identity_untrusted(body),
    alike=True,
)
KEYRING = Made(Keyring, Keyring.known, _make_keyring)
DEADLINES = Made(
    Deadlines, Deadlines.parts, lambda _given, count, rows: Deadlines.from_parts(count, rows)
)


@cache
def _form(also: tuple[type, ...]) -> Form:
    return Form((*CLASSES, *also), [BUFFER, IDENTITY, KEYRING, DEADLINES])


def dump_host(host: Host, also: Sequence[type] = ()) -> bytes:
    """A host as bytes, at any moment; `also` are the shell's own classes among what it holds."""
    return _form(tuple(also)).dumps(host)


def dump_unpacked(unpacked: Unpacked) -> bytes:
    """A machine out of a file as bytes."""
    return _form((Unpacked,)).dumps(unpacked)


def load_unpacked_untrusted(body: bytes) -> Unpacked:
    """A machine out of a file from bytes; raises `BadGraph`."""
    unpacked = _form((Unpacked,)).loads_untrusted(body)
    if not isinstance(unpacked, Unpacked):
        raise BadGraph("it is no machine out of a file")
    return unpacked


def load_core_untrusted(body: bytes, keys: Keyring, also: Sequence[type] = ()) -> Core:
    """A core that goes on from there, with the fresh keyring of its two secrets; raises `BadGraph`."""
    host = _form(tuple(also)).loads_untrusted(body, given=keys)
    if not isinstance(host, Host):
        raise BadGraph("it is no host's state")
    if host.address != keys.address:
        raise BadGraph("it is another host's state than the keys are of")
    core = Core.__new__(Core)
    core.host = host
    return core
