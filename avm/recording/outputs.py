"""What a host core answers to an input, as plain values that can be compared. Pure.

Beside the journey. An output is [result, effects, group]: what the call gave back, what it asked for,
and, of a commit taken, its rows. Bytes up to `WHOLE_BYTES` stand as they are, so that a difference can be
named down to a value in them; longer ones as their length and digest.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from avm.host.batch import Batch, to_bytes
from avm.host.capability import Local, Named, Reply, Sealed, to_row
from avm.host.effects import Deliver, Done, Load, Say, ToWorker, Verdict
from avm.host.operate import Created
from avm.host.state import Client, Group, Key, Machine
from avm.recording.packing import of_array, of_bytes, of_int, packed

WHOLE_BYTES = 16 * 1024
DIGEST_BYTES = 16
DEPTH_MAX = 40
# In the place of bytes that are too long: this text, their length, their digest.
CUT = "cut"
RAISED = "raised"
# How CBOR writes the length of bytes: in a byte of its own, or in the first.
LONG, EMPTY = 0x58, 0x40
GROUP_FIELDS = ("number", "rows", "journal", "snapshots", "cuts")
ROWS, JOURNAL = 1, 2


def short(body: bytes) -> Any:
    """Bytes, or what stands for long ones."""
    if len(body) <= WHOLE_BYTES:
        return body
    return [CUT, len(body), blake2b(body, digest_size=DIGEST_BYTES).digest()]


def _to_worker(effect: ToWorker) -> list[Any]:
    return ["ToWorker", effect.worker, short(effect.frame)]


def _say(effect: Say) -> list[Any]:
    return ["Say", effect.link, effect.lane, short(effect.frame)]


def _verdict(effect: Verdict) -> list[Any]:
    return ["Verdict", effect.client, effect.receiver, effect.seq, plain(effect.verdict)]


QUICK: dict[type, Callable[[Any], list[Any]]] = {
    ToWorker: _to_worker,
    Say: _say,
    Verdict: _verdict,
}
AS_THEY_ARE = frozenset((type(None), bool, int, str))


def effect_of(effect: Any) -> list[Any]:
    """An effect: its name, then its fields."""
    quick = QUICK.get(type(effect))
    if quick is not None:
        return quick(effect)
    row = plain(effect)
    assert type(row) is list
    return row


def plain(value: Any, room: int = DEPTH_MAX) -> Any:
    """Any value of the core as a plain one; what lives in it by its number or address."""
    kind = type(value)
    if kind in AS_THEY_ARE:
        return value
    if kind is bytes:
        return short(value)
    assert room, "what is answered is not nested without end"
    if kind is list or kind is tuple:
        return [plain(one, room - 1) for one in value]
    if kind is dict:
        return [[plain(key, room - 1), plain(one, room - 1)] for key, one in value.items()]
    if kind is float:
        return repr(value)
    return _named(value, room - 1)


def _named(value: Any, room: int) -> Any:
    match value:
        case Machine() | Client():
            return value.address
        case Local() | Reply() | Sealed() | Named():
            return to_row(value)
        case Batch():
            place = [value.sender, value.receiver, value.seq]
            return ["Batch", *place, short(to_bytes(value))]
    name = type(value).__name__
    if is_dataclass(value):
        return [name, *(plain(getattr(value, one.name), room) for one in fields(value))]
    assert isinstance(value, tuple), f"a {name} is no answer of a core"
    return [name, *(plain(one, room) for one in value)]


def fields_of(name: str) -> tuple[str, ...]:
    """The names of an effect's fields, for those who tell of it."""
    return FIELDS.get(name, ())


def group_of(group: Group) -> list[Any]:
    """A commit: see GROUP_FIELDS; a row is its key and its value, None where it goes.

    An entry of the journal stands without the hash of the one before, which is beside it.
    """
    rows = [[plain(key), None if row is None else short(row)] for key, row in group.dirty.items()]
    journal = [[machine, n, *_entry(body), printed] for machine, n, body, printed in group.journal]
    snapshots = [[machine, n, short(body)] for machine, n, body in group.snapshots]
    return [group.number, rows, journal, snapshots, [list(cut) for cut in group.cuts]]


