"""One simulated host: its core, a store in memory, and workers and clients that only exist here. Pure.

Steps 2 to 7 of the journey. The simulated workers exchange the real bytes with the core, through the
same inside that a worker process has. Alone it has no time: each call of `step` does one thing that
could happen next, chosen by the seed. A `World` calls the parts of a step each in its time.
"""

from collections.abc import Callable, Mapping
from typing import Any

from avm.host import history
from avm.host.about import NOTHING
from avm.host.capability import Cap
from avm.host.commons import furnish
from avm.host.core import ENTROPY_BYTES, Core
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
from avm.host.journal import hash_of_code
from avm.host.keys import Keyring
from avm.host.operate import Created
from avm.host.recover import recovered
from avm.host.state import Machine, Mode
from avm.limits import Limits
from avm.machine import frames
from avm.machine.bundle import Bundle
from avm.machine.live import Code
from avm.sim.client import Client, Handles
from avm.sim.code import Codes
from avm.sim.entropy import Entropy
from avm.sim.files import Files
from avm.sim.worker import Dies, Hangs, SimWorker
from avm.store.errors import DiskFull
from avm.store.interface import Transaction
from avm.store.memory import MemoryStore
from caps.codec import encode_content
from caps.value import freeze

START_MS = 1_700_000_000_000


class Refusal(Exception):
    """The host refused what an operator asked; the text says why."""


