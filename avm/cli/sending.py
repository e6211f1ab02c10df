"""Lines as batches, and what becomes of each: the sender's end of `send`, pure.

Step 1 of the journey. A window of batches is in flight. When one is refused or rejected nothing
new is offered until the rest of the window has its verdicts; then the lines of that batch go alone,
in their order, and what is still to come after them. So they are taken after the batches that
were in flight with theirs (at most window - 1), and a window of one keeps every line in its place.

For `--resume` each batch carries a position, which the host keeps with its mark: the next fresh
line, the lines to be tried again, and the batches whose verdicts were not known yet.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cbor2

from avm.host.sender import Sender

BATCH_LINES = 100
BATCH_BYTES = 1024 * 1024
WINDOW = 8
SINGLES = 16
BUSY_S = 0.05
AGAIN_S = 0.01

Verdict = list[Any]


class Line(NamedTuple):
    """A message: its place among the lines that are not blank, its line's number, and its bytes."""

    place: int
    number: int
    content: bytes
    caps: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """The bytes it takes of a batch."""
        return len(self.content) + sum(map(len, self.caps))


Lines = tuple[Line, ...]


class Offer(NamedTuple):
    """A batch to be offered to the host."""

    seq: int
    lines: Lines
    position: bytes
    splits: bool
    confirmed: int


class Bad(NamedTuple):
    """A line that was not taken, and why."""

    number: int
    why: str
    word: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}"

    @property
    def reason(self) -> str:
        """Why, with the word where there is one."""
        return f"{self.why}: {self.word}" if self.word else self.why


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: after which batch, at which line, and which lines before it are left."""

    taken: int = 0
    following: int = 1
    left: tuple[tuple[int, int], ...] = ()


def start_at(taken: int, position: bytes, verdicts: Mapping[int, Verdict]) -> Start:
    """Where a durable channel's mark says to begin; ValueError when its position is not ours."""
    if not position:
        return Start(taken)
    try:
        following, ranges, flying = cbor2.loads(position)
    except (cbor2.CBORError, ValueError, TypeError) as error:
        raise ValueError("the position kept with the mark is not one of `send`") from error
    left = list(zip(ranges[::2], ranges[1::2], strict=True))
    for seq, first, last in zip(flying[::3], flying[1::3], flying[2::3], strict=True):
        failed = verdicts.get(seq, ["applied"])[0] in ("refused", "rejected")
        if failed and first < last:
            left.append((first, last))
    return Start(taken, following, tuple(sorted(left)))


@dataclass(slots=True)
class Tally:
    """What became of the lines."""

    lines: int = 0
    skipped: int = 0
    batches: int = 0
    committed: int = 0
    refused: int = 0
    rejected: int = 0
    undelivered: int = 0
    too_large: int = 0
    first: Bad | None = None

    def count(self, why: str, lines: int) -> None:
        """Counts lines under their outcome."""
        match why:
            case "refused":
                self.refused += lines
            case "rejected":
                self.rejected += lines
            case "undelivered":
                self.undelivered += lines
            case _:
                self.refused += lines
                self.too_large += lines

    @property
    def settled(self) -> int:
        """The lines whose outcome is known."""
        return self.committed + self.refused + self.rejected + self.undelivered