def _entry(body: bytes) -> tuple[bytes, Any]:
    """The hash of the entry before, and an entry as an array without it; see `journal.encode`."""
    start, size = (4, body[3]) if body[2] == LONG else (3, body[2] - EMPTY)
    end = start + size
    return body[start:end], short(bytes((body[0] - 1, body[1])) + body[end:])


def output_of(result: Any, effects: list[Any]) -> list[Any]:
    """What came of a call."""
    asked = [effect_of(one) for one in effects]
    if type(result) is Group:
        return [None, asked, group_of(result)]
    return [None if result is None or type(result) is Client else plain(result), asked, None]


# The same in packed form: what is written down of each input is made by these, and what comes of it when
# it is told again by those above; that the two are one is what every rerun shows.

NOTHING = packed([None, [], None])
NULL, APPLIED = packed(None), packed(["applied"])
TO_WORKER, SAY, VERDICT = (packed(name) for name in ("ToWorker", "Say", "Verdict"))


def _packed_short(body: bytes) -> bytes:
    return of_bytes(body) if len(body) <= WHOLE_BYTES else packed(short(body))


def _packed_effect(effect: Any) -> bytes:
    kind = type(effect)
    if kind is ToWorker:
        return of_array([TO_WORKER, of_int(effect.worker), _packed_short(effect.frame)])
    if kind is Verdict:
        what = effect.verdict
        said = APPLIED if what == ["applied"] else packed(plain(what))
        place = [_packed_short(effect.client), _packed_short(effect.receiver), of_int(effect.seq)]
        return of_array([VERDICT, *place, said])
    if kind is Say:
        lane = [of_int(effect.link), of_int(effect.lane)]
        return of_array([SAY, *lane, _packed_short(effect.frame)])
    return packed(effect_of(effect))


@lru_cache(4_096)
def _packed_key(key: Key) -> bytes:
    return packed(plain(key))


def _packed_row(key: Key, row: bytes | None) -> bytes:
    return of_array([_packed_key(key), NULL if row is None else _packed_short(row)])


def _packed_entry(machine: int, n: int, body: bytes, printed: str | None) -> bytes:
    before, rest = _entry(body)
    entry = of_bytes(rest) if type(rest) is bytes else packed(rest)
    place = [of_int(machine), of_int(n), of_bytes(before)]
    return of_array([*place, entry, NULL if printed is None else packed(printed)])


def _packed_group(group: Group) -> bytes:
    rows = of_array([_packed_row(key, row) for key, row in group.dirty.items()])
    journal = of_array([_packed_entry(*entry) for entry in group.journal])
    rest = [
        packed(one) for one in group_of(Group(group.number, [], group.snapshots, group.cuts))[3:]
    ]
    return of_array([of_int(group.number), rows, journal, *rest])


def packed_output(result: Any, effects: list[Any]) -> bytes:
    """`output_of`, packed."""
    if result is None and not effects:
        return NOTHING
    asked = of_array([_packed_effect(one) for one in effects])
    if type(result) is Group:
        return of_array([NULL, asked, _packed_group(result)])
    given = NULL if result is None or type(result) is Client else packed(plain(result))
    return of_array([given, asked, NULL])


def raised(error: BaseException, effects: list[Any]) -> list[Any]:
    """What came of a call that failed, which is a defect of the host: the error in the place of a result."""
    return [[RAISED, type(error).__name__, str(error)], [effect_of(one) for one in effects], None]


def _names(kind: Any) -> tuple[str, ...]:
    own: tuple[str, ...] = getattr(kind, "_fields", ())
    return own or tuple(one.name for one in fields(kind))


FIELDS = {
    kind.__name__: _names(kind) for kind in (ToWorker, Say, Verdict, Load, Deliver, Done, Created)
}
