"""Keeping a node's table fresh: what is near to it is looked up, and from there what is far. Pure.

Beside the journey. The lookups that do it, a few at a time; who answers them enters the table.
"""

from collections.abc import Callable

from dht.locating import Locating
from dht.lookup import Lookup
from dht.settings import ID_BYTES, Settings
from dht.table import Table

REFRESHES_AT_ONCE = 2
REFRESH_WIDTH = 4


class Refreshing:
    """The points that are to be looked up, each with its width (None: all), and those under way."""

    __slots__ = (
        "_entropy",
        "_locating",
        "_points",
        "_settings",
        "_table",
        "_under_way",
    )

    def __init__(
        self,
        table: Table,
        locating: Locating,
        entropy: Callable[[int], bytes],
        settings: Settings,
    ) -> None:
        self._table = table
        self._locating = locating
        self._entropy = entropy
        self._settings = settings
        self._points: list[tuple[int, int | None]] = []
        self._under_way: set[int] = set()

    @property
    def has_near(self) -> bool:
        """Whether what is near is to be looked up already."""
        return any(width is None for _, width in self._points)

    def near(self) -> None:
        """What is near to the node is to be looked up, and what is far after that."""
        self._points.append((self._table.own, None))

    def begin_one(self, now_ms: int) -> bool:
        """Begins the next lookup; False when there is none, or no room for it."""
        crowded = len(self._under_way) >= REFRESHES_AT_ONCE or self._locating.full
        if crowded or not self._points:
            return False
        point, width = self._points.pop(0)
        number = self._locating.nodes(now_ms, point.to_bytes(ID_BYTES, "big"), width)
        self._under_way.add(number)
        return True

    def looked_up(self, now_ms: int, lookup: Lookup) -> None:
        """A lookup has ended, of these or of others."""
        if lookup.number in self._under_way:
            self._under_way.discard(lookup.number)
            if int.from_bytes(lookup.key, "big") == self._table.own:
                self._far(now_ms)

    def _far(self, now_ms: int) -> None:
        # Where a lookup has just been, the table is fresh.
        since_ms = now_ms - self._settings.refresh_ms
        towards = self._locating.towards
        points = self._table.points_to_refresh(self._entropy(ID_BYTES))
        self._points += [
            (point, REFRESH_WIDTH) for index, point in points if towards.get(index, 0) <= since_ms
        ]
