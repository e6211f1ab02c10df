"""What a host has in memory against what it would find in its store: the same once all is quiet. Pure."""

from avm.host import rows
from avm.host.core import Core
from avm.host.keys import Keyring
from avm.host.state import Channel, Client, Host, Key, Machine
from avm.sim.host import SimHost


def differs(host: SimHost) -> str:
    """What a host that started now would know otherwise than this one does; empty for nothing."""
    keys = Keyring.of(*host.keyring_seeds)
    again = Core(keys, host.limits, now_ms=host.now_ms, python="sim", version="sim")
    try:
        again.load(host.store.rows)
    except KeyError as missing:
        return f"a row belongs to nothing that is there: {missing}"
    lives, stored = _rows(host.core.host), _rows(again.host)
    for key in [*lives, *(key for key in stored if key not in lives)]:
        if key not in stored:
            return f"{_named(key)} is in memory alone"
        if key not in lives:
            return f"{_named(key)} is in the store alone"
        if lives[key] != stored[key]:
            return f"{_named(key)} is another one in the store"
    return _failed(host)


def _rows(host: Host) -> dict[Key, object]:
    """All that a host's memory would write, by its key, and how far its channels have come."""
    found: dict[Key, object] = {}
    for pair, channel in host.channels.items():
        row = rows.encode(channel)
        if row != rows.encode(Channel(*pair)):  # of one that says nothing there need be no row
            found[("channel", *pair)] = row
            found[("received", *pair)] = channel.received
    for place in host.outbox:
        found[("outbox", *place)] = True
    for place in host.inbox:
        found[("inbox", *place)] = True
    for machine in host.machines.values():
        found[("machine", machine.id)] = rows.encode(machine)
        for slot, cap in (machine.slots or {}).items():
            found[("slot", machine.id, slot)] = rows.encode(cap)
        for proof, use in (machine.uses or {}).items():
            found[("use", machine.id, proof)] = rows.encode(use)
        for timer_key, timer in (machine.timers or {}).items():
            found[("timer", machine.id, timer_key)] = rows.encode(timer)
    for client in host.clients.values():
        if client.stored:
            found[("client", client.address)] = rows.encode(client)
    owners: list[Machine | Client] = [*host.machines.values(), *host.clients.values()]
    for owner in owners:
        for number, ask in (owner.asks or {}).items():
            found[("ask", owner.id, number)] = rows.encode(ask)
    return found


def _failed(host: SimHost) -> str:
    """Each failed batch that a machine counts has its row."""
    for machine in host.core.host.machines.values():
        count = sum(1 for _row in host.store.rows_of("failed", machine.id))
        if count != machine.failed:
            return f"{machine.name} counts {machine.failed} failed batches, and {count} are there"
    return ""


def _named(key: Key) -> str:
    """A row's key for people."""
    table, *parts = key
    told = [one.hex()[:8] if isinstance(one, bytes) else str(one) for one in parts]
    return f"{table} {' '.join(told)}"
