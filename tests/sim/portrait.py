"""What a core should have in the store, and whether a store has that and nothing else."""

from typing import Any

from avm.host import rows
from avm.host.core import Core
from avm.host.state import Channel, Client, Host, Machine, Status
from avm.sim.host import SimHost
from avm.store.memory import MemoryStore

Portrait = dict[str, dict[tuple[Any, ...], bytes | None]]


def portrait(host: Host) -> Portrait:
    """The rows that a store must hold for this core, by table."""
    machines = [one for one in host.machines.values() if one.status is not Status.CREATING]
    owners: list[Machine | Client] = [*machines, *host.clients.values()]
    things: dict[str, dict[tuple[Any, ...], Any]] = {
        "machine": {(one.id,): one for one in machines},
        "name": dict(host.bound),
        "slot": {(one.id, n): cap for one in machines for n, cap in (one.slots or {}).items()},
        "ask": {(one.id, n): ask for one in owners for n, ask in (one.asks or {}).items()},
        "timer": {(one.id, key): t for one in machines for key, t in (one.timers or {}).items()},
        "outbox": dict(host.outbox),
        "inbox": dict(host.inbox),
        "client": {(one.address,): one for one in host.clients.values() if one.stored},
        "channel": dict(host.channels),
    }
    encoded = {
        table: {key: rows.encode(thing) for key, thing in of.items()}
        for table, of in things.items()
    }
    return without_empty_channels(encoded)


def without_empty_channels(found: Portrait) -> Portrait:
    """A channel on which nothing was ever sent or taken may have a row or none."""
    empty = rows.encode(Channel(b"", b""))
    found["channel"] = {key: row for key, row in found["channel"].items() if row != empty}
    return found


def stored(store: MemoryStore, tables: Portrait) -> Portrait:
    """The same tables as a store has them."""
    return without_empty_channels({table: dict(store.rows(table)) for table in tables})


class Watched(SimHost):
    """A world that compares the core with its store at every commit, and with what is loaded."""

    wanted: Portrait

    def on_taken(self) -> None:
        self.wanted = portrait(self.core.host)

    def on_written(self) -> None:
        self.agree(self.wanted, stored(self.store, self.wanted))
        failed = {(key[0],) for key, _row in self.store.rows("failed")}
        assert failed <= self.wanted["machine"].keys(), "no failed batch of a machine that is gone"

    def agree(self, wanted: Portrait, found: Portrait) -> None:
        for table, rows_of_table in wanted.items():
            missing = rows_of_table.keys() - found[table].keys()
            left = found[table].keys() - rows_of_table.keys()
            assert not missing, f"{table}: the store lacks {missing}"
            assert not left, f"{table}: left behind in the store: {left}"
            for key, row in rows_of_table.items():
                assert found[table][key] == row, f"{table}: another row at {key}"

    def crash(self) -> None:
        super().crash()
        self.has_loaded(self.core)

    def has_loaded(self, core: Core) -> None:
        """What was loaded is what is stored, with a time for all that waits for one."""
        host = core.host
        wanted = portrait(host)
        self.agree(wanted, stored(self.store, wanted))
        for_host = [one for one in host.outbox.values() if one.receiver == host.address]
        assert sum(len(line.batches) for line in host.making.values()) == len(for_host)
        for machine in host.machines.values():
            own = [one for one in host.outbox.values() if one.sender == machine.address]
            assert machine.outbox_bytes == sum(batch.size for batch in own)
            waiting = [*host.outbox.values(), *host.inbox.values()]
            here = sum(batch.receiver == machine.address for batch in waiting)
            assert len(machine.queue or ()) == here, "all that waits is in the queue"
