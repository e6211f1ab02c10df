"""Recordings of hosts whose keys are certified, and those of before there were any."""

import pytest

from avm.recording.inputs import INPUTS
from avm.recording.log import BadRecording, Segment, State, Told, pack
from avm.recording.packing import packed
from avm.recording.rerun import answer
from avm.recording.text import Teller, items_untrusted
from avm.sim.host import SimHost
from avm.sim.rekeying import rotate_key
from caps.codec import loads_plain_untrusted
from caps.identity import RootKey
from tests.sim.orchard import Orchard
from tests.sim.taped import Taped, rerun


def recorded() -> list[list[bytes]]:
    """Three hosts of which two have certified keys, each recorded from then on."""
    orchard = Orchard(3)
    for world in orchard.net.worlds[:2]:
        rotate_key(world)
        orchard.net.crash(world)
    orchard.net.settle()
    taped = [Taped(world) for world in orchard.net.worlds]
    orchard.run(15, 0.01, 0.02)
    return [one.end() for one in taped]


def test_p04_a_host_with_a_certified_key_is_recorded_and_told_again() -> None:
    certificates = 0
    for segments in recorded():
        found = rerun(segments)
        assert found.found is None and found.ended
        for body in segments:
            items = list(Segment(body).items_untrusted())
            links = [one for one in items if isinstance(one, Told) and one.name == "link_up"]
            certificates += sum(len(one.arguments) == 6 for one in links)
            teller = Teller()
            lines = [line for one in items for line in teller.lines(one)]
            assert list(items_untrusted(lines)) == items
    assert certificates


def test_what_was_recorded_before_there_were_certificates_is_read_as_it_was() -> None:
    identity = RootKey(b"r" * 32).identity({})
    known = INPUTS["link_up"]
    written = known.packed((1, identity, 10, None, 2.0), {})
    assert written == known.packed((1, identity, 10, None, 2.0, b""), {})
    plain = loads_plain_untrusted(written, max_bytes=1_000, depth=4)
    assert isinstance(plain, list) and len(plain) == 5
    assert packed(plain) == written
    state = State(b"s" * 32, b"t" * 32, b"body")
    assert list(Segment(pack(state)).items_untrusted()) == [state]
    assert not any("certificate" in line for line in Teller().lines(state))
    assert list(items_untrusted(Teller().lines(state))) == [state]
    certified = State(b"s" * 32, b"t" * 32, b"body", b"identity", b"certificate")
    assert list(Segment(pack(certified)).items_untrusted()) == [certified]
    assert list(items_untrusted(Teller().lines(certified))) == [certified]


def test_p08_an_input_with_a_certificate_that_is_none_is_refused() -> None:
    (told,) = Segment(
        pack(
            Told(
                1,
                "link_up",
                True,
                [1, RootKey(b"r" * 32).identity({}).to_bytes(), 9, None, "2.0", b"x"],
                [None, [], None],
            )
        )
    ).items_untrusted()
    assert isinstance(told, Told)
    with pytest.raises(BadRecording, match="link_up"):
        answer(SimHost(1).core, told)


def test_p08_a_state_with_half_a_proof_is_refused() -> None:
    half = State(b"s" * 32, b"t" * 32, b"body", b"", b"certificate")
    with pytest.raises(BadRecording):
        list(Segment(pack(half)).items_untrusted())
