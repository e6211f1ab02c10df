"""Frames, control frames, credit and the handshake's table, each by itself."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.link.control import (
    Accepted,
    Answer,
    Control,
    Hello,
    Proof,
    Speaks,
    parse_control_untrusted,
)
from avm.link.credit import UPDATES_A_WINDOW, Credit
from avm.link.errors import BadFrame
from avm.link.frames import HEADER_BYTES, Assembly, cut
from avm.link.handshake import NEXT, PROOF_DOMAIN, Handshake, Refuse, Shown, Stage, signed_body
from avm.link.interface import Why
from avm.link.limits import FRAME_BYTES_MAX, NONCE_BYTES
from caps.errors import Malformed
from caps.tls import tls_certificate
from tests.link.worlds import NOW, credentials, machine_certificate

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "link.json").read_text(encoding="utf-8")
)
NONCE = bytes(range(NONCE_BYTES))
NEVER_MS = 10**15


def shown(seed: int, **changes: int) -> Shown:
    times = {"not_before_ms": 0, "not_after_ms": NEVER_MS} | changes
    return Shown(credentials(seed).key.public_key, **times)


# Frames.


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.data())
def test_s04_frames_come_out_as_they_went_in_however_they_are_cut(
    frames: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(cut, frames))
    assembly, got, at = Assembly(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, max(1, len(stream) - at)))
        got += assembly.feed_untrusted(stream[at : at + size])
        at += size
    assert got == frames and assembly.partial_bytes == 0


def test_s04_frames_come_out_byte_by_byte() -> None:
    frames = [b"a", b"bc" * 200, bytes(3)]
    assembly, got = Assembly(), []
    for byte in b"".join(map(cut, frames)):
        got += assembly.feed_untrusted(bytes([byte]))
    assert got == frames


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_p08_whatever_comes_as_frames_only_the_declared_error_is_raised(
    chunks: list[bytes],
) -> None:
    assembly = Assembly(64)
    try:
        for chunk in chunks:
            assembly.feed_untrusted(chunk)
            assert assembly.partial_bytes < HEADER_BYTES + 64
    except BadFrame:
        pass


@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_s06_a_length_that_no_frame_has_is_refused_before_anything_is_kept(length: int) -> None:
    assembly = Assembly()
    with pytest.raises(BadFrame):
        assembly.feed_untrusted(length.to_bytes(HEADER_BYTES, "big"))


def test_s06_the_largest_frame_is_taken() -> None:
    frame = bytes(FRAME_BYTES_MAX)
    assert Assembly().feed_untrusted(cut(frame)) == [frame]


# Control frames.


def control_frames() -> list[Control]:
    me = credentials(1)
    body = signed_body(credentials(2).key.public_key, me.key.public_key, NONCE)
    machine, certificate = machine_certificate(7, me.identity)
    return [
        Hello(credentials(2).proof, NONCE),
        Proof(me.proof, me.key.sign(PROOF_DOMAIN, body)),
        Accepted(),
        Speaks(machine, certificate),
        Answer(machine.address, True),
        Answer(machine.address, False),
    ]


def test_control_frames_have_the_bytes_of_the_vectors() -> None:
    assert [frame.to_bytes().hex() for frame in control_frames()] == VECTORS["control"]
    for frame, text in zip(control_frames(), VECTORS["control"], strict=True):
        assert parse_control_untrusted(bytes.fromhex(text)) == frame


def test_a_host_has_the_certificate_of_the_vectors() -> None:
    assert tls_certificate(credentials(1).key).hex() == VECTORS["certificate"]


def test_a_frame_has_the_bytes_of_the_vectors() -> None:
    assert cut(b"hello").hex() == VECTORS["frame"]


@given(st.binary(max_size=200))
def test_p08_whatever_comes_as_a_control_frame_only_the_declared_error_is_raised(
    body: bytes,
) -> None:
    try:
        parse_control_untrusted(body)
    except Malformed:
        pass


@given(st.sampled_from(range(6)), st.data())
def test_p08_a_changed_control_frame_is_another_one_or_malformed(
    which: int, data: st.DataObject
) -> None:
    whole = control_frames()[which].to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
    end = data.draw(st.integers(at + 1, len(whole)))
    for body in (changed, whole[:end] if end < len(whole) else whole + b"\0"):
        try:
            said = parse_control_untrusted(body)
        except Malformed:
            continue
        assert said.to_bytes() == body and said != control_frames()[which]


# Credit.


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 100)), max_size=60))
def test_t03_credit_never_runs_ahead_of_what_was_consumed(
    steps: list[tuple[int, int]],
) -> None:
    credit = Credit(100)
    for come, share in steps:
        credit.received_bytes += min(come, credit.limit - credit.received_bytes)
        credit.consume(credit.unconsumed_bytes * share // 100)
        assert credit.limit <= credit.consumed_bytes + 100
        assert credit.limit > credit.consumed_bytes + 100 - 100 // UPDATES_A_WINDOW
        assert 0 <= credit.unconsumed_bytes <= 100


# The handshake.


def test_s07_the_handshake_takes_each_frame_in_its_stage_only() -> None:
    for stage in Stage:
        for said in control_frames():
            if (stage, type(said)) in NEXT:
                continue
            handshake = Handshake(credentials(2), stage, b"", NONCE)
            with pytest.raises(Refuse) as refused:
                handshake.hear(said, shown(2), NOW.now_ms)
            assert refused.value.why is Why.MALFORMED and handshake.stage is stage


def test_s07_a_handshake_ends_with_both_sides_proven() -> None:
    dialer = Handshake.dialing(credentials(1), credentials(2).identity.address)
    listener = Handshake.listening(credentials(2), NONCE)
    assert dialer.opening() is None
    hello = listener.opening()
    assert hello is not None
    proof = dialer.hear(parse_control_untrusted(hello), shown(2), NOW.now_ms)
    assert proof is not None
    accepted = listener.hear(parse_control_untrusted(proof), None, NOW.now_ms)
    assert accepted is not None and listener.stage is Stage.UP
    assert dialer.hear(parse_control_untrusted(accepted), shown(2), NOW.now_ms) is None
    assert dialer.stage is Stage.UP
    assert dialer.peer == credentials(2).proof and listener.peer == credentials(1).proof


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        (None, Why.WRONG_KEY),
        (shown(3), Why.WRONG_KEY),
        (shown(2, not_after_ms=NOW.now_ms), Why.EXPIRED),
        (shown(2, not_before_ms=NOW.now_ms + 1), Why.EXPIRED),
    ],
)
def test_s07_a_certificate_with_the_wrong_key_or_time_is_refused(
    certificate: Shown | None, why: Why
) -> None:
    dialer = Handshake.dialing(credentials(1), credentials(2).identity.address)
    with pytest.raises(Refuse) as refused:
        dialer.hear(Hello(credentials(2).proof, NONCE), certificate, NOW.now_ms)
    assert refused.value.why is why and dialer.peer is None


def test_s07_a_proof_made_for_one_host_is_of_no_use_at_another() -> None:
    """A host that is dialed passes the nonce of a third on, and the proof it gets for it."""
    victim = Handshake.listening(credentials(3), NONCE)
    dialer = Handshake.dialing(credentials(1), credentials(2).identity.address)
    proof = dialer.hear(Hello(credentials(2).proof, NONCE), shown(2), NOW.now_ms)
    assert proof is not None
    with pytest.raises(Refuse) as refused:
        victim.hear(parse_control_untrusted(proof), None, NOW.now_ms)
    assert refused.value.why is Why.WRONG_SIGNATURE


def test_s07_a_proof_is_of_no_use_for_another_nonce() -> None:
    dialer = Handshake.dialing(credentials(1), credentials(2).identity.address)
    proof = dialer.hear(Hello(credentials(2).proof, NONCE), shown(2), NOW.now_ms)
    assert proof is not None
    again = Handshake.listening(credentials(2), bytes(NONCE_BYTES))
    with pytest.raises(Refuse):
        again.hear(parse_control_untrusted(proof), None, NOW.now_ms)


def test_s07_a_hosts_key_signs_for_tls_only_what_a_tls_server_signs() -> None:
    key = credentials(1).key
    with pytest.raises(ValueError, match="TLS server"):
        key.sign_tls(b"avm sign" + bytes(100))
    prefix = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
    assert len(key.sign_tls(prefix + bytes(32))) == 64
