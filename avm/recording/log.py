"""The recording as bytes: segments of items, each with its length and checksum. Pure.

Beside the journey. A segment begins with its header and what the core knew then, so that those before it
can be dropped. An item is a CBOR array, the first item says which, after three numbers of 4 bytes: its
length, that with every bit turned, and the CRC-32 of the array:

    HEADER   form of the recording, avm-host, Python, run, segment, first input, started, host
    STATE    the host's two secrets, and what the core knew; see `avm.host.saved`
    INPUT    number, name, fresh, arguments, [result, effects, commit]; see `inputs` and `outputs`
    MACHINE  machine, code's hash, bundle or None, snapshot [n, body] or None, entries [n, body, printed]
    END      the last input: the host stopped here by itself

A host that was killed leaves its last item cut short: that is no damage. Anything else that does not
fit is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from struct import Struct
from typing import Any
from zlib import crc32

import cbor2

from avm.errors import AvmError
from avm.limits import MIB
from avm.recording.packing import FALSE, TRUE, of_array, of_int, packed
from caps import shape
from caps.certificate import CERTIFICATE_BYTES_MAX
from caps.codec import loads_shape_untrusted
from caps.errors import Malformed
from caps.identity import IDENTITY_BYTES_MAX

VERSION = 1
FRAME = Struct(">III")
TURNED = 0xFFFF_FFFF
ITEM_BYTES_MAX = 512 * MIB
DEPTH_MAX = 200
NUMBER_MAX = 2**53
ROWS_MAX = 10_000_000


class BadRecording(AvmError):
    """There is no recording that can be read here; the text says what is wrong and where."""


class ItemKind(IntEnum):
    """What an item is."""

    HEADER = 0
    STATE = 1
    INPUT = 2
    MACHINE = 3
    END = 4


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment begins with; `run` is when the host was started, `first` the input that comes next."""

    avm: str
    python: str
    run: int
    segment: int
    first: int
    started_ms: int
    host: bytes
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class State:
    """What the core knew at the beginning of a segment, and the secrets of its keyring.

    `identity` and `certificate` are the host's where its key is not its root key; older recordings have
    neither.
    """

    seed: bytes
    secret: bytes
    body: bytes
    identity: bytes = b""
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """An input as it was told, and what came of it then.

    `fresh`: the effects of those before had been taken from the core.
    """

    n: int
    name: str
    fresh: bool
    arguments: list[Any]
    output: list[Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a machine is loaded from, as the store had it: its snapshot and the entries since."""

    machine: int
    code: bytes
    bundle: bytes | None
    snapshot: tuple[int, bytes] | None
    entries: list[tuple[int, bytes, str | None]]


@dataclass(frozen=True, slots=True)
class End:
    """The host stopped by itself after this input."""

    n: int


Item = Header | State | Told | Stored | End
KIND = of_int(ItemKind.INPUT.value)
# How the array of an input begins.
INPUT = b"\x86" + KIND


def pack(item: Item) -> bytes:
    """An item in its frame."""
    match item:
        case Header():
            row = [
                ItemKind.HEADER.value,
                item.version,
                item.avm,
                item.python,
                item.run,
                item.segment,
            ]
            return framed([*row, item.first, item.started_ms, item.host])
        case State():
            proof = [item.identity, item.certificate] if item.certificate else []
            return framed([ItemKind.STATE.value, item.seed, item.secret, item.body, *proof])
        case Told():
            row = [item.n, item.name, item.fresh, item.arguments, item.output]
            return framed([ItemKind.INPUT.value, *row])
        case Stored():
            snapshot = None if item.snapshot is None else list(item.snapshot)
            entries = [list(entry) for entry in item.entries]
            row = [ItemKind.MACHINE.value, item.machine, item.code, item.bundle]
            return framed([*row, snapshot, entries])
        case End():
            return framed([ItemKind.END.value, item.n])


def pack_told(n: int, name: str, fresh: bool, arguments: bytes, output: bytes) -> bytes:
    """An input in its frame, its arguments and output packed already."""
    told = [KIND, of_int(n), _name(name), TRUE if fresh else FALSE]
    return _framed(of_array([*told, arguments, output]))


@cache
def _name(name: str) -> bytes:
    return packed(name)


def framed(row: list[Any]) -> bytes:
    """An array with its length and checksum."""
    return _framed(packed(row))


def _framed(body: bytes) -> bytes:
    return FRAME.pack(len(body), len(body) ^ TURNED, crc32(body)) + body


@dataclass(slots=True)
class Segment:
    """Reads the items of a segment one after the other.

    `at` is where the next one begins; `cut` tells, at the end, that the last one was cut short.
    """

    body: bytes
    name: str = "the recording"
    at: int = 0
    last: int = 0
    cut: bool = False

    def items_untrusted(self) -> Iterator[Item]:
        """The items; raises BadRecording, after all that is before the damage."""
        while (found := self._frame()) is not None:
            item = self._item(found)
            if isinstance(item, Told):
                self.last = item.n
            yield item

    def last_untrusted(self) -> int:
        """The number of the last input, without reading those before; raises BadRecording."""
        last: bytes | None = None
        while (found := self._frame()) is not None:
            if not self.at or found.startswith(INPUT):
                last = found
            self.at += FRAME.size + len(found)
        try:
            item = item_untrusted(last or b"")
        except Malformed as error:
            raise BadRecording(f"{self.where()}: {error}") from None
        if isinstance(item, Header) and item.version == VERSION:
            return item.first - 1
        if isinstance(item, Told):
            return item.n
        raise BadRecording(f"{self.where()}: it is of another form")

    def damaged_untrusted(self) -> Item | None:
        """The item at a damage, where it can be read although its checksum is not what it was."""
        length, *_sums = FRAME.unpack_from(self.body, self.at)
        start = self.at + FRAME.size
        try:
            return item_untrusted(self.body[start : start + length])
        except Malformed:
            return None

    def where(self) -> str:
        """A place for people: the segment, the byte, and the input before."""
        after = f", after input {self.last:,}" if self.last else ""
        return f"{self.name}, byte {self.at:,}{after}"

    def _frame(self) -> bytes | None:
        start = self.at + FRAME.size
        if start > len(self.body):
            self.cut = self.at < len(self.body)
            return None
        length, turned, checksum = FRAME.unpack_from(self.body, self.at)
        if length ^ TURNED != turned:
            raise BadRecording(f"{self.where()}: what is there is not what was written")
        if start + length > len(self.body):
            self.cut = True
            return None
        found = self.body[start : start + length]
        if crc32(found) != checksum:
            raise BadRecording(f"{self.where()}: what is there is not what was written")
        return found

    def _item(self, found: bytes) -> Item:
        try:
            item = item_untrusted(found)
        except Malformed as error:
            raise BadRecording(f"{self.where()}: {error}") from None
        self.at += FRAME.size + len(found)
        return item


def item_untrusted(body: bytes) -> Item:
    """An item of its bytes; raises Malformed."""
    plain = loads_shape_untrusted(body, max_bytes=ITEM_BYTES_MAX, depth=DEPTH_MAX)
    if type(plain) is not list or not plain or type(plain[0]) is not int:
        shape.refuse("item")
    if cbor2.dumps(plain) != body:
        shape.refuse("item: not the one encoding of what it says")
    kind, *row = plain
    match kind:
        case ItemKind.HEADER:
            return header_untrusted(row)
        case ItemKind.STATE:
            return state_untrusted(row)
        case ItemKind.INPUT:
            return told_untrusted(row)
        case ItemKind.MACHINE:
            return stored_untrusted(row)
        case ItemKind.END:
            (last,) = shape.array(row, 1, "end")
            return End(shape.integer(last, 0, NUMBER_MAX, "end"))
    shape.refuse("item of a kind there is not")


def header_untrusted(row: list[Any]) -> Header:
    """The header of a segment; of another form only its version counts."""
    if row and type(row[0]) is int and row[0] != VERSION:
        return Header("", "", 0, 0, 0, 0, b"", row[0])
    version, avm, python, *numbers, host = shape.array(row, 8, "header")
    if type(avm) is not str or type(python) is not str:
        shape.refuse("header")
    run, segment, first, started = (shape.integer(one, 0, 2**63, "header") for one in numbers)
    shape.version(version, VERSION, "header")
    return Header(avm, python, run, segment, first, started, shape.octets(host, 32, "header"))


def state_untrusted(row: list[Any]) -> State:
    """What the core knew; it is read when it is needed."""
    proof = [] if len(row) == 3 else row[3:]
    seed, secret, body = shape.array(row[:3], 3, "state")
    keys = (shape.octets(seed, 32, "state"), shape.octets(secret, 32, "state"))
    known = shape.some_octets(body, 0, ITEM_BYTES_MAX, "state")
    if not proof:
        return State(*keys, known)
    identity, certificate = shape.array(proof, 2, "state")
    shown = shape.some_octets(identity, 1, IDENTITY_BYTES_MAX, "state")
    return State(
        *keys, known, shown, shape.some_octets(certificate, 1, CERTIFICATE_BYTES_MAX, "state")
    )


def told_untrusted(row: list[Any]) -> Told:
    """An input of its row; its arguments are judged when it is told."""
    n, name, fresh, arguments, output = shape.array(row, 5, "input")
    number = shape.integer(n, 0, NUMBER_MAX, "input")
    if type(name) is not str or type(fresh) is not bool:
        shape.refuse("input")
    known = shape.items(arguments, 100, "input")
    result, effects, group = shape.array(output, 3, "output")
    shape.items(effects, ROWS_MAX, "output")
    if not all(type(one) is list and one and type(one[0]) is str for one in effects):  # type: ignore[attr-defined]
        shape.refuse("output")
    if group is not None:
        _number, *parts = shape.array(group, 5, "output")
        for part in parts:
            shape.items(part, ROWS_MAX, "output")
    return Told(number, name, fresh, known, [result, effects, group])


def stored_untrusted(row: list[Any]) -> Stored:
    """What a machine is loaded from."""
    machine, code, bundle, snapshot, entries = shape.array(row, 5, "machine")
    number = shape.integer(machine, 0, NUMBER_MAX, "machine")
    digest = shape.some_octets(code, 1, 32, "machine")
    kept = None if snapshot is None else _numbered(shape.array(snapshot, 2, "snapshot"))
    if bundle is not None:
        bundle = shape.some_octets(bundle, 0, ITEM_BYTES_MAX, "bundle")
    found: list[tuple[int, bytes, str | None]] = []
    for entry in shape.items(entries, ROWS_MAX, "entries"):
        n, body, printed = shape.array(entry, 3, "entry")
        if printed is not None and type(printed) is not str:
            shape.refuse("entry")
        found.append((*_numbered([n, body]), printed))
    return Stored(number, digest, bundle, kept, found)


def _numbered(row: list[Any]) -> tuple[int, bytes]:
    n, body = row
    number = shape.integer(n, 0, NUMBER_MAX, "number")
    return number, shape.some_octets(body, 0, ITEM_BYTES_MAX, "bytes")
