"""A batch: messages from one sender to one receiver that happen together or not at all."""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import cbor2

from avm.host.capability import (
    Cap,
    Keys,
    Local,
    Named,
    Reply,
    Sealed,
    from_row,
    to_row,
    to_wire,
)


class Said(NamedTuple):
    """One message: to which capability, its content and the capabilities in it, and the reply."""

    to: Cap
    content: bytes
    caps: tuple[Cap, ...]
    reply: Cap | None


@dataclass(slots=True)
class Batch:
    """Messages with their place in a channel.

    `ordinal` counts the messages offered on the channel before these. `position` is the client's
    own note, kept with its mark; `splits` says that the client will try a broken batch again line
    by line. `deaths` counts the workers that died with it unanswered, `tries` those it had to itself.
    Between hosts it has a `header`; on its way to another one also the `body` that is offered there,
    and at the other one the `digest` of the header. `hints` are the addresses in it, to be
    told where they live; `again_ms` is when its deadline is looked at again.
    """

    sender: bytes
    receiver: bytes
    seq: int
    ordinal: int
    deadline_ms: int
    messages: tuple[Said, ...]
    size: int
    count: int
    position: bytes = b""
    splits: bool = False
    suspect: bool = False
    deaths: int = 0
    tries: int = 0
    died_of: str = ""
    header: bytes = b""
    body: bytes = b""
    digest: bytes = b""
    hints: tuple[bytes, ...] = ()
    again_ms: int = 0
    come_to: int = 0
    priority: int = field(init=False)

    def __post_init__(self) -> None:
        """A batch's priority is the mean of its messages', in thousandths; replies count 0."""
        first = self.messages[0].to if self.messages else None
        if len(self.messages) < 2 or all(said.to is first for said in self.messages):
            self.priority = first.priority if type(first) is Local else 0
        else:
            total = sum(said.to.priority for said in self.messages if type(said.to) is Local)
            self.priority = total // self.count

    def own_replies(self) -> list[tuple[int, Reply]]:
        """The asks in it that are its sender's own, with the place of their message."""
        return [
            (index, said.reply)
            for index, said in enumerate(self.messages)
            if type(said.reply) is Reply and said.reply.address == self.sender
        ]


def to_bytes(batch: Batch) -> bytes:
    """The batch as the store keeps it; sender, receiver and sequence are the row's key."""
    messages: list[list[Any]] = []
    for to, content, caps, reply in batch.messages:
        if caps or reply is not None:
            inner = [to_row(cap) for cap in caps]
            messages.append([to_row(to), content, inner, reply and to_row(reply)])
        else:
            messages.append([to_row(to), content])
    head = [batch.ordinal, batch.deadline_ms, batch.size, batch.count, batch.position]
    if batch.header:
        away = [batch.header, batch.body, batch.digest, list(batch.hints)]
        return cbor2.dumps([*head, batch.splits, messages, *away])
    return cbor2.dumps([*head, batch.splits, messages])


def set_aside(batch: Batch, keys: Keys) -> bytes:
    """The batch as it is kept when it failed: its capabilities sealed, wherever their machines go."""

    def seal(cap: Cap) -> Cap:
        return cap if isinstance(cap, Named) else Sealed(cap.address, to_wire(cap, keys))

    messages = [
        Said(seal(to), content, tuple(map(seal, caps)), reply and seal(reply))
        for to, content, caps, reply in batch.messages
    ]
    return to_bytes(replace(batch, messages=tuple(messages)))


def is_sealed(batch: Batch) -> bool:
    """Whether all capabilities in a batch are sealed, or common ones, as `set_aside` leaves them."""
    return all(
        isinstance(cap, Sealed | Named)
        for to, _content, caps, reply in batch.messages
        for cap in (to, *caps, *(() if reply is None else (reply,)))
    )


def from_bytes(sender: bytes, receiver: bytes, seq: int, body: bytes) -> Batch:
    """The batch that `to_bytes` made."""
    ordinal, deadline_ms, size, count, position, splits, rows, *away = cbor2.loads(body)
    messages = tuple(_said(row) for row in rows)
    head = (sender, receiver, seq, ordinal, deadline_ms)
    batch = Batch(*head, messages, size, count, position, bool(splits))
    if away:
        batch.header, batch.body, batch.digest, hints = away
        batch.hints = tuple(hints)
    return batch


def _said(row: list[Any]) -> Said:
    if len(row) == 2:
        return Said(from_row(row[0]), row[1], (), None)
    to, content, caps, reply = row
    inner = tuple(from_row(cap) for cap in caps)
    return Said(from_row(to), content, inner, None if reply is None else from_row(reply))
