"""The port in memory, and what can befall the network it is of."""

import pytest

from avm.link.errors import EndpointInUse
from avm.link.interface import Why
from avm.link.memory import MemoryListener, MemoryNetwork
from avm.link.memory_port import MemoryPort, Weather
from caps.identity import Endpoint
from tests.link.worlds import NOW, MemoryWorld, Pair, entropy_of, pair

HERE, THERE = Endpoint(b"\x0a\0\0\1", 4433), Endpoint(b"\x0a\0\1\1", 4433)


class Ports:
    """Two ports, and what has come to the second."""

    def __init__(self, weather: Weather, seed: int = 0) -> None:
        self.network = MemoryNetwork(NOW)
        entropy = entropy_of(seed)
        self.here = MemoryPort(self.network, HERE, weather, entropy)
        self.there = MemoryPort(self.network, THERE, weather, entropy)
        self.came: list[tuple[bytes, Endpoint]] = []
        self.there.serve(lambda datagram, source: self.came.append((datagram, source)))


def test_a_datagram_comes_once_after_its_time_from_where_it_was_sent() -> None:
    ports = Ports(Weather(latency_s=0.01))
    ports.here.send(b"\x01", THERE)
    ports.network.advance(0.009)
    assert not ports.came
    ports.network.advance(0.002)
    assert ports.came == [(b"\x01", HERE)]


def test_the_weather_loses_doubles_and_reorders_in_its_shares_and_by_the_seed() -> None:
    weather = Weather(latency_s=0.001, jitter_s=0.05, loss=0.2, double=0.1)
    runs = []
    for _ in range(2):
        ports = Ports(weather, seed=5)
        for number in range(1000):
            ports.here.send(number.to_bytes(2, "big"), THERE)
        ports.network.advance(1)
        runs.append([int.from_bytes(datagram, "big") for datagram, _ in ports.came])
    assert runs[0] == runs[1] != sorted(runs[0])
    assert 750 <= len(set(runs[0])) <= 850 and 50 <= len(runs[0]) - len(set(runs[0])) <= 110
    assert ports.here.lost_datagrams == 1000 - len(set(runs[0]))


def test_what_is_on_its_way_is_lost_to_who_is_parted_or_gone() -> None:
    ports = Ports(Weather(latency_s=0.01))
    ports.here.send(b"\x01", THERE)
    ports.network.part(HERE, THERE)
    ports.network.advance(1)
    ports.network.join(HERE, THERE)
    ports.here.send(b"\x02", THERE)
    ports.there.close()
    ports.network.advance(1)
    assert not ports.came and ports.here.lost_datagrams == 2


def test_an_endpoint_has_one_port_until_it_is_closed() -> None:
    ports = Ports(Weather())
    with pytest.raises(EndpointInUse):
        MemoryPort(ports.network, THERE, Weather(), entropy_of(0))
    ports.there.close()
    again = MemoryPort(ports.network, THERE, Weather(), entropy_of(0))
    again.serve(lambda datagram, source: ports.came.append((datagram, source)))
    ports.there.close()
    ports.here.send(b"\x01", THERE)
    ports.network.advance(1)
    assert ports.came == [(b"\x01", HERE)]


def test_the_address_of_a_tunnel_is_no_hosts() -> None:
    port = Ports(Weather()).here
    for number in (0, 7, 2**32):
        assert port.tunnel_at(port.tunnel_address(number)) == number
    for endpoint in (THERE, Endpoint(bytes(15) + b"\1", 4433)):
        assert port.tunnel_at(port.address_of(endpoint)) is None
        assert port.endpoint_at(port.address_of(endpoint)) == endpoint


def linked() -> tuple[MemoryWorld, Pair]:
    world = MemoryWorld()
    made = pair(world)
    assert made.ear.up and made.far_ear.up
    return world, made


def test_a_severed_link_ends_here_at_once_and_there_with_the_next_word() -> None:
    world, made = linked()
    made.link.send_nowait(1, b"on its way")
    world.network.sever(made.near.endpoint, made.far.endpoint)
    world.run(1)
    assert made.ear.whys == [Why.BROKEN] and not made.far_ear.whys and not made.far_ear.frames
    made.far_link.send_nowait(1, b"are you there?")
    world.run(0.01)
    assert made.far_ear.whys == [Why.FORGOTTEN] and len(made.ear.whys) == 1


def test_a_host_that_vanished_is_noticed_by_its_silence() -> None:
    world, made = linked()
    assert isinstance(made.near, MemoryListener)
    made.near.vanish()
    made.far_link.send_nowait(1, b"are you there?")
    world.run(29)
    assert not made.far_ear.down
    world.run(12)
    assert made.far_ear.whys == [Why.TIMED_OUT] and not made.ear.down
