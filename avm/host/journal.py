"""The journal: each machine's chain of entries, a closed union. Pure.

An entry is a canonical CBOR array [form, hash of the entry before, ...]; its hash is the chain's
next link. Inputs and outputs are the very bytes that a worker was given and answered: they hold
content and the machine's own references, never sealed bytes, so that replay needs no keys.
"""

import hashlib
from typing import Any

import cbor2

from caps.light import dataclass

(INIT, TURN, FAILED, REFUSED, VOID, SIGNAL, CODE, EDIT, GENERATION) = range(9)
(SUSPEND, RESUME, HALT, COLLECT, SNAPSHOT, INCARNATION, RUNTIME, REVOKE) = range(9, 17)

FORMS: tuple[str, ...] = (
    "init",
    "turn",
    "failed",
    "refused",
    "void",
    "signal",
    "code",
    "edit",
    "generation",
)
FORMS += ("suspend", "resume", "halt", "collect", "snapshot", "incarnation", "runtime")
FORMS += ("revoke",)

# The fields of each form after [form, before].
FIELDS: dict[int, tuple[str, ...]] = {
    INIT: ("sender", "input", "output", "code", "python", "version", "incarnation"),
    TURN: ("sender", "seq", "changed", "input", "output"),
    FAILED: ("sender", "seq", "input", "reason", "index", "detail", "count", "now_ms"),
    REFUSED: ("sender", "seq", "input", "index", "word"),
    VOID: ("sender", "seq", "now_ms", "why", "count"),
    SIGNAL: ("changed", "input", "output"),
    CODE: ("now_ms", "code", "digest"),
    EDIT: ("now_ms", "body", "references", "digest"),
    GENERATION: ("now_ms", "generation"),
    SUSPEND: ("now_ms", "mode", "why"),
    RESUME: ("now_ms",),
    HALT: ("now_ms",),
    COLLECT: ("slots",),
    SNAPSHOT: ("digest",),
    INCARNATION: ("now_ms", "incarnation"),
    RUNTIME: ("now_ms", "python", "version"),
    REVOKE: ("now_ms", "generation", "from_ms"),
}
# After these a turn that sent batches to others than clients says which: [receiver, the first's
# number, how many] for each receiver.
SENDING = (INIT, TURN, SIGNAL)
# What a store of an older version leaves out: its last fields, so many.
SHORTER: dict[int, int] = {FAILED: 1}
# What an entry may have beside, all of it or none: a switch of code with the state to go on from.
MORE: dict[int, tuple[str, ...]] = {CODE: ("body", "references")}
NOTHING = b""
# Copied for each entry, which takes less time than making it anew.
_LINK = hashlib.blake2b(digest_size=32, person=b"avm journal")


class DamagedEntry(Exception):
    """An entry of the journal is not what was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A decoded entry: its number, its form and its fields by name."""

    n: int
    form: int
    before: bytes
    fields: dict[str, Any]
    hash: bytes

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def name(self) -> str:
        """The form as a word."""
        return FORMS[self.form]


def encode(form: int, before: bytes, *fields: Any) -> bytes:
    """The bytes of an entry."""
    return cbor2.dumps([form, before, *fields])


def form_of(entry: bytes) -> int:
    """The form of an entry, which stands in its second byte."""
    return entry[1] if len(entry) > 1 else -1


def hash_of(entry: bytes) -> bytes:
    """The link from an entry to the next."""
    link = _LINK.copy()
    link.update(entry)
    return link.digest()


def hash_of_code(bundle: bytes) -> bytes:
    """The name of a machine's code."""
    return hashlib.blake2b(bundle, digest_size=32, person=b"avm code").digest()


def digest_of(body: bytes, references: list[Any]) -> bytes:
    """The digest of a state: its content bytes and the machine's own references."""
    whole = cbor2.dumps([body, references])
    return hashlib.blake2b(whole, digest_size=32, person=b"avm state").digest()


def decode(n: int, body: bytes) -> Entry:
    """Reads an entry of the store; `DamagedEntry` when it is none."""
    try:
        row = cbor2.loads(body)
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise DamagedEntry(f"entry {n} cannot be read: {error}") from None
    if type(row) is not list or len(row) < 2 or type(row[0]) is not int or row[0] not in FIELDS:
        raise DamagedEntry(f"entry {n} is of no known form")
    names = FIELDS[row[0]]
    if row[0] in SENDING and len(row) == len(names) + 3 and type(row[-1]) is list:
        names = (*names, "sent")
    elif len(row) - 2 > len(names):
        names += MORE.get(row[0], ())
    missing = len(names) - (len(row) - 2)
    if not 0 <= missing <= SHORTER.get(row[0], 0):
        raise DamagedEntry(f"entry {n} has {len(row) - 2} fields where {len(names)} belong")
    return Entry(n, row[0], row[1], dict(zip(names, row[2:], strict=False)), hash_of(body))


def now_of(entry: Entry) -> int:
    """The time of an entry in milliseconds; 0 where it stands for none of its own."""
    if "now_ms" in entry.fields:
        return int(entry.fields["now_ms"])
    if entry.fields.get("input"):
        return int(cbor2.loads(entry.fields["input"])[0])
    return 0
