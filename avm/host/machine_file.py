"""A machine as one file: what a move carries between two hosts, item after item. Pure.

Beside the journey. The items are those of a move, in the order in which the new host would fetch
them, and are taken in the same way; what cannot be taken is not written either. At the end stands a
digest of all that is before it: a file that is cut short, or of which a byte is another, is none.

    begin   16 bytes: `avm-host machine`; version 1, length of the name 2, and the name
    item    kind 1, n 8, hash 32 (zeros where it has none), next 8, size 8, and the item itself
    end     kind 255, zeros, and as its item 32 bytes: BLAKE2b-256 of all before this head
"""

import hashlib
from collections.abc import Callable, Iterator
from struct import Struct

from avm.host import history
from avm.host.header import DIGEST_BYTES
from avm.host.moves import Landing, Leaving
from avm.host.parcel import Parcel
from avm.host.passage import CODE, ITEM_BYTES_MAX, JOURNAL, MACHINE, NAME, SNAPSHOT
from avm.host.soundness import machine_untrusted
from avm.host.state import Group
from caps.codec import dumps_plain
from caps.errors import Malformed
from caps.light import dataclass, field

BEGIN = b"avm-host machine"
VERSION = 1
END = 255
ABOUT = Struct(">BH")
HEAD = Struct(">BQ32sQQ")
NO_HASH = bytes(32)
# So much a machine may have in a file: it is in memory while it is taken up.
FILE_BYTES_MAX = 1024 * 1024 * 1024
Read = Callable[[int], bytes]
Step = tuple[int, int, bytes]


class OtherVersion(Malformed):
    """The file is of another version of avm-host."""


@dataclass(slots=True)
class Unpacked:
    """A machine out of a file: all that is to be committed of its history, and the machine itself."""

    name: str
    landing: Landing
    group: Group = field(default_factory=lambda: Group(0))

    @property
    def parcel(self) -> Parcel:
        """The machine itself."""
        assert self.landing.parcel is not None, "its first item is the machine"
        return self.landing.parcel


def pack(store: history.Reads, left: Leaving, keys: bytes, whole: bool) -> Iterator[bytes]:
    """The bytes of a file, in parts; raises `Malformed` for a machine that no host would take.

    Unless it is `whole`, the journal is that from the newest snapshot on.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    size = 0
    for part in _packed(store, left, keys, whole):
        digest.update(part)
        size += len(part)
        if size > FILE_BYTES_MAX:
            raise Malformed(
                f"more than {FILE_BYTES_MAX:,} bytes; with `--from-snapshot` it is less"
            )
        yield part
    yield HEAD.pack(END, 0, NO_HASH, 0, DIGEST_BYTES) + digest.digest()


def _packed(store: history.Reads, left: Leaving, keys: bytes, whole: bool) -> Iterator[bytes]:
    machine, name = dumps_plain([left.parcel, keys]), left.name.encode()
    unpacked = Unpacked(left.name, landing_of(machine, 0))
    first = 0 if whole else unpacked.parcel.snapshot_at
    yield BEGIN + ABOUT.pack(VERSION, len(name)) + name
    yield HEAD.pack(MACHINE, 0, NO_HASH, 0, len(machine)) + machine
    step: Step | None = (JOURNAL, first, b"")
    while step is not None:
        item, following = history.pack(store, left.number, *step)
        if step[0] == SNAPSHOT and not whole:
            following = 0
        yield _head(step, following, len(item)) + item
        step = _take(unpacked, step, following, item)
        unpacked.group = Group(0)


def _head(step: Step, following: int, size: int) -> bytes:
    kind, n, digest = step
    return HEAD.pack(kind, n, digest or NO_HASH, following, size)


def landing_of(machine: bytes, number: int) -> Landing:
    """The machine of a file, its history still to come; raises `Malformed`."""
    address, parcel, keys = machine_untrusted(machine)
    landing = Landing(address, "", b"", 0, parcel.incarnation, number)
    landing.parcel, landing.keys = parcel, keys
    landing.codes[parcel.code] = None
    return landing


def unpack_untrusted(read: Read, number: int) -> Unpacked:
    """Reads a machine file, its history to be kept under a number; raises `Malformed` only.

    `read` gives so many bytes of it, or as many as there are left.
    """
    source = _Source(read)
    name = _name(source)
    step, machine = source.item()
    if step[:3] != (MACHINE, 0, NO_HASH):
        raise Malformed("no machine stands first")
    unpacked = Unpacked(name, landing_of(machine, number))
    wanted: Step | None = None
    first = True
    while first or wanted is not None:
        (kind, n, digest, following), item = source.item()
        if first:
            wanted, first = (JOURNAL, n, b""), False
        assert wanted is not None, "there is something to come"
        if (kind, n, digest) != (*wanted[:2], wanted[2] or NO_HASH):
            raise Malformed("items out of order")
        wanted = _take(unpacked, wanted, following, item)
    source.end()
    return unpacked


def _name(source: "_Source") -> str:
    """The name that the machine had, which stands after the begin of every machine file."""
    begin = source.take(len(BEGIN) + ABOUT.size)
    if not begin.startswith(BEGIN):
        raise Malformed("no machine file")
    version, size = ABOUT.unpack(begin[len(BEGIN) :])
    if version != VERSION:
        raise OtherVersion(f"of version {version}, and this avm-host reads version {VERSION}")
    name = source.take(size).decode("ascii", "replace")
    if not NAME.fullmatch(name):
        raise Malformed("no name of a machine")
    return name


def _take(unpacked: Unpacked, step: Step, following: int, item: bytes) -> Step | None:
    landing = unpacked.landing
    landing.kind, landing.item, landing.hash = step
    landing.body = bytearray(item)
    return history.take(unpacked.group, landing, following)


class _Source:
    """The bytes of a file, counted and held against its end."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._left = FILE_BYTES_MAX

    def take(self, size: int) -> bytes:
        """So many bytes, exactly."""
        if size > self._left:
            raise Malformed(f"more than {FILE_BYTES_MAX:,} bytes")
        self._left -= size
        found = self._read(size)
        if len(found) < size:
            raise Malformed("cut short")
        self._digest.update(found)
        return found

    def item(self) -> tuple[tuple[int, int, bytes, int], bytes]:
        """An item: kind, number, hash, the number of the next, and the item itself."""
        kind, n, digest, following, size = HEAD.unpack(self.take(HEAD.size))
        if kind > CODE or size > ITEM_BYTES_MAX or (kind != CODE and digest != NO_HASH):
            raise Malformed("an item of no known kind")
        return (kind, n, digest, following), self.take(size)

    def end(self) -> None:
        """All has come: nothing follows but the digest of it."""
        digest = self._digest.digest()
        found = self._read(HEAD.size + DIGEST_BYTES + 1)
        if found != HEAD.pack(END, 0, NO_HASH, 0, DIGEST_BYTES) + digest:
            raise Malformed("not what was written: a byte is another, or it is cut short")


__all__ = ["FILE_BYTES_MAX", "OtherVersion", "Unpacked", "pack", "unpack_untrusted"]
