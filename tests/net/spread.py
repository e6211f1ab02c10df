"""Orchards spread over several hosts that find each other by the network: real processes, real UDP."""

import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from avm.plugin.session import Client, HostGone
from caps.identity import Endpoint, parse_endpoint
from tests.net.hosts import RunningHost
from tests.net.orchards import APPLES, Mover, Orchards

ADDRESS_BYTES = 32
SETTINGS = ("host.workers=1", "limits.snapshot_turns=60", "limits.rerun_share=0")


def free_endpoint() -> str:
    """An endpoint of loopback that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def endpoint_of(host: RunningHost) -> Endpoint:
    """Where a host listens."""
    listen = next(one for one in host.settings if one.startswith("network.listen="))
    return parse_endpoint(listen.split('"')[1])


def listening(path: Path, *settings: str, through: str = "") -> RunningHost:
    """A host with a port in the network, not started; it joins through a route if there is one."""
    path.mkdir()
    bootstrap = [f'network.bootstrap=["{through}"]'] if through else []
    network = [f'network.listen="{free_endpoint()}"', *bootstrap]
    return RunningHost(path, [*settings, *network])


def route_of(host: RunningHost) -> str:
    """The route of a host that runs."""
    return told_of(host, "route")


def address_of(host: RunningHost) -> str:
    """The address of a host that runs."""
    return told_of(host, "address")


def told_of(host: RunningHost, what: str) -> str:
    """What a host that runs tells of itself."""
    client = host.unconnected_client(f"asks for its {what}")
    client.connect()
    told: str = client.operate("status")[what]
    client.close(ended=True)
    return told


def three_hosts(path: Path, *settings: str) -> list[RunningHost]:
    """Three running hosts that know only the first."""
    first = listening(path / "a", *settings)
    first.start()
    route = route_of(first)
    others = [listening(path / name, *settings, through=route) for name in ("b", "c")]
    for one in others:
        one.start()
    return [first, *others]


class Spread(Orchards):
    """Orchards and movers over hosts in turn; the overseer is at the first."""

    def __init__(self, hosts: list[RunningHost], seed: int, orchards: int = 5) -> None:
        super().__init__(hosts[0], seed, orchards, movers=0)
        self.hosts = hosts
        self.movers = [Mover(host, i + 1, self.rng) for i, host in enumerate(hosts)]
        self.planters = [host.unconnected_client(f"planter {i}") for i, host in enumerate(hosts)]

    def clients(self) -> Iterator[Client]:
        yield from super().clients()
        yield from self.planters

    def plant(self) -> None:
        self.connect()
        for number in range(self.count):
            place = number % len(self.hosts)
            planter = self.planters[place]
            names: Any = self.hosts[place].create(
                planter, "orchard.py", f"orchard-{number}", number
            )
            self.caps.append({name: planter.wire(cap) for name, cap in names.items()})
        for number, caps in enumerate(self.caps):
            peers = [one["take"] for place, one in enumerate(self.caps) if place != number]
            handles = tuple(map(self.overseer.hold, peers))
            assert self.overseer.send(caps["peers"], handles) == ["applied"]
            apples = tuple(range(number * APPLES, (number + 1) * APPLES))
            assert self.overseer.send(caps["put"], apples) == ["applied"]
        for mover in self.movers:
            mover.ear = mover.client.ear("told")

    def kill_and_start(self, host: RunningHost, elsewhere: bool) -> None:
        """Kills a host with -9; it comes back, on another port when it is to."""
        with suppress(HostGone):
            for client in self.clients():
                while client.pump():
                    pass
        host.kill()
        if elsewhere:
            host.settings = [
                f'network.listen="{free_endpoint()}"' if one.startswith("network.listen") else one
                for one in host.settings
            ]
        host.start()
        for client in self.clients():
            with suppress(HostGone):
                client.connect()

    def settled_check(self) -> None:
        """Waits for quiet, and checks the apples, timers, asks and orders of all hosts."""
        self.check_reports(90.0)
        for host in self.hosts:
            assert host.stop() == 0
            assert "Traceback" not in host.said()


def seeded(seed: int) -> random.Random:
    """Choices of a campaign."""
    return random.Random(f"spread {seed}")
