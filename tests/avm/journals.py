"""Real journals for tests: machines of real bundles in a simulated world, and their stores."""

from pathlib import Path

import cbor2

from avm.host import journal
from avm.host.capability import Cap
from avm.host.core import ENTROPY_BYTES
from avm.host.operate import Created
from avm.limits import Limits
from avm.machine.bundle import Bundle, Source
from avm.machine.inside import Inside
from avm.machine.prepared import load_bytes
from avm.past.reading import Reader
from avm.run.worker import InProcess
from avm.sim.client import Client
from avm.sim.host import SimHost
from avm.store.interface import Key, Transaction
from avm.store.memory import MemoryStore
from avm.store.schema import TABLES
from avm.store.sqlite import SqliteStore
from caps.codec import encode_content
from caps.value import Capability, freeze

COUNTER = """
from dataclasses import replace
from avm import Me, Message, Refused, Step, record

@record
class Counter:
    me: Me
    total: int = 0
    kept: tuple = ()

def init(message, me):
    return message.answer({"add": me("add"), "read": me("read"), "keep": me("keep")}), Counter(me)

def step(message, state):
    match message.context, message.content:
        case "add", int(n):
            if n == 13:
                raise ValueError("thirteen")
            print("adding", n)
            total = state.total + n
            return message.answer({"total": total}), replace(state, total=total)
        case "read", None:
            return message.answer(state.total), state
        case "keep", what:
            return [], replace(state, kept=(*state.kept, what))
    raise Refused("no such thing")
"""
BY_HASH = """
def init(message, me):
    return message.answer({"go": me("go")}), ()

def step(message, state):
    return message.answer("".join({"one", "two", "three", "four", "five", "six"})), state
"""
CONSTANT = """
def init(message, me):
    return message.answer({"go": me("go")}), "open door"

def step(message, state):
    if message.content == "ask":
        return message.answer(state), state
    return [], "open door" if message.content else "shut door"
"""
LIMITS = Limits()


def bundle_of(text: str, name: str = "counter") -> Bundle:
    return Bundle(name, "3.11", (Source(name, False, text),))


def make(
    world: SimHost, name: str = "counter", text: str = COUNTER, caps: tuple[Cap, ...] = ()
) -> Created:
    bundle = bundle_of(text)
    body = bundle.encode()
    world.codes[body] = load_bytes(body, LIMITS.printed_bytes)
    content = encode_content(freeze(None))[0]
    sender = world.core.host.address
    entropy = world.entropy.bytes(ENTROPY_BYTES)
    created = world.ask(
        lambda request: world.core.create(
            request, sender, name, bundle.hash, body, content, caps, entropy
        )
    )
    assert isinstance(created, Created)
    return created


def upgrade(world: SimHost, name: str, text: str) -> None:
    bundle = bundle_of(text)
    body = bundle.encode()
    world.codes[body] = load_bytes(body, LIMITS.printed_bytes)
    machine = world.machine(name)
    world.ask(lambda request: world.core.upgrade(request, machine, bundle.hash, body))


def tell(client: Client, world: SimHost, to: Capability, *contents: object) -> None:
    client.send(to, *contents)
    world.settle()


def busy_world(limits: Limits | None = None, adds: int = 20) -> SimHost:
    """A counter that has applied, refused, failed, kept a capability and answered."""
    world = SimHost(limits=limits)
    created = make(world)
    client = world.client()
    add, keep, read = (client.hold(created.names[name]) for name in ("add", "keep", "read"))
    for n in range(adds):
        client.ask(add, n if n != 13 else 14)
        world.settle()
    tell(client, world, keep, client.ear())
    tell(client, world, add, 1, 2, 13)
    tell(client, world, add, "one")
    tell(client, world, add, 1, 2)
    client.ask(read)
    world.settle()
    return world


def in_process(limits: Limits = LIMITS) -> InProcess:
    return InProcess(Inside(limits, lambda body: load_bytes(body, LIMITS.printed_bytes)))


def copy_into(store: MemoryStore, path: Path) -> None:
    """A SQLite store with the same rows."""
    target = SqliteStore.create_or_open(path)
    puts: dict[Key, bytes | None] = {
        (table, *key): body for table in TABLES for key, body in store.rows(table)
    }
    entries = [
        (machine, n, *row) for machine, own in store._journal.items() for n, row in own.items()
    ]
    kept = [(machine, n, b) for machine, own in store._snapshots.items() for n, b in own.items()]
    target.commit([Transaction(puts, entries, kept)])
    target.close()


def rechained(world: SimHost, n: int, **fields: object) -> Reader:
    """The store with one entry changed, and every link after it and its row made to agree."""
    store = world.store.copy()
    machine = world.machine("counter")
    own = store._journal[machine.id]
    before = journal.hash_of(own[n - 1][0]) if n else journal.NOTHING
    for at in range(n, machine.head):
        form, _before, *rest = cbor2.loads(own[at][0])
        names = journal.FIELDS[form]
        if at == n:
            rest = [fields.get(name, value) for name, value in zip(names, rest, strict=True)]
        entry = journal.encode(form, before, *rest)
        own[at] = (entry, own[at][1])
        before = journal.hash_of(entry)
    row = cbor2.loads(store._tables["machine"][(machine.id,)])
    row[1][1] = before
    store._tables["machine"][(machine.id,)] = cbor2.dumps(row)
    return Reader(store)
