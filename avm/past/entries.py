"""An entry of a journal as people and programs read it: who said what, and what was sent. Pure.

Beside the journey, for `log`. No capability's text and no sealed bit is ever in it.
"""

from dataclasses import dataclass
from typing import Any

from avm.host import journal
from avm.host.chain import Link, Slots, changes, input_of, is_signal, output_of
from avm.host.journal import Entry, now_of
from avm.past.difference import shown_send
from avm.past.labels import Lens
from caps.jsonform import Json

ADDRESSED = (journal.TURN, journal.FAILED, journal.REFUSED, journal.VOID, journal.INIT)
PLAIN: dict[int, tuple[str, ...]] = {
    journal.FAILED: ("reason", "index", "detail", "count"),
    journal.REFUSED: ("index", "word"),
    journal.VOID: ("why", "count"),
    journal.SUSPEND: ("mode", "why"),
    journal.GENERATION: ("generation",),
    journal.COLLECT: ("slots",),
    journal.INCARNATION: ("incarnation",),
    journal.RUNTIME: ("python", "version"),
    journal.REVOKE: ("generation", "from_ms"),
}
HASHED: dict[int, tuple[str, ...]] = {
    journal.INIT: ("code",),
    journal.CODE: ("code", "digest"),
    journal.EDIT: ("digest",),
    journal.SNAPSHOT: ("digest",),
}


@dataclass(slots=True)
class Narrator:
    """Tells the entries of one journal in order; it follows the machine's slots on the way."""

    lens: Lens
    slots: Slots
    now_ms: int = 0

    def time_of(self, link: Link) -> int:
        """When an entry was made; for one that does not say, when the one before was."""
        return now_of(link.entry) or self.now_ms

    def skip(self, link: Link) -> None:
        """Goes over an entry without telling it."""
        self.slots.take(link.entry)
        self.now_ms = self.time_of(link)

    def tell(self, link: Link) -> dict[str, Json]:
        """An entry as JSON; what it has not is left out."""
        entry = link.entry
        self.lens.next_slot, self.lens.interned = self.slots.next, changes(entry)
        self.now_ms = self.time_of(link)
        told: dict[str, Json] = {"turn": entry.n, "now_ms": self.now_ms, "form": entry.name}
        if entry.form in ADDRESSED:
            told["sender"] = self.lens.labels.of_address(entry["sender"])
        told |= {name: entry[name] for name in PLAIN.get(entry.form, ()) if entry[name] != ""}
        told |= {name: entry[name].hex() for name in HASHED.get(entry.form, ())}
        if entry.form == journal.CODE and "body" in entry.fields:
            told["rebuilt"] = True
        messages = self._messages(entry)
        if is_signal(entry):
            told["signal"] = messages[0]["content"] if messages else ""
        elif messages:
            told["messages"] = messages
        sends = [[shown_send(send, self.lens) for send in said] for said in output_of(entry)]
        if any(sends):
            told["sends"] = sends
        if link.printed:
            told["printed"] = link.printed
        self.slots.take(entry)
        return told

    def _messages(self, entry: Entry) -> list[dict[str, Json]]:
        given = input_of(entry)
        return [self._message(message) for message in given.messages] if given else []

    def _message(self, message: list[Any]) -> dict[str, Json]:
        if not message:
            return {"inert": True}
        inner = message[3] if len(message) >= 5 else []
        context_inner = message[4] if len(message) >= 5 else []
        told = {
            "context": self.lens.context_json(message[0], context_inner),
            "content": self.lens.content_json(message[1], inner),
        }
        if len(message) >= 5 and message[2] != "null~":
            told["reply"] = self.lens.reference(message[2])
        return told


def hashes(link: Link) -> dict[str, Json]:
    """The link of an entry and the one before."""
    return {"hash": link.entry.hash.hex(), "before": link.entry.before.hex()}


__all__ = ["Narrator", "hashes"]
