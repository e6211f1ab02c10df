"""One path of a lookup: the candidates it has heard of, and the window of them that it asks.

Step 7 of the journey. A path hears only from those it asked itself. Its window slides: the closest
candidates that have not failed, so many of them as the path is wide; when all of them have been asked,
the path is at its end.
"""

from bisect import insort
from enum import Enum, auto

from caps.light import dataclass
from dht.contact import Contact
from dht.proofs import Proved
from dht.settings import Settings


class State(Enum):
    """What became of one question."""

    WAITING = auto()
    SLOW = auto()
    ANSWERED = auto()
    FAILED = auto()


@dataclass(slots=True)
class Asked:
    """One question of a lookup; `path` and `hop` say how it was come by."""

    contact: Contact
    path: int
    hop: int
    asked_ms: int
    state: State = State.WAITING
    answered_ms: int | None = None
    token: bytes = b""
    records: tuple[Proved, ...] = ()
    note: str = ""


class Path:
    """The candidates of one path, closest to its point first, at most `candidates_max`.

    `busy` counts its questions that are not late yet; `spent` says that it has nobody to ask until it
    hears of somebody or one of its window fails.
    """

    __slots__ = (
        "_heard",
        "_ids",
        "_settings",
        "_shunned",
        "busy",
        "heard",
        "point",
        "spent",
        "width",
    )

    def __init__(
        self,
        point: int,
        width: int,
        settings: Settings,
        shunned: tuple[int, int] | None = None,
    ) -> None:
        self.point = point
        self.width = width
        self.busy = 0
        self.spent = False
        self.heard: list[tuple[int, int, Contact, int]] = []
        self._heard: set[Contact] = set()
        self._ids: dict[bytes, int] = {}
        self._settings = settings
        self._shunned = shunned

    def shuns(self, contact: Contact) -> bool:
        """Tell whether a contact is closer to the key than a path through the region may go."""
        if self._shunned is None:
            return False
        key, radius = self._shunned
        return contact.long_id ^ key < radius

    def hear(self, contact: Contact, hop: int) -> None:
        """Add a candidate, unless it is known or its id has too many endpoints already."""
        of_id = self._ids.get(contact.id, 0)
        if contact in self._heard or of_id >= self._settings.endpoints_of_id_max:
            return
        if self.shuns(contact):
            return
        distance = contact.long_id ^ self.point
        if len(self.heard) >= self._settings.candidates_max:
            if distance >= self.heard[-1][0]:
                return
            gone = self.heard.pop()[2]
            self._heard.discard(gone)
            self._ids[gone.id] -= 1
        self.spent = False
        self._heard.add(contact)
        self._ids[contact.id] = self._ids.get(contact.id, 0) + 1
        insort(self.heard, (distance, of_id, contact, hop), key=_place)

    def next(
        self, number: int, asked: dict[Contact, Asked], answered_ids: set[bytes]
    ) -> tuple[Contact, int] | None:
        """Return the closest that nobody has asked, unless the window before it is full.

        Whom other paths asked fills the window too, but not that of a path through the region: what
        they asked there may be the very cluster that it is to get round.
        """
        live = 0
        for _, _, contact, hop in self.heard:
            entry = asked.get(contact)
            if entry is None:
                if contact.id in answered_ids:
                    continue
                return contact, hop
            elsewhere = self._shunned is not None and entry.path != number
            if entry.state is not State.FAILED and not elsewhere:
                live += 1
                if live >= self.width:
                    break
        self.spent = True
        return None


def _place(heard: tuple[int, int, Contact, int]) -> tuple[int, int]:
    return heard[0], heard[1]
