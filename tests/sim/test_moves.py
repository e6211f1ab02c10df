"""Machines that move between hosts while tokens go round, under crashes and broken links."""

import pytest

from avm.host import acquaintance
from avm.host.state import Status
from avm.limits import Limits
from avm.sim.host import SimHost
from tests.sim.orchard import Orchard


def trust(world: SimHost, other: SimHost) -> None:
    """The operator of a host lets machines of another come."""
    address = other.core.host.address
    world.ask(lambda request: acquaintance.trust(world.core.host, request, address))


class Travels(Orchard):
    """The apple test whose pouches move from host to host."""

    def __init__(self, seed: int, hosts: int = 3, limits: Limits | None = None) -> None:
        super().__init__(seed, hosts, limits)
        self.moved = 0
        self.requests: list[tuple[SimHost, int]] = []
        for world in self.net.worlds:
            for other in self.net.worlds:
                if other is not world:
                    trust(world, other)
        self.net.settle()

    def travel(self, m: int | None = None, to: SimHost | None = None) -> None:
        """One pouch is asked to move to some other host."""
        entropy = self.net.entropy
        m = entropy.below(len(self.names)) if m is None else m
        home = self.home(m)
        if home is None or home in self.net.down:
            return
        others = [world for world in self.net.worlds if world is not home]
        chosen = to or entropy.choice(others)
        machine = home.machine(self.names[m])
        where = chosen.core.host.address
        request = home.begin(lambda number: home.core.move(number, machine, where, self.names[m]))
        self.requests.append((home, request))
        home.carry_out()
        self.moved += 1

    def home(self, m: int) -> SimHost | None:
        """Where a pouch lives; None while it is between two hosts."""
        name = self.names[m]
        found = [world for world in self.net.worlds if name in world.core.host.names]
        assert len(found) <= 1, "a machine lives at one host"
        return found[0] if found else None

    def move(self) -> None:
        super().move()
        if self.net.entropy.chance(0.15):
            self.travel()

    def heal(self) -> None:
        self.homes = []
        for world in list(self.net.down):
            self.net.start(world)
        self.net.mend()
        for world in self.net.worlds:
            world.eager = True
        self.net.settle()
        self.net.advance(60)
        for m in range(len(self.names)):
            home = self.home(m)
            assert home is not None, "each is at some host in the end"
            self.homes.append(home)
            assert home.machine(self.names[m]).status is Status.RUNNING
        self.net.advance(200)

    def check(self) -> None:
        super().check()
        for world in self.net.worlds:
            moves = world.core.host.moves
            assert not (moves.asked or moves.leaving or moves.landing)


def test_a_machine_moves_with_its_state_its_asks_and_its_timers() -> None:
    travels = Travels(1)
    for _ in range(10):
        travels.move()
    travels.net.settle()
    home = travels.home(0)
    assert home is not None
    other = next(world for world in travels.net.worlds if world is not home)
    travels.travel(0, other)
    travels.net.settle()
    assert travels.home(0) is other
    assert other.machine("pouch0").incarnation == 2 + 0
    for _ in range(20):
        Orchard.move(travels)
    travels.heal()
    travels.check()


@pytest.mark.parametrize("seed", range(20))
def test_c02_tokens_are_conserved_though_machines_move(seed: int) -> None:
    travels = Travels(seed)
    travels.run(40, crash=0.0, cut=0.0)
    travels.check()
    assert travels.moved


@pytest.mark.parametrize("seed", range(100, 130))
def test_c02_tokens_are_conserved_though_machines_move_between_hosts_that_crash(seed: int) -> None:
    travels = Travels(seed)
    travels.run(40, crash=0.02, cut=0.03, stop=0.01)
    travels.check()


@pytest.mark.parametrize("seed", range(200, 220))
def test_c02_tokens_are_conserved_though_machines_move_and_hosts_are_cut_apart(seed: int) -> None:
    travels = Travels(seed)
    travels.run(40, crash=0.02, cut=0.02, stop=0.01, part=0.05)
    travels.check()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10_000, 10_400))
def test_c02_tokens_are_conserved_though_machines_move_in_the_long_run(seed: int) -> None:
    travels = Travels(seed)
    travels.run(120, crash=0.02, cut=0.02, stop=0.02, part=0.05 if seed % 2 else 0.0)
    travels.check()
