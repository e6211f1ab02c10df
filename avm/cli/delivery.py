"""Carries what is to be sent to the host, through its end and its return, until all is settled.

Step 1 of the journey: the shell around `Sending`. Each batch is taken exactly once, since after a
break the host is asked for its mark and the rest is offered again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from avm.cli.delay import Delay
from avm.cli.errors import CliError, Lost, NoAnswer, NoHost
from avm.cli.lines import Source
from avm.cli.link import Link, fresh_key, reopen
from avm.cli.outcomes import fail
from avm.cli.output import counted, warn
from avm.cli.sending import AGAIN_S, Bad, Line, Offer, Sending, Start, start_at
from avm.run import protocol
from avm.run.directory import Directory

IDLE_S = 0.1
STEP_S = 0.5
MARK_S = 60.0
POLL_S = 0.05
TELL_BUSY_S = 2.0
ROOM = "it has no room or drains, `avm-host status` says which"
BUSY = f"avm-host: the host takes nothing now, {ROOM}: waiting"
KEPT = "the host keeps what was sent, until its time is over: `avm-host channels`"
PROBE = 1 << 62
NULL_BODY = b"\xf6"

Parse = Callable[[int, int, bytes], Line]


@dataclass(slots=True)
class Route:
    """To whom, by which capability, and as which client."""

    directory: Directory
    wire: bytes
    receiver: bytes
    key: str = field(default_factory=fresh_key)
    durable: bool = False
    name: str = ""

    def connect(self) -> Link:
        """The first connection; NoHost."""
        return Link.open(self.directory, self.key, self.durable, self.name)

    def offer(self, offer: Offer) -> list[Any]:
        """The frame of an offer."""
        messages = [[0, line.content, list(line.caps), None] for line in offer.lines]
        head = [protocol.OFFER, self.receiver, offer.seq, None, offer.position, offer.splits]
        return [*head, [self.wire], messages, offer.confirmed]


class Delivery:
    """One `send` on its way."""

    def __init__(
        self,
        route: Route,
        link: Link,
        sending: Sending,
        timeout_s: float,
        on_bad: Callable[[Bad], None],
        on_step: Callable[[Sending], None],
    ) -> None:
        self._route = route
        self._link = link
        self._sending = sending
        self._timeout_s = timeout_s
        self._on_bad = on_bad
        self._on_step = on_step
        self._place = 0
        self._flush_at = 0.0
        self._again_at = 0.0
        self._told_held = False
        self._busy_since = 0.0
        self._told_busy = False
        self._marked = True
        self._delay = Delay(route.receiver, monotonic())
        self.malformed: CliError | None = None

    def run(self, source: Source | None, parse: Parse) -> None:
        """Until every line has its outcome; CliError when it stops before."""
        self._told_held = source is None  # of a single message its own error tells it
        while True:
            more = self._read_file(source, parse)
            if not more:
                self._sending.flush()
                if self._sending.finished or self._sending.all_held:
                    self._link.end()
                    return
            try:
                readable = self._step(source.fd if more and source is not None else None)
            except Lost:
                self._reconnect()
                continue
            if readable and source is not None:
                self._add(source.read(), parse)
            self._on_step(self._sending)

    def _read_file(self, source: Source | None, parse: Parse) -> bool:
        """Takes lines while there is room and they need no waiting; whether there are more."""
        if source is None:
            return False
        while not self._over(source) and not source.waits and self._sending.wants_lines:
            self._add(source.read(), parse)
        return not self._over(source)

    def _over(self, source: Source) -> bool:
        return source.ended or self.malformed is not None

    def _add(self, lines: Iterator[tuple[int, bytes]], parse: Parse) -> None:
        try:
            for number, text in lines:
                if text.strip():
                    self._sending.add(parse(self._place + 1, number, text))
                    self._place += 1
        except CliError as error:
            self.malformed = error
        self._flush_at = monotonic() + IDLE_S

    def _step(self, fd: int | None) -> bool:
        """Writes what is to be offered, waits a little, takes what has come; whether `fd` has lines."""
        sending = self._sending
        if sending.partial and monotonic() >= self._flush_at:
            sending.flush()
        self._offer()
        readable = self._link.pump(self._wait_s(), fd if sending.wants_lines else None)
        if self._link.came or not sending.unknown:
            self._delay.heard(monotonic())
        else:
            self._look()
        while self._link.came:
            self._take(self._link.came.popleft())
        self._check_busy()
        return readable

    def _look(self) -> None:
        """Tells why nothing is taken at another host; NoAnswer where that lasts for too long."""
        now_s = monotonic()
        self._delay.look(self._link, now_s)
        if not self._delay.is_stuck or self._delay.quiet_s(now_s) < self._timeout_s:
            return
        self._link.end()
        raise NoAnswer(f"unknown: {self._delay.why}; {KEPT}")

    def _wait_s(self) -> float:
        until = [STEP_S]
        if self._sending.again is not None:
            until.append(max(AGAIN_S, self._again_at - monotonic()))
        if self._sending.partial:
            until.append(self._flush_at - monotonic())
        return max(0.0, min(until))

    def _offer(self) -> None:
        sending = self._sending
        if not self._marked or (sending.again is not None and monotonic() < self._again_at):
            return
        for offer in sending.offers():
            self._link.write(self._route.offer(offer))

    def _take(self, frame: list[Any]) -> None:
        match frame:
            case [protocol.VERDICT, self._route.receiver, int(seq), list(verdict)]:
                if verdict[0] == "expected":
                    self._is_known(verdict[1] - 1)
                self._tell(self._sending.verdict(seq, verdict))
            case [protocol.MARK, self._route.receiver, int(taken), _, _, list(verdicts)]:
                self._is_known(taken)
                self._tell(self._sending.reopened(taken, dict(verdicts)))
                self._marked = True
        self._note_busy(frame)
        if self._sending.again is not None:
            self._again_at = monotonic() + self._sending.again_s
        if self._sending.some_held and not self._told_held:
            self._told_held = True
            warn("avm-host: the machine is suspended: what is sent waits until `avm-host resume`")

    def _note_busy(self, frame: list[Any]) -> None:
        """Notes since when the host takes nothing."""
        match frame:
            case [protocol.VERDICT, _, _, ["busy"]]:
                self._busy_since = self._busy_since or monotonic()
            case [protocol.VERDICT, _, _, ["expected", *_]]:
                pass  # It came behind one that was not taken.
            case [protocol.VERDICT, *_]:
                self._busy_since = 0.0

    def _check_busy(self) -> None:
        """Says so once, when the host takes nothing for a while; CliError where that lasts for too long."""
        busy_s = monotonic() - self._busy_since if self._busy_since else 0.0
        if busy_s > TELL_BUSY_S and not self._told_busy:
            self._told_busy = True
            warn(BUSY)
        # Behind what is kept for a suspended machine it waits for as long as there is more to send.
        if busy_s < self._timeout_s or not busy_s or self._sending.some_held:
            return
        why = f"the host took nothing for {self._timeout_s:g} s: {ROOM}"
        if not self._sending.unknown:
            self._link.end()
            fail("undelivered", why)
        # Each offer has its answer within a moment; what has none by then waits for another host.
        if busy_s > self._timeout_s + TELL_BUSY_S:
            self._link.end()
            raise NoAnswer(f"unknown: {why}; {KEPT}")

    def _is_known(self, taken: int) -> None:
        if self._sending.is_forgotten(taken):
            raise NoAnswer(
                "this command was away for too long, and the host has forgotten it: "
                "the fate of what was in flight is unknown"
            )

    def _tell(self, bad: list[Bad]) -> None:
        for one in bad:
            self._on_bad(one)

    def _reconnect(self) -> None:
        """Comes back with the same key and asks what was taken; NoHost or NoAnswer in the end."""
        route = self._route
        until = monotonic() + self._timeout_s
        self._link.close()
        try:
            self._link = reopen(route.directory, route.key, route.durable, route.name, until)
        except (NoHost, Lost) as error:
            if self._sending.unknown:
                raise NoAnswer(f"{error}; the fate of what was in flight is unknown") from None
            raise NoHost(str(error)) from None
        self._marked = False
        self._link.write([protocol.MARK, route.receiver])


def mark_of(route: Route, link: Link, timeout_s: float = MARK_S) -> Start:
    """Where a durable channel stands, once nothing of an earlier run is on its way any more.

    NoAnswer where that takes too long; `timeout_s` is for what is stuck on its way to another host.
    """
    delay = Delay(route.receiver, monotonic())
    while True:
        received, taken, position, verdicts = _standing(route, link, monotonic() + MARK_S)
        if received <= taken:
            return start_at(taken, position, verdicts)
        now_s = monotonic()
        delay.look(link, now_s)
        if delay.quiet_s(now_s) > (timeout_s if delay.is_stuck else MARK_S):
            waiting = (
                f"{counted(received - taken, 'batch', 'batches')} of an earlier run not taken yet"
            )
            where = "`avm-host ls` shows whether the machine is suspended"
            raise NoAnswer(f"{waiting}: {delay.why or where}; {KEPT}")
        sleep(POLL_S)


def _standing(
    route: Route, link: Link, until: float
) -> tuple[int, int, bytes, dict[int, list[Any]]]:
    """The last batch the host received, which an offer far ahead tells, and the mark."""
    probe = Offer(PROBE, (Line(0, 0, NULL_BODY),), b"", False, 0)
    link.write([protocol.MARK, route.receiver])
    link.write(route.offer(probe))
    mark: tuple[int, bytes, dict[int, list[Any]]] | None = None
    while True:
        link.pump(STEP_S)
        while link.came:
            match link.came.popleft():
                case [protocol.MARK, route.receiver, int(taken), _, bytes(position), verdicts]:
                    mark = taken, position, dict(verdicts)
                case [protocol.VERDICT, route.receiver, seq, ["expected", int(following)]]:
                    if seq == PROBE and mark is not None:
                        return following - 1, *mark
        if monotonic() > until:
            raise NoAnswer("the host does not tell where the channel stands; is it stopped?")
