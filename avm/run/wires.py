"""The links of a host by number: frames go out as there is room, and the core is told of it.

Step 7 of the journey, its last part here: what a stream has no room for yet waits, within a bound.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from avm.host.core import Core
from avm.link.interface import Link

LINK_ROOM_BYTES = 512 * 1024
# A peer that has so much to read and does not is let go.
WAITING_BYTES_MAX = 16 * 1024 * 1024


class Wire:
    """A link as this shell keeps it: its number to the core, and frames its streams had no room for.

    `is_full`: the core was told that it takes no more, and is to be told when it does.
    """

    __slots__ = ("is_full", "link", "number", "waiting", "waiting_bytes")

    def __init__(self, number: int, link: Link) -> None:
        self.number = number
        self.link = link
        self.waiting: dict[int, deque[bytes]] = {}
        self.waiting_bytes = 0
        self.is_full = False

    def room(self) -> int:
        """How many bytes the core may say now."""
        return LINK_ROOM_BYTES - self.waiting_bytes - self.link.statistics().waiting_bytes


class Wires:
    """All links that are up, each under a number that is never used again."""

    def __init__(self, core: Core, note: Callable[..., None]) -> None:
        self._core = core
        self._note = note
        self._next = 0
        self._wires: dict[int, Wire] = {}
        self._numbers: dict[Link, int] = {}
        self._said: dict[Wire, None] = {}

    def take_up(self, link: Link) -> Wire:
        """Gives a link that is up its number."""
        self._next += 1
        number = self._numbers[link] = self._next
        wire = self._wires[number] = Wire(number, link)
        return wire

    def forget(self, link: Link) -> int | None:
        """Drops a link that has ended; the number it had."""
        number = self._numbers.pop(link, None)
        if number is not None:
            self._said.pop(self._wires.pop(number), None)
        return number

    def link_of(self, number: int) -> Link | None:
        """The link under a number, while it is up."""
        wire = self._wires.get(number)
        return None if wire is None else wire.link

    def number_of(self, link: Link) -> int | None:
        """The number of a link, while it is up."""
        return self._numbers.get(link)

    def say(self, number: int, stream: int, frame: bytes) -> None:
        """Sends a frame, or has it wait behind those before it."""
        wire = self._wires.get(number)
        if wire is None:
            return
        waiting = wire.waiting.get(stream)
        if not waiting and wire.link.room(stream) >= len(frame):
            wire.link.send_nowait(stream, frame)
        else:
            wire.waiting.setdefault(stream, deque()).append(frame)
            wire.waiting_bytes += len(frame)
            if wire.waiting_bytes > WAITING_BYTES_MAX:
                self._note("link.stalled", link=number)
                wire.link.close()
                return
        self._said[wire] = None

    def has_room(self, link: Link, stream: int) -> None:
        """Says what waited for room."""
        number = self._numbers.get(link)
        if number is None:
            return
        wire = self._wires[number]
        waiting = wire.waiting.get(stream)
        while waiting and link.room(stream) >= len(waiting[0]):
            frame = waiting.popleft()
            wire.waiting_bytes -= len(frame)
            link.send_nowait(stream, frame)
        self._said[wire] = None

    def tell_room(self) -> None:
        """Tells the core what links take now: those that it has used, and those that were full."""
        said, self._said = self._said, {}
        for wire in said:
            room = wire.room()
            has_room_again = wire.is_full and room > 0
            wire.is_full = room <= 0
            if wire.is_full:
                self._said[wire] = None
            self._core.link_room(wire.number, room)
            if has_room_again:
                self._core.pump()

    def rows(self) -> list[dict[str, Any]]:
        """Each link in plain values, for the operator."""
        rows: list[dict[str, Any]] = []
        for number, wire in self._wires.items():
            now = wire.link.statistics()
            peer = wire.link.peer
            rows.append(
                {
                    "link": number,
                    "host": peer.address.hex() if peer is not None else "",
                    "how": "dialed" if wire.link.dialed else "accepted",
                    "round_trip_ms": round(now.round_trip_s * 1000, 3),
                    "packet_bytes": now.packet_bytes,
                    "sent_bytes": now.sent_bytes,
                    "received_bytes": now.received_bytes,
                    "credit_bytes": now.credit_bytes,
                    "backlog_bytes": now.waiting_bytes + wire.waiting_bytes,
                }
            )
        return rows
