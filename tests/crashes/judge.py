"""What must hold of a host: after its store was opened again, and when all is quiet at last."""

from pathlib import Path
from typing import Any

from avm.host.keys import Keyring
from avm.host.state import Status
from avm.limits import Limits
from avm.machine.inside import Inside
from avm.past.audit import Audit
from avm.past.reading import Reader
from avm.past.replaying import replay
from avm.past.rerun import Agreed
from avm.run.worker import InProcess
from avm.sim.disk import Disk
from avm.store.interface import Store
from avm.store.sqlite import SqliteStore
from caps.identity import SEED_BYTES
from tests.crashes.host import DiskHost, boot, content
from tests.crashes.outside import Outside
from tests.crashes.workloads import POUCHES, TOKENS
from tests.sim.code import gap_free, replayed


class Wrong(AssertionError):
    """A host is not as it must be after a crash; the text says how."""


def holds(whether: bool, why: str) -> None:
    """Raises `Wrong` unless it holds."""
    if not whether:
        raise Wrong(why)


def audited(store: Store, keys: bytes) -> None:
    """`verify` finds nothing."""
    reader, ring = Reader(store), Keyring(keys[:SEED_BYTES], keys[SEED_BYTES:])
    for machine in reader.machines():
        ring.add_machine(machine.address, machine.sealed_keys)
    for address in reader.clients():
        ring.add_client(address)
    audit = Audit(reader, ring)
    problems = [str(problem) for problem in audit.problems()]
    holds(not problems, f"verify: {problems}")


def told_is_kept(host: DiskHost) -> None:
    """What clients were told before the crash is in the store: verdicts, and what came to them."""
    channels = host.core.host.channels
    for client in host.outside.clients.values():
        for receiver, seq in client.settled:
            channel = channels.get((client.address, receiver))
            holds(
                channel is not None and channel.taken >= seq, "an acknowledged batch is not taken"
            )
        for sender, seq in client.taken:
            channel = channels.get((sender, client.address))
            holds(channel is not None and channel.sent >= seq, "an output has no record")


def held_by_backup(body: bytes, scratch: Path, keys: bytes) -> bytes:
    """What a host holds that comes to life from a backup; it has the keys, and `verify` finds nothing."""
    (scratch / "host").mkdir(0o700)
    (scratch / "host" / "store.db").write_bytes(body)
    disk = Disk(scratch)
    try:
        opened = boot(disk, 64)
        holds(opened.keys == keys, "the backup has other keys")
        found = content(opened.store)
        audited(opened.store, keys)
        opened.store.close()
        return found
    finally:
        disk.close()


States = dict[str, Any]


def quiet(host: DiskHost, known: dict[bytes, States]) -> None:
    """When all is done: tokens, outcomes, marks, journals and states.

    `known` are the states of the machines in stores that were replayed and verified before, by what
    these hold: of equal stores this is done once.
    """
    host.eager = True
    host.advance(200)
    names = host.core.host.names
    _clients(host.outside)
    found = content(host.store)
    states = known[found] if found in known else _states(host)
    _tokens(host, {name: states[name] for name in POUCHES if name in names})
    for name, machine in names.items():
        if machine.status is not Status.HALTED:
            if next(host.store.entries(machine.id))[0] == 0:
                gap_free(host, name)
            holds(not machine.asks and not machine.timers, f"{name}: something stays open")
            number = host.outside.ledger.get(("number", name))
            whole = number is None or states[name][0] == number
            holds(whole, f"{name}: a step is lost or doubled")
    holds(not host.core.host.outbox and not host.core.host.inbox, "outboxes drain")
    told_is_kept(host)
    host.witness.store.close()
    store = SqliteStore.open_readonly(host.directory.store, host.disk)
    if found not in known:
        audited(store, host.directory.key_file.read_bytes())
    committed = content(host.witness.models[-1])
    holds(content(store) == found == committed, "the store is not what was committed")
    store.close()
    known[found] = states


def _states(host: DiskHost) -> States:
    """The states of all machines but those that are halted, whose journals are replayed."""
    states: States = {}
    for name, machine in host.core.host.names.items():
        if machine.status is Status.HALTED:
            continue
        states[name] = replayed(host, name, from_start=False)
        _replays(host, name)
    return states


def _replays(host: DiskHost, name: str) -> None:
    reader = Reader(host.store)
    worker = InProcess(Inside(Limits(), lambda bundle: host.codes[bundle]))
    found = replay(reader, reader.machine(name), worker, any_python=True)
    holds(isinstance(found, Agreed), f"{name}: replay says {found}")


def _tokens(host: DiskHost, pouches: States) -> None:
    found: list[int] = []
    for name, state in pouches.items():
        found += state.tokens
        holds(state.asked == sum(state.outcomes.values()), "each ask has one outcome")
        for key, count in host.outside.ledger.items():
            if key[0] == "said" and key[2] == name:
                heard = state.heard.get(str(key[1]), 0)
                holds(heard == count, f"{name} heard {heard} of {count} from client {key[1]}")
    if pouches:
        holds(sorted(found) == list(range(TOKENS)), f"tokens: {sorted(found)}")


def _clients(outside: Outside) -> None:
    for c, client in enumerate(outside.clients.values()):
        holds(not client.forgotten, "the host has forgotten a client")
        holds(not any(s.waiting for s in client.senders.values()), "a batch has no verdict")
        sent = sum(sender.sent for sender in client.senders.values())
        holds(len(client.verdicts) == sent, "one verdict each")
        broken = sum(verdict[0] == "rejected" for _seq, verdict in client.verdicts)
        applied = sum(verdict[0] == "applied" for _seq, verdict in client.verdicts)
        holds(
            broken == outside.ledger.get(("broken", c), 0),
            f"only what breaks is rejected: {client.verdicts}",
        )
        holds(applied + broken == sent, f"a batch came twice: {client.verdicts}")
        for number in range(1, client.next_ask + 1):
            holds(len(client.outcomes.get(number, [])) == 1, "each ask has one outcome")
