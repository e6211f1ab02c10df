"""What a store must hold after any crash, read without its host and with code of its own."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import cbor2

from avm.host import journal
from avm.host.journal import FAILED, FIELDS, INIT, REFUSED, SIGNAL, TURN, VOID
from avm.host.rows import decode_channel, decode_machine
from avm.limits import Limits
from avm.machine import frames
from avm.machine.bundle import decode
from avm.machine.inside import Inside
from avm.machine.live import Code
from avm.machine.loader import load
from avm.store.sqlite import SqliteStore

BATCHES = (TURN, FAILED, REFUSED, VOID)
KINDS = {INIT: frames.INIT, TURN: frames.MESSAGES, SIGNAL: frames.SIGNAL}


@dataclass(slots=True)
class Judged:
    """What a store tells: marks by channel, rows left by table, entries by machine."""

    marks: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    sent: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    forms: dict[str, list[str]] = field(default_factory=dict)
    states: dict[str, object] = field(default_factory=dict)


def judge(path: Path, again: bool = True) -> Judged:
    """Checks chains, sequences, marks and (`again`) every turn taken once more."""
    store = SqliteStore.open_readonly(path)
    try:
        with store.reading():
            return _judge(store, again)
    finally:
        store.close()


def _judge(store: SqliteStore, again: bool) -> Judged:
    found = Judged()
    for (sender, receiver), body in store.rows("channel"):
        assert isinstance(sender, bytes) and isinstance(receiver, bytes)
        channel = decode_channel(sender, receiver, body)
        found.marks[(sender, receiver)] = channel.taken
        found.sent[(sender, receiver)] = channel.sent
    for table in ("outbox", "inbox", "ask", "timer", "failed"):
        found.left[table] = sum(1 for _ in store.rows(table))
    inside = Inside(Limits(), _code)
    for (number,), body in store.rows("machine"):
        assert isinstance(number, int)
        machine = decode_machine(number, body)
        rows = [(n, entry) for n, entry, _printed in store.entries(number)]
        found.entries[machine.name] = len(rows)
        assert len(rows) == machine.head, f"{machine.name}: entries beyond its row, or fewer"
        chain = _check_chain(machine.name, rows)
        assert chain == machine.chain, (
            f"{machine.name}: another entry than its row says is the last"
        )
        _check_sequences(machine.name, machine.address, rows, found)
        found.forms[machine.name] = [journal.FORMS[cbor2.loads(entry)[0]] for _n, entry in rows]
        if again:
            bundle = store.get(("code", machine.code))
            assert bundle is not None
            inside.receive(frames.pack([frames.CODE, machine.code, bundle]))
            found.states[machine.name] = _take_again(inside, number, machine.code, rows)
    return found


def _code(bundle: bytes) -> Code:
    return load(decode(bundle))


def _check_chain(name: str, rows: list[tuple[int, bytes]]) -> bytes:
    before = b""
    for place, (n, entry) in enumerate(rows):
        assert n == place, f"{name}: entry {place} is missing"
        assert cbor2.loads(entry)[1] == before, f"{name}: entry {n} hangs on another"
        before = journal.hash_of(entry)
    return before


def _check_sequences(
    name: str, address: bytes, rows: list[tuple[int, bytes]], found: Judged
) -> None:
    """Every channel into a machine is 1, 2, 3 .. in its journal, and its mark is the last."""
    last: dict[bytes, int] = defaultdict(int)
    for n, entry in rows:
        form, _before, *rest = cbor2.loads(entry)
        if form not in BATCHES:
            continue
        sender, seq = rest[:2]
        if seq:
            assert seq == last[sender] + 1, f"{name}: entry {n} is batch {seq} of its channel"
            last[sender] = seq
    for sender, seq in last.items():
        # The channel of a client that said goodbye is forgotten.
        mark = found.marks.get((sender, address), seq)
        assert mark == seq, f"{name}: the mark is {mark} and the journal's last batch {seq}"


def _take_again(inside: Inside, number: int, code: bytes, rows: list[tuple[int, bytes]]) -> object:
    """Takes all turns of a machine once more, from its beginning, and compares the outputs."""
    inside.receive(frames.pack([frames.LOAD, number, code, None, [], 0, 0]))
    for n, entry in rows:
        form, _before, *rest = cbor2.loads(entry)
        if form not in KINDS:
            continue
        fields = dict(zip(FIELDS[form], rest, strict=False))
        if fields.get("changed", True):
            turn = [n, KINDS[form], fields["input"], fields["output"]]
            inside.receive(frames.pack([frames.AGAIN, number, [turn]]))
    (frame,) = inside.receive(frames.pack([frames.LOADED, number, 0]))
    assert not frames.unpack(frame)[3], frames.unpack(frame)[3]
    return inside.state_of(number)
