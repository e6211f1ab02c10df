"""A disk that changes what it has acknowledged: flipped bits, and pages that are old again.

Each fault is put into a whole store, then a host starts on it, all is read, and `verify` looks. A
fault is noticed by one of these, or harmless: everything reads as it was. Silent is a wrong answer
that nothing notices; "taken back" is a store that is whole and older, as after a lost commit.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from avm.errors import AvmError
from avm.host.core import Core
from avm.host.keys import Keyring
from avm.past.reading import Reader
from avm.run.loading import load_core
from avm.sim.disk import Disk, populate
from avm.sim.entropy import Entropy
from avm.sim.image import Left
from avm.store.errors import StoreDamaged
from avm.store.file import PAGE_BYTES
from avm.store.log import FRAME_HEADER_BYTES, HEADER_BYTES
from caps.identity import SEED_BYTES
from tests.crashes.host import boot, content
from tests.crashes.judge import audited
from tests.crashes.trail import Trail, live
from tests.crashes.workloads import Workload

STORE = "host/store.db"
LOG = "host/store.db-wal"
HEADER_BITS = 100 * 8
SMALL = 200


@dataclass(slots=True)
class Rot:
    """What came of faults, by kind of fault: how many were noticed where, and how many were not."""

    flipped: Counter[str] = field(default_factory=Counter)
    flipped_log: Counter[str] = field(default_factory=Counter)
    stale: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    examples: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [
            f"{what} {dict(sorted(counter.items()))}"
            for what, counter in (
                ("bits flipped in the store", self.flipped),
                ("in its log", self.flipped_log),
                ("pages old again", self.stale),
            )
        ]
        return "; ".join(parts)


class Patient:
    """A whole store, and what is found when a fault is put into it."""

    def __init__(self, left: Left, workload: Workload, contents: list[bytes]) -> None:
        self.left = left
        self.workload = workload
        self.contents = contents
        self.keys = left.files["host/keys/host.key"]
        self.healthy = self.found(left)

    def found(self, left: Left) -> str | bytes:
        """Where a fault was noticed, or what a host reads that notices none."""
        with tempfile.TemporaryDirectory(dir=_shm()) as name:
            populate(Path(name), left)
            disk = Disk(Path(name))
            try:
                return self._found(disk)
            finally:
                disk.close()

    def _found(self, disk: Disk) -> str | bytes:
        try:
            opened = boot(disk, self.workload.log_pages_max)
        except StoreDamaged:
            return "noticed at opening"
        except AvmError as error:
            return f"noticed at opening as {type(error).__name__}"
        try:
            seed, secret = opened.keys[:SEED_BYTES], opened.keys[SEED_BYTES:]
            core = Core(
                Keyring(seed, secret), self.workload.limits, now_ms=0, python="", version=""
            )
            load_core(core, opened.store)
            read = content(opened.store)
        except StoreDamaged:
            return "noticed when read"
        finally:
            opened.store.close()
        try:
            with Reader.open(opened.directory) as reader:
                audited(reader.store, opened.keys)
        except (StoreDamaged, AssertionError):
            return "noticed by verify"
        return read

    def with_fault(self, path: str, offset: int, body: bytes) -> str:
        """What comes of other bytes at a place."""
        whole = bytearray(self.left.files[path])
        whole[offset : offset + len(body)] = body
        found = self.found(Left({**self.left.files, path: bytes(whole)}, self.left.directories))
        if isinstance(found, str):
            return found
        if found == self.healthy:
            return "harmless"
        return "taken back" if found in self.contents else "silent"

    def with_flip(self, path: str, bit: int) -> str:
        """What comes of one flipped bit."""
        byte = self.left.files[path][bit // 8] ^ (1 << bit % 8)
        return self.with_fault(path, bit // 8, bytes([byte]))


def rot(workload: Workload, flips: int = 1000) -> Rot:
    """The faults of one workload's disk, `flips` seeded bits among them."""
    with tempfile.TemporaryDirectory(dir=_shm()) as name:
        trail = live(workload, Path(name))
    found = Rot()
    _flips(trail, workload, flips, found)
    _stale_pages(trail, workload, found)
    return found


def _flips(trail: Trail, workload: Workload, flips: int, found: Rot) -> None:
    entropy = Entropy(7)
    at_end = Patient(trail.moments[-1].image.left("kept"), workload, trail.contents)
    size = len(at_end.left.files[STORE]) * 8
    few = flips < SMALL
    bits = [*range(0, HEADER_BITS, 13 if few else 1)]
    for page in range(PAGE_BYTES, size // 8, PAGE_BYTES):
        # The head of a page and its table of cells are where a row can be hidden.
        bits += [page * 8 + bit for bit in range(0, 40 * 8, 97 if few else 7)]
    bits += [entropy.below(size) for _ in range(flips)]
    for bit in bits:
        what = at_end.with_flip(STORE, bit)
        found.flipped[what] += 1
        if what in ("silent", "taken back"):
            found.silent += 1
            found.examples.append(f"bit {bit} of the store")
    in_log = Patient(_longest_log(trail), workload, trail.contents)
    for bit in _bits_of_log(len(in_log.left.files[LOG]), flips, entropy):
        what = in_log.with_flip(LOG, bit)
        found.flipped_log[what] += 1
        if what == "silent":
            found.silent += 1
            found.examples.append(f"bit {bit} of the log")


def _bits_of_log(size: int, flips: int, entropy: Entropy) -> Iterator[int]:
    yield from range(0, HEADER_BYTES * 8, 11 if flips < SMALL else 1)
    frame = FRAME_HEADER_BYTES + PAGE_BYTES
    for start in range(HEADER_BYTES, size, frame):
        yield start * 8 + entropy.below(FRAME_HEADER_BYTES * 8)
    for _ in range(flips // 2):
        yield entropy.below(size * 8)


def _longest_log(trail: Trail) -> Left:
    """A disk on which all is synchronised, with much in its log."""
    lefts = (m.image.left("lost") for m in trail.moments if m.doing == "write" and m.returned)
    return max(lefts, key=lambda left: len(left.files.get(LOG, b"")))


def _stale_pages(trail: Trail, workload: Workload, found: Rot) -> None:
    """Each page of the store as it was before a checkpoint: a write that was lost, or a stale read."""
    at_end = Patient(trail.moments[-1].image.left("kept"), workload, trail.contents)
    now = at_end.left.files[STORE]
    seen: set[tuple[int, bytes]] = set()
    for before in _versions(trail):
        for page in range(0, min(len(before), len(now)), PAGE_BYTES):
            old = before[page : page + PAGE_BYTES]
            if old != now[page : page + PAGE_BYTES] and (page, old) not in seen:
                seen.add((page, old))
                found.stale[at_end.with_fault(STORE, page, old)] += 1


def _versions(trail: Trail) -> list[bytes]:
    versions: list[bytes] = []
    for moment in trail.moments:
        body = moment.image.left("lost").files.get(STORE, b"")
        if body and body not in versions[-1:]:
            versions.append(body)
    return versions[:-1]


def _shm() -> Path | None:
    place = Path("/dev/shm")
    return place if place.is_dir() else None
