"""`listen`: prints a capability to this command, then each message that comes to it."""

import argparse
import sys
from time import monotonic
from typing import Any

from avm.cli.arguments import add_json, check_key, check_seconds
from avm.cli.errors import Lost, NoValue, Usage
from avm.cli.link import Link, fresh_key, reopen
from avm.cli.output import print_json, print_text, say, warn
from avm.cli.values import Holder, wire_text
from avm.run import protocol
from avm.run.directory import Directory
from caps.codec import encode_content

STEP_S = 3600.0
EAR = encode_content("listen")[0]


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    name_text = "keeps the capability, and what comes while nobody listens"
    parser.add_argument("name", metavar="NAME", nargs="?", help=name_text)
    timeout_text = "seconds to wait for a host that has gone (default 60)"
    parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help=timeout_text)
    count_text = "end after so many messages"
    parser.add_argument("--count", metavar="N", type=int, help=count_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Listens until it is interrupted, or has had enough."""
    if args.name is not None:
        check_key("NAME", args.name)
    check_seconds("--timeout", args.timeout)
    if args.count is not None and args.count < 0:
        raise Usage("--count is a number of messages, like --count 1")
    ear = Ear(args, directory)
    ear.open()
    while args.count is None or ear.printed < args.count:
        ear.step()
    ear.link.end()
    return 0


class Ear:
    """A client that prints what comes."""

    def __init__(self, args: argparse.Namespace, directory: Directory) -> None:
        self._directory = directory
        self._durable = args.name is not None
        self._name = args.name or ""
        self._key = f"listen:{args.name}" if self._durable else fresh_key()
        self._json = args.json
        self._count = args.count
        self._timeout_s = args.timeout
        self._holder = Holder(directory)
        self._last: dict[bytes, int] = {}
        self.link = Link.open(directory, self._key, self._durable, self._name)
        self.printed = 0

    def open(self) -> None:
        """Prints the capability."""
        wire = self.link.ask("ear", {"context": EAR})
        text = wire_text(wire)
        if sys.stdout.isatty():
            warn("what is sent to this capability is printed below; Ctrl-C ends")
        if self._json:
            print_json({"$cap": text})
        else:
            say(text)

    def step(self) -> None:
        """Waits for what comes and prints it."""
        try:
            self.link.pump(STEP_S)
            while self.link.came and not self._enough():
                self._take(self.link.came.popleft())
        except Lost:
            self.link.close()
            until = monotonic() + self._timeout_s
            self.link = reopen(self._directory, self._key, self._durable, self._name, until)

    def _enough(self) -> bool:
        return self._count is not None and self.printed >= self._count

    def _take(self, frame: list[Any]) -> None:
        if frame[0] != protocol.DELIVER:
            return
        _kind, sender, seq, messages = frame
        if seq > self._last.get(sender, 0):
            for _ask, _context, body, wires in messages:
                try:
                    print_text(self._holder.to_json(self._holder.decode(body, wires)))
                except NoValue as error:
                    warn(f"avm-host: a message of {sender.hex()[:8]} is passed over: {error}")
                    continue
                self.printed += 1
            self._last[sender] = seq
        self.link.write([protocol.GOT, sender, seq])
