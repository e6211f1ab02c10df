"""What returns to a sender when nothing happened to what it asked: what may not be dropped of it. Pure.

Beside the journey, at its sender's host, whose own copy it is: a batch here is whole until it has its
verdict, and of one for another host the body that is offered there.
"""

import cbor2

from avm.host.batch import Batch, Said
from avm.host.capability import INVALID, Cap, kind_of
from avm.host.state import Host
from caps.capability import LINEAR, RELEVANT
from caps.errors import InvalidCapability
from caps.heads import UNDROPPED, has_tag


def may_not_drop(said: Said) -> bool:
    """Whether anything in a message's content is linear or relevant."""
    kinds = (kind_of(cap) for cap in said.caps)
    return any(kind in (LINEAR, RELEVANT) for kind in kinds) or has_tag(said.content, UNDROPPED)


def own_copy(host: Host, batch: Batch) -> tuple[Said, ...]:
    """A batch's messages as its sender has them, with content where it asks and may not be dropped."""
    if not batch.body:
        return batch.messages
    _targets, rows = cbor2.loads(batch.body)
    return tuple([_whole(host, said, row) for said, row in zip(batch.messages, rows, strict=False)])


def _whole(host: Host, said: Said, row: list[object]) -> Said:
    if said.reply is None:
        return said
    _place, content, wires, _reply = row
    assert isinstance(content, bytes) and isinstance(wires, list)
    whole = said._replace(content=content, caps=tuple(_open(host, wire) for wire in wires))
    return whole if may_not_drop(whole) else said


def _open(host: Host, wire: bytes) -> Cap:
    try:
        return host.keys.open_untrusted(wire)
    except InvalidCapability:
        return INVALID
