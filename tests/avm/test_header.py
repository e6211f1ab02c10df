"""The bytes of a batch between hosts: packed by hand as the codec would, and read as strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.host.batch import Said
from avm.host.capability import (
    INVALID,
    NULL,
    Cap,
    Local,
    Reply,
    Sealed,
    from_wire_untrusted,
    to_wire,
)
from avm.host.header import (
    Header,
    Row,
    pack_body,
    parse_header_untrusted,
    unpack_body_untrusted,
)
from caps.capability import AFFINE
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed
from caps.sealing import MachineKeys

RECEIVER = b"r" * 32
TARGETS = [Sealed(RECEIVER, RECEIVER + bytes((number,)) * 50) for number in range(30)]
OTHERS = [Sealed(b"o" * 32, b"o" * size) for size in (32, 100, 300)]
KEYS = MachineKeys(b"k" * 32, b"o" * 32)
BACK: list[Cap] = [
    NULL,
    *(Sealed(b"o" * 32, to_wire(Reply(b"o" * 32, n, 10**12), lambda _: KEYS)) for n in (1, 300)),
]
MAX_BYTES = 1 << 20
SIZES = st.sampled_from((0, 1, 23, 24, 255, 256, 70_000))

CONTENTS = SIZES.map(bytes) | st.binary(max_size=30)
SAID = st.builds(
    Said,
    st.sampled_from(TARGETS),
    CONTENTS,
    st.lists(st.sampled_from(OTHERS), max_size=3).map(tuple),
    st.none() | st.sampled_from(BACK),
)
MESSAGES = st.lists(SAID, min_size=1, max_size=30).map(tuple)
DIGEST = st.binary(min_size=32, max_size=32)
HEADERS = st.builds(
    Header,
    DIGEST,
    DIGEST,
    st.integers(1, 2**48),
    st.integers(0, 2**56),
    st.integers(1, 1_000_000),
    st.integers(0, 2**62),
    DIGEST,
    DIGEST,
)
# Where a byte is changed, and to what.
FOULED = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=2)


def no_keys(_address: bytes) -> None:
    return None


def opened_untrusted(wire: bytes) -> Cap:
    known: dict[bytes, Cap] = {to_wire(one, no_keys): one for one in (*TARGETS, *OTHERS, *BACK)}
    return known.get(wire, INVALID)


def header_of(count: int) -> Header:
    return Header(b"s" * 32, RECEIVER, 1, 0, count, 10**12, bytes(32), bytes(32))


def fouled(body: bytes, changes: list[tuple[int, int]]) -> bytes:
    octets = bytearray(body)
    for at, value in changes:
        octets[at % len(octets)] = value
    return bytes(octets)


def slowly(messages: tuple[Said, ...]) -> bytes:
    targets = list(dict.fromkeys(said.to for said in messages))
    rows: list[Row] = []
    for to, content, caps, reply in messages:
        wires = [cap.wire for cap in caps if isinstance(cap, Sealed)]
        back = None if reply is None else to_wire(reply, no_keys)
        rows.append((targets.index(to), content, wires, back))
    return dumps_plain([[to.wire for to in targets if isinstance(to, Sealed)], rows])


@given(MESSAGES)
def test_a_body_is_packed_as_the_codec_would_and_read_back(messages: tuple[Said, ...]) -> None:
    body = pack_body(messages, no_keys)
    assert body == slowly(messages)
    header = header_of(len(messages))
    assert unpack_body_untrusted(body, header, opened_untrusted, MAX_BYTES) == messages


@given(st.lists(SAID, min_size=1, max_size=3).map(tuple), FOULED, st.binary(max_size=2))
def test_p08_a_body_is_read_only_in_its_one_encoding(
    messages: tuple[Said, ...], changes: list[tuple[int, int]], more: bytes
) -> None:
    body = fouled(pack_body(messages, no_keys), changes) + more
    header = header_of(len(messages))
    try:
        unpack_body_untrusted(body, header, opened_untrusted, MAX_BYTES)
    except Malformed:
        return
    assert dumps_plain(loads_plain_untrusted(body)) == body


@given(HEADERS)
def test_a_header_is_packed_as_the_codec_would_and_read_back(header: Header) -> None:
    place = (header.sender, header.receiver, header.seq, header.ordinal, header.count)
    fields = [1, *place, header.deadline_ms, header.before, header.body]
    assert header.to_bytes() == dumps_plain(fields)
    assert parse_header_untrusted(header.to_bytes()) == header


@given(HEADERS, FOULED, st.binary(max_size=2))
def test_p08_a_header_is_read_only_in_its_one_encoding(
    header: Header, changes: list[tuple[int, int]], more: bytes
) -> None:
    body = fouled(header.to_bytes(), changes) + more
    try:
        parse_header_untrusted(body)
    except Malformed:
        return
    assert dumps_plain(loads_plain_untrusted(body)) == body


def test_a_number_longer_than_needed_is_refused() -> None:
    said = Said(TARGETS[0], b"content", (), None)
    body = pack_body((said,), no_keys)
    longer = body.replace(b"\x84\x00\x47content", b"\x84\x18\x00\x47content")
    assert longer != body
    with pytest.raises(Malformed):
        unpack_body_untrusted(longer, header_of(1), opened_untrusted, MAX_BYTES)


def test_a_message_with_a_capability_that_is_not_valid_is_addressed_to_it() -> None:
    strange = Sealed(b"z" * 32, b"z" * 40)
    for said in (
        Said(TARGETS[0], b"", (strange,), None),
        Said(TARGETS[0], b"", (), strange),
        Said(strange, b"", (), None),
        Said(NULL, b"", (), None),
    ):
        body = pack_body((said,), no_keys)
        (read,) = unpack_body_untrusted(body, header_of(1), opened_untrusted, MAX_BYTES)
        assert read.to == INVALID


@pytest.mark.parametrize("expires_ms", [None, 10**12])
@pytest.mark.parametrize("kind", range(4))
def test_w16_a_reply_of_a_lying_host_is_one_of_an_ask_or_not_valid(
    kind: int, expires_ms: int | None
) -> None:
    """Else who keeps it would hold something linear, and fail when it drops it."""
    given = Local(b"o" * 32, 0, 0, kind, expires_ms, b"", ())
    body = pack_body((Said(TARGETS[0], b"", (), given),), lambda _: KEYS)

    def elsewhere_untrusted(wire: bytes) -> Cap:
        return TARGETS[0] if wire == TARGETS[0].wire else from_wire_untrusted(wire, no_keys)

    def here_untrusted(wire: bytes) -> Cap:
        return TARGETS[0] if wire == TARGETS[0].wire else from_wire_untrusted(wire, lambda _: KEYS)

    (read,) = unpack_body_untrusted(body, header_of(1), elsewhere_untrusted, MAX_BYTES)
    # What is affine and expires looks like the reply of an ask to all but who sealed it.
    assert (read.to == TARGETS[0]) == (kind == AFFINE and expires_ms is not None)
    (read,) = unpack_body_untrusted(body, header_of(1), here_untrusted, MAX_BYTES)
    assert read.to == INVALID
