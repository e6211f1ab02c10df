"""What the core asks of the shell around it; the simulator's shell does the same."""

from typing import Any, NamedTuple

from avm.host.batch import Batch
from avm.host.passage import Fetch
from caps.identity import Endpoint
from caps.light import dataclass


class ToWorker(NamedTuple):
    """Write a frame to a worker."""

    worker: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """Give a machine to a worker from the store: code when asked, snapshot, entries since.

    The frames go to the worker in this place among the others, the last of them LOADED with
    `token`.
    """

    worker: int
    machine: int
    code: bytes
    send_code: bool
    next_slot: int
    generation: int
    token: int


@dataclass(frozen=True, slots=True)
class SendCode:
    """Give a worker a bundle from the store."""

    worker: int
    code: bytes


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill a worker; its death is to be reported, and a new one started."""

    worker: int
    why: str


class Say(NamedTuple):
    """Write a frame to another host; of one lane (0 to 255) all frames keep their order."""

    link: int
    lane: int
    frame: bytes


class Seek(NamedTuple):
    """Ask the network where an address lives."""

    address: bytes


class Dial(NamedTuple):
    """Make a link to another host, at these endpoints, or where the network says it is."""

    host: bytes
    endpoints: tuple[Endpoint, ...] = ()


class Publish(NamedTuple):
    """Announce that a machine or client lives here, or, when it is gone, no more."""

    address: bytes


class Carry(NamedTuple):
    """Read an item of a machine's history, and tell the core: it is for another host."""

    link: int
    machine: int
    fetch: Fetch


class Export(NamedTuple):
    """Write a machine that has left into its file, and tell the core; all of its journal if `whole`."""

    address: bytes
    whole: bool


class Exported(NamedTuple):
    """What was written of a machine is its only copy now: give the file its name."""

    address: bytes
    request: int


class Discard(NamedTuple):
    """What was written of a machine is none: it stays here."""

    file: str
    address: bytes
    incarnation: int


class Unlink(NamedTuple):
    """Close a link; its end is not to be reported."""

    link: int
    why: str


class Frozen(NamedTuple):
    """A channel was frozen: its two ends do not agree, and an operator has to decide."""

    sender: bytes
    receiver: bytes
    why: str


class Mark(NamedTuple):
    """Tell a client what of a channel is taken, and the verdicts it has not confirmed, by number."""

    client: bytes
    request: int
    receiver: bytes
    taken: int
    ordinal: int
    position: bytes
    verdicts: dict[int, list[Any]]


class Verdict(NamedTuple):
    """Tell a client what became of its batch."""

    client: bytes
    receiver: bytes
    seq: int
    verdict: list[Any]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give a client a batch that came for it; it acknowledges."""

    client: bytes
    batch: Batch


@dataclass(frozen=True, slots=True)
class Done:
    """An operator's request is done, or refused with one line and the exit code that fits."""

    request: int
    value: Any = None
    error: str = ""
    code: int = 1
