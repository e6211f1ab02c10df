"""Whatever is written to the control socket: the host answers or hangs up, and stays."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avm.plugin.session import Client, HostGone, address_in
from avm.run import protocol
from tests.net.hosts import RunningHost

pytestmark = pytest.mark.net

HELLO = protocol.pack([protocol.HELLO, protocol.VERSION, "somebody", False, "x"])
NOT_FRAMES = {
    "empty": b"\0\0\0\0",
    "no array": protocol.framed(b"\x01"),
    "an empty array": protocol.framed(b"\x80"),
    "no kind": protocol.framed(cbor2.dumps(["hello"])),
    "an unknown kind": protocol.pack([99]),
    "garbage": bytes(range(256)) * 8,
    "oversized": b"\xff\xff\xff\xff" + b"x" * 100,
    "just oversized": (protocol.FRAME_BYTES_MAX + 1).to_bytes(4, "little"),
    "indefinite": protocol.framed(b"\x9f\x00\xff"),
    "nested deep": protocol.framed(b"\x81" * 5000 + b"\x00"),
    "a tag": protocol.framed(cbor2.dumps([0, cbor2.CBORTag(1, 1)])),
    "a promise of memory": protocol.framed(b"\x9b\x00\x00\x00\x7f\xff\xff\xff\xff"),
    "an old version": protocol.pack([protocol.HELLO, 0, "key", False, ""]),
    "a key that is none": protocol.pack([protocol.HELLO, 1, 7, False, ""]),
    "a key too long": protocol.pack([protocol.HELLO, 1, "x" * 2000, False, ""]),
    "no greeting": protocol.pack([protocol.MARK, b"x" * 32]),
    "lone surrogates": protocol.framed(b"\x85\x00\x01\x63\xed\xa0\x80\xf4\x60"),
}


class Door:
    """A host whose door is knocked at, with a machine that counts and a client in good order."""

    def __init__(self, host: RunningHost) -> None:
        self.host = host
        self.client = host.client()
        self.machine: Any = host.create(self.client, "trouble.py")
        self.count = self.client.wire(self.machine["count"])
        self.counted = 0

    def in_order(self) -> None:
        """The host does what it did before."""
        self.counted += 1
        assert self.client.call(self.machine["count"], 1) == self.counted, self.host.said()

    def knock(self, body: bytes) -> bytes:
        """Writes bytes on a connection of its own; all that comes back until the host hangs up."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            one.settimeout(5)
            with self.host.directory.reachable_socket() as path:
                one.connect(path)
            with suppress(OSError):
                one.sendall(body)
                one.shutdown(socket.SHUT_WR)
            received = b""
            with suppress(ConnectionError):
                while more := one.recv(1 << 16):
                    received += more
            return received


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    host = RunningHost(tmp_path_factory.mktemp("door"), ["host.workers=1"])
    host.start()
    try:
        yield Door(host)
        assert host.stop() == 0
        assert "Traceback" not in host.said(), host.said()
    finally:
        host.close()


@pytest.mark.parametrize("name", NOT_FRAMES)
def test_what_is_no_frame_ends_its_connection_and_no_other(door: Door, name: str) -> None:
    door.knock(NOT_FRAMES[name])
    door.knock(HELLO + NOT_FRAMES[name])
    door.in_order()


def test_a_frame_cut_short_anywhere_is_no_frame(door: Door) -> None:
    receiver = address_in(door.count)
    offer = [protocol.OFFER, receiver, 1, None, b"", False, [door.count], [[0, b"\x01", [], None]]]
    whole = HELLO + protocol.pack([*offer, 0])
    for end in range(0, len(whole), 7):
        door.knock(whole[:end])
    door.in_order()


def test_a_second_greeting_on_one_connection_is_refused(door: Door) -> None:
    other = protocol.pack([protocol.HELLO, protocol.VERSION, "another", False, "x"])
    assert len(_frames(door.knock(HELLO + other))) == 1
    door.in_order()


def test_a_client_that_never_reads_harms_only_itself(door: Door) -> None:
    deaf = door.host.client()
    ear = door.client.hold(deaf.wire(deaf.ear("deaf")))
    for _ in range(20):
        assert door.client.send(door.machine["tell"], *[(ear, "x" * 50_000)] * 10) == ["applied"]
    door.in_order()
    deaf.wait(lambda: len(deaf.heard) == 200)
    deaf.close(ended=True)


def _frames(body: bytes) -> list[bytes]:
    return protocol.Frames().feed(body)


numbers = st.integers(-3, 5) | st.sampled_from([2**31, 2**49, 2**63, 2**64, 2**80, -(2**64)])
scalars: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=8)
)
scalars |= st.binary(max_size=40)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=2),
    max_leaves=5,
)