@dataclass(slots=True)
class Sending:
    """All lines of one `send`, from the first to the last verdict."""

    start: Start = field(default_factory=Start)
    batch_lines: int = BATCH_LINES
    batch_bytes: int = BATCH_BYTES
    window: int = WINDOW
    tally: Tally = field(default_factory=Tally)
    again: int | None = None
    again_s: float = 0.0
    _sender: Sender[Lines] = field(default_factory=Sender)
    _following: int = 1
    _left: deque[tuple[int, int]] = field(default_factory=deque)
    _partial: list[Line] = field(default_factory=list)
    _partial_bytes: int = 0
    _fresh: deque[Lines] = field(default_factory=deque)
    _retry: deque[Line] = field(default_factory=deque)
    _flying: set[int] = field(default_factory=set)
    _oldest: dict[int, int] = field(default_factory=dict)
    _confirmed: int = 0

    def __post_init__(self) -> None:
        self._sender.sent = self.start.taken
        self._following = self.start.following
        self._left = deque(self.start.left)

    # Lines in.

    def add(self, line: Line) -> None:
        """Takes the next line that is not blank."""
        self.tally.lines += 1
        if line.place < self.start.following:
            self._add_old(line)
            return
        full = len(self._partial) >= self.batch_lines
        if full or (self._partial and self._partial_bytes + line.size > self.batch_bytes):
            self.flush()
        self._partial.append(line)
        self._partial_bytes += line.size
        if len(self._partial) >= self.batch_lines:
            self.flush()

    def _add_old(self, line: Line) -> None:
        while self._left and self._left[0][1] < line.place:
            self._left.popleft()
        if not self._left or line.place < self._left[0][0]:
            self.tally.skipped += 1
            return
        last = self._left.popleft()[1]
        if line.place < last:
            self._left.appendleft((line.place + 1, last))
        self._retry.append(line)

    def flush(self) -> None:
        """Closes the batch that is being filled."""
        if self._partial:
            self._fresh.append(tuple(self._partial))
            self._partial.clear()
            self._partial_bytes = 0

    @property
    def partial(self) -> bool:
        """Whether a batch is being filled."""
        return bool(self._partial)

    @property
    def wants_lines(self) -> bool:
        """Whether there is room for more lines before the window."""
        return len(self._fresh) < self.window and len(self._retry) < self.window

    # Batches out.

    def offers(self) -> Iterator[Offer]:
        """What is to be offered now; all in flight again after a break or when the host said so."""
        if self.again is not None:
            # Each offer has one answer. All are waited for, or an old one would be taken for a new.
            if any(seq >= self.again for seq in self._flying):
                return
            again, self.again, self.again_s = self.again, None, 0.0
            for seq, lines in list(self._sender.unsettled_from(again)):
                yield self._offer(seq, lines)
        while (fresh := self._next()) is not None:
            if fresh[-1].place >= self._following:
                self._following = fresh[-1].place + 1
            yield self._offer(self._sender.offer(fresh), fresh)

    def _next(self) -> Lines | None:
        waiting = self._sender.waiting
        if self._retry:
            several = any(len(lines) > 1 for lines in waiting.values())
            return None if several or len(waiting) >= SINGLES else (self._retry.popleft(),)
        if self._fresh and len(waiting) < self.window:
            return self._fresh.popleft()
        return None

    def _offer(self, seq: int, lines: Lines) -> Offer:
        self._flying.add(seq)
        self._oldest.setdefault(seq, min(self._sender.waiting))
        return Offer(seq, lines, self._position(seq), len(lines) > 1, self._confirmed)

    def _position(self, seq: int) -> bytes:
        """Where it stands when this batch is taken: those offered after it are not."""
        left = [(line.place, line.place) for line in self._retry]
        flying: list[int] = []
        for number, lines in self._sender.unsettled_from(0):
            first, last = lines[0].place, lines[-1].place
            if number <= seq:
                flying += (number, first, last)
            else:
                left.append((first, last))
        ranges: list[int] = []
        for first, last in sorted([*left, *self._left]):
            if ranges and ranges[-1] + 1 == first:
                ranges[-1] = last
            else:
                ranges += (first, last)
        return cbor2.dumps([self._following, ranges, flying])

    # Verdicts in.

    def verdict(self, seq: int, verdict: Verdict) -> list[Bad]:
        """Takes a verdict; the lines that it settles badly."""
        if verdict[0] != "held":
            self._flying.discard(seq)
        match verdict[0]:
            case "busy":
                self._offer_again(seq, BUSY_S)
                return []
            case "expected":
                self._offer_again(verdict[1], AGAIN_S)
                return []
            case "too large":
                return self._too_large(seq)
        lines = self._sender.verdict(seq, verdict)
        if lines is None:
            return []
        self._confirm()
        return self._settle(lines, verdict)

    def _offer_again(self, seq: int, wait_s: float) -> None:
        if any(number >= seq for number in self._sender.waiting):
            self.again = seq if self.again is None else min(self.again, seq)
            self.again_s = max(self.again_s, wait_s)

    def _settle(self, lines: Lines, verdict: Verdict) -> list[Bad]:
        why = verdict[0]
        if why == "applied":
            self.tally.batches += 1
            self.tally.committed += len(lines)
            return []
        if why != "undelivered" and len(lines) > 1:
            self._retry.extend(lines)
            return []
        word = verdict[2] if why == "refused" else "".join(map(str, verdict[1:2]))
        bad = [Bad(line.number, why, word if why != "rejected" else "") for line in lines]
        self.tally.count(why, len(lines))
        self.tally.first = self.tally.first or bad[0]
        return bad

    def _too_large(self, seq: int) -> list[Bad]:
        """The host did not count this batch, so that those after it move up by one."""
        sender = self._sender
        lines = sender.waiting.pop(seq, None)
        if lines is None:
            return []
        later = {
            number: sender.waiting.pop(number) for number in sorted(sender.waiting) if number > seq
        }
        sender.waiting.update((number - 1, rest) for number, rest in later.items())
        sender.sent -= 1
        for number in [number for number in self._oldest if number >= seq]:
            del self._oldest[number]
        self._offer_again(seq, AGAIN_S)
        return self._settle(lines, ["too large"])

    def _confirm(self) -> None:
        """What the host need not keep: the verdicts before those that the last position names."""
        waiting = self._sender.waiting
        last = min(waiting) - 1 if waiting else self._sender.sent
        if last in self._oldest:
            self._confirmed = max(self._confirmed, self._oldest[last] - 1)
        for number in [number for number in self._oldest if number < last]:
            del self._oldest[number]

    def is_forgotten(self, taken: int) -> bool:
        """Whether a host with this mark has forgotten what it confirmed to this client before."""
        return self._sender.is_forgotten(taken)

    def reopened(self, taken: int, verdicts: Mapping[int, Verdict]) -> list[Bad]:
        """After a break, the mark: settles what was taken meanwhile; `offers` gives the rest again."""
        bad: list[Bad] = []
        for seq, verdict in self._sender.reopened(taken, dict(verdicts)):
            bad += self.verdict(seq, verdict)
        self._sender.held.clear()
        self._flying.clear()
        self.again, self.again_s = 0, 0.0
        return bad

    # How it stands.

    @property
    def finished(self) -> bool:
        """Whether every line that was added has its outcome."""
        return not (self.unsent or self._sender.waiting)

    @property
    def unsent(self) -> int:
        """The lines that no host has been offered, or that are to be tried again."""
        fresh = len(self._partial) + sum(map(len, self._fresh)) + len(self._retry)
        return fresh + sum(map(len, self._not_taken().values()))

    @property
    def unknown(self) -> int:
        """The lines in flight, their fate unknown."""
        return sum(map(len, self._sender.waiting.values())) - sum(
            map(len, self._not_taken().values())
        )

    def _not_taken(self) -> dict[int, Lines]:
        """What the host has said that it did not take, and is to be offered again."""
        if self.again is None:
            return {}
        again = self._sender.unsettled_from(self.again)
        return {seq: lines for seq, lines in again if seq not in self._flying}

    @property
    def all_held(self) -> bool:
        """Whether all that is left is durable at the host and waits for a suspended machine."""
        waiting = self._sender.waiting
        return bool(waiting) and not self.unsent and self._sender.held >= set(waiting)

    @property
    def some_held(self) -> bool:
        """Whether a suspended machine holds something of ours."""
        return bool(self._sender.held)
