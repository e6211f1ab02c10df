"""The entries of a journal as bytes: what is pinned is what old stores hold."""

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

from avm.host import journal
from avm.host.chain import shape_fault
from avm.host.journal import FIELDS, FORMS, DamagedEntry, decode, encode, now_of
from avm.machine import frames, pack

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "journal.json").read_text())
NOW_MS = 1_700_000_000_000
BEFORE = b"b" * 32
GIVEN = frames.pack([NOW_MS, "channel", 7, False, [[b"\x63add", b"\x05"]]])
OUTPUT = frames.pack([0, True, [[[0, b"\x05"]]]])
SENT = [[b"r" * 32, 4, 2]]
VALUES: dict[str, Any] = {
    "sender": b"s" * 32,
    "seq": 3,
    "changed": True,
    "input": GIVEN,
    "output": OUTPUT,
    "code": b"c" * 32,
    "python": "3.11",
    "version": "0.1.0",
    "incarnation": 1,
    "reason": "died",
    "index": 1,
    "detail": "",
    "count": 2,
    "word": "no such money",
    "now_ms": NOW_MS,
    "why": "the machine is halted",
    "digest": b"d" * 32,
    "body": b"\x05",
    "references": [4, "time~"],
    "generation": 1,
    "from_ms": NOW_MS + 1000,
    "mode": "fail",
    "slots": [1, 2],
}


def made(form: int) -> bytes:
    """An entry of a form, as the code makes it now."""
    before = journal.NOTHING if form == journal.INIT else BEFORE
    values = VALUES | ({"input": b""} if form == journal.FAILED else {})
    return encode(form, before, *(values[name] for name in FIELDS[form]))


@pytest.mark.parametrize("form", FIELDS, ids=FORMS)
def test_each_form_is_the_bytes_that_are_pinned_and_is_read_from_them(form: int) -> None:
    pinned = bytes.fromhex(VECTORS[FORMS[form]])
    assert made(form) == pinned
    entry = decode(0 if form == journal.INIT else 5, pinned)
    assert (entry.form, entry.name, tuple(entry.fields)) == (form, FORMS[form], FIELDS[form])
    assert not shape_fault(entry)
    assert entry.hash.hex() == VECTORS[f"hash of {FORMS[form]}"]


def test_a_turn_packed_by_hand_is_that_of_the_codec() -> None:
    by_hand = pack.turn_entry(BEFORE, b"s" * 32, 3, True, GIVEN, OUTPUT)
    assert by_hand == made(journal.TURN) == bytes.fromhex(VECTORS["turn"])


def test_x05_a_turn_that_sent_batches_says_so_last() -> None:
    pinned = bytes.fromhex(VECTORS["turn that sent"])
    packed = pack.turn_entry(BEFORE, b"s" * 32, 3, True, GIVEN, OUTPUT, cbor2.dumps(SENT))
    assert packed == pinned
    entry = decode(5, pinned)
    assert entry.fields == decode(5, bytes.fromhex(VECTORS["turn"])).fields | {"sent": SENT}
    assert not shape_fault(entry)
    for form in (journal.INIT, journal.SIGNAL):
        row = [*cbor2.loads(made(form)), SENT]
        assert decode(0 if form == journal.INIT else 5, cbor2.dumps(row))["sent"] == SENT


def test_w12_a_failure_of_an_older_store_is_read_without_a_time() -> None:
    older = decode(5, bytes.fromhex(VECTORS["failed of version 1"]))
    assert not shape_fault(older) and now_of(older) == 0
    newer = decode(5, bytes.fromhex(VECTORS["failed"]))
    assert now_of(newer) == NOW_MS
    assert newer.fields == older.fields | {"now_ms": NOW_MS}


@pytest.mark.parametrize("form", FIELDS, ids=FORMS)
def test_an_entry_with_more_or_fewer_fields_is_damaged(form: int) -> None:
    row = cbor2.loads(made(form))
    fewer = 2 if form == journal.FAILED else 1
    for wrong in ([*row, 0], row[: len(row) - fewer]):
        with pytest.raises(DamagedEntry):
            decode(5, cbor2.dumps(wrong))
    rows: tuple[Any, ...] = ([17, b""], {}, [], [[], b""], [True, b""], [{}, b""])
    for no_entry in (b"", b"\xff", *map(cbor2.dumps, rows)):
        with pytest.raises(DamagedEntry):
            decode(5, no_entry)


def test_new_code_may_have_its_state_beside_it_and_nothing_else() -> None:
    names = (*FIELDS[journal.CODE], *journal.MORE[journal.CODE])
    values = [VALUES[name] for name in names]
    pinned = bytes.fromhex(VECTORS["code with a state"])
    assert encode(journal.CODE, BEFORE, *values) == pinned
    entry = decode(5, pinned)
    assert tuple(entry.fields) == names and not shape_fault(entry)
    for some in (values[:4], [*values, 1]):
        with pytest.raises(DamagedEntry, match="fields where"):
            decode(5, encode(journal.CODE, BEFORE, *some))
