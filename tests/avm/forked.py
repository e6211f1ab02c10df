"""Forks for tests: made of a simulated world's store in memory, and run in this process."""

from collections.abc import Iterator
from typing import Any

from avm.host.batch import Said
from avm.host.capability import Cap, Local
from avm.host.journal import digest_of
from avm.host.keys import Keyring
from avm.limits import Limits
from avm.machine.inside import Inside
from avm.machine.prepared import load_bytes
from avm.machine.worker import Interior, Tell
from avm.past.forking import KEY_BYTES, Copy
from avm.past.labels import Labels, Lens
from avm.past.reading import Reader
from avm.past.solo import Solo
from avm.past.states import state_at
from avm.sim.entropy import Entropy
from avm.sim.host import SimHost
from avm.store.interface import Store
from avm.store.memory import MemoryStore
from caps.codec import encode_content
from caps.value import freeze
from tests.avm.journals import LIMITS, in_process

SMALL = Limits(snapshot_turns=7)


def entropy() -> Iterator[bytes]:
    stream = Entropy(77)
    while True:
        yield stream.bytes(KEY_BYTES)


def fork_of(world: SimHost, chosen: dict[str, int], waiting: bool = False) -> MemoryStore:
    """The store of a fork: machines by name, each up to a turn."""
    reader = Reader(world.store)
    by_id = {reader.machine(name).id: turn for name, turn in chosen.items()}
    store = MemoryStore()
    for transaction in Copy(reader, by_id, waiting, keys()).transactions(entropy()):
        store.commit([transaction])
    return store


def keys() -> Keyring:
    return Keyring(b"f" * 32, b"g" * 32)


def running(store: MemoryStore) -> Solo:
    """The fork, run as the command does, but for the worker's process."""

    def inside(tell: Tell) -> Interior:
        return Inside(LIMITS, lambda body: load_bytes(body, LIMITS.printed_bytes), tell)

    now_ms = max(one.now_ms for one in Reader(store).machines())
    return Solo(store, keys(), LIMITS, now_ms, ("sim", "sim"), inside)


def named(store: Store, machine: str, name: str) -> Local:
    reader = Reader(store)
    cap = reader.names(reader.machine(machine))[name]
    assert isinstance(cap, Local)
    return cap


def said(to: Local, content: object, *caps: Cap) -> Said:
    return Said(to, encode_content(freeze(content))[0], caps, None)


def head(fork: Solo, name: str) -> int:
    return fork.core.host.names[name].head


def state_of(store: Store, name: str, turn: int | None = None) -> bytes:
    reader = Reader(store)
    return digest_of(*state_at(reader, reader.machine(name), in_process(), turn))


def seen(store: Store) -> int:
    """How often something was passed to a machine of a store."""
    reader = Reader(store)
    found = 0
    for machine in reader.machines():
        lens = Lens(machine.address, reader.slots(machine), Labels())
        value: Any = lens.state(*state_at(reader, machine, in_process()))
        found += value.fields["seen"]
    return found
