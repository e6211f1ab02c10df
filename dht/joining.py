"""Entering the network, at first and again where nobody of it answers any more. Pure.

Beside the journey: who answers enters the table, and from there on lookups find the others.
"""

from collections.abc import Iterable

from caps.identity import Endpoint
from dht.asking import Asker, ForCheck
from dht.settings import Settings

ENDPOINTS_MAX = 64
DOUBLINGS_MAX = 16


class Joining:
    """The endpoints by which a node enters, and how often it has tried since it was alone."""

    __slots__ = ("_asker", "_settings", "endpoints", "tries")

    def __init__(self, settings: Settings, asker: Asker) -> None:
        self._settings = settings
        self._asker = asker
        self.endpoints: tuple[Endpoint, ...] = ()
        self.tries = 0

    def ask(
        self, now_ms: int, near: bytes, endpoints: Iterable[Endpoint], own: tuple[Endpoint, ...]
    ) -> None:
        """Asks whether there is a node at each of these endpoints, but for our own."""
        for endpoint in tuple(endpoints)[:ENDPOINTS_MAX]:
            if not self._asker.questions.full and endpoint not in own:
                self._asker.find(now_ms, endpoint, None, near, ForCheck())

    def wait_ms(self) -> int:
        """How long after this try there is to be another; later each time."""
        s = self._settings
        return min(s.alone_retry_ms << min(self.tries, DOUBLINGS_MAX), s.alone_retry_ms_max)
