"""A store read without its host, and held against itself."""

import json
import os
from pathlib import Path

import apsw
import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avm.cli.errors import Usage
from avm.cli.log import cut
from avm.cli.times import parse_since, utc
from avm.host import journal
from avm.host.chain import Fault, Link, Row, Slots, walk
from avm.host.keys import Keyring
from avm.limits import Limits
from avm.past.audit import Audit, Problem
from avm.past.entries import Narrator
from avm.past.labels import Lens
from avm.past.reading import NoSuchMachine, NoSuchTurn, Reader
from avm.run.directory import Directory
from avm.sim.host import SimHost
from avm.store.errors import NoStore
from avm.store.memory import MemoryStore
from avm.store.schema import entry_crc, row_of
from avm.store.sqlite import SqliteStore
from tests.avm.journals import busy_world, copy_into, make, rechained, tell

SMALL = Limits(snapshot_turns=7)
SENDER = bytes(32)


def chain_of(count: int) -> tuple[list[Row], bytes]:
    given = cbor2.dumps([1, "host", 0, True, []])
    output = cbor2.dumps([0, True, []])
    entries: list[Row] = []
    before = b""
    for n in range(count):
        if n == 0:
            fields = [SENDER, given, output, SENDER, "3.11", "1", 1]
            body = journal.encode(journal.INIT, before, *fields)
        else:
            body = journal.encode(journal.TURN, before, SENDER, n, True, given, output)
        entries.append((n, body, None))
        before = journal.hash_of(body)
    return entries, before


def faults(rows: list[Row], end: tuple[int, bytes]) -> list[Fault]:
    return [one for one in walk(rows, end) if isinstance(one, Fault)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 11), st.integers(0, 10**6), st.integers(1, 255))
def test_p03_any_flipped_byte_of_a_chain_is_a_fault_at_its_turn(
    count: int, n: int, at: int, flip: int
) -> None:
    rows, end = chain_of(count)
    assert not faults(rows, (count, end))
    n %= count
    body = bytearray(rows[n][1] or b"")
    body[at % len(body)] ^= flip
    rows[n] = (n, bytes(body), None)
    found = faults(rows, (count, end))
    assert found and {fault.n for fault in found} <= {n - 1, n}
    assert n in {fault.n for fault in found}


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(0, 11))
def test_an_entry_that_is_gone_is_a_fault_unless_it_was_pruned(count: int, n: int) -> None:
    rows, end = chain_of(count)
    del rows[n % count]
    found = faults(rows, (count, end))
    if n % count == 0:
        assert not found
    else:
        assert [fault.n for fault in found] == [n % count]


def test_entries_out_of_place_or_of_another_shape_are_faults() -> None:
    rows, end = chain_of(3)
    twice = [rows[0], rows[1], (2, rows[0][1], None)]
    assert any("does not stand here" in fault.why for fault in faults(twice, (3, end)))
    wrong = journal.encode(journal.RESUME, journal.hash_of(rows[1][1] or b""), "now")
    assert faults([*rows[:2], (2, wrong, None)], (3, journal.hash_of(wrong))) == [
        Fault(2, "its now_ms is a str")
    ]
    assert faults(rows, (4, end))[0].n == 3
    assert faults(rows, (3, bytes(32)))[0].n == 2


def test_references_to_what_a_machine_never_had_are_told() -> None:
    given = cbor2.dumps([1, "c", 0, False, [[b"", b"", "null~", [-1, -2], []]]])
    output = cbor2.dumps([0, True, [[[5, b""]]]])
    body = journal.encode(journal.TURN, b"", SENDER, 1, True, given, output)
    entry = journal.decode(3, body)
    assert Slots(5).take(entry) == "refers to slot 5, which the machine never had"
    slots = Slots(6)
    assert slots.take(entry) == "" and slots.next == 8
    assert Slots(9, {5}).take(entry) == "refers to slot 5, which was collected before"


