"""The bench's end of the control socket: an operator's connection, and frames packed by hand.

A load must cost its sender little, or the bench would measure the sender: all of an offer but its
numbers is packed once, and of a verdict only its end is looked at.
"""

import secrets
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2

from avm.machine.bundle import collect
from avm.run import protocol
from caps.capability import SealedCapability, parse_text, parse_wire_untrusted
from caps.codec import encode_content
from caps.value import freeze

LENGTH = struct.Struct("<I")
APPLIED = cbor2.dumps(["applied"])
MACHINES = Path(__file__).parent / "machines"
TIMEOUT_S = 120.0
ANSWER_MS = 60_000


class BenchFailed(Exception):
    """The host answered otherwise than the bench expects: the figure would mean nothing."""


def connect(directory: Path) -> socket.socket:
    """A connection to a host, as a client of its own."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(TIMEOUT_S)
    sock.connect(str(directory / "control.sock"))
    sock.sendall(protocol.pack([protocol.HELLO, 1, secrets.token_hex(8), False, ""]))
    return sock


class Operator:
    """A connection that speaks for the operator, and is a client too."""

    def __init__(self, directory: Path) -> None:
        self._sock = connect(directory)
        self._frames = protocol.Frames()
        self._come: list[list[Any]] = []
        self._capability = parse_text((directory / "operator.cap").read_text().strip()).wire()
        self._asked = 0
        self.receive(protocol.WELCOME)

    def receive(self, *kinds: int) -> list[Any]:
        """The next frame of one of these kinds; others are passed over, deliveries are taken."""
        while True:
            while not self._come:
                received = self._sock.recv(1 << 16)
                if not received:
                    raise BenchFailed("the host has closed the connection")
                self._come = [protocol.unpack_untrusted(b) for b in self._frames.feed(received)]
            frame = self._come.pop(0)
            if frame[0] == protocol.DELIVER:
                self.send([protocol.GOT, frame[1], frame[2]])
            if frame[0] in kinds:
                return frame

    def send(self, frame: list[Any]) -> None:
        """Sends a frame."""
        self._sock.sendall(protocol.pack(frame))

    def begin(self, verb: str, **params: Any) -> None:
        """Asks for something without waiting for the answer."""
        self._asked += 1
        self.send([protocol.ASK, self._asked, self._capability, verb, params])

    def end(self) -> Any:
        """The answer to what was asked first of what has no answer yet."""
        frame = self.receive(protocol.DONE, protocol.ERROR)
        if frame[0] == protocol.ERROR:
            raise BenchFailed(str(frame[3]))
        return frame[2]

    def do(self, verb: str, **params: Any) -> Any:
        """Asks for something, and waits for it."""
        self.begin(verb, **params)
        return self.end()

    def offer(self, seq: int, wire: bytes, contents: Sequence[bytes], caps: list[bytes]) -> None:
        """Offers a batch, each of its messages with the same capabilities."""
        messages = [[0, content, caps, None] for content in contents]
        head = [protocol.OFFER, receiver_of(wire), seq, None, b"", False]
        self.send([*head, [wire], messages, seq - 1])

    def call(self, seq: int, wire: bytes) -> bytes:
        """Asks a capability for its value, as the first and only batch numbered `seq`."""
        head = [protocol.OFFER, receiver_of(wire), seq, ANSWER_MS, b"", False]
        self.send([*head, [wire], [[0, encode(None), [], seq]], seq - 1])
        content: bytes = self.receive(protocol.DELIVER)[3][0][2]
        return content

    def create(self, name: str, bundle: bytes) -> dict[str, bytes]:
        """Creates a machine; its names."""
        names: dict[str, bytes] = self.do(
            "create", name=name, bundle=bundle, content=encode(None), caps=[]
        )["names"]
        return names

    def close(self) -> None:
        """Says goodbye."""
        self.send([protocol.END])
        self._sock.close()


def bundle_of(name: str) -> bytes:
    """The bundle of one of the bench's own machines."""

    def read(path: str) -> bytes | None:
        file = Path(path)
        return file.read_bytes() if file.is_file() else None

    return collect(str(MACHINES / f"{name}.py"), read).encode()


def encode(content: object) -> bytes:
    """A content without capabilities, as it is sent."""
    return encode_content(freeze(content))[0]


def receiver_of(wire: bytes) -> bytes:
    """Whose capability this is."""
    capability = parse_wire_untrusted(wire)
    assert isinstance(capability, SealedCapability), "the null capability has no receiver"
    return capability.address


@dataclass(slots=True)
class Lane:
    """One channel of one client, with as many offers under way as its window allows."""

    before: bytes
    after: bytes
    window: int
    left: int
    offered: int = 0
    settled: int = 0

    @classmethod
    def to(cls, wire: bytes, contents: Sequence[bytes], offers: int, window: int) -> "Lane":
        """A lane that offers the same batch over and over."""
        return cls.to_receiver(receiver_of(wire), wire, contents, offers, window)

    @classmethod
    def to_receiver(
        cls, receiver: bytes, wire: bytes, contents: Sequence[bytes], offers: int, window: int
    ) -> "Lane":
        """The same, whatever the receiver is."""
        messages: list[list[Any]] = [[0, content, [], None] for content in contents]
        before = b"\x89" + cbor2.dumps(protocol.OFFER) + cbor2.dumps(receiver)
        middle = [None, b"", False, [wire], messages]
        return cls(before, b"".join(map(cbor2.dumps, middle)), window, offers)

    def next_offers(self, most: int) -> bytes:
        """Up to `most` more offers, as bytes to write."""
        frames = []
        for _ in range(min(most, self.window - (self.offered - self.settled), self.left)):
            self.offered += 1
            self.left -= 1
            number, heard = cbor2.dumps(self.offered), cbor2.dumps(self.settled)
            body = b"".join((self.before, number, self.after, heard))
            frames += [LENGTH.pack(len(body)), body]
        return b"".join(frames)

    @property
    def finished(self) -> bool:
        """Whether every offer has its verdict."""
        return not self.left and self.offered == self.settled
