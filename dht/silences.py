"""When a contact that has fallen silent is tried again: soon at first, then more and more seldom. Pure.

Beside the journey. Most silences are short: a link that broke off for a moment, a host that started again.
"""

from heapq import heappop, heappush
from typing import NamedTuple

from dht.contact import Contact

TIMES = 5


class Silence(NamedTuple):
    """A contact that lost its seat; orders by when it is to be tried."""

    due_ms: int
    order: int
    wait_ms: int
    contact: Contact


class Silences:
    """The contacts that fell silent lately, each with its next try.

    The first try is `soon_ms` after the silence, each other one five times as late as the one before, as
    long as that is under `seldom_ms`. No more than `most` are waited for.
    """

    __slots__ = ("_count", "_fallen", "_most", "_seldom_ms", "_soon_ms", "_waiting")

    def __init__(self, soon_ms: int, seldom_ms: int, most: int) -> None:
        self._soon_ms = soon_ms
        self._seldom_ms = seldom_ms
        self._most = most
        self._count = 0
        self._waiting: list[Silence] = []
        self._fallen: dict[bytes, None] = {}

    def begin(self, now_ms: int, contact: Contact) -> None:
        """A contact has lost its seat."""
        self._fallen[contact.id] = None
        if len(self._fallen) > self._most:
            del self._fallen[next(iter(self._fallen))]
        self._put(now_ms, self._soon_ms, contact)

    def due(self, now_ms: int) -> list[Contact]:
        """Return whom to try now; each is tried again later, unless it ends before."""
        found: list[Silence] = []
        while self._waiting and self._waiting[0].due_ms <= now_ms:
            found.append(heappop(self._waiting))
        for one in found:
            self._put(now_ms, one.wait_ms * TIMES, one.contact)
        return [one.contact for one in found]

    def end(self, contact: Contact) -> bool:
        """A contact has its seat again, or is remembered no more; tell whether it fell silent here."""
        left = [one for one in self._waiting if one.contact.id != contact.id]
        if len(left) < len(self._waiting):
            self._waiting = sorted(left)
        was_here = contact.id in self._fallen
        self._fallen.pop(contact.id, None)
        return was_here

    def next_ms(self) -> int | None:
        """Return when somebody is to be tried."""
        return self._waiting[0].due_ms if self._waiting else None

    def _put(self, now_ms: int, wait_ms: int, contact: Contact) -> None:
        if wait_ms < self._seldom_ms and len(self._waiting) < self._most:
            self._count += 1
            heappush(self._waiting, Silence(now_ms + wait_ms, self._count, wait_ms, contact))
