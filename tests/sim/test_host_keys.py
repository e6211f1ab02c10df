"""Hosts that change their keys while tokens go round and machines move, and hosts whose old keys are stolen."""

from dataclasses import replace

import cbor2
import pytest

from avm.host.channel import Open, pack_frame
from avm.host.core import Core
from avm.host.effects import Unlink
from avm.host.keylife import key_life
from avm.host.keys import Keyring
from avm.host.links import peer_of, prove, proven
from avm.host.peering import ITSELF
from avm.host.roster import from_bytes, to_bytes
from avm.sim.net import ROOM
from avm.sim.plan import Crash
from avm.sim.rekeying import rotate_key
from avm.sim.world import World
from caps.certificate import issue, parse_certificate_untrusted
from caps.hostproof import HostProof, certify_host
from caps.identity import RootKey
from tests.sim import apple, copse
from tests.sim.code import ModuleCode
from tests.sim.grove import Grove, code_of
from tests.sim.test_between_hosts import Pair
from tests.sim.test_moves import Travels

NEWER = "its host has shown a newer key"


class Rekeyed(Travels):
    """The apple test whose pouches move, between hosts that are stopped and start with other keys."""

    rotated = 0

    def move(self) -> None:
        super().move()
        net = self.net
        up = [one for one in net.worlds if one not in net.down]
        if up and net.entropy.chance(0.15):
            world = net.entropy.choice(up)
            rotate_key(world)
            net.crash(world, noticed=net.entropy.chance(0.5))
            self.rotated += 1

    def check(self) -> None:
        assert set(self.net.unlinked) <= {NEWER}, "old links of a host that starts with a new key"
        self.net.unlinked.clear()
        super().check()
        assert not any(world.core.host.counts["replaced"] for world in self.net.worlds)


@pytest.mark.parametrize("seed", range(5000, 5004))
def test_c02_tokens_are_conserved_though_hosts_change_their_keys_and_machines_move(
    seed: int,
) -> None:
    rekeyed = Rekeyed(seed)
    rekeyed.run(40, crash=0.02, cut=0.02, stop=0.01, part=0.03 if seed % 2 else 0.0)
    rekeyed.check()
    assert rekeyed.rotated and rekeyed.moved


class RekeyedCopse(copse.Grove):
    """Whole hosts with their handshakes, records and nodes, which end and start with other keys."""

    rotated = 0

    def disturb(self) -> None:
        host = self.entropy.choice(self.hosts)
        if not host.is_on or self.entropy.chance(0.5):
            super().disturb()
            return
        rotate_key(host.sim)
        host.stop() if self.entropy.chance(0.5) else host.kill()
        self.rotated += 1

    def check(self) -> None:
        super().check()
        for host in self.hosts:
            counts = host.sim.core.host.counts
            assert not counts["replaced"] and not counts["contradicted"]
        assert self.rotated


@pytest.mark.parametrize("seed", (1, 2))
def test_c02_tokens_are_conserved_though_whole_hosts_change_their_keys(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copse, "Grove", RekeyedCopse)
    copse.play(seed)


@pytest.mark.parametrize("seed", (7, 8))
def test_w18_a_network_goes_on_when_its_hosts_change_their_keys(seed: int) -> None:
    grove = Grove(seed)
    world = grove.world
    for number in (0, 1, 2, 0):
        grove.play(6)
        rotate_key(world.hosts[number])
        at_ms = world.scene.now_us // 1000
        world.inject(Crash(at_ms, f"h{number}"))
        world.run(20)
    grove.play(12)
    assert world.quiet(600)
    said = sum(grove.said.values())
    verdicts = [verdict for client in grove.clients for verdict in client.verdicts]
    assert len(verdicts) >= said and not world.scene.counts["two locations contradict each other"]
    for host in world.hosts:
        keys = host.core.host.keys
        assert keys.proof.certificate is not None
        for other in world.hosts:
            known = other.core.host.roster.known.get(keys.address)
            if other is not host and known is not None and known.key:
                assert known.key == keys.key.public_key
    loaded = World.load_untrusted(world.save(), code_of)
    assert [one.core.host.keys.proof for one in loaded.hosts] == [
        one.core.host.keys.proof for one in world.hosts
    ]


