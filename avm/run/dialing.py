"""How a host gets from the address of another one to a link: the shell of `avm.nat.finding`.

Step 7 of the journey. Lookups and links are begun here; where to go, and what next, is decided there.
"""

from collections.abc import Callable, Sequence
from functools import partial

from avm.host.core import Core
from avm.link.errors import TooManyLinks
from avm.link.interface import Address, Down, Link, Listener
from avm.link.port import Port
from avm.nat.finding import At, Effect, Finder, LookUp, Meet, NoLink, Try
from avm.run.failures import Failures
from caps.identity import Endpoint
from dht.errors import DhtError
from dht.proofs import Proved
from dht.record import Place
from dht.udp import NodeShell

Meeting = Callable[[bytes, list[Place]], None]


class Dialer:
    """Looks hosts up and dials them."""

    def __init__(
        self,
        core: Core,
        listener: Listener,
        port: Port,
        shell: NodeShell,
        meet: Meeting,
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
        self._finder = Finder()
        self._dialing: dict[Link, tuple[bytes, Address, Callable[[], None]]] = {}
        self.failures = Failures()

    def learn(self, host: bytes, place: Place) -> None:
        """Remembers where a host may be, the newest last."""
        self._finder.learn(host, place)

    # What the core asks for.

    def seek(self, address: bytes) -> None:
        """Tells the core where an address lives, when it is known."""
        self._finder.seek(address)
        self._carry_out()

    def dial(self, host: bytes, endpoints: tuple[Endpoint, ...]) -> None:
        """Makes a link to a host, at these endpoints or where the network says it is."""
        self._start(self._begin_dial, host, endpoints)

    async def _begin_dial(self, host: bytes, endpoints: tuple[Endpoint, ...]) -> None:
        self._finder.dial(host, endpoints)
        self._carry_out()

    def try_next(self, host: bytes, places: Sequence[Place]) -> None:
        """Goes on with the next place where a host may be."""
        self._start(self._next_try, host, places)

    async def _next_try(self, host: bytes, places: Sequence[Place]) -> None:
        self._finder.try_next(host, tuple(places))
        self._carry_out()

    # What is to be done.

    def _carry_out(self) -> None:
        while effects := self._finder.take_effects():
            for effect in effects:
                self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case LookUp():
                self._start(self._look_up, effect)
            case Try(host, endpoint, rest):
                address = self._port.address_of(endpoint)
                if not self.dial_at(host, address, partial(self.try_next, host, rest)):
                    self._finder.try_next(host, rest)
            case Meet(host, places):
                self._meet(host, list(places))
            case At(address, where):
                if where:
                    self._core.found(address, where)
                else:
                    self._core.not_found(address)
                self._settle()
            case NoLink(host):
                self._core.no_link(host)
                self._settle()

    async def _look_up(self, wanted: LookUp) -> None:
        record = await self._located(wanted)
        if wanted.is_host:
            self._finder.located_host(wanted.address, record)
        else:
            self._finder.located(wanted.address, record)
        self._carry_out()

    async def _located(self, wanted: LookUp) -> Proved | None:
        """Where an address is: the first record that holds, or the newest that there is."""
        try:
            if wanted.first:
                return await self._shell.locate_first(wanted.address)
            ended = await self._shell.locate(wanted.address)
        except DhtError as error:
            self._note("locate.failed", why=str(error))
            return None
        return ended.records[0] if ended.records else None

    def dial_at(self, host: bytes, address: Address, otherwise: Callable[[], None]) -> bool:
        """Begins a link; `otherwise` is called if it is not made. False: none can be begun."""
        self._port.hear_clock()
        try:
            link = self._listener.dial_at_nowait(host, address)
        except (OSError, TooManyLinks) as error:
            self._note("dial.failed", why=str(error))
            return False
        self._dialing[link] = (host, address, otherwise)
        return True

    def is_dialing(self, host: bytes) -> bool:
        """Whether a link to a host is being made."""
        return any(one == host for one, _, _ in self._dialing.values())

    # What became of it.

    def link_up(self, link: Link) -> None:
        """A link is up."""
        self._dialing.pop(link, None)
        if link.peer is not None:
            self.failures.reached(link.peer.address)
            self._finder.link_up(link.peer.address)

    def is_not_made(self, link: Link, down: Down) -> bool:
        """Whether a link that has ended was never made; then the next place is tried."""
        dialed = self._dialing.pop(link, None)
        if dialed is None:
            return False
        host, address, otherwise = dialed
        self.failures.note(host, self._where(address), down.why)
        self._note("link.not_made", host=host.hex(), why=down.why.value)
        otherwise()
        return True

    def _where(self, address: Address) -> str:
        """Where that is, for people."""
        is_tunnel = self._port.tunnel_at(address) is not None
        return "its introducer" if is_tunnel else str(self._port.endpoint_at(address))

    def lost(self, link: Link) -> None:
        """A link that was up has ended: its host may be elsewhere when it is dialed again."""
        if link.peer is not None:
            self._finder.link_lost(link.peer.address)
