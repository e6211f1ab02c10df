"""The bytes of frames and datagrams about routers: pinned, both ways, and whatever a stranger sends."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.nat import frames
from avm.nat.frames import Frame, parse_frame_untrusted
from avm.nat.limits import FRAME_BYTES_MAX, PACKET_BYTES_MAX
from avm.nat.packets import Packet, Probe, Punch, Relayed, is_ours, parse_packet_untrusted
from caps.errors import Malformed
from caps.identity import Endpoint, Route, parse_endpoint
from dht.errors import InvalidPacket
from dht.record import parse_location_untrusted
from dht.wire import parse_packet_untrusted as parse_dht_untrusted

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "nat.json").read_text())
HOST, NONCE, TOKEN = b"\x02" * 32, bytes(range(16)), bytes(range(16, 32))
WHERE = parse_endpoint("192.0.2.7:4433")
FRAMES: dict[str, Frame] = {
    "seen": frames.Seen(WHERE),
    "seen at IPv6": frames.Seen(parse_endpoint("[2001:db8::1]:65535")),
    "enlist": frames.Enlist(),
    "enlisted": frames.Enlisted(True),
    "not enlisted": frames.Enlisted(False),
    "meet": frames.Meet(HOST),
    "meeting": frames.Meeting(NONCE, HOST, WHERE, True),
    "apart": frames.Apart(HOST),
    "relay": frames.Relay(NONCE),
    "relaying": frames.Relaying(NONCE, TOKEN),
    "no relay": frames.NoRelay(NONCE),
    "try": frames.Try(NONCE),
    "hide": frames.Hide(),
}
PACKETS: dict[str, Packet] = {
    "ping of the asker": Punch(NONCE, False),
    "ping of the one asked": Punch(NONCE, True),
    "answer of the asker": Punch(NONCE, False, True),
    "answer of the one asked": Punch(NONCE, True, True),
    "probe": Probe(NONCE),
    "relayed": Relayed(TOKEN, b"\x40quic"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_have_the_bytes_of_the_vectors(name: str) -> None:
    assert FRAMES[name].to_bytes().hex() == VECTORS["frames"][name]
    assert parse_frame_untrusted(bytes.fromhex(VECTORS["frames"][name])) == FRAMES[name]
    assert len(FRAMES[name].to_bytes()) <= FRAME_BYTES_MAX


@pytest.mark.parametrize("name", PACKETS)
def test_datagrams_have_the_bytes_of_the_vectors(name: str) -> None:
    assert PACKETS[name].to_bytes().hex() == VECTORS["datagrams"][name]
    assert parse_packet_untrusted(bytes.fromhex(VECTORS["datagrams"][name])) == PACKETS[name]


def test_a_location_record_names_introducers_with_the_bytes_of_the_vectors() -> None:
    case = VECTORS["location"]
    record = parse_location_untrusted(bytes.fromhex(case["record"]))
    record.check_signed()
    assert record.to_bytes().hex() == case["record"]
    where = record.location.where
    assert isinstance(where, tuple)
    assert [str(one) for one in where] == case["where"]
    assert [type(one) for one in where] == [Route, Endpoint]


@pytest.mark.parametrize("name", VECTORS["refused frames"])
def test_frames_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(Malformed):
        parse_frame_untrusted(bytes.fromhex(VECTORS["refused frames"][name]))


@pytest.mark.parametrize("name", VECTORS["refused datagrams"])
def test_datagrams_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(Malformed):
        parse_packet_untrusted(bytes.fromhex(VECTORS["refused datagrams"][name]))


@given(st.binary(max_size=2 * FRAME_BYTES_MAX))
def test_any_bytes_are_a_frame_or_malformed(octets: bytes) -> None:
    try:
        said = parse_frame_untrusted(octets)
    except Malformed:
        return
    assert said.to_bytes() == octets


@given(st.sampled_from(sorted(FRAMES)), st.data())
def test_a_frame_that_is_damaged_is_another_one_or_malformed(
    name: str, data: st.DataObject
) -> None:
    octets = bytearray(FRAMES[name].to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        said = parse_frame_untrusted(bytes(octets))
    except Malformed:
        return
    assert said.to_bytes() == octets


@given(st.one_of(st.binary(max_size=64), st.binary(min_size=1_200, max_size=1_300)))
def test_any_datagram_is_a_packet_or_malformed(octets: bytes) -> None:
    try:
        packet = parse_packet_untrusted(octets)
    except Malformed:
        return
    assert packet.to_bytes() == octets
    assert is_ours(octets)
    assert len(octets) <= 17 + PACKET_BYTES_MAX


@given(st.binary(min_size=1, max_size=64))
def test_a_datagram_of_the_network_is_never_one_of_these(octets: bytes) -> None:
    if is_ours(octets):
        assert not octets[0] & 0x40, "QUIC's"
        with pytest.raises(InvalidPacket):
            parse_dht_untrusted(octets)