class SimHost:
    """One host and its clients; deterministic in its seed."""

    __slots__ = (
        "_group", "_written", "answers", "clients", "codes", "commons", "core", "crashes", "driver",
        "eager", "entropy", "files", "handles", "keyring_seeds", "limits", "name", "network",
        "next_request", "next_worker", "now_ms", "store", "up", "worker_count", "workers"
    )  # fmt: skip

    def __init__(
        self,
        seed: int = 0,
        *,
        limits: Limits | None = None,
        workers: int = 2,
        network: Callable[["SimHost", Any], None] | None = None,
        name: str = "",
    ) -> None:
        """`network` carries out what the host asks of other hosts; without it there are none."""
        self.network = network
        self.name = name
        self.up = True
        self.driver: Callable[[int], None] | None = None
        self.entropy = Entropy(seed)
        self.limits = limits or Limits()
        self.now_ms = START_MS
        self.store = MemoryStore()
        self.commons: tuple[str, bytes] = ("", b"")
        # The key and the secret; with an operational key its identity, certificate and root key too.
        self.keyring_seeds: tuple[bytes, ...] = (self.entropy.bytes(32), self.entropy.bytes(32))
        self.codes = Codes()
        self.handles = Handles()
        self.clients: dict[bytes, Client] = {}
        self.answers: dict[int, Done] = {}
        self.files = Files()
        self.workers: dict[int, SimWorker] = {}
        self.worker_count = workers
        self.next_worker = 0
        self.next_request = 0
        self.crashes = 0
        self.eager = True
        self.start()

    def start(self) -> None:
        """Goes on from what the store holds."""
        self.up = True
        keys = Keyring.of(*self.keyring_seeds)
        self.core = Core(keys, self.limits, now_ms=self.now_ms, python="sim", version="sim")
        self.core.load(self.store.rows)
        seed = int.from_bytes(self.keyring_seeds[1][:8], "big") + self.crashes
        self.core.do(furnish, Entropy(seed).bytes(32), *self.commons)
        if self.network is not None:
            self.core.join()
        self.workers = {}
        self._group: Transaction | None = None
        self._written = False
        while len(self.workers) < self.worker_count:
            self._new_worker()
        for client in self.clients.values():
            if client.core is not None:
                client.connect(self.core)

    def _new_worker(self) -> None:
        self.next_worker += 1
        self.workers[self.next_worker] = SimWorker(self.limits, self._code)
        self.core.worker_up(self.next_worker)

    def _code(self, bundle: bytes) -> Code:
        return self.codes.of(bundle)

    # What happens.

    def step(self) -> bool:
        """Does one thing that could happen next; False when nothing is left to do."""
        self.carry_out()
        choices: list[Callable[[], None]] = []
        for number, worker in self.workers.items():
            if worker.frames and not worker.hangs:
                choices.append(lambda number=number: self.work(number))  # type: ignore[misc]
        if self._group is not None or self.core.host.group:
            choices.append(self._commit)
        for client in self.clients.values():
            if client.wants_to_speak(self.core.host.now_ms):
                choices.append(client.speak)
        if not choices:
            return False
        if self.eager:
            choices[0]()
        else:
            self.entropy.choice(choices)()
        self.carry_out()
        return True

    def settle(self) -> None:
        """Goes on until nothing is left to do now."""
        while self.step():
            pass

    def advance(self, seconds: float) -> None:
        """Lets time pass, stopping at each time that something is due."""
        end = self.now_ms + round(seconds * 1000)
        self.settle()
        while True:
            due = self.next_wake_ms()
            if due is None or due > end:
                break
            self.now_ms = max(self.now_ms, due)
            self.core.tick(self.now_ms)
            self.settle()
        self.now_ms = end
        self.core.tick(end)
        self.settle()

    def next_wake_ms(self) -> int | None:
        """When something is due next."""
        now_ms = self.core.host.now_ms
        speaks = (client.speaks_ms() for client in self.clients.values())
        waiting = [due_ms for due_ms in speaks if due_ms is not None and due_ms > now_ms]
        due = self.core.next_wake_ms()
        return min(waiting if due is None else [*waiting, due], default=None)

    def crash(self) -> None:
        """The host and its workers die at once; the store keeps what was committed."""
        self.die()
        self.start()

    def die(self) -> None:
        """The host and its workers die; clients keep what they have to say until it starts again."""
        self.crashes += 1
        self.up = False
        self.store = self.store.copy()

    def kill_worker(self) -> None:
        """A worker dies with what it was given."""
        number = self.entropy.choice(sorted(self.workers))
        self.lose(number, "died")

    def lose(self, number: int, why: str) -> None:
        """A worker is gone; another takes its place."""
        del self.workers[number]
        self.core.worker_down(number, why)
        self._new_worker()

    def work(self, number: int) -> None:
        """A worker takes the next frame that waits for it."""
        worker = self.workers[number]
        answers: list[bytes] = []
        dies = False
        try:
            answers = worker.inside.receive(worker.frames.popleft())
        except Hangs:
            worker.hangs = True
        except Dies:
            dies = True
        for answer in worker.heard(answers):
            self.core.answer(number, answer)
        if dies:
            self.lose(number, "died")
        self.core.pump()

    def _commit(self) -> None:
        """Hands a group to the store, then commits it, then hears of it; each a step of its own."""
        if self._group is None and (not self.take() or not self.eager):
            return
        if not self._written:
            try:
                self.write()
            except DiskFull:
                self.core.refused()
                return
            if not self.eager:
                return
        self.hear_written()

    @property
    def is_writing(self) -> bool:
        """Whether the store has a group."""
        return self._group is not None

    @property
    def has_nothing_to_write(self) -> bool:
        """Whether what was taken for the store is empty."""
        group = self._group
        return group is not None and not (
            group.puts or group.journal or group.snapshots or group.cuts
        )

    def take(self) -> bool:
        """Takes the next group for the store; False when there is none."""
        group = self.core.take_commit()
        if group is None:
            return False
        self._group = Transaction(group.dirty, group.journal, group.snapshots, group.cuts)
        self.on_taken()
        return True

    def write(self) -> Transaction:
        """Commits what was taken; raises what the store does."""
        assert self._group is not None, "only what was taken can be written"
        self.store.commit([self._group])
        self._written = True
        self.on_written()
        return self._group

    def hear_written(self) -> None:
        """The host hears that what was written is durable."""
        self._group, self._written = None, False
        self.core.committed()

    def on_taken(self) -> None:
        """Called when a group has been taken for the store; for those who watch."""

    def on_written(self) -> None:
        """Called when that group is durable, and before the host hears of it."""

    def carry_out(self) -> None:
        """Carries out what the core asked for."""
        effects = self.core.host.effects
        while effects:
            taken, effects[:] = list(effects), []
            for effect in taken:
                self.carry(effect)

    def carry(self, effect: Any) -> None:
        """Carries out one thing that the core asked for."""
        match effect:
            case ToWorker(worker, frame):
                if worker in self.workers:
                    self.workers[worker].frames.append(frame)
            case Load():
                self._load(effect)
            case SendCode(worker, code):
                bundle = self.store.get(("code", code))
                if worker in self.workers and bundle is not None:
                    frame = frames.pack([frames.CODE, code, bundle])
                    self.workers[worker].frames.append(frame)
            case Kill(worker, why):
                if worker in self.workers:
                    self.lose(worker, why)
            case Verdict(client, receiver, seq, verdict):
                if client in self.clients and self.clients[client].core is not None:
                    self.clients[client].hear(receiver, seq, verdict)
            case Deliver(client, batch):
                if client in self.clients and self.clients[client].core is not None:
                    self.clients[client].take(batch)
            case Mark(client):
                if client in self.clients and self.clients[client].core is not None:
                    self.clients[client].marked(effect)
            case Done(request):
                self.answers[request] = effect
            case Carry(link, machine, fetch):
                place = (fetch.kind, fetch.n, fetch.hash)
                self.core.carried(link, fetch, *history.pack(self.store, machine, *place))
            case Export() | Exported() | Discard():
                self.files.carry_out(self.core, self.store, effect)
            case Publish() if self.network is None:
                pass
            case Say() | Seek() | Dial() | Unlink() | Frozen() | Publish():
                assert self.network is not None, "a host without a network knows no other"
                self.network(self, effect)

    def _load(self, load: Load) -> None:
        if load.worker in self.workers:
            self.workers[load.worker].frames.extend(recovered(self.store, load))

    # The operator.

    def ask(self, act: Callable[[int], None]) -> Any:
        """Has the core do an operator's act, and waits for it; raises `Refusal`."""
        self.next_request += 1
        request = self.next_request
        act(request)
        self.core.pump()
        if self.driver is None:
            self.settle()
        else:
            self.driver(request)
        if request not in self.answers:
            raise Refusal("the host gave no answer in time")
        answer = self.answers.pop(request)
        if answer.error:
            raise Refusal(answer.error)
        return answer.value

    def create(
        self,
        name: str,
        code: Code | Bundle,
        content: object = None,
        caps: tuple[Cap, ...] = (),
        about: Mapping[str, str] = NOTHING,
    ) -> Created:
        """Creates a machine from loaded code, or from the bundle of a file."""
        bundle = self.codes.add(name, code, self.entropy.bytes(8))
        body = encode_content(freeze(content))[0]
        entropy = self.entropy.bytes(ENTROPY_BYTES)
        sender = self.core.host.address
        said = (sender, name, hash_of_code(bundle), bundle, body, caps, entropy, about)
        created = self.ask(lambda request: self.core.create(request, *said))
        assert isinstance(created, Created)
        return created

    def begin(self, act: Callable[[int], None]) -> int:
        """Has the core begin an operator's act; what comes of it will stand in `answers`."""
        self.next_request += 1
        act(self.next_request)
        self.core.pump()
        return self.next_request

    def machine(self, name: str) -> Machine:
        """A machine by its name."""
        return self.core.host.names[name]

    def suspend(self, name: str, mode: Mode = Mode.HOLD) -> None:
        """Suspends a machine."""
        machine = self.machine(name)
        self.ask(lambda request: self.core.change(request, machine, "suspend", mode))

    def resume(self, name: str) -> None:
        """Resumes a machine."""
        machine = self.machine(name)
        self.ask(lambda request: self.core.change(request, machine, "resume"))

    def upgrade(self, name: str, code: Code | Bundle) -> Any:
        """Switches a machine to other code."""
        machine = self.machine(name)
        bundle = self.codes.add(name, code, self.entropy.bytes(8))
        return self.ask(
            lambda request: self.core.upgrade(request, machine, hash_of_code(bundle), bundle)
        )

    def client(self, durable: bool = False) -> Client:
        """A new client of the host."""
        address, tag = self.core.host.keys.client(self.entropy.bytes(16).hex())
        client = Client(address, self.handles, durable, tag)
        self.clients[client.address] = client
        client.connect(self.core)
        return client
