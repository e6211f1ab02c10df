"""Machines that move between host processes: by name, under load, and under kill -9."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from avm.plugin.session import Client, HostGone, OperatorRefused
from caps.map import Map
from tests.net.hosts import RunningHost, wait_until
from tests.net.spread import SETTINGS, Spread, listening, route_of, seeded, three_hosts

pytestmark = pytest.mark.net


def trust_all(hosts: list[RunningHost]) -> None:
    """The operator of each host lets the machines of the others come."""
    addresses = [route_of(one).split("@")[0] for one in hosts]
    for one in hosts:
        operator = one.client("truster")
        for address in addresses:
            with suppress(OperatorRefused):
                operator.operate("peers", act="trust", host=address)
        operator.close(ended=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[RunningHost]]:
    """Three hosts that let one another's machines come."""
    running = three_hosts(tmp_path, *SETTINGS)
    trust_all(running)
    yield running
    for one in running:
        one.close()


def place_of(hosts: list[RunningHost], operators: list[Client], name: str) -> int:
    """The host where a machine of this name is, once it is at one."""

    def found() -> list[int]:
        places = []
        for place, operator in enumerate(operators):
            with suppress(OperatorRefused, HostGone):
                operator.operate("names", machine=name)
                places.append(place)
        assert len(places) < 2, "a machine lives at one host"
        return places

    place: int = wait_until(found, f"{name} is nowhere")[0]
    return place


def test_a_machine_moves_and_every_capability_to_it_stays_good(hosts: list[RunningHost]) -> None:
    here, there, third = hosts
    client, other, far = here.client("one"), there.client("two"), third.client("three")
    names = here.create(client, "orchard.py", "orchard-0", 0)
    report = client.wire(names["report"])
    put = client.wire(names["put"])
    assert client.send(put, (1, 2, 3)) == ["applied"]
    assert far.send(put, (4, 5)) == ["applied"]
    route = route_of(there)
    done = client.operate("move", machine="orchard-0", to=route, name="elsewhere")
    assert (done["machine"], done["name"]) == ("orchard-0", "elsewhere")
    assert done["host"] == route.split("@")[0] and done["incarnation"] == 2
    for one in (client, other, far):
        said = one.call(report)
        assert isinstance(said, Map) and said["apples"] == (1, 2, 3, 4, 5)
    assert other.operate("names", machine="elsewhere").keys() == names.keys()
    with pytest.raises(OperatorRefused, match="has moved to host"):
        client.operate("names", machine="orchard-0")
    with pytest.raises(OperatorRefused, match="has moved to host"):
        client.operate("suspend", machine="orchard-0")
    assert there.stop() == 0
    there.start()
    assert isinstance(client.call(report), Map)


def test_a_machine_moves_only_where_its_host_is_trusted(tmp_path: Path) -> None:
    soon = (*SETTINGS, "links.idle_s=2", "links.keep_alive_s=0.5", "links.handshake_s=2")
    here = listening(tmp_path / "a", *soon)
    here.start()
    there = listening(tmp_path / "b", *soon, through=route_of(here))
    there.start()
    try:
        client = here.client("one")
        names = here.create(client, "orchard.py", "orchard-0", 0)
        route = route_of(there)
        with pytest.raises(OperatorRefused, match="does not take your machines"):
            client.operate("move", machine="orchard-0", to=route, name="")
        with pytest.raises(OperatorRefused, match="lives here already"):
            client.operate("move", machine="orchard-0", to=route_of(here), name="")
        with pytest.raises(OperatorRefused, match="no name of a machine"):
            client.operate("move", machine="orchard-0", to=route, name="Not A Name")
        there.kill()
        with pytest.raises(OperatorRefused, match="cannot be reached"):
            client.operate("move", machine="orchard-0", to=route, name="")
        assert isinstance(client.call(client.wire(names["report"])), Map)
    finally:
        here.close()
        there.close()


def has_moved(operator: Client, asked: dict[str, Any]) -> bool:
    """Has a machine move; also where the machine is so busy that the link breaks meanwhile."""
    try:
        return bool(operator.operate("move", **asked)["incarnation"] > 1)
    except OperatorRefused as error:
        return "goes on while that host can be reached" in str(error)


def test_c02_apples_are_neither_lost_nor_doubled_though_orchards_move_under_kill_9(
    hosts: list[RunningHost],
) -> None:
    spread = Spread(hosts, 5)
    spread.plant()
    rng = seeded(5)
    moved = 0
    for round_ in range(8):
        spread.work(0.2)
        operators = [one.client("operator") for one in hosts]
        name = f"orchard-{rng.randrange(spread.count)}"
        home = place_of(hosts, operators, name)
        to = rng.choice([place for place in range(len(hosts)) if place != home])
        asked: dict[str, Any] = {"machine": name, "to": route_of(hosts[to]), "name": ""}
        if round_ % 2:
            operators[home].ask("move", **asked)
            spread.work(rng.choice((0.0, 0.02, 0.05, 0.1)))
            spread.kill_and_start(hosts[rng.choice((home, to))], elsewhere=False)
        else:
            moved += has_moved(operators[home], asked)
        spread.work(0.2)
    assert moved == 4
    operators = [one.client("operator") for one in hosts]
    for number in range(spread.count):
        place_of(hosts, operators, f"orchard-{number}")
    spread.settled_check()
