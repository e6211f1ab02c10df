"""What happens in a world, for those who watch it. Values.

A watcher's `happened` is called with each, in order, when what it tells of is so. Hosts are named.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from avm.host.batch import Batch
from avm.sim.plan import Fault
from avm.store.interface import Transaction


@dataclass(frozen=True, slots=True)
class Started:
    """A host has started, for the `life`th time."""

    host: str
    life: int


@dataclass(frozen=True, slots=True)
class Crashed:
    """A host has died; its store keeps what was committed."""

    host: str
    life: int
    why: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit of a host is durable, and the host has not heard of it."""

    host: str
    commit: int
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class CommitRefused:
    """The disk of a host was full; it will be tried again."""

    host: str


@dataclass(frozen=True, slots=True)
class Folded:
    """A host has folded so many turns by now."""

    host: str
    turns: int


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link is up at one of its ends."""

    host: str
    link: int
    peer: str


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link is gone at one of its ends."""

    host: str
    link: int
    why: str


@dataclass(frozen=True, slots=True)
class Said:
    """A host has said a frame on a link."""

    host: str
    link: int
    lane: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """A frame has come to a host."""

    host: str
    link: int
    lane: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Strayed:
    """A packet has come to a host through a relay that was on its way from a host to another."""

    host: str
    source: str


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A host has closed a link because of what came by it."""

    host: str
    link: int
    why: str


@dataclass(frozen=True, slots=True)
class ChannelFrozen:
    """The two ends of a channel do not agree."""

    host: str
    sender: bytes
    receiver: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Located:
    """A host was told where an address lives; an empty `where`: that nobody knows."""

    host: str
    address: bytes
    where: bytes


@dataclass(frozen=True, slots=True)
class Looked:
    """The network told a host of a location: of which key, of which incarnation and sequence number."""

    host: str
    key: bytes
    order: tuple[int, int]


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker of a host is gone, with so many frames that it was given."""

    host: str
    worker: int
    frames: int
    why: str


@dataclass(frozen=True, slots=True)
class Lied:
    """A worker has answered for a machine what is not so; see `avm.sim.lies`."""

    host: str
    machine: bytes
    lie: str


@dataclass(frozen=True, slots=True)
class ClientHeard:
    """A client was told the verdict of a batch."""

    host: str
    client: bytes
    receiver: bytes
    seq: int
    verdict: list[Any]


@dataclass(frozen=True, slots=True)
class ClientTook:
    """A client was given a batch."""

    host: str
    client: bytes
    batch: Batch


@dataclass(frozen=True, slots=True)
class FaultBegan:
    """A fault of the plan is there."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class FaultEnded:
    """A fault of the plan is over."""

    fault: Fault


Event: TypeAlias = (
    Started
    | Crashed
    | Committed
    | CommitRefused
    | Folded
    | LinkUp
    | LinkDown
    | Said
    | Delivered
    | Strayed
    | Unlinked
    | ChannelFrozen
    | Located
    | Looked
    | WorkerLost
    | Lied
    | ClientHeard
    | ClientTook
    | FaultBegan
    | FaultEnded
)
