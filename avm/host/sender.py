"""A client's end of a channel: what it offered and has no verdict of yet. Pure.

The command line and the test kit send through it. After a break it asks for the mark and offers
the rest again, so that each batch is taken exactly once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from caps.value import Failed, Value

P = TypeVar("P")

FINAL = frozenset({"applied", "refused", "rejected", "undelivered", "too large"})


def is_told_twice(outcome: Value) -> bool:
    """Whether a host's own word of an ask is of its deadline, which the verdict of its batch tells as well.

    Of a batch for another host a client hears it from both; what comes second is passed over.
    """
    return isinstance(outcome, Failed) and outcome.why in ("undelivered", "unknown")


@dataclass(slots=True)
class Sender(Generic[P]):
    """Batches of payload `P` offered to one receiver, in order."""

    sent: int = 0
    confirmed: int = 0
    waiting: dict[int, P] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)

    def offer(self, payload: P) -> int:
        """Gives a batch its number."""
        self.sent += 1
        self.waiting[self.sent] = payload
        return self.sent

    def verdict(self, seq: int, verdict: list[Any]) -> P | None:
        """Takes a verdict; the payload when it is final, None when there is nothing to learn."""
        if verdict[0] == "held":
            self.held.add(seq)
            return None
        if verdict[0] not in FINAL:
            return None
        payload = self.waiting.pop(seq, None)
        self.held.discard(seq)
        if verdict[0] == "too large" and payload is not None:
            self._close_gap(seq)
        if not self.waiting:
            self.confirmed = self.sent
        else:
            self.confirmed = min(self.waiting) - 1
        return payload

    def is_forgotten(self, taken: int) -> bool:
        """Whether the host, whose mark this is, has forgotten what it had confirmed before.

        It forgets a client that was away for long; what was not confirmed has an unknown fate.
        """
        return taken < self.confirmed

    def _close_gap(self, gone: int) -> None:
        """What was too large has taken no number: those behind it move up."""
        self.sent -= 1
        behind = {seq - (seq > gone): payload for seq, payload in self.waiting.items()}
        self.waiting = dict(sorted(behind.items()))
        self.held = {seq - (seq > gone) for seq in self.held}

    def unsettled_from(self, seq: int) -> Iterator[tuple[int, P]]:
        """What is to be offered again, in order."""
        for number in sorted(self.waiting):
            if number >= seq:
                yield number, self.waiting[number]

    def reopened(self, taken: int, verdicts: dict[int, list[Any]]) -> list[tuple[int, list[Any]]]:
        """After a break: the verdicts of what was taken meanwhile, those not kept being applied.

        Afterwards `unsettled_from(0)` is what to offer again.
        """
        self.sent = max(self.sent, taken)
        return [
            (seq, verdicts.get(seq, ["applied"])) for seq in sorted(self.waiting) if seq <= taken
        ]