def keys_of(world: SimHost) -> Keyring:
    keys = Keyring.of(*world.keyring_seeds)
    for machine in world.core.host.machines.values():
        keys.add_machine(machine.address, machine.sealed_keys)
    for address in world.core.host.clients:
        keys.add_client(address)
    return keys


def problems(store: MemoryStore | SqliteStore, keys: Keyring | None) -> list[Problem]:
    return list(Audit(Reader(store), keys).problems())


def test_a_whole_store_has_no_problems() -> None:
    for limits in (None, SMALL):
        world = busy_world(limits)
        assert problems(world.store, keys_of(world)) == []
        machine = world.machine("counter")
        world.ask(lambda request, m=machine, w=world: w.core.prune(request, m, 10))  # type: ignore[misc]
        assert problems(world.store, keys_of(world)) == []


def test_verify_tells_a_snapshot_a_slot_a_seal_and_code_that_do_not_hold() -> None:
    world = busy_world(SMALL)
    machine = world.machine("counter")
    keys = keys_of(world)

    def found(change: str) -> list[str]:
        store = world.store.copy()
        if change == "snapshot":
            kept = max(store._snapshots[machine.id])
            row = cbor2.loads(store._snapshots[machine.id][kept])
            row[1] += b"\x00"
            store._snapshots[machine.id][kept] = cbor2.dumps(row)
        elif change == "slot":
            store._tables["slot"].clear()
        elif change == "code":
            store._tables["code"].clear()
        elif change == "journal":
            own = store._journal[machine.id]
            own[4] = (own[5][0], None)
        return [str(problem) for problem in problems(store, keys)]

    assert any("not what its digest says" in one for one in found("snapshot"))
    assert any("of the snapshot is lost" in one for one in found("slot"))
    assert any(one.startswith("counter: its code") for one in found("code"))
    assert any(one.startswith("counter, turn 4: ") for one in found("journal"))
    stranger = Keyring(bytes(32), bytes(32))
    assert any("seal" in str(one) for one in problems(world.store, stranger))
    odd = rechained(world, 5, output=cbor2.dumps([0, True, [[[77, b"\xf6"]]]]))
    told = [str(one) for one in Audit(odd, keys).problems()]
    assert told == ["counter, turn 5: refers to slot 77, which the machine never had"]


@settings(max_examples=12, deadline=None)
@given(n=st.integers(0, 24), at=st.integers(0, 10**6), mend=st.booleans())
@example(n=1, at=110, mend=True)
def test_w22_a_flipped_byte_on_the_disk_names_its_turn(
    tmp_path_factory: pytest.TempPathFactory, n: int, at: int, mend: bool
) -> None:
    path = tmp_path_factory.mktemp("store") / "store.db"
    world = busy_world(SMALL)
    copy_into(world.store, path)
    machine = world.machine("counter")
    row = row_of(machine.id, n)
    with apsw.Connection(str(path)) as raw:
        entry, printed, crc = raw.execute(
            "SELECT entry, printed, crc FROM journal WHERE id = ?", (row,)
        ).fetchone()  # type: ignore[misc]
        body = bytearray(entry)
        body[at % len(body)] ^= 1
        crc = entry_crc(row, bytes(body), printed) if mend else crc
        raw.execute("UPDATE journal SET entry = ?, crc = ? WHERE id = ?", (bytes(body), crc, row))
    raw.close()
    store = SqliteStore.open_readonly(path)
    found = problems(store, keys_of(world))
    store.close()
    turns = {problem.turn for problem in found if problem.machine == "counter"}
    assert n in turns and turns <= {n - 1, n, None} | set(range(n, 40))
    if not mend:
        assert [problem.turn for problem in found if "journal" in problem.why] == [n]