def test_a_network_goes_on_without_a_host_whose_certificate_has_ended_until_it_has_another() -> (
    None
):
    grove = Grove(9)
    world = grove.world
    rotate_key(world.hosts[1], life_ms=60_000)
    world.inject(Crash(world.scene.now_us // 1000, "h1"))
    grove.play(3, apart_s=15)
    world.run(30)
    hosts = [one.core.host for one in world.hosts]
    ended = hosts[1].keys.proof.expiry_ms
    assert ended is not None and hosts[0].now_ms > ended
    assert not hosts[1].links and hosts[0].links
    grove.play(2)
    rotate_key(world.hosts[1])
    world.inject(Crash(world.scene.now_us // 1000, "h1"))
    world.run(60)
    assert world.hosts[1].core.host.links
    assert world.quiet(600)
    assert not world.scene.counts["two locations contradict each other"]


# Keys that were replaced, and keys that have ended.


def rekeyed(life_ms: int = 10**9) -> tuple[Pair, HostProof]:
    """Two hosts, of which the one has changed its key and shown it to the other; and what it was."""
    pair = Pair()
    before = pair.here.core.host.keys.proof
    rotate_key(pair.here, life_ms)
    pair.net.crash(pair.here)
    ask = pair.client.ask(pair.cap("take"), (7, 1))
    pair.net.settle()
    assert pair.client.outcomes[ask] == ["thanks"]
    return pair, before


def shown(core: Core, proof: HostProof, number: int = 77) -> list[str]:
    """Why a link by this key is ended at once, if it is."""
    core.host.effects.clear()
    core.link_up(number, proof.identity, ROOM, None, 1.0, proof.certificate_bytes)
    return [one.why for one in core.host.effects if isinstance(one, Unlink)]


def test_s07_a_key_that_was_replaced_is_taken_by_no_host_that_has_seen_the_new_one() -> None:
    pair, root = rekeyed()
    first = pair.here.core.host.keys.proof
    core = pair.there.core
    assert shown(core, root) == [NEWER] and 77 not in core.host.links
    rotate_key(pair.here)
    second = Keyring.of(*pair.here.keyring_seeds).proof
    shown(core, second, 78)
    assert 78 in core.host.links
    assert all(link.key == second.key for link in core.host.links.values()), "older ones are ended"
    for old in (root, first):
        assert shown(core, old) == [NEWER] and 77 not in core.host.links
    assert core.host.counts["replaced"] == 3
    known = core.host.roster.known[root.address]
    assert (known.incarnation, known.key) == (second.incarnation, second.key)


def test_s07_no_host_is_linked_to_by_its_own_keys() -> None:
    """A thief has an old key that nobody was shown to be old: least of all the host itself."""
    pair, root = rekeyed()
    core = pair.here.core
    first = core.host.keys.proof
    rotate_key(pair.here)
    pair.net.crash(pair.here)
    pair.net.settle()
    for proof in (root, first, pair.here.core.host.keys.proof):
        assert shown(pair.here.core, proof) == [ITSELF]
        assert 77 not in pair.here.core.host.links
    assert root.address not in pair.here.core.host.roster.known


def test_s07_a_hosts_own_certificate_speaks_for_no_machine() -> None:
    pair, _root = rekeyed()
    proof, there = pair.here.core.host.keys.proof, pair.there.core
    (link,) = there.host.links.values()
    assert link.peer == proof.address and link.key == proof.key
    shown_as = (proof.identity.to_bytes(), proof.certificate_bytes)
    assert proven(there.host, link, proof.address, *shown_as) is None
    machine = next(iter(there.host.machines))
    there.frame(link.number, pack_frame(Open(proof.address, machine, *shown_as, 0)))
    assert there.host.counts["unproven"] == 1
    assert (proof.address, machine) not in link.incoming


def test_s07_what_was_seen_of_a_hosts_key_is_known_after_a_crash() -> None:
    pair, root = rekeyed()
    pair.net.settle()
    pair.net.crash(pair.there)
    assert shown(pair.there.core, root) == [NEWER]


def test_s07_of_two_keys_under_one_number_the_first_is_kept() -> None:
    pair, _root = rekeyed()
    proof = pair.here.core.host.keys.proof
    assert proof.certificate is not None
    root = RootKey(pair.here.keyring_seeds[4])
    terms = replace(proof.certificate.terms, host_key=RootKey(b"t" * 32).public_key)
    assert shown(pair.there.core, HostProof(proof.identity, issue(root, terms))) == [NEWER]
    assert shown(pair.there.core, proof) == []


def test_what_is_known_of_hosts_without_such_keys_is_written_as_before() -> None:
    pair, root = rekeyed()
    kept = pair.there.core.host.roster
    known = kept.known[root.address]
    assert from_bytes(to_bytes(kept)) == kept
    _changes, (row,) = cbor2.loads(to_bytes(kept))
    assert row[-2:] == [known.incarnation, known.key]
    before = from_bytes(cbor2.dumps([kept.changes, [row[:-2]]]))
    assert (before.known[root.address].incarnation, before.known[root.address].key) == (0, b"")
    assert cbor2.loads(to_bytes(before)) == [kept.changes, [row[:-2]]]


def test_a_host_that_is_met_by_an_old_key_is_dialed_again_later() -> None:
    pair, root = rekeyed()
    pair.net.stop(pair.here)
    core, address = pair.there.core, root.address
    peer = peer_of(core.host, address)
    peer.dialing = True
    assert shown(core, root) == [NEWER]
    assert not peer.dialing and peer.again_ms > core.host.now_ms


def test_s07_a_link_ends_with_the_certificate_of_its_key_and_nothing_is_lost() -> None:
    pair, _root = rekeyed(life_ms=60_000)
    assert pair.there.core.host.links
    pair.net.advance(61)
    assert not pair.there.core.host.links and "has ended" in pair.net.unlinked[-1]
    late = pair.client.ask(pair.cap("take"), (8, 1), timeout_s=900)
    pair.net.advance(120)
    assert late not in pair.client.outcomes, "no other host takes anything from it now"
    rotate_key(pair.here)
    pair.net.crash(pair.here)
    pair.net.advance(60)
    assert pair.client.outcomes[late] == ["thanks"] and pair.tokens() == (7, 8)


def test_what_names_a_key_ends_with_its_certificate() -> None:
    pair, _root = rekeyed(life_ms=60_000)
    host = pair.here.core.host
    made = pair.here.create("other", ModuleCode(apple), (1,)).machine
    proof = prove(host, made.address)
    assert proof is not None
    until_ms = host.keys.proof.expiry_ms
    assert until_ms is not None and proof.until_ms <= until_ms
    assert parse_certificate_untrusted(proof.certificate).expiry_ms == until_ms
    assert host.keys.speak_for(made.address, made.identity, 1, until_ms) is None


def test_the_operator_is_told_in_time_that_a_key_ends() -> None:
    root = Keyring(b"r" * 32, b"s" * 32).proof
    assert key_life(root, 0).told() == {
        "key": root.key.hex(),
        "until_ms": None,
        "ending": False,
        "ended": False,
    }
    day_ms, key = 24 * 60 * 60 * 1000, RootKey(b"k" * 32).public_key
    now_ms = 1_700_000_000_000
    for life_days, warned_days in ((365, 30), (9, 3)):
        until_ms = now_ms + life_days * day_ms
        proof = certify_host(RootKey(b"r" * 32), root.identity, key, now_ms + day_ms, until_ms)
        from_ms = until_ms - warned_days * day_ms
        assert not key_life(proof, from_ms - 1).ending
        assert key_life(proof, from_ms).ending and not key_life(proof, until_ms - 1).ended
        assert key_life(proof, until_ms).ended
