"""The bytes that two hosts say to each other, pinned, both ways."""

import json
from pathlib import Path

import pytest

from avm.host.batch import Said
from avm.host.capability import Local, Reply, Sealed, from_wire_untrusted, to_wire
from avm.host.channel import (
    FRAME_BYTES_MAX,
    SEQ_MAX,
    VERDICTS_MAX,
    WORD_BYTES_MAX,
    Again,
    End,
    Frame,
    Gone,
    Mark,
    Offer,
    Open,
    Part,
    Told,
    pack_frame,
    unpack_frame_untrusted,
)
from avm.host.header import (
    NO_DIGEST,
    Header,
    digest_of_body,
    digest_of_header,
    pack_body,
    parse_header_untrusted,
    unpack_body_untrusted,
)
from avm.link import limits as link_limits
from caps.certificate import CERTIFICATE_BYTES_MAX
from caps.errors import Malformed
from caps.identity import IDENTITY_BYTES_MAX
from caps.sealing import MachineKeys

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "channel.json").read_text())
SENDER, RECEIVER, HOST = b"s" * 32, b"r" * 32, b"h" * 32
KEYS = {RECEIVER: MachineKeys(b"k" * 32, RECEIVER), SENDER: MachineKeys(b"l" * 32, SENDER)}
TO = Local(RECEIVER, 0, 0, 0, None, b"\x63add", ())
MINE = Local(SENDER, 1, 5, 0, None, b"\x01", ())
BACK = Reply(SENDER, 9, 1_700_000_060_000)
SAID = (Said(TO, b"\x05", (), None), Said(TO, b"\xd9\xa0\x28\x00", (MINE,), BACK))
BODY = pack_body(SAID, KEYS.__getitem__)
HEADER = Header(SENDER, RECEIVER, 3, 7, 2, 1_700_000_000_000, NO_DIGEST, digest_of_body(BODY))
OCTETS = HEADER.to_bytes()
FRAMES: dict[str, Frame] = {
    "open": Open(SENDER, RECEIVER, b"identity", b"certificate", 0),
    "mark": Mark(
        SENDER,
        RECEIVER,
        b"identity",
        b"certificate",
        2,
        digest_of_header(OCTETS),
        66,
        [(1, ["refused", 0, "no such money"]), (2, ["rejected", 1])],
    ),
    "offer": Offer(SENDER, RECEIVER, OCTETS, len(BODY), BODY, 2, [(SENDER, HOST)]),
    "withdrawn": Offer(SENDER, RECEIVER, OCTETS, 0, b"", 2, []),
    "part": Part(SENDER, RECEIVER, 3, 16_384, b"more"),
    "verdict": Told(SENDER, RECEIVER, 3, ["applied"], 67),
    "stranger": Told(SENDER, RECEIVER, 1, ["rejected", 0, "stranger"], 2),
    "again": Again(SENDER, RECEIVER, 4, "expected"),
    "gone": Gone(SENDER, RECEIVER),
    "end": End(SENDER, RECEIVER),
}


def made() -> dict[str, str]:
    """All vectors, as the code makes them now."""
    whole = {"body": BODY.hex(), "header": OCTETS.hex(), "digest": digest_of_header(OCTETS).hex()}
    return {**whole, **{name: pack_frame(frame).hex() for name, frame in FRAMES.items()}}


@pytest.mark.parametrize("name", sorted(made()))
def test_each_structure_is_the_bytes_that_are_pinned(name: str) -> None:
    assert made()[name] == VECTORS[name]


@pytest.mark.parametrize("name", FRAMES)
def test_each_frame_is_read_back_from_its_pinned_bytes(name: str) -> None:
    assert unpack_frame_untrusted(bytes.fromhex(VECTORS[name])) == FRAMES[name]


def test_s06_a_mark_with_all_the_verdicts_it_may_hold_is_a_frame_that_a_link_takes() -> None:
    word = ["refused", 2**32 - 1, "w" * WORD_BYTES_MAX]
    verdicts = [(SEQ_MAX - n, word) for n in range(VERDICTS_MAX)]
    shown = (bytes(IDENTITY_BYTES_MAX), bytes(CERTIFICATE_BYTES_MAX))
    mark = Mark(SENDER, RECEIVER, *shown, SEQ_MAX, NO_DIGEST, SEQ_MAX, verdicts)
    whole = pack_frame(mark)
    assert len(whole) <= FRAME_BYTES_MAX == link_limits.FRAME_BYTES_MAX - 1
    assert unpack_frame_untrusted(whole) == mark


def test_header_and_body_are_read_back_from_their_pinned_bytes() -> None:
    header = parse_header_untrusted(bytes.fromhex(VECTORS["header"]))
    assert header == HEADER
    body = bytes.fromhex(VECTORS["body"])
    opened = unpack_body_untrusted(
        body, header, lambda wire: from_wire_untrusted(wire, KEYS.get), 10_000
    )
    assert opened == SAID
    elsewhere = unpack_body_untrusted(
        body, header, lambda wire: from_wire_untrusted(wire, {RECEIVER: KEYS[RECEIVER]}.get), 10_000
    )
    assert elsewhere[1].caps == (Sealed(SENDER, to_wire(MINE, KEYS.__getitem__)),)


@pytest.mark.parametrize("name", [*FRAMES, "header"])
def test_every_cut_of_the_pinned_bytes_is_malformed(name: str) -> None:
    whole = bytes.fromhex(VECTORS[name])
    read = parse_header_untrusted if name == "header" else unpack_frame_untrusted
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            read(whole[:end])
    with pytest.raises(Malformed):
        read(whole + b"\x00")
