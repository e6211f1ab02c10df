import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caps.codec import dumps_plain, loads_plain_untrusted
from caps.identity import Endpoint, RootKey
from dht.contact import (
    NODE_RECORD_BYTES_MAX,
    Contact,
    NodeRecord,
    parse_node_record_untrusted,
    sign_node_record,
)
from dht.errors import ExpiredRecord, InvalidPacket, InvalidRecord
from dht.proofs import Kind
from dht.record import RECORD_BYTES_MAX
from dht.wire import (
    CHECK_BYTES,
    PACKET_BYTES_MAX,
    PADDED_BYTES,
    QUIC_BIT,
    RECORDS_MAX,
    Answer,
    Find,
    Get,
    Packet,
    Put,
    Status,
    Stored,
    encode_answer,
    encode_request,
    encode_stored,
    is_quic,
    parse_packet_untrusted,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())
KEY = RootKey(b"k" * 32)

octets = st.binary
ids = st.binary(min_size=32, max_size=32)
eights = st.binary(min_size=8, max_size=8)
tokens = st.one_of(st.just(b""), eights)
ips4 = st.binary(min_size=4, max_size=4)
ips6 = st.binary(min_size=16, max_size=16).filter(lambda ip: ip[:12] != bytes(10) + b"\xff\xff")
endpoints = st.builds(Endpoint, st.one_of(ips4, ips6), st.integers(1, 65535))
contacts = st.builds(Contact, ids, endpoints)
kinds = st.sampled_from(Kind)
senders = st.one_of(st.none(), ids)
bodies = st.binary(min_size=1, max_size=RECORD_BYTES_MAX)
finds = st.builds(Find, eights, senders, tokens, ids)
gets = st.builds(Get, eights, senders, tokens, ids, ids, kinds)
puts = st.builds(Put, eights, senders, tokens, ids, kinds, bodies)
stored = st.builds(
    Stored, eights, tokens, st.sampled_from(Status), st.binary(max_size=RECORD_BYTES_MAX)
)
answers = st.builds(
    Answer,
    eights,
    endpoints,
    tokens,
    st.binary(max_size=NODE_RECORD_BYTES_MAX),
    st.lists(st.binary(min_size=1, max_size=RECORD_BYTES_MAX), max_size=5).map(tuple),
    st.lists(contacts, max_size=20).map(tuple),
)


def encode(packet: Packet) -> bytes:
    match packet:
        case Answer():
            return encode_answer(packet, PACKET_BYTES_MAX)
        case Stored():
            return encode_stored(packet)
        case _:
            return encode_request(packet)


@settings(deadline=None, max_examples=200)
@given(st.one_of(finds, gets, puts, stored))
def test_a_packet_is_its_bytes(packet: Packet) -> None:
    datagram = encode(packet)
    assert len(datagram) <= PACKET_BYTES_MAX
    assert parse_packet_untrusted(datagram) == packet


@settings(deadline=None, max_examples=200)
@given(answers, st.integers(60, 2 * PACKET_BYTES_MAX))
def test_an_answer_stays_within_its_room_and_leaves_out_what_does_not_fit(
    answer: Answer, room: int
) -> None:
    datagram = encode_answer(answer, room)
    assert len(datagram) <= min(room, PACKET_BYTES_MAX)
    read = parse_packet_untrusted(datagram)
    assert isinstance(read, Answer)
    assert (read.nonce, read.seen, read.token) == (answer.nonce, answer.seen, answer.token)
    assert read.node_record in (b"", answer.node_record)
    assert set(read.records) <= set(answer.records)
    assert read.contacts == answer.contacts[: len(read.contacts)]
    whole = encode_answer(answer, PACKET_BYTES_MAX)
    if len(whole) <= room:
        assert datagram == whole


@settings(deadline=None, max_examples=100)
@given(answers)
def test_a_hand_packed_answer_is_the_canonical_one(answer: Answer) -> None:
    datagram = encode_answer(answer, PACKET_BYTES_MAX)
    plain = loads_plain_untrusted(datagram, max_bytes=PACKET_BYTES_MAX)
    assert dumps_plain(plain) == datagram


