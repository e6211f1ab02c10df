"""A host core is saved at any moment and goes on elsewhere as if it had not been."""

from hashlib import blake2b

import pytest

from avm.graph import BadGraph
from avm.host.core import Core
from avm.host.keys import Keyring
from avm.host.saved import dump_host, load_core_untrusted
from avm.sim.host import SimHost
from tests.avm.store_dump import dump
from tests.sim.orchard import Orchard

STEPS = 500


def go_on_elsewhere(world: SimHost) -> None:
    """Saves the core of a host and puts one that was loaded from the bytes in its place."""
    body = dump_host(world.core.host)
    world.core = load_core_untrusted(body, Keyring.of(*world.keyring_seeds))
    assert dump_host(world.core.host) == body
    for client in world.clients.values():
        if client.core is not None:
            client.core = world.core


def lived(seed: int, saved_every: int) -> str:
    """A hash over all that three hosts have in their stores after a rough life and its healing."""
    orchard = Orchard(seed)
    net = orchard.net
    for world in net.worlds:
        world.eager = False
    for step in range(1, STEPS):
        if step % 3 == 0:
            orchard.move()
        if step % 90 == 0:
            net.crash(net.worlds[step // 90 % 3])
        if step % 70 == 0:
            net.break_link()
        net.step()
        if saved_every and step % saved_every == 0:
            for world in net.worlds:
                go_on_elsewhere(world)
    net.advance(30)
    hashed = blake2b(digest_size=16)
    for world in net.worlds:
        hashed.update(repr(dump(world.store)).encode())
        hashed.update(str(world.core.host.folded).encode())
    return hashed.hexdigest()


@pytest.mark.parametrize("seed", range(2))
def test_p02_a_host_that_is_saved_and_loaded_does_what_it_would_have_done(seed: int) -> None:
    assert lived(seed, 17) == lived(seed, 0)


def core() -> tuple[Core, tuple[bytes, bytes]]:
    world = SimHost(1)
    seed, secret = world.keyring_seeds
    return world.core, (seed, secret)


def test_a_host_is_not_loaded_with_the_keys_of_another() -> None:
    host = core()[0].host
    with pytest.raises(BadGraph, match="another host"):
        load_core_untrusted(dump_host(host), Keyring(bytes(32), bytes(32)))


def test_the_secrets_of_a_host_are_not_in_what_is_saved() -> None:
    one, seeds = core()
    body = dump_host(one.host)
    assert not any(seed in body for seed in seeds)


def test_p08_what_is_no_saved_host_raises_only_the_declared_error() -> None:
    one, seeds = core()
    body = dump_host(one.host)
    refused = 0
    for place in range(0, len(body), 3):
        for bit in (1, 16, 128):
            changed = bytearray(body)
            changed[place] ^= bit
            try:
                load_core_untrusted(bytes(changed), Keyring(*seeds))
            except BadGraph:
                refused += 1
    assert refused > 100
