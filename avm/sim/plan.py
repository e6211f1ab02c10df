"""A plan of faults for a world: data, written by hand, drawn from a seed, or shrunk by a test. Pure.

Each fault begins at `at_ms` of the world's time, which starts at 0; those with `ms` end that much later.
Hosts are named; an empty `hosts` means all. Text is a JSON list, one object a fault.
"""

import json
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, get_args, get_type_hints

from avm.errors import AvmError
from avm.sim.lies import LIES

FAULTS_MAX = 100_000
TEXT_BYTES_MAX = 16 * 1024 * 1024
NUMBER_MAX = 1 << 53


class BadPlan(AvmError):
    """The plan of faults is not one; the text says where."""


# Hosts.


@dataclass(frozen=True, slots=True)
class Crash:
    """A host dies, and starts again after `down_ms`; `elsewhere`: at another endpoint."""

    at_ms: int
    host: str
    down_ms: int = 1_000
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class ClockJump:
    """The clock of a host is set so much ahead, or back."""

    at_ms: int
    host: str
    by_ms: int


@dataclass(frozen=True, slots=True)
class ClockDrift:
    """The clock of a host goes faster by so many parts in a million, or slower."""

    at_ms: int
    ms: int
    host: str
    ppm: int


# The network.


@dataclass(frozen=True, slots=True)
class Partition:
    """These hosts and all others do not reach each other."""

    at_ms: int
    ms: int
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asymmetric:
    """Nothing gets from the sources to the targets; the other way all is well."""

    at_ms: int
    ms: int
    sources: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """A share of packets is lost; a link sends them again, and is slower for it."""

    at_ms: int
    ms: int
    share: float
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A share of datagrams comes twice."""

    at_ms: int
    ms: int
    share: float
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reorder:
    """Each packet takes up to `spread_ms` longer, so that later ones overtake it."""

    at_ms: int
    ms: int
    spread_ms: int
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """Everything takes so much longer."""

    at_ms: int
    ms: int
    add_ms: int
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clog:
    """Links from a host to another carry so little."""

    at_ms: int
    ms: int
    source: str
    target: str
    bytes_s: int


@dataclass(frozen=True, slots=True)
class BreakLinks:
    """The links between two hosts break; `one_end`: the other does not notice for a while."""

    at_ms: int
    host: str
    other: str
    one_end: bool = False


@dataclass(frozen=True, slots=True)
class Nat:
    """A host is behind a router from now on: `cone`, `symmetric`, `random`, `firewall`, or `none` any more.

    The router forgets what was sent by it to an endpoint when nothing goes or comes for `keeps_ms`.
    """

    at_ms: int
    host: str
    kind: str
    keeps_ms: int = 60_000


# Disks.


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Each commit of a host takes so long."""

    at_ms: int
    ms: int
    host: str
    commit_ms: int


@dataclass(frozen=True, slots=True)
class RefuseCommits:
    """The disk of a host is full."""

    at_ms: int
    ms: int
    host: str


@dataclass(frozen=True, slots=True)
class FsyncError:
    """The commit after so many more fails for good: the host ends, and starts again.

    `holds`: what was written is found after the start all the same.
    """

    at_ms: int
    host: str
    commit: int
    holds: bool = False
    down_ms: int = 1_000


@dataclass(frozen=True, slots=True)
class CrashAtCommit:
    """A host dies at the commit after so many more: before it, or `after` it and unheard of."""

    at_ms: int
    host: str
    commit: int
    after: bool = False
    down_ms: int = 1_000


# Workers.


@dataclass(frozen=True, slots=True)
class SlowWorker:
    """Each frame takes the workers of a host so long."""

    at_ms: int
    ms: int
    host: str
    turn_ms: int


@dataclass(frozen=True, slots=True)
class KillWorker:
    """A worker of a host dies with what it was given."""

    at_ms: int
    host: str