@settings(deadline=None, max_examples=100)
@given(st.one_of(finds, gets))
def test_a_padded_request_has_one_length(request: Find | Get) -> None:
    for length in (PADDED_BYTES, CHECK_BYTES):
        datagram = encode_request(request, padded_bytes=length)
        assert len(datagram) == length
        assert parse_packet_untrusted(datagram) == request


@settings(deadline=None, max_examples=200)
@given(st.one_of(finds, gets, puts, stored, answers))
def test_no_packet_has_the_bit_that_every_quic_packet_has(packet: Packet) -> None:
    datagram = encode(packet)
    assert not is_quic(datagram)
    assert datagram[0] & QUIC_BIT == 0


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=100).map(lambda body: bytes([body[0] | QUIC_BIT]) + body))
def test_what_is_quic_is_no_packet(datagram: bytes) -> None:
    assert is_quic(datagram)
    with pytest.raises(InvalidPacket):
        parse_packet_untrusted(datagram)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=PACKET_BYTES_MAX + 10))
def test_a_strangers_bytes_raise_one_error_only(body: bytes) -> None:
    with pytest.raises(InvalidPacket):
        parse_packet_untrusted(body)
    with pytest.raises(InvalidRecord):
        parse_node_record_untrusted(body)


plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**64), 2**64 - 1), st.binary(max_size=40)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(finds, gets, puts, stored, answers), st.data())
def test_a_field_of_any_other_shape_is_read_or_refused(packet: Packet, data: st.DataObject) -> None:
    fields = loads_plain_untrusted(encode(packet), max_bytes=PACKET_BYTES_MAX)
    assert isinstance(fields, list)
    fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(plain_values)
    datagram = dumps_plain(fields)
    try:
        read = parse_packet_untrusted(datagram)
    except InvalidPacket:
        return
    # Padding is not kept; everything else that was read is written again as it was.
    if not isinstance(read, Find | Get):
        assert encode(read) == datagram


@settings(deadline=None, max_examples=200)
@given(st.one_of(finds, gets, puts, stored, answers), st.data())
def test_a_truncated_packet_is_refused(packet: Packet, data: st.DataObject) -> None:
    datagram = encode(packet)
    with pytest.raises(InvalidPacket):
        parse_packet_untrusted(datagram[: data.draw(st.integers(0, len(datagram) - 1))])
    with pytest.raises(InvalidPacket):
        parse_packet_untrusted(datagram + b"\0")


def test_more_contacts_or_records_than_there_may_be_are_refused() -> None:
    contact = [bytes(32), bytes(4), 1]
    for records, named in (([], [contact] * 21), ([b"r"] * (RECORDS_MAX + 1), [])):
        fields = [1, 4, bytes(8), [bytes(4), 1], b"", b"", records, named]
        with pytest.raises(InvalidPacket):
            parse_packet_untrusted(dumps_plain(fields))


@pytest.mark.parametrize("vector", VECTORS["packets"], ids=lambda vector: vector["name"])
def test_the_bytes_of_a_packet_stay_what_they_are(vector: dict[str, str]) -> None:
    datagram = bytes.fromhex(vector["bytes"])
    packet = parse_packet_untrusted(datagram)
    assert encode(packet) == datagram
    assert repr(packet) == vector["says"]


def test_the_bytes_of_a_node_record_stay_what_they_are() -> None:
    body = bytes.fromhex(VECTORS["node_record"]["bytes"])
    record = parse_node_record_untrusted(body)
    record.check_signed()
    assert record.to_bytes() == body
    assert record.id.hex() == VECTORS["node_record"]["id"]
    assert record == signed()


def signed() -> NodeRecord:
    return sign_node_record(KEY, (Endpoint(b"\xc0\0\2\1", 4000),), 2_000)


def test_a_node_record_holds_until_its_expiry_and_only_as_it_was_signed() -> None:
    record = signed()
    record.check_signed()
    record.check_time(1_999)
    with pytest.raises(ExpiredRecord):
        record.check_time(2_000)
    moved = NodeRecord(record.public_key, (Endpoint(b"\xc0\0\2\2", 4000),), 2_000, record.signature)
    with pytest.raises(InvalidRecord):
        moved.check_signed()


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_in_a_node_record_is_refused(data: st.DataObject) -> None:
    body = bytearray(signed().to_bytes())
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidRecord):
        parse_node_record_untrusted(bytes(body)).check_signed()
