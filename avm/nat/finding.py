"""How a host gets from the address of another one to a link: one place after the other. Pure.

Step 7 of the journey. Places are what the network's records say, the newest first, and what the core
names; a place that is the route of an introducer is met through it, any other is dialed. What is to be
done comes out of `take_effects`.
"""

from typing import NamedTuple, TypeAlias

from caps.certificate import Certificate
from caps.identity import Endpoint, Route
from dht.proofs import Proved
from dht.record import LocationRecord, Place

ROUTES_KEPT = 8
SOUGHT_KEPT = 10_000


class LookUp(NamedTuple):
    """Look for the location of an address: the first that holds, or the newest that there is.

    `is_host`: it is of a host that is to be linked; the answer goes to `located_host`.
    """

    address: bytes
    first: bool
    is_host: bool


class Try(NamedTuple):
    """Make a link to a host at an endpoint; where that fails, go on with these places."""

    host: bytes
    endpoint: Endpoint
    rest: tuple[Place, ...]


class Meet(NamedTuple):
    """Open a way to a host through the introducers among these places, of which the first is one."""

    host: bytes
    places: tuple[Place, ...]


class At(NamedTuple):
    """An address lives at this host; an empty one: nobody knows."""

    address: bytes
    host: bytes


class NoLink(NamedTuple):
    """A host could not be reached."""

    host: bytes


Effect: TypeAlias = LookUp | Try | Meet | At | NoLink


class Finder:
    """What a host knows of where others are, and how it goes on from there."""

    __slots__ = ("_failed", "_out", "_routes", "_sought")

    def __init__(self) -> None:
        self._routes: dict[bytes, dict[Place, None]] = {}
        self._sought: dict[bytes, None] = {}
        self._failed: dict[bytes, None] = {}
        self._out: list[Effect] = []

    def take_effects(self) -> list[Effect]:
        """What is to be done since the last call, in order."""
        effects = self._out[:]
        self._out.clear()
        return effects

    def learn(self, host: bytes, place: Place) -> None:
        """Remembers where a host may be, the newest last."""
        known = self._routes.setdefault(host, {})
        known.pop(place, None)
        known[place] = None
        while len(known) > ROUTES_KEPT:
            known.pop(next(iter(known)))
        if len(self._routes) > SOUGHT_KEPT:
            self._routes.pop(next(iter(self._routes)))

    # What the core asks for.

    def seek(self, address: bytes) -> None:
        """An address is to be found: the first time what comes first will do."""
        self._out.append(LookUp(address, address not in self._sought, False))
        _keep(self._sought, address)

    def dial(self, host: bytes, endpoints: tuple[Endpoint, ...]) -> None:
        """A link to a host is to be made, at these endpoints or where the network says it is."""
        for endpoint in reversed(endpoints):
            self.learn(host, endpoint)
        if endpoints:
            self.try_next(host, endpoints)
        else:
            self._out.append(LookUp(host, host not in self._failed, True))

    # What became of it.

    def located(self, address: bytes, record: Proved | None) -> None:
        """An address was looked up."""
        where = location_of(record)
        self.tell(address, b"" if where is None else where.location.host)

    def tell(self, address: bytes, host: bytes) -> None:
        """It is known where an address lives, or, without a host, that nobody knows."""
        self._out.append(At(address, host))

    def located_host(self, host: bytes, record: Proved | None) -> None:
        """A host that is to be linked was looked up: all that is known of where it is is tried."""
        where = location_of(record)
        if where is not None and not isinstance(where.location.where, Certificate):
            for place in reversed(where.location.where):
                self.learn(host, place)
        self.try_next(host, tuple(self._routes.get(host, {}))[::-1])

    def try_next(self, host: bytes, places: tuple[Place, ...]) -> None:
        """Goes on with the next place where a host may be."""
        if not places:
            _keep(self._failed, host)
            self._out.append(NoLink(host))
            return
        place = places[0]
        if isinstance(place, Route):
            self._out.append(Meet(host, places))
        else:
            self._out.append(Try(host, place, places[1:]))

    def link_up(self, host: bytes) -> None:
        """A link is up."""
        self._failed.pop(host, None)

    def link_lost(self, host: bytes) -> None:
        """A link that was up has ended: its host may be elsewhere when it is dialed again."""
        _keep(self._failed, host)


def location_of(record: Proved | None) -> LocationRecord | None:
    """The location record that was found; None when nothing was, or something else."""
    if record is None or not isinstance(record.content, LocationRecord):
        return None
    return record.content


def _keep(table: dict[bytes, None], key: bytes) -> None:
    table[key] = None
    if len(table) > SOUGHT_KEPT:
        table.clear()
