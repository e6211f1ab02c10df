"""Links of hosts whose keys are certified by root keys that are elsewhere."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from avm.link.control import Hello, Proof, parse_control_untrusted
from avm.link.handshake import PROOF_DOMAIN, Credentials, signed_body
from avm.link.interface import Why
from avm.link.limits import CONTROL_BYTES_MAX
from caps.certificate import Terms, issue
from caps.errors import Malformed
from caps.hostproof import certify_host
from caps.identity import RootKey
from tests.link.worlds import (
    NOW,
    Ear,
    MemoryWorld,
    QuicWorld,
    World,
    credentials,
    route_to,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "hostkeys.json").read_text())
LIFE_MS = 10_000_000


def certified(seed: int, *, by: int | None = None, life_ms: int = LIFE_MS) -> Credentials:
    """The host of that seed with an operational key, by the root key of that or another one."""
    root, operational = credentials(seed), RootKey((seed + 100).to_bytes(32, "big"))
    now_ms = NOW.now_ms - max(0, -life_ms) - 1
    until_ms = NOW.now_ms + life_ms
    proof = certify_host(root.key, root.identity, operational.public_key, now_ms, until_ms)
    certificate = proof.certificate
    assert certificate is not None
    if by is not None:
        certificate = issue(credentials(by).key, certificate.terms)
    return Credentials(operational, root.identity, certificate)


@pytest.fixture(params=[MemoryWorld, QuicWorld], ids=["memory", "quic"])
def world(request: pytest.FixtureRequest) -> World:
    make: Callable[[], World] = request.param
    return make()


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (certified(1), certified(2)),
        (certified(1), credentials(2)),
        (credentials(1), certified(2)),
    ],
)
def test_s07_a_host_is_proven_by_a_key_that_its_root_key_certifies(
    world: World, near: Credentials, far: Credentials
) -> None:
    ear, far_ear = Ear(), Ear()
    here, there = world.listener(near, ear), world.listener(far, far_ear)
    link = here.dial_nowait(route_to(there, credentials(2)))
    world.run(2)
    assert ear.up == [link] and link.peer == credentials(2).identity
    assert link.proof == far.proof and far_ear.up[0].proof == near.proof
    assert link.proof is not None and link.proof.key == far.key.public_key


@pytest.mark.parametrize(
    ("impostor", "why"),
    [
        (certified(2, by=3), Why.UNCERTIFIED),
        (certified(2, life_ms=-1_000), Why.EXPIRED),
        (replace(certified(2), certificate=None), Why.WRONG_KEY),
        (replace(certified(2), key=credentials(3).key), Why.WRONG_KEY),
        (replace(certified(3), identity=credentials(2).identity), Why.UNCERTIFIED),
    ],
    ids=["another root key", "ended", "no certificate", "another key", "another host's"],
)
def test_s07_a_dialed_host_whose_key_is_not_certified_now_is_refused_and_hears_nothing(
    world: World, impostor: Credentials, why: Why
) -> None:
    ear, far_ear = Ear(), Ear()
    near, far = world.listener(credentials(1), ear), world.listener(impostor, far_ear)
    link = near.dial_nowait(route_to(far, credentials(2)))
    world.run(2)
    assert ear.whys == [why] and ear.up == far_ear.up == []
    assert link.statistics().sent_bytes == 0
    assert far_ear.whys == [Why.REFUSED]


@pytest.mark.parametrize(
    ("impostor", "why"),
    [
        (certified(1, by=3), Why.UNCERTIFIED),
        (certified(1, life_ms=-1_000), Why.EXPIRED),
        (replace(certified(1), certificate=None), Why.WRONG_SIGNATURE),
        (replace(certified(1), key=credentials(3).key), Why.WRONG_SIGNATURE),
        (replace(certified(3), identity=credentials(1).identity), Why.UNCERTIFIED),
    ],
    ids=["another root key", "ended", "no certificate", "another key", "another host's"],
)
def test_s07_a_dialer_whose_key_is_not_certified_now_is_refused(
    world: World, impostor: Credentials, why: Why
) -> None:
    ear, far_ear = Ear(), Ear()
    near, far = world.listener(impostor, ear), world.listener(credentials(2), far_ear)
    near.dial_nowait(route_to(far, credentials(2)))
    world.run(2)
    assert far_ear.whys == [why] and ear.up == far_ear.up == []


def test_s07_a_machine_is_spoken_for_by_the_key_that_is_proven_alone(world: World) -> None:
    ear, far_ear = Ear(), Ear()
    here = certified(1)
    near, far = world.listener(here, ear), world.listener(credentials(2), far_ear)
    link = near.dial_nowait(route_to(far, credentials(2)))
    world.run(1)
    root = RootKey(b"m" * 32)
    machine = root.identity({})
    end_ms = NOW.now_ms + LIFE_MS
    for key in (credentials(1).key, here.key):
        terms = Terms(
            machine.address, here.identity.address, key.public_key, 1, 1, 0, end_ms, end_ms
        )
        link.prove_nowait(machine, issue(root, terms))
        world.run(1)
    assert ear.answers == [(machine.address, False), (machine.address, True)]


def test_s07_a_hosts_own_certificate_is_no_machines_on_a_link(world: World) -> None:
    ear, far_ear = Ear(), Ear()
    here = certified(1)
    near, far = world.listener(here, ear), world.listener(credentials(2), far_ear)
    link = near.dial_nowait(route_to(far, credentials(2)))
    world.run(1)
    assert here.certificate is not None
    link.prove_nowait(here.identity, here.certificate)
    world.run(1)
    assert ear.answers == [(here.identity.address, False)]


def frames() -> dict[str, bytes]:
    me, other = certified(1), certified(2)
    nonce = bytes(range(32))
    body = signed_body(other.key.public_key, me.key.public_key, nonce)
    return {
        "hello": Hello(other.proof, nonce).to_bytes(),
        "proof": Proof(me.proof, me.key.sign(PROOF_DOMAIN, body)).to_bytes(),
    }


def test_the_frames_of_certified_hosts_have_the_bytes_of_the_vectors() -> None:
    made = frames()
    assert {name: body.hex() for name, body in made.items()} == VECTORS["frames"]
    for body in made.values():
        assert len(body) <= CONTROL_BYTES_MAX
        assert parse_control_untrusted(body).to_bytes() == body


@pytest.mark.parametrize("name", ["hello", "proof"])
def test_p08_a_frame_cut_in_its_certificate_is_malformed(name: str) -> None:
    body = frames()[name]
    for size in range(len(body) - 250, len(body)):
        with pytest.raises(Malformed):
            parse_control_untrusted(body[:size])
