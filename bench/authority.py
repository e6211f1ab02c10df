"""Who holds what on a host of many machines: the graph of its store, with and without the journals.

The store is generated, as turns would have left it: each machine holds capabilities to others, which came
ten at a time from a machine before it, whose journal says that it sent them.
"""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from time import perf_counter

import cbor2

from avm.authority.reach import who_can
from avm.host import capability, journal, rows
from avm.host.capability import Cap, Local
from avm.host.state import Machine, Status
from avm.past.authority import Authority
from avm.past.reading import Reader
from avm.store.interface import Key, Transaction
from avm.store.sqlite import SqliteStore
from bench.figures import Figure, Section
from bench.scale import Scale

SLOTS = 100
IN_A_TURN = 10
S_MAX = 2.0
HOST = bytes(32)


def measure(directory: Path, scale: Scale) -> Section:
    """The graph, its journals beside it, and who can reach the machine that is furthest from all."""
    machines = scale.holders
    file = directory / "store.db"
    generate(file, machines)
    figures: list[Figure] = []
    slots = machines * SLOTS
    for journals, what in ((False, "the tables alone"), (True, "with all journals")):
        begun = perf_counter()
        with Reader(SqliteStore.open_readonly(file)) as reader, reader.reading():
            found = Authority.read(reader, HOST, 0, journals)
            took_s = perf_counter() - begun
            if sum(map(len, found.graph.held.values())) < slots:
                raise AssertionError("the graph has not every slot")
            figures.append(
                Figure(f"the graph, {what}", took_s, "s", most=None if journals else S_MAX)
            )
            if journals:
                begun = perf_counter()
                everyone = who_can(found.graph, address_of(machines - 1))
                if len(everyone) < machines - 1:
                    raise AssertionError("somebody cannot reach the last machine")
                figures.append(Figure("who can reach a machine", perf_counter() - begun, "s"))
    text = (
        f"{slots:,} slots of {machines:,} machines in a SQLite store, and the "
        f"{machines * (SLOTS // IN_A_TURN + 1):,} entries that tell how they came."
    )
    return Section("Who holds what", text, figures)


def address_of(number: int) -> bytes:
    """The address of a generated machine."""
    return blake2b(number.to_bytes(4, "big"), digest_size=32).digest()


def generate(file: Path, machines: int) -> None:
    """Writes a store of so many machines with 100 slots each."""
    store = SqliteStore.create_or_open(file)
    store.commit([_machine(number, machines) for number in range(machines)])
    store.close()


def _machine(number: int, machines: int) -> Transaction:
    address = address_of(number)
    machine = Machine(number + 1, address, f"machine-{number}", Status.RUNNING, b"c" * 32, b"", b"")
    held = [_cap((number + 1 + at * at) % machines, at) for at in range(SLOTS)]
    puts: dict[Key, bytes | None] = {
        ("slot", machine.id, slot): capability.to_bytes(cap) for slot, cap in enumerate(held)
    }
    entries = list(_entries(number, machines))
    machine.head, machine.next_slot = len(entries), SLOTS
    machine.chain = journal.hash_of(entries[-1])
    puts[("machine", machine.id)] = rows.encode(machine)
    return Transaction(puts, [(machine.id, n, entry, None) for n, entry in enumerate(entries)])


def _cap(target: int, at: int) -> Cap:
    context = cbor2.dumps(f"use-{at % 8}")
    return Local(address_of(target), at % 3, 0, at % 4, None, context, ())


def _entries(number: int, machines: int) -> Iterator[bytes]:
    """The journal: it is made, and takes a batch of its sender's, while it sends one of its own."""
    sender, receiver = address_of((number - 1) % machines), address_of((number + 1) % machines)
    before = journal.NOTHING
    given = cbor2.dumps([1, "init", 0, False, [[b"\xf6", b"\xf6"]]])
    fields = [HOST, given, cbor2.dumps([0, True, []]), b"c" * 32, "3.11", "1.0", 1]
    entry = journal.encode(journal.INIT, before, *fields)
    yield entry
    for turn in range(1, SLOTS // IN_A_TURN + 1):
        fresh = [-at for at in range(1, IN_A_TURN + 1)]
        given = cbor2.dumps(
            [turn, "channel", turn, False, [[b"\xf6", b"\xf6", "null~", fresh, []]]]
        )
        sends = [[0, b"\xf6", list(range(min(turn, IN_A_TURN))), None, None, None, False]]
        output = cbor2.dumps([0, True, [sends]])
        sent = [[receiver, turn, 1]]
        before = journal.hash_of(entry)
        entry = journal.encode(journal.TURN, before, sender, turn, True, given, output, sent)
        yield entry
