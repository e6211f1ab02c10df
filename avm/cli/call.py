"""`call`: a message that asks; prints the answer, or says which outcome it had instead."""

import argparse
from time import monotonic
from typing import Any

from avm.cli import call_at, call_fork, values
from avm.cli.arguments import add_fork, add_json, add_passphrase, check_seconds
from avm.cli.delay import Delay
from avm.cli.delivery import BUSY, ROOM, TELL_BUSY_S
from avm.cli.errors import Lost, NoAnswer, NoHost, Usage
from avm.cli.link import Link, fresh_key, reopen
from avm.cli.outcomes import fail
from avm.cli.output import print_text, warn
from avm.cli.sending import BUSY_S
from avm.cli.taken import machine_at, turn_of
from avm.cli.values import Encoded, Holder
from avm.run import protocol
from avm.run.directory import Directory
from caps.value import Failed

ASK = 1
GRACE_S = 2.0
STEP_S = 0.5
LATE = "late: it was applied, without an answer in time"


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    values.add_content(parser)
    timeout_text = "seconds to wait for the answer (default 60)"
    parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help=timeout_text)
    at_text = "what it would have answered after this turn; nothing is sent or kept"
    parser.add_argument("--at", metavar="TURN", type=int, help=at_text)
    add_fork(parser)
    add_passphrase(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks and prints the answer as JSON."""
    check_seconds("--timeout", args.timeout)
    if not args.timeout:
        raise Usage("--timeout is a number of seconds above 0")
    if args.at is not None:
        return call_at.run(args, directory)
    if args.fork is not None:
        return call_fork.run(args, directory)
    holder = Holder(directory)
    wire = holder.resolve(args.cap)
    content = holder.encode(values.content_of(args, holder))
    call = Call(directory, wire, content, args.timeout, values.is_named(args.cap))
    body, wires = call.run()
    answer = holder.decode(body, wires)
    if isinstance(answer, Failed):
        if answer.why == "late":
            raise NoAnswer(call.late())
        fail(answer.why, call.because(answer), call.machine(answer.why))
    print_text(holder.to_json(answer))
    return 0


class Call:
    """One ask, from the offer to its outcome, through the host's end and its return."""

    def __init__(
        self,
        directory: Directory,
        wire: bytes,
        content: Encoded,
        timeout_s: float,
        named: bool = False,
    ) -> None:
        """`named`: the capability was given by the operator's own name for it."""
        self._directory = directory
        self._named = named
        self._wire = wire
        self._receiver = values.asked_of(wire)
        self._content = content
        self._until = monotonic() + timeout_s
        self._key = fresh_key()
        self._address = b""
        self._again_at: float | None = None
        self._known = ""
        self._busy_since = 0.0
        self._told_busy = False
        self._delay = Delay(self._receiver, monotonic())

    def run(self) -> Encoded:
        """The answer's body and capabilities; CliError for the outcomes that are known at once."""
        link = Link.open(self._directory, self._key)
        self._address = link.address
        self._receiver = self._delay.receiver = self._receiver or link.host
        self._offer(link)
        try:
            while True:
                try:
                    found = self._step(link)
                except Lost:
                    link.close()
                    link = self._reopened()
                    continue
                if found is not None:
                    link.end()
                    return found
        finally:
            link.close()

    def _offer(self, link: Link) -> None:
        body, caps = self._content
        deadline_ms = max(1, round((self._until - monotonic()) * 1000))
        message = [0, body, caps, ASK]
        head = [protocol.OFFER, self._receiver, 1, deadline_ms, b"", False]
        link.write([*head, [self._wire], [message], 0])
        self._again_at = None

    def _reopened(self) -> Link:
        try:
            link = reopen(self._directory, self._key, False, "", self._until)
        except (NoHost, Lost) as error:
            otherwise = "unknown: the host ended before it said what became of the message"
            raise NoAnswer(f"{self._fate(otherwise)}; {error}") from None
        link.write([protocol.MARK, self._receiver])
        return link

    def because(self, outcome: Failed) -> str:
        """Why it has this outcome; where its time ran out, also what it waited for."""
        is_over = outcome.why in ("undelivered", "unknown")
        return self._because(outcome.detail) if is_over else outcome.detail

    def machine(self, why: str) -> str:
        """The operator's own machine whose failed batches say why; empty where none does."""
        is_own = self._named and why == "rejected"
        return machine_at(self._directory, self._receiver) if is_own else ""

    def late(self) -> str:
        """What is said where it was applied and no answer came: in which turn, if that is found."""
        turn = turn_of(self._directory, self._receiver, self._address, 1)
        return f"{LATE}: {turn}" if turn else LATE

    def _because(self, detail: str) -> str:
        """An outcome's detail, and at which other host it waited until then."""
        return f"{detail}; {self._delay.why}: `avm-host channels`" if self._delay.why else detail

    def _fate(self, otherwise: str) -> str:
        return self.late() if self._known == LATE else self._known or otherwise

    def _step(self, link: Link) -> Encoded | None:
        now = monotonic()
        if self._again_at is not None and now > self._until:
            fail("undelivered", f"the host took nothing in time: {ROOM}")
        if now > self._until + GRACE_S:
            raise NoAnswer(self._fate("unknown: no word of the message in time"))
        if self._again_at is not None and now >= self._again_at:
            self._offer(link)
        link.pump(STEP_S if self._again_at is None else BUSY_S)
        if not link.came and not self._known:
            self._delay.look(link, monotonic())
        found: Encoded | None = None
        while link.came:
            found = self._take(link, link.came.popleft()) or found
        return found

    def _take(self, link: Link, frame: list[Any]) -> Encoded | None:
        match frame:
            case [protocol.VERDICT, self._receiver, 1, [why, *words]]:
                self._verdict(why, words)
            case [protocol.MARK, self._receiver, taken, _, _, verdicts]:
                if taken:
                    why, *words = dict(verdicts).get(1, ["applied"])
                    self._verdict(why, words)
                else:
                    self._again_at = monotonic()
            case [protocol.DELIVER, sender, seq, messages]:
                link.write([protocol.GOT, sender, seq])
                for ask, _context, body, wires in messages:
                    if ask == ASK:
                        return body, wires
        return None

    def _tell_busy(self) -> None:
        """Says so once, when the host takes nothing for a while."""
        self._busy_since = self._busy_since or monotonic()
        if not self._told_busy and monotonic() - self._busy_since > TELL_BUSY_S:
            self._told_busy = True
            warn(BUSY)

    def _verdict(self, why: str, words: list[Any]) -> None:
        match why:
            case "applied":
                self._known = LATE
            case "held":
                self._known = "unknown: the host keeps it, and its machine is suspended"
            case "busy" | "expected":
                self._again_at = monotonic() + BUSY_S
                self._tell_busy()
            case "refused":
                fail(why, words[1])
            case "undelivered":
                fail(
                    why, self._because(words[0] if words else "its machine did not take it in time")
                )
            case _:
                fail(why, machine=self.machine(why))
