"""Random lives of a host: clients that come and go, operators who interfere, all that can break.

The core is held against its store at every commit. After quiet each ask has had one outcome, each
client has heard of each batch once, and nothing is kept that nobody needs.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from avm.host.capability import from_bytes
from avm.host.state import Machine, Mode, Status
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.entropy import Entropy
from avm.store.errors import DiskFull
from caps.value import Capability
from tests.sim import life
from tests.sim.code import ModuleCode, gap_free, replayed
from tests.sim.portrait import Watched

TINY = replace(
    Limits(),
    turn_s=2.0,
    inbox_batches=3,
    outbox_bytes=2_000,
    flights_machine=2,
    flights_worker=3,
    flight_messages=4,
    asks=6,
    timers=1,
    failed_batches=3,
    snapshot_turns=3,
    worker_machines=2,
    unsealed_cache=2,
)
USUAL = replace(Limits(), turn_s=2.0, snapshot_bytes=4_000)
SEEDS = 24


class Lives:
    """Machines, clients and an operator, all from one seed."""

    def __init__(self, seed: int, limits: Limits) -> None:
        self.world = Watched(seed, limits=limits)
        self.entropy = Entropy(seed + 1_000_000)
        self.names: list[str] = []
        self.does: dict[str, Capability] = {}
        self.bystander = self.world.client(durable=True)
        self.clients: list[Client] = []
        self.said: dict[tuple[int, str], int] = {}
        self.asked: dict[int, list[int]] = {}
        self.requests: set[int] = set()
        self.halted: set[str] = set()
        for _ in range(4):
            self.create()
        self.meet()
        for _ in range(3):
            self.clients.append(self.world.client(durable=len(self.clients) == 0))
        self.world.settle()

    def create(self) -> None:
        """One more machine."""
        name = f"m{len(self.names)}"
        made = self.world.create(name, ModuleCode(life))
        self.names.append(name)
        self.does[name] = self.world.handles.hold(made.names["do"])

    def meet(self) -> None:
        """The machines that there are learn of each other."""
        host = self.world.core.host
        there = [host.names[name] for name in self.names if name in host.names]
        hold = self.world.handles.hold
        take = [hold(from_bytes(host.bound[(one.id, "take")])) for one in there]
        for i, one in enumerate(there):
            meet = hold(from_bytes(host.bound[(one.id, "meet")]))
            self.bystander.send(meet, tuple(take[:i] + take[i + 1 :]))

    # What may happen.

    def speak(self) -> None:
        """A client has a machine do something, in a message or an ask."""
        entropy = self.entropy
        c = entropy.below(len(self.clients))
        client, name = self.clients[c], entropy.choice(self.names)
        number = self.said[(c, name)] = self.said.get((c, name), 0) + 1
        said = (f"{client.address.hex()}", number, entropy.below(10_000), client.ear())
        if entropy.chance(0.5) and client.core is not None:
            timeout_s = entropy.choice((0.2, 2.0, 60.0))
            self.asked.setdefault(c, []).append(client.ask(self.does[name], said, timeout_s))
        else:
            client.send(self.does[name], said)

    def operate(self) -> None:
        """The operator does something to a machine, and does not wait for it."""
        world, entropy = self.world, self.entropy
        name = entropy.choice(self.names)
        machine = world.core.host.names.get(name)
        if machine is None:
            return
        core = world.core
        doing = entropy.below(12)
        if doing < 3:
            mode = Mode.FAIL if doing == 0 else Mode.HOLD
            self.begin(lambda request: core.change(request, machine, "suspend", mode))
        elif doing < 6:
            self.begin(lambda request: core.change(request, machine, "resume"))
        elif doing == 6:
            bundle = name.encode() + entropy.bytes(8)
            world.codes[bundle] = ModuleCode(life)
            self.begin(lambda request: core.upgrade(request, machine, bundle[:32], bundle))
        elif doing == 7:
            self.begin(lambda request: core.prune(request, machine, machine.head))
        elif doing == 8 and len(self.names) - len(self.halted) > 2:
            self.halted.add(name)
            self.begin(lambda request: core.change(request, machine, "halt"))
            self.begin(lambda request: core.change(request, machine, "resume"))
        elif doing == 9 and name in self.halted:
            self.begin(lambda request: core.change(request, machine, "rm"))
            self.begin(lambda request: core.change(request, machine, "suspend"))
        else:
            self.retry(machine)

    def begin(self, act: Any) -> None:
        self.requests.add(self.world.begin(act))

    def retry(self, machine: Machine) -> None:
        """A failed batch is tried again, or dropped, perhaps twice."""
        core = self.world.core
        rows = [(key, row) for key, row in self.world.store.rows("failed") if key[0] == machine.id]
        for (_machine, n), row in rows[:1]:
            assert isinstance(n, int)
            if self.entropy.chance(0.5):
                self.begin(partial(core.retry, machine=machine, n=n, row=row))
            self.begin(partial(core.drop_failed, machine=machine, n=n))

    def disturb(self, crash: float, kill: float) -> None:
        """What is nobody's intention."""
        world, entropy = self.world, self.entropy
        if entropy.chance(crash):
            self.requests.clear()
            world.crash()
        if entropy.chance(kill):
            world.kill_worker()
        if entropy.chance(0.01):
            world.store.fail_next(DiskFull("no room"))
        if entropy.chance(0.05):
            entropy.choice(list(world.workers.values())).hangs = True
        if entropy.chance(0.1):
            world.now_ms += entropy.below(1500)
            world.core.tick(world.now_ms - entropy.below(2) * 10_000)
        for client in self.clients:
            if client.core is None:
                if entropy.chance(0.3):
                    client.connect(world.core)
            elif entropy.chance(0.02):
                client.leave(ended=entropy.chance(0.3) and not client.senders)

    def run(self, moves: int, crash: float = 0.02, kill: float = 0.02) -> None:
        """So many moves, each of a few steps of the world."""
        world, entropy = self.world, self.entropy
        world.eager = False
        for _ in range(moves):
            if entropy.chance(0.6):
                self.speak()
            if entropy.chance(0.1):
                self.operate()
            for _ in range(entropy.below(8)):
                world.step()
            self.disturb(crash, kill)

    # Afterwards.

    def heal(self) -> None:
        """Everything goes on, and there is time for all of it."""
        world = self.world
        world.eager = True
        for client in self.clients:
            if client.core is None:
                client.connect(world.core)
        for _ in range(6):
            for number, worker in list(world.workers.items()):
                if worker.hangs:
                    world.lose(number, "died")
            world.advance(20)
            for name in self.names:
                machine = world.core.host.names.get(name)
                if machine is not None and machine.status is Status.SUSPENDED:
                    rows = list(world.store.rows_of("failed", machine.id))
                    for (_id, n), _row in rows:
                        assert isinstance(n, int)
                        self.begin(partial(world.core.drop_failed, machine=machine, n=n))
                    self.begin(partial(world.core.change, machine=machine, verb="resume"))
        world.advance(200)

    def check(self) -> None:
        """What must hold after quiet."""
        world, host = self.world, self.world.core.host
        for request in self.requests:
            assert request in world.answers, "each request of the operator is answered"
        for name in self.names:
            if name not in host.names:
                continue
            if next(world.store.entries(host.names[name].id))[0] == 0:
                gap_free(world, name, anew=True)
            if host.names[name].status is not Status.HALTED:
                self.check_machine(name)
        for c, client in enumerate(self.clients):
            assert not client.forgotten
            left = {r: s.waiting for r, s in client.senders.items() if s.waiting}
            assert not left, "every batch has its verdict"
            sent = sum(sender.sent for sender in client.senders.values())
            assert len(client.verdicts) == sent, "one verdict each"
            for number in self.asked.get(c, []):
                outcomes = client.outcomes.get(number, [])
                assert len(outcomes) == 1, f"ask {number} has {len(outcomes)} outcomes"
        self.check_nothing_is_kept()

    def check_machine(self, name: str) -> None:
        world = self.world
        machine = world.machine(name)
        state = replayed(world, name, from_start=False)
        assert sorted(state.outcomes) == list(range(state.asked)), "each ask has one outcome"
        assert not machine.asks and not machine.timers and not machine.claimed
        assert not machine.queue and not machine.flights and not machine.acts
        assert machine.outbox_bytes == 0

    def check_nothing_is_kept(self) -> None:
        host = self.world.core.host
        assert not host.outbox and not host.inbox, "outboxes drain"
        assert not host.stranded and not host.unloaded and not host.ready
        assert not any(worker.waiting or worker.flights for worker in host.workers.values())
        for key in host.channels:
            for address in key:
                assert address == host.address or host.owner(address) or key[0] in host.clients
        assert host.deadlines.next_ms() is None, "nothing waits for a time"


def live(seed: int, limits: Limits, moves: int = 80) -> None:
    lives = Lives(seed, limits)
    lives.run(moves)
    lives.heal()
    lives.check()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_lives_of_a_host_with_tiny_limits(seed: int) -> None:
    live(seed, TINY)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_lives_of_a_host(seed: int) -> None:
    live(seed, USUAL)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_lives_of_a_host(block: int) -> None:
    for seed in range(10_000 + 50 * block, 10_050 + 50 * block):
        live(seed, TINY if seed % 2 else USUAL)
