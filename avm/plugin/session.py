"""A blocking client of a host's control socket, which outlives the host and resends exactly once. Shell.

Step 1 of the journey, for tests: what the command line does in one go is done piece by piece here.
"""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from avm.errors import AvmError
from avm.host.sender import Sender, is_told_twice
from avm.run import protocol
from avm.run.directory import Directory
from avm.run.protocol import Frames
from caps.capability import (
    CommonName,
    SealedCapability,
    narrow,
    parse_text,
    parse_wire_untrusted,
)
from caps.caveats import parse_caveat_untrusted
from caps.codec import decode_content_untrusted, encode_content
from caps.errors import Malformed
from caps.slots import Common, Foreign, Narrowed
from caps.value import Capability, Failed, Value, freeze

PATIENCE_S = 30.0
BUSY_S = 0.05
ASK_MS = 60_000
_MARK, VERDICT, DELIVER, DONE, ERROR, BYE = range(1, 7)


class HostGone(AvmError):
    """The connection to the host is broken."""


class OperatorRefused(AvmError):
    """The host refused what the operator asked: exit code and line."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Offered:
    """A batch as the client keeps it until its verdict."""

    targets: list[bytes]
    messages: list[list[Any]]
    splits: bool
    deadline_ms: int | None


class Client:
    """A client of one host; its capabilities are handles, as in a step.

    Clients that are given the same `held` have the same handles for the same capabilities.
    """

    def __init__(
        self,
        directory: Directory,
        key: str,
        durable: bool = False,
        held: list[bytes] | None = None,
    ) -> None:
        self.directory = directory
        self.key = key
        self.durable = durable
        self.address = self.host = b""
        self.senders: dict[bytes, Sender[Offered]] = {}
        self.settled: dict[tuple[bytes, int], list[Any]] = {}
        self.outcomes: dict[int, list[Value]] = {}
        # The asks whose outcome it made of a verdict: what its host says of them too is passed over.
        self._own: set[int] = set()
        self.heard: list[tuple[bytes, Value, Value]] = []
        self.next_ask = 0
        self.bye = ""
        self._taken: set[tuple[bytes, int]] = set()
        self._asks_of: dict[tuple[bytes, int], list[tuple[int, int]]] = {}
        self._retry: dict[bytes, tuple[float, int]] = {}
        self._held: list[bytes] = [] if held is None else held
        self._requests: dict[int, list[Any]] = {}
        self._next_request = 0
        self._sock: socket.socket | None = None
        self._frames = Frames()

    # Capabilities and values.

    def receiver_of(self, wire: bytes) -> bytes:
        """Whom a batch for a capability goes to: a common one is the host's own."""
        is_common = isinstance(parse_wire_untrusted(wire), CommonName)
        return self.host if is_common else address_in(wire)

    def hold(self, wire: bytes) -> Capability:
        """A handle for a capability; the same for the same bytes."""
        parsed = parse_wire_untrusted(wire)
        if isinstance(parsed, CommonName):
            return Common(parsed.name)
        if wire not in self._held:
            self._held.append(wire)
        return Foreign(self._held.index(wire))

    def wire(self, handle: object) -> bytes:
        """The bytes of a capability."""
        if isinstance(handle, Common):
            return CommonName(handle._name).wire()
        if isinstance(handle, Narrowed):
            found = parse_wire_untrusted(self.wire(handle._inner))
            assert isinstance(found, SealedCapability)
            for caveat in handle._caveats:
                found = narrow(found, parse_caveat_untrusted(caveat))
            return found.wire()
        assert isinstance(handle, Foreign)
        return self._held[handle._slot]

    def encode(self, value: object) -> tuple[bytes, list[bytes]]:
        """A value's bytes and the capabilities beside them."""
        body, found = encode_content(freeze(value))
        return body, [self.wire(one) for one in found]

    def decode(self, body: bytes, wires: list[bytes]) -> Value:
        """The value of bytes and the capabilities beside them."""
        return decode_content_untrusted(body, [self.hold(wire) for wire in wires])

    # The connection.

    @property
    def sock(self) -> socket.socket:
        """The connection; `HostGone` when there is none."""
        if self._sock is None:
            raise HostGone
        return self._sock

    def connect(self) -> None:
        """Connects and goes on where it was; `HostGone` when there is nobody."""
        self.close()
        self._frames = Frames()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self.directory.reachable_socket() as path:
                self._sock.connect(path)
        except OSError:
            self._lose()
        self.say([protocol.HELLO, protocol.VERSION, self.key, self.durable, "test"])
        self._retry.clear()
        for receiver in self.senders:
            self.say([protocol.MARK, receiver])

    def close(self, ended: bool = False) -> None:
        """Breaks the connection, with a goodbye or without."""
        if self._sock is not None:
            if ended:
                self.say([protocol.END])
            self._sock.close()
            self._sock = None

    def _lose(self) -> None:
        self.close()
        raise HostGone

    def say(self, frame: list[Any]) -> None:
        """Sends a frame."""
        self.say_bytes(protocol.pack(frame))

    def say_bytes(self, body: bytes) -> None:
        """Sends bytes as they are."""
        try:
            self.sock.sendall(body)
        except OSError:
            self._lose()

    def pump(self, within_s: float = 0.0) -> bool:
        """Takes what has come, waiting a little for it; False when nothing did."""
        self._offer_again()
        if not select.select([self.sock], [], [], within_s)[0]:
            return False
        try:
            received = self.sock.recv(1 << 16)
        except OSError:
            received = b""
        if not received:
            self._lose()
        for body in self._frames.feed(received):
            self._take(protocol.unpack_untrusted(body))
        return True

    def wait(self, condition: Callable[[], Any], within_s: float = PATIENCE_S) -> None:
        """Takes what comes until a condition holds."""
        end = time.monotonic() + within_s
        while not condition():
            self.pump(0.02)
            assert time.monotonic() < end, "the host does not answer in time"

    # Sending.

    def offer(
        self,
        to: object,
        *contents: object,
        asks: bool = False,
        splits: bool = False,
        deadline_ms: int | None = None,
    ) -> tuple[bytes, int]:
        """Offers messages to one capability as one batch; its place in the channel."""
        wire = to if isinstance(to, bytes) else self.wire(to)
        messages: list[list[Any]] = []
        numbers: list[tuple[int, int]] = []
        for index, content in enumerate(contents or (None,)):
            body, wires = self.encode(content)
            number = self._ask(numbers, index) if asks else None
            messages.append([0, body, wires, number])
        return self.offer_raw([wire], messages, numbers, splits, deadline_ms)

    def _ask(self, numbers: list[tuple[int, int]], index: int) -> int:
        self.next_ask += 1
        numbers.append((self.next_ask, index))
        self.outcomes[self.next_ask] = []
        return self.next_ask

    def offer_raw(
        self,
        targets: list[bytes],
        messages: list[list[Any]],
        asks: list[tuple[int, int]] | None = None,
        splits: bool = False,
        deadline_ms: int | None = None,
        receiver: bytes | None = None,
    ) -> tuple[bytes, int]:
        """Offers a batch of encoded messages."""
        if receiver is None:
            receiver = self.receiver_of(targets[0])
        sender = self.senders.setdefault(receiver, Sender())
        if asks and deadline_ms is None:
            deadline_ms = ASK_MS
        seq = sender.offer(Offered(targets, messages, splits, deadline_ms))
        self._asks_of[(receiver, seq)] = asks or []
        if receiver not in self._retry and self._sock is not None:
            self._say_offer(receiver, seq)
        return receiver, seq

    def _say_offer(self, receiver: bytes, seq: int) -> None:
        sender = self.senders[receiver]
        said = sender.waiting[seq]
        rest = [said.splits, said.targets, said.messages, sender.confirmed]
        self.say([protocol.OFFER, receiver, seq, said.deadline_ms, b"", *rest])

    def _offer_again(self) -> None:
        now = time.monotonic()
        for receiver, (when, seq) in list(self._retry.items()):
            if when <= now:
                del self._retry[receiver]
                for number, _said in list(self.senders[receiver].unsettled_from(seq)):
                    self._say_offer(receiver, number)

    def call(self, to: object, content: object = None, within_s: float = PATIENCE_S) -> Value:
        """Asks, and waits for the one outcome."""
        self.offer(to, content, asks=True)
        ask = self.next_ask
        self.wait(lambda: self.outcomes[ask], within_s)
        return self.outcomes[ask][0]

    def send(self, to: object, *contents: object) -> list[Any]:
        """Offers a batch and waits for its verdict."""
        place = self.offer(to, *contents)
        self.wait(lambda: place in self.settled)
        return self.settled[place]

    @property
    def unsettled(self) -> int:
        """How many of its batches have no verdict yet."""
        return sum(len(sender.waiting) for sender in self.senders.values())

    @property
    def held(self) -> int:
        """How many of those are held for machines that are suspended."""
        return sum(len(sender.held) for sender in self.senders.values())

    @property
    def idle(self) -> bool:
        """Whether every batch has its verdict and every ask its outcome."""
        return not self.unsettled and all(self.outcomes.values())

    # The operator.

    def operate(self, verb: str, **params: Any) -> Any:
        """Has the host do what its operator may; `OperatorRefused`."""
        number = self.ask(verb, **params)
        self.wait(lambda: number in self._requests)
        kind, *rest = self._requests.pop(number)
        if kind == ERROR:
            raise OperatorRefused(*rest)
        return rest[0]

    def ask(self, verb: str, **params: Any) -> int:
        """Asks the host what its operator may, and does not wait for the answer."""
        wire = parse_text(self.directory.operator()).wire()
        self._next_request += 1
        self.say([protocol.ASK, self._next_request, wire, verb, params])
        return self._next_request

    def ear(self, context: object = "ear") -> Capability:
        """A capability to this client."""
        return self.hold(self.operate("ear", context=self.encode(context)[0]))

    # What comes.

    def _take(self, frame: list[Any]) -> None:
        kind, *rest = frame
        if kind == _MARK:
            self._reopen(rest[0], rest[1], dict(map(tuple, rest[4])))
        elif kind == VERDICT:
            self._verdict(*rest)
        elif kind == DELIVER:
            self._deliver(*rest)
        elif kind in (DONE, ERROR):
            self._requests[rest[0]] = [kind, *rest[1:]]
        elif kind == BYE:
            self.bye = rest[0]
        else:
            self.address, self.host = rest[1:3]

    def _reopen(self, receiver: bytes, taken: int, verdicts: dict[int, list[Any]]) -> None:
        sender = self.senders[receiver]
        for seq, verdict in sender.reopened(taken, verdicts):
            self._verdict(receiver, seq, verdict)
        for seq, _said in list(sender.unsettled_from(0)):
            self._say_offer(receiver, seq)

    def _verdict(self, receiver: bytes, seq: int, verdict: list[Any]) -> None:
        sender = self.senders[receiver]
        if verdict[0] == "busy":
            first = min(seq, self._retry.get(receiver, (0.0, seq))[1])
            self._retry[receiver] = (time.monotonic() + BUSY_S, first)
        elif verdict[0] == "expected":
            first = self._retry.get(receiver, (0.0, verdict[1]))[1]
            self._retry[receiver] = (time.monotonic() + BUSY_S, min(first, verdict[1]))
        if sender.verdict(seq, verdict) is None:
            return
        assert (receiver, seq) not in self.settled, "two verdicts"
        self.settled[(receiver, seq)] = verdict
        if verdict[0] != "applied":
            for ask, index in self._asks_of[(receiver, seq)]:
                if not self.outcomes[ask]:
                    self.outcomes[ask].append(_outcome(verdict, index))
                    self._own.add(ask)

    def _deliver(self, sender: bytes, seq: int, messages: list[list[Any]]) -> None:
        self.say([protocol.GOT, sender, seq])
        if (sender, seq) in self._taken:
            return
        self._taken.add((sender, seq))
        for ask, context, body, wires in messages:
            try:
                content = self.decode(body, wires)
            except Malformed:  # no honest host sends that; an ask has its outcome all the same
                if ask is None:
                    continue
                content = Failed("rejected", "the answer is no value")
            if ask is None:
                self.heard.append((sender, self.decode(context, []), content))
            elif ask not in self._own or not is_told_twice(content):
                self.outcomes[ask].append(content)


def address_in(wire: bytes) -> bytes:
    """The address that a capability leads to."""
    cap = parse_wire_untrusted(wire)
    assert not isinstance(cap, CommonName)
    return cap.address


def _outcome(verdict: list[Any], index: int) -> Failed:
    if verdict[0] == "refused" and verdict[1] == index:
        return Failed("refused", verdict[2])
    return Failed("undelivered" if verdict[0] == "undelivered" else "rejected", "")