def items(door: Door) -> st.SearchStrategy[Any]:
    """What may stand in a frame: the right thing, or anything."""
    wire, receiver = door.count, address_in(door.count)
    right = st.sampled_from([wire, receiver, door.host.operator(), b"\x01", [wire], 0, 1])
    messages = st.lists(st.lists(right | junk, min_size=3, max_size=5), max_size=2)
    return right | junk | messages


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(chosen=st.data())
def test_no_frame_of_right_form_and_wrong_parts_stops_the_host(door: Door, chosen: Any) -> None:
    part = items(door)
    kinds = st.sampled_from([protocol.MARK, protocol.OFFER, protocol.GOT, protocol.END])
    offer = [part, numbers, part, part, part, part, part, part]
    body = HELLO
    for _ in range(4):
        kind = chosen.draw(kinds)
        rest = [chosen.draw(one) for one in (offer if kind == protocol.OFFER else [part, part])]
        body += protocol.pack([kind, *rest[: chosen.draw(st.integers(1, 8))]])
    door.knock(body)
    door.in_order()


WRONG_PARTS: list[tuple[int, Any]] = [(0, -5), (0, True), (1, 1.5), (1, -1), (1, 2**60)]
WRONG_PARTS += [(1, True), (2, 5), (2, [1, 999]), (4, 5), (4, [5]), (4, [[]])]
WRONG_PARTS += [(6, None), (6, "x"), (6, [])]
WRONG_MESSAGES: list[list[Any]] = [
    [5],
    [0, b"\x01"],
    [7, b"\x01", [], None],
    [0, "text", [], None],
    [0, b"\x01", [5], None],
    [0, b"\x01", [[]], None],
    [0, b"\x01", [], 1.5],
    [0, b"\x01", [], -1],
    [0, b"\x01", [], 2**70],
    [0, b"\x01", [], "x"],
    [0, b"\x01", None, 1],
    [0, b"\x01", [], 1, 1],
]


@pytest.mark.parametrize(("place", "wrong"), WRONG_PARTS)
def test_an_offer_with_one_wrong_part_is_refused(door: Door, place: int, wrong: Any) -> None:
    receiver = address_in(door.count)
    parts = [1, None, b"", False, [door.count], [[0, b"\x01", [], 1]], 0]
    parts[place] = wrong
    hello = protocol.pack([protocol.HELLO, 1, f"wrong {place} {wrong}", False, "x"])
    door.knock(hello + protocol.pack([protocol.OFFER, receiver, *parts]))
    door.in_order()


@pytest.mark.parametrize("wrong", WRONG_MESSAGES, ids=str)
def test_an_offer_with_one_wrong_message_is_refused(door: Door, wrong: list[Any]) -> None:
    receiver = address_in(door.count)
    hello = protocol.pack([protocol.HELLO, 1, f"wrong {wrong}", False, "x"])
    read = door.client.wire(door.machine["read"])
    door.knock(
        hello + protocol.pack([protocol.OFFER, receiver, 1, None, b"", False, [read], [wrong], 0])
    )
    door.in_order()


WRONG_ACTS: list[tuple[str, Any]] = [
    ("status", 5),
    ("dance", {}),
    ("dance", {"machine": "trouble"}),
    ("name", {}),
    ("name", {"machine": 5, "name": "x"}),
    ("name", {"machine": "nobody", "name": "x"}),
    ("create", {"name": "a", "bundle": 10**13, "content": b"", "caps": []}),
    ("create", {"name": "b", "bundle": b"\xff", "content": b"\xf6", "caps": []}),
    ("create", {"name": "c", "bundle": b"", "content": b"\xff", "caps": [b"x"]}),
    ("create", {"name": ["d"], "bundle": b"", "content": b"", "caps": []}),
    ("factory", {"name": "e", "bundle": b"", "makes": b"", "stem": "e"}),
    ("factory", {"name": "f", "bundle": b"", "makes": b"", "stem": "../f", "at_most": 1}),
    ("factory", {"name": "g", "bundle": b"", "makes": b"", "stem": "g", "at_most": 10**13}),
    ("factory", {"name": "h", "bundle": b"\xff", "makes": b"", "stem": "h", "at_most": 1}),
    ("upgrade", {"machine": "trouble", "bundle": b"\x00"}),
    ("edit", {"machine": "trouble", "body": b"\xff", "caps": []}),
    ("edit", {"machine": "trouble", "body": 10**13, "caps": []}),
    ("drop", {"machine": "trouble", "turn": 2**70}),
    ("drop", {"machine": "trouble", "turn": -1}),
    ("retry", {"machine": "trouble", "turn": "x", "contents": None}),
    ("retry", {"machine": "trouble", "turn": 0, "contents": [5]}),
    ("prune", {"machine": "trouble", "keep_from": 2**70}),
    ("prune", {"machine": "trouble", "keep_from": -(2**70)}),
    ("suspend", {"machine": ["x"]}),
    ("backup", {"path": "/nowhere/at/all"}),
    ("backup", {"path": "x\0y"}),
    ("backup", {"path": "/tmp/" + "x" * 5000}),
    ("ear", {"context": 10**13}),
]


@pytest.mark.parametrize(("verb", "params"), WRONG_ACTS, ids=str)
def test_an_operator_who_asks_wrongly_gets_a_line_or_is_hung_up_on(
    door: Door, verb: str, params: Any
) -> None:
    client: Client = door.host.client()
    try:
        client.say([protocol.ASK, 1, door.host.operator(), verb, params])
        client.wait(lambda: 1 in client._requests)
    except HostGone:
        pass
    client.close()
    door.in_order()
