"""Machines that go into files and come out of them elsewhere while tokens go round, under crashes."""

import pytest

from avm.host import carrying
from avm.host.state import Status
from avm.sim.host import SimHost
from tests.sim.orchard import Orchard


class Carriage(Orchard):
    """The apple test whose pouches are suspended, put into files and taken up again, anywhere."""

    def __init__(self, seed: int, hosts: int = 3) -> None:
        super().__init__(seed, hosts)
        self.carried = 0
        self.coming: dict[str, tuple[SimHost, int, int]] = {}

    def home(self, name: str) -> SimHost | None:
        """Where a pouch lives; None while it is in a file, or about to be."""
        found = [world for world in self.net.worlds if name in world.core.host.names]
        assert len(found) <= 1, "a machine lives at one host"
        return found[0] if found else None

    def move(self) -> None:
        super().move()
        if self.net.entropy.chance(0.5):
            self.handle(self.net.entropy.choice(self.names))

    def handle(self, name: str) -> None:
        """The next step with a pouch, wherever it is."""
        home = self.home(name)
        files = [world for world in self.net.worlds if name in world.files.files]
        assert len(files) <= 1
        if files:
            assert home is None or name in self.coming, "it is in its file or at a host"
            self.bring(name, files[0])
        elif home is not None and home not in self.net.down:
            machine = home.machine(name)
            if machine.status is Status.RUNNING:
                home.begin(lambda request: home.core.change(request, machine, "suspend"))
            elif self.net.entropy.chance(0.4):
                home.begin(lambda request: home.core.change(request, machine, "resume"))
            else:
                core = home.core
                home.begin(lambda n: carrying.export(core.host, n, machine, name, True))
            home.carry_out()

    def bring(self, name: str, disk: SimHost) -> None:
        """Has a pouch come out of its file; the file goes when that is known to be done."""
        if name in self.coming:
            world, request, crashes = self.coming[name]
            answer = world.answers.get(request)
            if answer is None and world.crashes == crashes:
                return
            del self.coming[name]
            if (answer is not None and not answer.error) or name in world.core.host.names:
                del disk.files.files[name]
                self.carried += 1
                return
        world = self.net.entropy.choice(self.net.worlds)
        if world in self.net.down:
            return
        core = world.core
        unpacked = world.files.read(disk.files.files[name], core.host.new_id())
        request = world.begin(lambda n: carrying.take_up(core.host, n, unpacked))
        self.coming[name] = (world, request, world.crashes)
        world.carry_out()

    def heal(self) -> None:
        for world in list(self.net.down):
            self.net.start(world)
        self.net.mend()
        for world in self.net.worlds:
            world.eager = True
        self.net.settle()
        self.homes = []
        for name in self.names:
            while any(name in world.files.files for world in self.net.worlds):
                self.handle(name)
                self.net.settle()
            home = self.home(name)
            assert home is not None, "each is at some host in the end"
            if home.machine(name).status is Status.SUSPENDED:
                home.resume(name)
            self.homes.append(home)
        self.net.advance(260)


@pytest.mark.parametrize("seed", range(4))
def test_c02_tokens_are_conserved_though_machines_are_carried_in_files(seed: int) -> None:
    carriage = Carriage(seed)
    carriage.run(40, crash=0.0, cut=0.0)
    carriage.check()
    assert carriage.carried


@pytest.mark.parametrize("seed", range(100, 106))
def test_c02_tokens_are_conserved_though_machines_are_carried_between_hosts_that_crash(
    seed: int,
) -> None:
    carriage = Carriage(seed)
    carriage.run(40, crash=0.02, cut=0.03, stop=0.01)
    carriage.check()


@pytest.mark.parametrize("seed", [27, 57])
def test_who_waited_to_hear_where_a_machine_goes_finds_it_out_of_its_file(seed: int) -> None:
    carriage = Carriage(seed)
    carriage.run(60, crash=0.03, cut=0.03, stop=0.01)
    carriage.check()
