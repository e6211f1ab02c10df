"""The tunnels of a host: ways through relays, each under a token, forgotten when nothing comes by them. Pure.

Beside step 7 of the journey.
"""

from avm.nat.effects import Dig, Effect, Fill, Hear, Tunnel
from avm.nat.limits import TUNNEL_IDLE_S, TUNNELS_MAX
from avm.nat.packets import Relayed
from caps.identity import Endpoint


class Tunnels:
    """Tunnels by their number and by their token, and when something came by each."""

    __slots__ = ("_next", "_numbers", "_out", "_tunnels")

    def __init__(self, out: list[Effect]) -> None:
        self._out = out
        self._tunnels: dict[int, tuple[Tunnel, float]] = {}
        self._numbers: dict[bytes, int] = {}
        self._next = 0

    def get(self, number: int) -> Tunnel | None:
        """The tunnel of a number; None when it was filled."""
        found = self._tunnels.get(number)
        return None if found is None else found[0]

    def dig(self, relay: Endpoint, token: bytes, now_s: float) -> Tunnel:
        """A new tunnel; the one unused longest makes room."""
        self._next += 1
        tunnel = Tunnel(self._next, relay, token)
        self._tunnels[tunnel.number] = (tunnel, now_s)
        self._numbers[token] = tunnel.number
        if len(self._tunnels) > TUNNELS_MAX:
            self._fill(min(self._tunnels.values(), key=lambda one: one[1])[0])
        self._out.append(Dig(tunnel))
        return tunnel

    def hear(self, packet: Relayed, source: Endpoint, now_s: float) -> bool:
        """Take a packet that came by a tunnel; False when it is of none."""
        number = self._numbers.get(packet.token)
        if number is None or self._tunnels[number][0].relay != source:
            return False
        self._tunnels[number] = (self._tunnels[number][0], now_s)
        self._out.append(Hear(packet.packet, number))
        return True

    def sweep(self, now_s: float) -> None:
        """Forget those by which nothing came for long."""
        for tunnel, used_s in list(self._tunnels.values()):
            if now_s - used_s >= TUNNEL_IDLE_S:
                self._fill(tunnel)

    def _fill(self, tunnel: Tunnel) -> None:
        del self._tunnels[tunnel.number]
        self._numbers.pop(tunnel.token, None)
        self._out.append(Fill(tunnel.number))
