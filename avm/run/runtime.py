"""The runtime: the one place where the rooms of a host are wired together.

Every event goes into the core; what the core asks for is carried out before the next one. Commits are made
by the writer's thread, and while one is under way the next group gathers.
"""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import trio

from avm.errors import AvmError
from avm.host.core import Core
from avm.host.effects import (
    Carry,
    Deliver,
    Dial,
    Discard,
    Done,
    Export,
    Exported,
    Frozen,
    Kill,
    Load,
    Mark,
    Publish,
    Say,
    Seek,
    SendCode,
    ToWorker,
    Unlink,
    Verdict,
)
from avm.host.keylife import key_life
from avm.host.state import Group
from avm.run.config import Config
from avm.run.control import Control
from avm.run.directory import Directory
from avm.run.door import Door
from avm.run.figures import Figures
from avm.run.filing import Filing
from avm.run.keywatch import watch_key
from avm.run.noting import note
from avm.run.operator import Answer, NotDone, operator_capability
from avm.run.pool import Pool
from avm.run.reactor import Reactor
from avm.run.reruns import Reruns
from avm.run.spawn import HASH_SEED, Prepared
from avm.run.writer import Writer
from avm.store.errors import DiskFull
from avm.store.interface import Transaction
from avm.store.sqlite import SqliteStore
from avm.version import VERSION
from caps.capability import parse_wire_untrusted, to_text

if TYPE_CHECKING:
    from avm.run.recorder import Recorder

# What a host seldom needs is imported when it does.
NETWORK, OUTSIDE = "avm.run.over_udp", "avm.run.outside"
RETRY_S = 0.2
DRAIN_S = 30.0
IDLE_S = 1.0
# What a host tells of its network, each null without one.
PLACED = ("route", "listens", "reach", "contacts", "met")
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _where(network: Any, address: bytes) -> str:
    if network.route is not None:
        return f"avm-host is reached at {network.route}"
    unknown = "where others reach it is not known yet: `--advertise IP:PORT` says it"
    return f"avm-host {address.hex()} listens at {network.port.endpoint}; {unknown}"