def test_a_machine_is_found_by_name_or_by_a_unique_start_of_its_address() -> None:
    world = busy_world()
    make(world, "other")
    reader = Reader(world.store)
    address = world.machine("counter").address
    assert reader.machine("counter").address == address
    assert reader.machine(address.hex()[:12]).address == address
    for wrong in ("nobody", "", address.hex()[:12] + "zz"):
        with pytest.raises(NoSuchMachine, match="`ls`"):
            reader.machine(wrong)
    assert [machine.name for machine in reader.machines()] == ["counter", "other"]


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoStore):
        Reader.open(Directory(tmp_path))
    reader = Reader(busy_world().store)
    with pytest.raises(NoSuchTurn, match="failed ls"):
        reader.failed_at(reader.machine("counter"), 0)
    (failed,) = reader.failed(reader.machine("counter"))
    assert failed.index == 2 and failed.detail.endswith("ValueError: thirteen\n")
    assert reader.failed_at(reader.machine("counter"), failed.n) == failed


def narrated(world: SimHost) -> list[dict[str, object]]:
    reader = Reader(world.store)
    machine = reader.machine("counter")
    labels = reader.labels(world.core.host.address)
    narrator = Narrator(Lens(machine.address, reader.slots(machine), labels), Slots())
    return [narrator.tell(link) for link in reader.walk(machine) if isinstance(link, Link)]


def test_a_log_tells_who_said_what_and_what_was_sent_and_no_secret() -> None:
    world = busy_world(SMALL)
    told = narrated(world)
    assert [entry["turn"] for entry in told] == list(range(len(told)))
    first = next(entry for entry in told if entry["form"] == "turn")
    assert first["messages"] == [{"context": "add", "content": 0, "reply": "slot 1"}] or first[
        "messages"
    ][0]["reply"].startswith("reply to")  # type: ignore[index]
    assert first["printed"] == "adding 0\n"
    refused = next(entry for entry in told if entry["form"] == "refused")
    assert refused["word"] == "no such thing"
    init = told[0]
    assert "counter.add" in json.dumps(init["sends"])
    whole = json.dumps(told)
    assert "avm:" not in whole
    kept = next(entry for entry in told if '"keep"' in json.dumps(entry) and entry["turn"])
    assert world.core.host.clients, kept
    assert "$cap" in json.dumps(kept["messages"])


def test_a_message_between_machines_shows_their_names() -> None:
    world = busy_world()
    other = make(world, "other")
    client = world.client()
    add = Reader(world.store).names(world.machine("counter"))["add"]
    tell(client, world, client.hold(other.names["keep"]), client.hold(add))
    reader = Reader(world.store)
    machine = reader.machine("other")
    lens = Lens(machine.address, reader.slots(machine), reader.labels())
    narrator = Narrator(lens, Slots())
    told = [narrator.tell(link) for link in reader.walk(machine) if isinstance(link, Link)]
    assert told[1]["messages"] == [{"context": "keep", "content": {"$cap": "counter.add"}}]
    assert cut({"$cap": "counter.add"}) == "<counter.add>"
    assert cut({"a": [1, "<x>"]}) == '{"a": [1, "<x>"]}'


def test_times_are_read_and_written() -> None:
    assert utc(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
    assert parse_since("10m", 1_000_000) == 400_000
    assert parse_since("2023-11-14T22:13:20Z", 0) == 1_700_000_000_000
    assert parse_since("2023-11-14T23:13:20+01:00", 0) == 1_700_000_000_000
    assert parse_since("2023-11-14", 0) == 1_699_920_000_000
    for wrong in ("soon", "10", "5x", ""):
        with pytest.raises(Usage, match="write 10m"):
            parse_since(wrong, 0)


def test_a_store_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    world = busy_world()
    copy_into(world.store, path)
    reader = Reader(SqliteStore.open_readonly(path))
    writer = SqliteStore.create_or_open(path)
    with reader.reading():
        before = reader.head(reader.machine("counter"))
        writer.commit([])
        assert reader.head(reader.machine("counter")) == before
    writer.close()
    reader.close()
    assert os.stat(path).st_size
