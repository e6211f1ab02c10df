"""Bad weather between host processes: each is reached through a proxy of its own, in a thread here."""

import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import trio

from caps.identity import Endpoint
from tests.net.hosts import RunningHost
from tests.net.spread import endpoint_of, free_endpoint, route_of
from tests.net.udp_proxy import Faults, UdpProxy

STORM = Faults(loss=0.05, double=0.03, corrupt=0.02, late=0.1, late_s=0.03)
CALM = Faults()
# How soon these hosts notice that another is gone.
IDLE_S = 4.0


class Weather:
    """The proxies of a test, run by a loop of their own beside it."""

    def __init__(self, seed: int) -> None:
        self.fronts: list[UdpProxy] = []
        self._seed = seed
        self._up = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self._thread.start()
        self._up.wait()

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._end = trio.Event()
        async with trio.open_nursery() as self._nursery:
            self._up.set()
            await self._end.wait()
            self._nursery.cancel_scope.cancel()

    def _do(self, act: Callable[[], Any]) -> Any:
        return trio.from_thread.run_sync(act, trio_token=self._token)

    def front_of(self, target: Endpoint) -> UdpProxy:
        """A new proxy before an endpoint, in fair weather."""

        def start() -> UdpProxy:
            front = UdpProxy(target, self._seed * 100 + len(self.fronts))
            self._nursery.start_soon(front.run)
            return front

        front: UdpProxy = self._do(start)
        self.fronts.append(front)
        return front

    def turns(self, faults: Faults) -> None:
        """From now on this is what happens to datagrams, on all ways."""
        for front in self.fronts:
            for one in fields(Faults):
                setattr(front.faults, one.name, getattr(faults, one.name))

    def rebind(self, front: UdpProxy) -> None:
        """All who come by this proxy come from new ports from now on."""
        self._do(front.rebind)

    def close(self) -> None:
        """Ends the proxies and the thread."""
        self._do(self._end.set)
        self._thread.join()


class Front(RunningHost):
    """A host that tells others its proxy's endpoint, and is reached by no other way."""

    def __init__(self, path: Path, weather: Weather, *settings: str, through: str = "") -> None:
        path.mkdir()
        listen = free_endpoint()
        network = [f'network.listen="{listen}"']
        if through:
            network.append(f'network.bootstrap=["{through}"]')
        super().__init__(path, [*settings, *network])
        self.front = weather.front_of(endpoint_of(self))
        self.settings.append(f'network.advertise="{self.front.endpoint}"')
        self.settings += [f"links.idle_s={IDLE_S}", f"links.keep_alive_s={IDLE_S / 4}"]

    def start(self, point: str = "", at: int = 1) -> None:
        self.front.target = endpoint_of(self)
        super().start(point, at)


def in_weather(path: Path, weather: Weather, names: str, *settings: str) -> list[Front]:
    """Running hosts that know only the first, by its proxy."""
    first = Front(path / names[0], weather, *settings)
    first.start()
    route = route_of(first)
    others = [Front(path / name, weather, *settings, through=route) for name in names[1:]]
    for one in others:
        one.start()
    return [first, *others]
