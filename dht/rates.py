"""How many requests an endpoint and a subnet may make, by token buckets in a bounded table."""

from typing import TypeVar

from caps.identity import Endpoint
from dht.contact import subnet_of
from dht.settings import Settings

K = TypeVar("K")


class Rates:
    """Says yes or no to each datagram of a stranger; who asked longest ago is forgotten first."""

    __slots__ = ("_endpoints", "_settings", "_subnets")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._endpoints: dict[tuple[bytes, int], tuple[float, int]] = {}
        self._subnets: dict[bytes, tuple[float, int]] = {}

    def allows(self, endpoint: Endpoint, now_ms: int) -> bool:
        """Count a request and tell whether it is within both rates."""
        s = self._settings
        place = (endpoint.ip, endpoint.port)
        of_endpoint = _left(
            self._endpoints.pop(place, None), s.endpoint_rate, s.endpoint_burst, now_ms
        )
        subnet = subnet_of(endpoint)
        of_subnet = _left(self._subnets.pop(subnet, None), s.subnet_rate, s.subnet_burst, now_ms)
        allowed = of_endpoint >= 1 and of_subnet >= 1
        # A refused request costs its subnet nothing: one endpoint cannot use up its neighbours' rate.
        _keep(self._endpoints, place, (of_endpoint - allowed, now_ms), s.rates_max)
        _keep(self._subnets, subnet, (of_subnet - allowed, now_ms), s.rates_max)
        return allowed


def _left(held: tuple[float, int] | None, rate: float, burst: float, now_ms: int) -> float:
    if held is None:
        return burst
    left, then_ms = held
    return min(burst, left + max(0, now_ms - then_ms) * rate / 1000)


def _keep(table: dict[K, tuple[float, int]], place: K, held: tuple[float, int], most: int) -> None:
    table[place] = held
    if len(table) > most:
        del table[next(iter(table))]
