"""The operator's `peers`: who is known and linked, and acts that the core carries out. The shell.

Beside the journey. Only names hosts and lists them; what an act does is decided in the core.
"""

from collections.abc import Callable
from typing import Any

from avm.host import acquaintance, peering
from avm.host.core import Core
from avm.host.roster import Known
from avm.host.state import Host
from avm.run.network import Network
from avm.run.operator import NotDone
from avm.run.parts import text_in
from caps.errors import Malformed
from caps.identity import Route, parse_address, parse_route

ADDRESS_DIGITS = 64
SHOWN = 12
BEACON = peering.BEACON.decode()
ACTS: dict[str, Callable[[Host, int, bytes], None]] = {
    "drop": acquaintance.drop,
    "ban": acquaintance.ban,
    "unban": acquaintance.unban,
    "trust": acquaintance.trust,
    "distrust": acquaintance.distrust,
}


class Peers:
    """Lists other hosts, and does to them what the operator asks."""

    def __init__(self, core: Core, network: Network) -> None:
        self._core = core
        self._network = network

    def act(self, params: dict[str, Any], request: Callable[[], int]) -> Any:
        """The list, or None: the core answers the request."""
        name = params.get("act", "ls")
        if name == "ls":
            return self._list()
        if name == "dial":
            route = self._route(text_in(params["host"]))
            self._core.do(acquaintance.dial, request(), route.address, route.endpoint)
        elif name in ACTS:
            address = self._named(text_in(params["host"]))
            self._core.do(ACTS[name], request(), address)
        else:
            raise NotDone(f"this host knows no `peers {name}`", 2)
        self._core.pump()
        return None

    def _route(self, text: str) -> Route:
        """A route, or where a known host was reached last."""
        if "@" not in text:
            address = self.address_of(text)
            known = self._core.host.roster.known.get(address)
            if known is None or not known.endpoints:
                raise NotDone(f"where {text[:SHOWN]} is, is not known: dial ADDRESS@IP:PORT")
            return Route(address, known.best()[0])
        try:
            return parse_route(text)
        except Malformed as error:
            raise NotDone(str(error), 2) from None

    def _named(self, text: str) -> bytes:
        """The address in a route, or as `address_of` has it."""
        return self._route(text).address if "@" in text else self.address_of(text)

    def address_of(self, text: str) -> bytes:
        """An address in full, or the start of a known one."""
        if len(text) == ADDRESS_DIGITS:
            try:
                return parse_address(text)
            except Malformed as error:
                raise NotDone(str(error), 2) from None
        if text and self._core.host.address.hex().startswith(text):
            raise NotDone(f"{text} is this host itself")
        found = [one for one in self._core.host.roster.known if one.hex().startswith(text)]
        if not text or not found:
            start = text or "nothing"
            raise NotDone(f"no known host's address starts with {start}: `avm-host peers`")
        if len(found) > 1:
            raise NotDone(f"several hosts' addresses start with {text}: type more of it")
        return found[0]

    def _list(self) -> list[dict[str, Any]]:
        host = self._core.host
        links: dict[str, dict[str, Any]] = {}
        for link in self._network.links():
            links[link["host"]] = link
        known = sorted(
            host.roster.known.values(),
            key=lambda one: (one.address.hex() not in links, -one.score(host.now_ms)),
        )
        return [self._row(one, links.get(one.address.hex())) for one in known]

    def _row(self, known: Known, link: dict[str, Any] | None) -> dict[str, Any]:
        reached = "known" if known.reached_ms else "heard"
        state = "banned" if known.banned else "dropped" if known.dropped else reached
        trip_ms = known.round_trip_ms if link is None else link["round_trip_ms"]
        return {
            "host": known.address.hex(),
            "endpoints": [str(endpoint) for endpoint in known.best()],
            "state": state if link is None else "linked",
            "how": None if link is None else {"way": link["way"], "by": link["how"]},
            "score": round(known.score(self._core.host.now_ms), 3),
            "round_trip_ms": round(trip_ms, 3) or None,
            "reached_ms": known.reached_ms or None,
            "trusted": known.trusted,
            "failures": known.tries,
            "failed_at": self._network.dialer.failures.of(known.address),
            "told_by": BEACON if known.teller == peering.BEACON else known.teller.hex() or None,
        }
