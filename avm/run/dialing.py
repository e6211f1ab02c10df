"""How a host gets from the address of another one to a link: where it may be, one place after the other.

Step 7 of the journey. Places are what the network's records say, the newest first, and what the core
names; a place that is the route of an introducer is met through it, any other is dialed.
"""

from collections.abc import Callable
from functools import partial

from avm.host.core import Core
from avm.link.errors import TooManyLinks
from avm.link.interface import Address, Down, Link, Listener
from avm.link.port import Port
from caps.certificate import Certificate
from caps.identity import Endpoint, Route
from dht.errors import DhtError
from dht.proofs import Proved
from dht.record import LocationRecord, Place
from dht.udp import NodeShell

ROUTES_KEPT = 8
SOUGHT_KEPT = 10_000

Meet = Callable[[bytes, list[Place]], None]


class Dialer:
    """Looks hosts up and dials them."""

    def __init__(
        self,
        core: Core,
        listener: Listener,
        port: Port,
        shell: NodeShell,
        meet: Meet,
        start: Callable[..., None],
        settle: Callable[[], None],
        note: Callable[..., None],
    ) -> None:
        """`meet` goes on with places of which the first is an introducer; `start` runs a task."""
        self._core = core
        self._listener = listener
        self._port = port
        self._shell = shell
        self._meet = meet
        self._start = start
        self._settle = settle
        self._note = note
        self._routes: dict[bytes, dict[Place, None]] = {}
        self._sought: dict[bytes, None] = {}
        self._failed: dict[bytes, None] = {}
        self._dialing: dict[Link, tuple[bytes, Callable[[], None]]] = {}

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

    async def seek(self, address: bytes) -> None:
        """Tells the core where an address lives."""
        where = await self._located(address, first=address not in self._sought)
        _keep(self._sought, address)
        if where is None:
            self._core.not_found(address)
        else:
            self._core.found(address, where.location.host)
        self._settle()

    def dial(self, host: bytes, endpoints: tuple[Endpoint, ...]) -> None:
        """Makes a link to a host, at these endpoints or where the network says it is."""
        for endpoint in reversed(endpoints):
            self.learn(host, endpoint)
        if endpoints:
            self.try_next(host, list(endpoints))
        else:
            self._start(self._look_up, host)

    async def _located(self, address: bytes, first: bool) -> LocationRecord | None:
        """Where an address is: the first record that holds, or the newest that there is."""
        try:
            if first:
                return location_of(await self._shell.locate_first(address))
            ended = await self._shell.locate(address)
        except DhtError as error:
            self._note("locate.failed", why=str(error))
            return None
        return location_of(ended.records[0] if ended.records else None)

    async def _look_up(self, host: bytes) -> None:
        """Tries what is known of where a host is, after asking the network for the newest."""
        where = await self._located(host, first=host not in self._failed)
        if where is not None and not isinstance(where.location.where, Certificate):
            for place in reversed(where.location.where):
                self.learn(host, place)
        self._try_next(host, list(self._routes.get(host, {}))[::-1])

    # One place after the other.

    def try_next(self, host: bytes, places: list[Place]) -> None:
        """Goes on with the next place where a host may be."""
        self._start(self._next_try, host, places)

    async def _next_try(self, host: bytes, places: list[Place]) -> None:
        self._try_next(host, places)

    def _try_next(self, host: bytes, places: list[Place]) -> None:
        while places:
            place = places[0]
            if isinstance(place, Route):
                self._meet(host, places)
                return
            del places[0]
            address = self._port.address_of(place)
            if self.dial_at(host, address, partial(self.try_next, host, places)):
                return
        _keep(self._failed, host)
        self._core.no_link(host)
        self._settle()

    def dial_at(self, host: bytes, address: Address, otherwise: Callable[[], None]) -> bool:
        """Begins a link; `otherwise` is called if it is not made. False: none can be begun."""
        self._port.hear_clock()
        try:
            link = self._listener.dial_at_nowait(host, address)
        except (OSError, TooManyLinks) as error:
            self._note("dial.failed", why=str(error))
            return False
        self._dialing[link] = (host, otherwise)
        return True

    def is_dialing(self, host: bytes) -> bool:
        """Whether a link to a host is being made."""
        return any(one == host for one, _ in self._dialing.values())

    # What became of it.

    def link_up(self, link: Link) -> None:
        """A link is up."""
        self._dialing.pop(link, None)
        if link.peer is not None:
            self._failed.pop(link.peer.address, None)

    def is_not_made(self, link: Link, down: Down) -> bool:
        """Whether a link that has ended was never made; then the next place is tried."""
        dialed = self._dialing.pop(link, None)
        if dialed is None:
            return False
        host, otherwise = dialed
        self._note("link.not_made", host=host.hex(), why=down.why.value)
        otherwise()
        return True

    def lost(self, link: Link) -> None:
        """A link that was up has ended: its host may be elsewhere when it is dialed again."""
        if link.peer is not None:
            _keep(self._failed, link.peer.address)


def location_of(record: Proved | None) -> LocationRecord | None:
    """The location record that was found; None when nothing was, or something else."""
    if record is None or not isinstance(record.content, LocationRecord):
        return None
    return record.content


def _keep(table: dict[bytes, None], key: bytes) -> None:
    table[key] = None
    if len(table) > SOUGHT_KEPT:
        table.clear()