def _nothing(_received: bytes) -> None:
    return None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Runtime:
    """A running host."""

    def __init__(
        self,
        directory: Directory,
        config: Config,
        core: Core,
        store: SqliteStore,
        prepared: Prepared,
        recorder: "Recorder | None" = None,
    ) -> None:
        self._directory = directory
        self._recorder = recorder
        self._config = config
        self._core = core
        self._store = store
        size = config.workers or os.cpu_count() or 1
        prepare = partial(Prepared.start, HASH_SEED, config.limits)
        self._reactor = Reactor(self._event, self._pump_and_carry_on, self._rest)
        self._pool = Pool(core, store, prepared, prepare, size, self._reactor.watch, self._settle)
        self._figures = Figures(core.host, self._pool, store, directory.path)
        self._filing = Filing(core, store, directory, self._beside, self._settle)
        self._control = Control(
            core,
            store,
            os.urandom,
            self._status,
            self._begin_stop,
            self._filing,
            self._ask_outside,
        )
        self._reruns = Reruns(core, directory.store, config.limits, self._settle, note)
        self._stopping = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._network: Any = None
        self._outside: Any = None
        self._writer: Writer | None = None
        self._group: Group | None = None
        self._alarm = trio.CancelScope()
        self._alarm_ms: int | None = None
        self._fatal: AvmError | None = None

    async def main(self) -> int:
        """Runs until stopped; the exit code."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            try:
                return await self._live(signals)
            except* AvmError as group:
                first = _first(group)
        raise first

    async def _live(self, signals: AsyncIterator[int]) -> int:
        self._directory.write_operator(self._operator_text())
        door = Door(self._directory, self._control, self._reactor, note)
        if self._config.network.listen:
            keys = self._core.host.keys
            place = (self._core, keys, self._config)
            # Not imported above: it brings QUIC, and a host alone starts without it.
            network_over_udp = import_module(NETWORK).network_over_udp
            self._network = network_over_udp(*place, os.urandom, self._settle, note)
            self._outside = import_module(OUTSIDE).Outside(
                self._core, self._store, self._network, self._beside, note
            )
        self._writer = Writer(self._store, self._reactor.call_soon)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._pool.start(nursery)
                nursery.start_soon(self._reactor.run)
                nursery.start_soon(door.accept, nursery)
                nursery.start_soon(self._keep_time)
                nursery.start_soon(self._reruns.run)
                nursery.start_soon(self._hear, signals)
                nursery.start_soon(watch_key, self._core.host.keys.proof, note)
                if self._network is not None:
                    self._reactor.watch(self._network.port, _nothing)
                    self._network.start(nursery, self._store.get(("meta", "node")))
                self._settle()
                if self._network is not None:
                    print(_where(self._network, self._core.host.address), flush=True)
                if self._recorder is not None:
                    print(f"avm-host is recorded {self._recorder.where}", flush=True)
                print(f"avm-host {VERSION} is ready in {self._directory.path}", flush=True)
                await self._stopping.wait()
                await self._drain()
                nursery.cancel_scope.cancel()
        finally:
            door.close()
            if self._network is not None:
                self._network.close()
            self._reruns.close()
            self._pool.close()
            self._writer.close()
            if self._recorder is not None:
                self._recorder.close()
        if self._fatal:
            raise self._fatal
        return 0

    def _operator_text(self) -> str:
        wire = self._core.seal(operator_capability(self._core.host.address))
        return to_text(parse_wire_untrusted(wire))

    # Events, and what follows from them.

    def _event(self) -> None:
        """The clock is read before each event."""
        self._core.hear_clock(_now_ms())
        if self._network is not None:
            self._network.port.begin_pass()

    def _settle(self) -> None:
        """Goes on, and is woken when something falls due."""
        self._carry_on()
        self._rest()

    def _carry_on(self) -> None:
        """Carries out what the core asks for, hands over what is to be committed, and writes."""
        core = self._core
        effects = core.host.effects
        while True:
            while effects:
                taken, effects[:] = list(effects), []
                for effect in taken:
                    # Most are these two, which a match takes three times as long to find.
                    if type(effect) is ToWorker:
                        self._pool.send(*effect)
                    elif type(effect) is Verdict:
                        self._control.verdict(*effect)
                    else:
                        self._carry_out(effect)
            if self._group is not None or not self._commit():
                break
        self._pool.flush()
        self._control.flush()
        if self._network is not None:
            self._network.settle()
            if effects:
                self._carry_on()
                return
        if self._recorder is not None:
            self._recorder.settled()

    def _pump_and_carry_on(self) -> None:
        self._core.pump()
        self._carry_on()

    def _carry_out(self, effect: Any) -> None:
        match effect:
            case Deliver(client, batch):
                self._control.deliver(client, batch)
            case Load():
                if self._recorder is not None:
                    self._recorder.loading(effect)
                self._pool.load(effect)
            case SendCode():
                self._pool.send_code(effect)
            case Kill(worker, why):
                note("worker.killed", worker=worker, why=why)
                self._pool.kill(worker, why)
            case Done():
                self._control.done(effect)
            case Carry():
                self._outside.moves.carry(effect)
            case Export() | Exported() | Discard():
                self._filing.carry_out(effect)
            case Say() | Seek() | Dial() | Unlink() | Publish():
                if self._network is not None:
                    self._network.carry_out(effect)
            case Frozen(sender, receiver, why):
                pair = {"sender": sender.hex(), "receiver": receiver.hex()}
                note("channel.frozen", **pair, why=why)
            case Mark():
                self._control.mark(effect)
            case _:
                raise AssertionError(f"nothing carries out {type(effect).__name__}")

    def _commit(self) -> bool:
        """Hands the next group to the writer; True when it held nothing to write."""
        group = self._core.take_commit()
        if group is None:
            return False
        if not (group.dirty or group.journal or group.snapshots or group.cuts):
            self._core.committed()
            return True
        self._group = group
        self._write(group)
        return False

    def _write(self, group: Group) -> None:
        assert self._writer is not None
        transaction = Transaction(group.dirty, group.journal, group.snapshots, group.cuts)
        self._writer.commit(transaction, self._committed)

    def _committed(self, error: AvmError | None) -> None:
        self._event()
        if error is None:
            if self._core.host.full:
                note("store.has_room_again")
            self._group = None
            self._core.committed()
        elif isinstance(error, DiskFull):
            if not self._core.host.full:
                note("store.full", text=str(error))
            self._core.refused()
            self._beside(self._write_again)
        else:
            self._fatal = error
            self._stopping.set()

    async def _write_again(self) -> None:
        """A full disk may have room later; what was folded is never given up."""
        await trio.sleep(RETRY_S)
        assert self._group is not None
        self._write(self._group)

    def _beside(self, task: Callable[..., Any], *args: Any) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(task, *args)

    # Time.

    def _rest(self) -> None:
        """Others have their turn: what falls due meanwhile wakes it."""
        if self._network is not None:
            self._network.rest()
        due = self._core.next_wake_ms()
        if due is not None and (self._alarm_ms is None or due < self._alarm_ms):
            self._alarm_ms = due
            self._alarm.deadline = trio.current_time() + self._core.until_ms(due, _now_ms()) / 1000

    async def _keep_time(self) -> None:
        while True:
            due = self._core.next_wake_ms()
            until_ms = None if due is None else self._core.until_ms(due, _now_ms())
            wait_s = IDLE_S if until_ms is None else min(IDLE_S, until_ms / 1000)
            self._alarm_ms = self._core.host.now_ms + round(wait_s * 1000)
            with trio.move_on_after(wait_s) as self._alarm:
                await trio.sleep_forever()
            self._core.tick(_now_ms())
            self._settle()

    # The end.

    async def _hear(self, signals: AsyncIterator[int]) -> None:
        async for _number in signals:
            self._begin_stop()

    def _begin_stop(self) -> None:
        self._stopping.set()

    async def _drain(self) -> None:
        """Finishes what is in flight; what waits stays in the store."""
        if self._fatal:
            return
        self._core.drain()
        self._settle()
        with trio.move_on_after(DRAIN_S):
            while not self._core.is_drained():
                await trio.sleep(0.005)
                self._settle()

    # The operator.

    def _status(self) -> dict[str, Any]:
        network = self._network
        return {
            **self._figures.now({} if network is None else network.counts()),
            **(dict.fromkeys(PLACED) if network is None else network.placed()),
            "reruns": self._reruns.status(),
            "record": None if self._recorder is None else self._recorder.status(),
            "key": {
                **key_life(self._core.host.keys.proof, _now_ms()).told(),
                "replaced": network is not None and network.is_replaced,
            },
        }

    def _ask_outside(
        self, verb: str, params: dict[str, Any], request: Callable[[], int], answer: Answer
    ) -> Any:
        if self._outside is None:
            remedy = "start it with `avm-host run --listen IP:PORT`"
            raise NotDone(f"this host is in no network: {remedy}")
        return self._outside.act(verb, params, request, answer)
