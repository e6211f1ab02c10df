"""What is done to a host, move by move; a move that was cut short by a crash is gone on with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from avm.host.capability import from_bytes
from avm.host.state import Machine, Status
from avm.run.backup import back_up
from avm.sim.client import Client
from caps.codec import encode_content
from caps.value import freeze
from tests.crashes import sheet
from tests.crashes.host import HOST, DiskHost, boot, content
from tests.sim import apple
from tests.sim.code import ModuleCode

Move = tuple[Any, ...]
KINDS = {"pouch": apple, "sheet": sheet}
# What a client does is done when it is said: it says it again by itself. An operator looks first.
SAID = {"client", "meet", "go", "ask", "alarm", "swell", "break", "steps", "kill"}


class Play:
    """A host that goes through a plan, from where its outside says it stands."""

    def __init__(self, host: DiskHost, plan: tuple[Move, ...]) -> None:
        self.host = host
        self.plan = plan

    def run(self) -> None:
        """The rest of the plan."""
        outside = self.host.outside
        while outside.at < len(self.plan):
            verb, *args = self.plan[outside.at]
            does: Callable[..., None] = getattr(self, f"do_{verb}")
            if verb in SAID:
                outside.at += 1
                does(*args)
            else:
                self.host.settle()
                does(*args)
                outside.at += 1
        self.host.settle()

    # Clients.

    def _client(self, c: int) -> Client:
        return list(self.host.outside.clients.values())[c]

    def _send(self, c: int, name: str, to: str, *contents: object) -> None:
        client = self._client(c)
        client.send(self._cap(client, name, to), *contents)

    def _cap(self, client: Client, name: str, to: str) -> Any:
        host = self.host.core.host
        return client.hold(from_bytes(host.bound[(host.names[name].id, to)]))

    def _count(self, *key: Any) -> int:
        ledger = self.host.outside.ledger
        ledger[key] = ledger.get(key, 0) + 1
        return int(ledger[key])

    def do_client(self, durable: bool) -> None:
        self.host.client(durable)

    def do_meet(self, *names: str) -> None:
        client = self._client(0)
        take = [self._cap(client, name, "take") for name in names]
        for i, name in enumerate(names):
            self._send(0, name, "meet", tuple(take[:i] + take[i + 1 :]))

    def do_go(self, c: int, name: str, *ways: tuple[int, int]) -> None:
        said = [(str(c), self._count("said", c, name), chosen, way) for chosen, way in ways]
        self._send(c, name, "go", *said)

    def do_ask(self, c: int, name: str, chosen: int, way: int) -> None:
        client = self._client(c)
        said = (str(c), self._count("said", c, name), chosen, way)
        client.ask(self._cap(client, name, "go"), said, 20.0)

    def do_alarm(self, c: int, name: str, after_s: float) -> None:
        self._send(c, name, "alarm", after_s)

    def do_swell(self, c: int, name: str, number: int, size: int) -> None:
        self.host.outside.ledger["number", name] = number
        self._send(c, name, "swell", (number, size))

    def do_break(self, c: int, name: str) -> None:
        self._count("broken", c)
        self._send(c, name, "bulk", (0, 1), (1, 1))

    # Time.

    def do_steps(self, count: int) -> None:
        for _ in range(count):
            self.host.step()

    def do_settle(self) -> None:
        self.host.settle()

    def do_advance(self, seconds: float) -> None:
        self.host.advance(seconds)

    def do_kill(self) -> None:
        self.host.kill_worker()

    # The operator.

    def _there(self, name: str) -> Machine | None:
        return self.host.core.host.names.get(name)

    def do_create(self, name: str, kind: str, given: object) -> None:
        if self._there(name) is None:
            self.host.create(name, ModuleCode(KINDS[kind]), given)

    def do_upgrade(self, name: str, kind: str) -> None:
        self.host.upgrade(name, ModuleCode(KINDS[kind]))

    def do_edit(self, name: str, number: int) -> None:
        machine = self.host.machine(name)
        body = encode_content(freeze((number, b"by hand")))[0]
        self.host.ask(lambda request: self.host.core.edit(request, machine, body, ()))
        self.host.outside.ledger["number", name] = number

    def do_suspend(self, name: str) -> None:
        if self.host.machine(name).status is Status.RUNNING:
            self.host.suspend(name)

    def do_resume(self, name: str) -> None:
        if self.host.machine(name).status is Status.SUSPENDED:
            self.host.resume(name)

    def do_halt(self, name: str) -> None:
        machine = self.host.machine(name)
        if machine.status is not Status.HALTED:
            self.host.ask(lambda request: self.host.core.change(request, machine, "halt"))

    def do_rm(self, name: str) -> None:
        machine = self._there(name)
        if machine is not None:
            self.host.ask(lambda request: self.host.core.change(request, machine, "rm"))
        self.host.outside.ledger.pop(("number", name), None)

    def do_prune(self, name: str) -> None:
        machine = self.host.machine(name)
        self.host.ask(lambda request: self.host.core.prune(request, machine, machine.head))

    def do_drop(self, name: str) -> None:
        machine = self.host.machine(name)
        core = self.host.core
        for n, _row in self._failed(machine):
            self.host.ask(partial(core.drop_failed, machine=machine, n=n))

    def do_retry(self, name: str) -> None:
        machine = self.host.machine(name)
        core = self.host.core
        for n, row in self._failed(machine):
            self.host.ask(partial(core.retry, machine=machine, n=n, row=row))

    def _failed(self, machine: Machine) -> list[tuple[int, bytes]]:
        rows = self.host.store.rows_of("failed", machine.id)
        return [(n, row) for (_machine, n), row in rows if isinstance(n, int)]

    def do_restart(self) -> None:
        self.host.stop()
        self.host.start_again()
        self.host.settle()

    def do_backup(self, name: str) -> None:
        host = self.host
        path = host.disk.root / name
        if list(host.disk.root.glob(f"{name}.new*")) and self._there("meanwhile") is None:
            # Who tries again does so later: the store is another one by then, and larger.
            self.do_create("meanwhile", "sheet", bytes(30_000))
        host.look()
        if not path.exists():
            back_up(host.witness.store, host.directory, path)
        host.outside.backups[name] = content(host.witness.store)

    def do_put(self, backup: str, directory: str) -> None:
        """An operator puts a copy of a backup into an empty directory, and has it synchronised."""
        disk, place = self.host.disk, self.host.disk.root / directory
        self.host.look()
        if not place.exists():
            disk.make_directory(place)
        disk.sync_directory(place.parent)
        disk.write(place / "store.db", (disk.root / backup).read_bytes())
        disk.sync(place / "store.db")
        disk.sync_directory(place)
        self.host.outside.ledger["put", directory] = self.host.outside.backups[backup]

    def do_come(self, directory: str) -> None:
        """A host starts from it, and stops."""
        self.host.look()
        opened = boot(self.host.disk, self.host.log_pages_max, directory)
        opened.store.close()


def backups(root: Path) -> list[str]:
    """The backups that are there, whole or not."""
    return sorted(path.name for path in root.glob("*.avm"))


__all__ = ["HOST", "Move", "Play", "backups"]
