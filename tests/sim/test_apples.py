"""Tokens handed round machines under crashes: none lost, none doubled, each ask one outcome."""

from dataclasses import replace

import pytest

from avm.host import journal, rows
from avm.host.state import Status
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.host import SimHost
from avm.store.errors import DiskFull
from caps.value import Capability
from tests.sim import apple
from tests.sim.code import ModuleCode, entries, gap_free, replayed

MACHINES = 5
TOKENS = 20
SEEDS = range(40)


class Apples:
    """Five pouches that know each other, and three clients that set tokens moving."""

    def __init__(self, seed: int, limits: Limits | None = None) -> None:
        self.world = world = SimHost(seed, limits=limits)
        share = TOKENS // MACHINES
        self.names = [f"pouch{i}" for i in range(MACHINES)]
        made = [
            world.create(name, ModuleCode(apple), tuple(range(i * share, (i + 1) * share)))
            for i, name in enumerate(self.names)
        ]
        self.clients = [world.client() for _ in range(3)]
        self.go: list[list[Capability]] = []
        for client in self.clients:
            self.go.append([client.hold(one.names["go"]) for one in made])
        first = self.clients[0]
        take = [first.hold(one.names["take"]) for one in made]
        for i, one in enumerate(made):
            first.send(first.hold(one.names["meet"]), tuple(take[:i] + take[i + 1 :]))
        world.settle()
        self.said = {(c, m): 0 for c in range(3) for m in range(MACHINES)}

    def move(self) -> None:
        """One client asks one pouch to hand on a token."""
        entropy = self.world.entropy
        c, m = entropy.below(3), entropy.below(MACHINES)
        self.said[(c, m)] += 1
        way, chosen = entropy.below(50), entropy.below(1000)
        self.clients[c].send(self.go[c][m], (str(c), self.said[(c, m)], chosen, way))

    def check(self) -> None:
        """After quiet: tokens, outcomes, the clients' messages, channels and replay."""
        world = self.world
        tokens: list[int] = []
        for m, name in enumerate(self.names):
            state = replayed(world, name)
            tokens += state.tokens
            assert state.asked == sum(state.outcomes.values()), "each ask has one outcome"
            for c in range(3):
                assert state.heard.get(str(c), 0) == self.said[(c, m)], "acknowledged is applied"
            assert state == replayed(world, name, from_start=False)
            assert not world.machine(name).asks, "no ask stays open"
            gap_free(world, name)
        assert sorted(tokens) == list(range(TOKENS)), "each token in exactly one place"
        assert not world.core.host.outbox, "outboxes drain"
        for client in self.clients:
            assert not any(sender.waiting for sender in client.senders.values()), "all is settled"
            assert all(verdict == ["applied"] for _seq, verdict in client.verdicts)


def run(apples: Apples, moves: int, crash: float, kill: float, full: float = 0.0) -> None:
    world = apples.world
    entropy = world.entropy
    world.eager = False
    left = moves
    while left or world.step():
        if left and entropy.chance(0.3):
            apples.move()
            left -= 1
        for _ in range(entropy.below(6)):
            world.step()
        if entropy.chance(crash):
            world.crash()
        if entropy.chance(kill):
            world.kill_worker()
        if entropy.chance(full):
            world.store.fail_next(DiskFull("no room"))
        if entropy.chance(0.02):
            world.now_ms += entropy.below(1000)
            world.core.tick(world.now_ms)
    world.eager = True
    world.settle()
    for name in apples.names:  # one whose loads were killed three times running is suspended
        if world.machine(name).status is Status.SUSPENDED:
            world.resume(name)
    world.advance(120)


@pytest.mark.parametrize("seed", SEEDS)
def test_c02_tokens_are_conserved_under_crashes(seed: int) -> None:
    apples = Apples(seed)
    run(apples, 60, crash=0.01, kill=0.01)
    apples.check()


@pytest.mark.parametrize("seed", range(8))
def test_c02_tokens_are_conserved_with_snapshots_and_small_flights(seed: int) -> None:
    limits = replace(Limits(), snapshot_bytes=2000, flights_machine=2, flights_worker=3)
    apples = Apples(1000 + seed, limits)
    run(apples, 80, crash=0.02, kill=0.02)
    apples.check()


@pytest.mark.parametrize("seed", range(8))
def test_a_full_disk_stops_accepting_and_loses_nothing(seed: int) -> None:
    apples = Apples(2000 + seed)
    run(apples, 60, crash=0.005, kill=0.005, full=0.05)
    apples.check()


def test_p01_the_same_seed_gives_the_same_journal() -> None:
    heads = []
    for _ in range(2):
        apples = Apples(7)
        run(apples, 40, crash=0.02, kill=0.02)
        heads.append([entries(apples.world, name)[-1].hash for name in apples.names])
    assert heads[0] == heads[1]


def test_clients_hear_each_verdict_once() -> None:
    apples = Apples(11)
    run(apples, 60, crash=0.03, kill=0.0)
    for client in apples.clients:
        assert isinstance(client, Client)
        seqs = [seq for seq, _verdict in client.verdicts]
        assert len(seqs) == sum(sender.sent for sender in client.senders.values())


class Watched(Apples):
    """Apples whose store is compared with all that leaves the host."""

    def step(self) -> None:
        before = [len(client.verdicts) for client in self.clients]
        heard = [
            sum(map(len, client.outcomes.values())) + len(client.inbox) for client in self.clients
        ]
        self.world.step()
        for c, client in enumerate(self.clients):
            if len(client.verdicts) > before[c]:
                self.acknowledged_is_stored(client)
            told = sum(map(len, client.outcomes.values())) + len(client.inbox)
            if told > heard[c]:
                self.answered_is_stored()

    def acknowledged_is_stored(self, client: Client) -> None:
        stored = {
            key: rows.decode_channel(b"", b"", body).taken
            for key, body in self.world.store.rows("channel")
        }
        for receiver, sender in client.senders.items():
            if sender.confirmed:
                assert stored.get((client.address, receiver), 0) >= sender.confirmed

    def answered_is_stored(self) -> None:
        for name in self.names:
            machine = self.world.machine(name)
            answered = {key[1] for key in self.world.core.host.outbox if key[0] == machine.address}
            for address in answered & self.world.clients.keys():
                sent = self.world.core.host.channels[(machine.address, address)].sent
                row = self.world.store.get(("channel", machine.address, address))
                assert row is not None
                stored = rows.decode_channel(machine.address, address, row)
                assert stored.sent >= min(sent, 1)


def test_an_acknowledged_batch_is_in_the_store() -> None:
    apples = Watched(3)
    apples.world.eager = False
    for _ in range(60):
        apples.move()
        for _ in range(4):
            apples.step()


def test_no_output_without_its_committed_record() -> None:
    """An answer that a client has heard is in the journal, whenever the host dies."""
    for crash_after in range(1, 16):
        apples = Apples(4)
        world, client = apples.world, apples.clients[0]
        world.eager = False
        ask = client.ask(apples.go[0][0], ("0", 1, 0, 1))
        for _ in range(crash_after):
            world.step()
        answered = bool(client.outcomes.get(ask))
        world.crash()
        turns = [entry for entry in entries(world, "pouch0") if entry.form == journal.TURN]
        asked = [turn for turn in turns if turn["sender"] == client.address]
        assert len(asked) >= 2 or not answered