@dataclass(frozen=True, slots=True)
class DeadWorker:
    """A worker of a host takes no more, and does not die of itself."""

    at_ms: int
    host: str


@dataclass(frozen=True, slots=True)
class LyingWorker:
    """A worker of a host answers so many times what is not so: see `avm.sim.lies`."""

    at_ms: int
    host: str
    lie: str
    answers: int = 1


Fault: TypeAlias = (
    Crash
    | ClockJump
    | ClockDrift
    | Partition
    | Asymmetric
    | Loss
    | Duplicate
    | Reorder
    | Latency
    | Clog
    | BreakLinks
    | Nat
    | SlowDisk
    | RefuseCommits
    | FsyncError
    | CrashAtCommit
    | SlowWorker
    | KillWorker
    | DeadWorker
    | LyingWorker
)
FAULTS: tuple[type[Fault], ...] = get_args(Fault)
NAT_KINDS = ("none", "cone", "symmetric", "random", "firewall")
# Of each field that takes one of a few words.
WORDS = {"kind": NAT_KINDS, "lie": tuple(LIES)}


@dataclass(frozen=True, slots=True)
class Plan:
    """Faults, in any order."""

    faults: tuple[Fault, ...] = ()

    def to_text(self) -> str:
        """The plan as JSON, one fault a line."""
        rows = [json.dumps(_row(one)) for one in self.faults]
        return "[\n" + ",\n".join(rows) + "\n]\n" if rows else "[]\n"

    def end_ms(self) -> int:
        """When the last fault has ended, without what a host takes to start again."""
        return max((one.at_ms + int(getattr(one, "ms", 0)) for one in self.faults), default=0)


def _row(fault: Fault) -> dict[str, Any]:
    values = {one.name: getattr(fault, one.name) for one in fields(fault)}
    return {"fault": type(fault).__name__, **values}


def parse_plan_untrusted(text: str) -> Plan:
    """Reads a plan from its JSON; raises `BadPlan` only."""
    if len(text) > TEXT_BYTES_MAX:
        raise BadPlan(f"a plan has at most {TEXT_BYTES_MAX} characters")
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadPlan(f"not JSON: {error}") from None
    if not isinstance(rows, list) or len(rows) > FAULTS_MAX:
        raise BadPlan(f"a plan is a list of at most {FAULTS_MAX} faults")
    return Plan(tuple(_fault(at, row) for at, row in enumerate(rows)))


def _fault(at: int, row: Any) -> Fault:
    kinds = {one.__name__: one for one in FAULTS}
    name = row.get("fault") if isinstance(row, dict) else None
    if not isinstance(name, str) or name not in kinds:
        raise BadPlan(f"fault {at}: no fault of this name; they are {', '.join(kinds)}")
    kind = kinds[name]
    hints = get_type_hints(kind)
    given = {key: value for key, value in row.items() if key != "fault"}
    stray = sorted(given.keys() - hints.keys())
    if stray:
        raise BadPlan(f"fault {at}: {name} has no {stray[0]}")
    values = {key: _value(at, key, hints[key], value) for key, value in given.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = next(one.name for one in fields(kind) if one.name not in values)
        raise BadPlan(f"fault {at}: {name} needs {missing}") from None


def _value(at: int, key: str, kind: Any, value: Any) -> Any:
    if not _fits(key, kind, value):
        raise BadPlan(f"fault {at}: {key} is not what it can be")
    if kind is float:
        return float(value)
    return tuple(value) if isinstance(value, list) else value


def _fits(key: str, kind: Any, value: Any) -> bool:
    if kind is int:
        least = -NUMBER_MAX if key in ("by_ms", "ppm") else 0
        return type(value) is int and least <= value <= NUMBER_MAX
    if kind is float:
        return type(value) in (int, float) and 0 <= value <= 1
    if kind is bool:
        return isinstance(value, bool)
    if kind is str:
        return isinstance(value, str) and value in WORDS.get(key, (value,))
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
