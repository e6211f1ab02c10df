"""The audit log as a value: a chain in which nothing is changed, dropped or added unseen."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.host import auditlog
from avm.host.auditlog import (
    COUNTED_MAX,
    REST,
    AuditLog,
    Broken,
    Entry,
    entry_untrusted,
    from_bytes_untrusted,
    to_bytes,
    walk_untrusted,
)
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "audit.json").read_text())
MOST = 1_000


class Kept:
    """A log with the rows that a store would hold."""

    def __init__(self, entries: int, most: int = MOST) -> None:
        self.log = AuditLog()
        self.rows: dict[int, bytes] = {}
        for n in range(entries):
            self.take(self.log.append(n, "created", {"machine": f"m{n}"}, most))

    def take(self, rows: auditlog.Rows) -> None:
        for n, body in rows:
            if body is None:
                del self.rows[n]
            else:
                self.rows[n] = body

    def walked(self) -> list[Entry | Broken]:
        return list(walk_untrusted(self.log, sorted(self.rows.items())))

    def broken_at(self) -> int | None:
        last = self.walked()[-1:]
        return last[0].n if last and isinstance(last[0], Broken) else None


@given(st.integers(0, 30), st.integers(1, 40))
def test_a_log_holds_however_long_it_was_and_however_few_are_kept(entries: int, most: int) -> None:
    kept = Kept(entries, most)
    assert kept.broken_at() is None
    assert len(kept.rows) == min(entries, most)
    assert [one.n for one in kept.walked()] == list(range(kept.log.first, kept.log.head))


def test_a_limit_that_was_lowered_takes_hold_by_and_by() -> None:
    kept = Kept(250)
    for _ in range(2):
        kept.take(kept.log.append(1, "created", {}, 10))
    assert len(kept.rows) == 52 and kept.broken_at() is None
    kept.take(kept.log.append(1, "created", {}, 10))
    assert len(kept.rows) == 10 and kept.broken_at() is None


@given(st.integers(1, 12), st.data())
def test_the_first_broken_entry_is_named(entries: int, data: st.DataObject) -> None:
    kept = Kept(entries)
    n = data.draw(st.integers(0, entries - 1))
    match data.draw(st.sampled_from(["drop", "change", "swap", "nonsense", "add"])):
        case "drop":
            del kept.rows[n]
            assert kept.broken_at() == n
        case "change":
            row = loads_plain_untrusted(kept.rows[n], max_bytes=1000, depth=5)
            assert isinstance(row, list)
            kept.rows[n] = dumps_plain([*row[:4], {"machine": "another"}])
            # What follows it says so; of the newest the log does.
            assert kept.broken_at() == min(n + 1, entries - 1)
        case "swap" if n:
            kept.rows[n], kept.rows[n - 1] = kept.rows[n - 1], kept.rows[n]
            assert kept.broken_at() == n - 1
        case "nonsense":
            kept.rows[n] = b"\xff" + kept.rows[n]
            assert kept.broken_at() == n
        case "add":
            kept.rows[entries] = kept.rows[n]
            assert kept.broken_at() == entries


def test_a_first_entry_that_follows_something_is_broken() -> None:
    log = AuditLog(chain=b"\x01" * 32)
    rows = log.append(1, "created", {}, MOST)
    (broken,) = walk_untrusted(log, [(0, rows[0][1] or b"")])
    assert isinstance(broken, Broken)


def test_counting_has_room_for_so_many_names_and_ends_with_the_hour() -> None:
    log = AuditLog()
    firsts = [log.count(log.refused, f"cause {n}", 5 + n) for n in range(2 * COUNTED_MAX)]
    assert firsts == [True] + [False] * (2 * COUNTED_MAX - 1)
    assert len(log.refused) == COUNTED_MAX + 1 and log.refused[REST] == COUNTED_MAX
    ((_, body),) = log.hour_over(99, MOST)
    entry = entry_untrusted(0, body or b"")
    assert entry.what == "refused" and entry.about["since_ms"] == 5
    assert not log.refused and not log.hour_over(99, MOST)
    assert log.count(log.handed, "x" * 1000, 100) and list(log.handed) == ["x" * 80]


def test_the_longest_counts_fit_their_rows() -> None:
    log = AuditLog()
    for counts in (log.refused, log.handed):
        for n in range(2 * COUNTED_MAX):
            log.count(counts, f"{n}\N{SNOWMAN}" * 100, 2**52)
            counts.update(dict.fromkeys(counts, auditlog.NUMBER_MAX))
    assert from_bytes_untrusted(to_bytes(log)) == log
    for _, body in log.hour_over(2**52, MOST):
        assert entry_untrusted(0, body or b"").about["since_ms"] == 2**52


@given(st.binary(max_size=200))
def test_whatever_a_row_holds_is_a_log_or_malformed(body: bytes) -> None:
    for read in (from_bytes_untrusted, lambda one: entry_untrusted(0, one)):
        try:
            read(body)
        except Malformed:
            continue


def test_the_form_of_the_rows_is_as_it_was() -> None:
    log = AuditLog()
    about = {"machine": "shop", "address": b"\x5a" * 32, "names": ["buy", "look"]}
    log.append(1_700_000_000_000, "created", about, MOST)
    rows = log.append(1_700_000_000_500, "suspended", {"machine": "shop"}, MOST)
    log.count(log.refused, "expired", 1_700_000_001_000)
    log.keys = "open"
    assert to_bytes(log).hex() == VECTORS["log"]
    assert (rows[0][1] or b"").hex() == VECTORS["entry"]
    assert from_bytes_untrusted(bytes.fromhex(VECTORS["log"])) == log
    assert entry_untrusted(1, bytes.fromhex(VECTORS["entry"])).what == "suspended"


def test_a_row_of_another_version_is_refused() -> None:
    row = loads_plain_untrusted(to_bytes(AuditLog()), max_bytes=1000, depth=3)
    assert isinstance(row, list)
    with pytest.raises(Malformed, match="unknown version"):
        from_bytes_untrusted(dumps_plain([2, *row[1:]]))


def test_what_comes_later_follows_what_there_was() -> None:
    kept = Kept(4)
    before = auditlog.AuditLog(kept.log.first, kept.log.head, kept.log.chain)
    kept.take(kept.log.append(9, "created", {}, MOST))
    later = AuditLog(before.head, kept.log.head, kept.log.chain)
    rows = [(4, kept.rows[4])]
    assert [type(one) for one in walk_untrusted(later, rows, before.chain)] == [Entry]
    assert [type(one) for one in walk_untrusted(later, rows, b"\x01" * 32)] == [Broken]
