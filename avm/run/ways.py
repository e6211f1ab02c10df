"""The ways round routers of a running host: carries out what `avm.nat` decides. The shell.

Beside step 7 of the journey. Holds no policy: frames and datagrams go in with the time, and what
comes out is sent, dialed or announced.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import trio

from avm.link.interface import Address, Link, Listener
from avm.link.port import Port
from avm.nat.effects import (
    Announce,
    DialAt,
    Dig,
    Effect,
    Fill,
    Hear,
    Hidden,
    NotMet,
    Retire,
    Send,
    SendAside,
    Tell,
    Through,
    Tunnel,
    Way,
)
from avm.nat.limits import WATCH_S
from avm.nat.packets import RELAYED
from avm.nat.traversal import Traversal
from caps.errors import Malformed
from caps.identity import Endpoint, Route
from dht.record import Place

TIMER_S = 0.001


class Dials(Protocol):
    """Who makes links."""

    def dial_at(self, host: bytes, address: Address, otherwise: Callable[[], None]) -> bool:
        """Begins a link; `otherwise` is called if it is not made. False: none can be begun."""

    def is_dialing(self, host: bytes) -> bool:
        """Whether a link to a host is being made."""

    def try_next(self, host: bytes, places: Sequence[Place]) -> None:
        """Goes on with the next place where a host may be."""


class Owner(Protocol):
    """The network that these are the ways of."""

    @property
    def dialer(self) -> Dials:
        """Who makes its links."""

    def say_control(self, number: int, frame: bytes) -> None:
        """Writes a frame to the control stream of a link."""

    def retire(self, number: int) -> None:
        """Ends a link in peace."""

    def hide(self, number: int) -> None:
        """Nobody is to be told where the host of a link was seen."""

    def announce(self, places: tuple[Place, ...], node: Endpoint | None) -> None:
        """Publishes anew where this host is, and where others find its node, if they do."""


class Ways:
    """The ways of a host."""

    def __init__(
        self, owner: Owner, port: Port, traversal: Traversal, settle: Callable[[], None]
    ) -> None:
        self.traversal = traversal
        self._owner = owner
        self._port = port
        self._settle = settle
        self._links: dict[Link, int] = {}
        self._rest: dict[bytes, list[Place]] = {}
        self._changed = trio.Event()
        self._planned_s = 0.0
        self._is_busy = False

    async def run(self, listener: Listener) -> None:
        """Gives the time to the traversal, and where links are now, until cancelled."""
        while True:
            self._planned_s = self._wake_s()
            self._changed = trio.Event()
            with trio.move_on_after(max(TIMER_S, self._planned_s - self._port.moment().now_s)):
                await self._changed.wait()
            self._watch(listener)
            self.traversal.tick(self._port.moment().now_s)
            self.carry_out()
            self._settle()

    def _wake_s(self) -> float:
        wake_s, watch_s = self.traversal.next_wake_s(), self._port.moment().now_s + WATCH_S
        return watch_s if wake_s is None else min(wake_s, watch_s)

    def _watch(self, listener: Listener) -> None:
        for link, address in listener.addresses():
            number = self._links.get(link)
            if number is not None and self._port.tunnel_at(address) is None:
                self.traversal.link_moved(number, self._port.endpoint_at(address))

    # What happens.

    def link_up(self, number: int, link: Link, address: Address) -> tuple[Way, Endpoint | None]:
        """A link is up; how its packets go, and where its host is reached, if that is of use to others.

        What follows from it is done by `carry_out`.
        """
        assert link.peer is not None
        self._links[link] = number
        at: int | Endpoint | None = self._port.tunnel_at(address)
        if at is None:
            at = self._port.endpoint_at(address)
        now_s = self._port.moment().now_s
        way = self.traversal.link_up(number, link.peer.address, link.dialed, at, now_s)
        if way is Way.DIRECT and not link.dialed and isinstance(at, Endpoint):
            local = self._port.local_endpoint(at)
            self.traversal.standing.reached(local, at, now_s)
        return way, at if way is Way.DIRECT and isinstance(at, Endpoint) else None

    def link_down(self, link: Link) -> None:
        """A link is gone."""
        number = self._links.pop(link, None)
        if number is not None:
            self.traversal.link_down(number, self._port.moment().now_s)
            self.carry_out()

    def frame(self, link: Link, frame: bytes) -> None:
        """A frame of a control stream has come; one that is none ends its link."""
        number = self._links.get(link)
        if number is None:
            return
        seat = self.traversal.endpoint_of(number)
        local = self._port.endpoint if seat is None else self._port.local_endpoint(seat)
        try:
            self.traversal.hear_untrusted(number, frame, local, self._port.moment().now_s)
        except Malformed:
            self.traversal.counts["frames.malformed"] += 1
            link.close()
        self.carry_out()

    def seen(self, observer: Endpoint, seen: Endpoint) -> None:
        """A node of the network has said where it sees this host."""
        local = self._port.local_endpoint(observer)
        self.traversal.standing.hear_observed(observer, local, seen, self._port.moment().now_s)
        self.carry_out()

    def receive_untrusted(self, datagram: bytes, source: Endpoint) -> None:
        """A datagram has come that is neither QUIC's nor the network's."""
        self.traversal.receive_untrusted(datagram, source, self._port.moment().now_s)
        self.carry_out()

    def meet(self, host: bytes, places: list[Place]) -> None:
        """Opens a way to a host by those who introduce it, and goes on with the rest if none does."""
        vias = [one for one in places if isinstance(one, Route)]
        self._rest[host] = [one for one in places if not isinstance(one, Route)]
        self.traversal.meet(host, vias, self._port.moment().now_s)
        self.carry_out()

    # To look at.

    def way_of(self, number: int) -> str:
        """How packets of a link go, in a word."""
        return self.traversal.way_of(number).value

    def reach(self) -> dict[str, Any]:
        """How others reach this host, in plain values for the operator."""
        standing = self.traversal.standing
        routes = standing.routes()
        introducers = [str(one) for one in routes if isinstance(one, Route)]
        hidden = "introduced" if introducers else "hidden"
        return {
            "way": hidden if standing.is_hidden else "direct",
            "seen_at": None if standing.observed is None else str(standing.observed),
            "introducers": introducers,
            "relaying": self.traversal.relayed_sessions,
        }

    # What is to be done.

    def carry_out(self) -> None:
        """Does what the traversal asks for."""
        if self._is_busy:  # the loop below takes what was added
            return
        self._is_busy = True
        try:
            while effects := self.traversal.take_effects():
                for effect in effects:
                    self._do(effect)
        finally:
            self._is_busy = False
        if self._wake_s() < self._planned_s - TIMER_S:
            self._changed.set()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Tell(number, frame):
                self._owner.say_control(number, frame)
            case Send(datagram, endpoint):
                self._port.send(datagram, endpoint)
            case SendAside(datagrams, endpoint):
                self._port.send_aside(datagrams, endpoint)
            case Hear(packet, number):
                self._port.hear(packet, number)
            case Dig(tunnel):
                self._port.dig(tunnel.number, RELAYED + tunnel.token, tunnel.relay)
            case Fill(number):
                self._port.fill(number)
            case Through(via):
                self._dial_through(via)
            case DialAt(host, at, spare):
                self._dial(host, at, spare)
            case NotMet(host, _):
                self._owner.dialer.try_next(host, self._rest.pop(host, []))
            case Retire(number):
                self._owner.retire(number)
            case Hidden(number):
                self._owner.hide(number)
            case Announce():
                standing = self.traversal.standing
                own = None if standing.is_hidden else standing.own
                self._owner.announce(standing.routes(), own)

    def _dial_through(self, via: Route) -> None:
        def otherwise() -> None:
            self.traversal.not_through(via.address, self._port.moment().now_s)
            self.carry_out()

        dialer = self._owner.dialer
        if dialer.is_dialing(via.address):
            return  # the meeting has a limit of its own
        if not dialer.dial_at(via.address, self._port.address_of(via.endpoint), otherwise):
            otherwise()

    def _dial(self, host: bytes, at: Endpoint | Tunnel, spare: bool) -> None:
        if isinstance(at, Tunnel):
            address = self._port.tunnel_address(at.number)
        else:
            address = self._port.address_of(at)
        dialer = self._owner.dialer
        otherwise: Callable[[], None] = _nothing
        if not spare:
            otherwise = partial(dialer.try_next, host, self._rest.pop(host, []))
        if not dialer.dial_at(host, address, otherwise):
            otherwise()


def _nothing() -> None:
    return None
