"""Peers: told of as deltas, reached again after a restart, given up for better ones, and banned."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.host import acquaintance, peering
from avm.host.beacon import pack_beacon, read_beacon_untrusted
from avm.host.channel import pack_frame, unpack_frame_untrusted
from avm.host.effects import Done
from avm.host.exchange import PEERS_MAX, Peers, Want
from avm.host.links import peer_of
from avm.host.roster import HALF_LIFE_MS, Known, Roster, from_bytes, to_bytes
from avm.limits import Limits
from avm.sim.host import SimHost
from avm.sim.net import Net
from caps.codec import dumps_plain
from caps.errors import Malformed
from caps.identity import Endpoint
from tests.sim import apple
from tests.sim.code import ModuleCode
from tests.sim.test_between_hosts import Pair, held

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "peers.json").read_text())
HERE, THERE, THIRD = (bytes([n]) * 32 for n in (1, 2, 3))
WHERE = Endpoint(bytes((192, 0, 2, 7)), 4433)
Act = Callable[[Any, int, bytes], None]


def address(world: SimHost) -> bytes:
    return world.core.host.address


def dial(net: Net, one: SimHost, other: SimHost) -> str:
    """An operator dials; empty, or why it was refused."""
    return act(
        net, one, lambda r: acquaintance.dial(one.core.host, r, address(other), at(net, other))
    )


def act(net: Net, world: SimHost, does: Callable[[int], None]) -> str:
    world.next_request += 1
    request = world.next_request
    does(request)
    world.core.pump()
    world.carry_out()
    net.settle()
    answer: Done = world.answers.pop(request)
    return answer.error


def do(net: Net, world: SimHost, does: Act, other: SimHost) -> str:
    return act(net, world, lambda request: does(world.core.host, request, address(other)))


def at(net: Net, world: SimHost) -> Endpoint:
    return net.endpoint_of(world)


def linked(world: SimHost) -> set[bytes]:
    return {link.peer for link in world.core.host.links.values()}


def test_s09_peers_are_told_whom_a_host_reached_and_link_them() -> None:
    net = Net(1, 3)
    first, second, third = net.worlds
    assert dial(net, second, first) == "" and dial(net, third, first) == ""
    known = third.core.host.roster.known[address(second)]
    assert known.teller == address(first) and known.endpoints == {at(net, second): 0}
    net.advance(2)
    assert linked(second) == {address(first), address(third)}
    assert known.teller == b"" and known.endpoints[at(net, second)]


def listened(world: SimHost) -> list[Peers]:
    """What is said to a host of others from now on."""
    frames: list[Peers] = []
    hear = world.core.frame

    def through(number: int, body: bytes) -> None:
        frame = unpack_frame_untrusted(body)
        if isinstance(frame, Peers):
            frames.append(frame)
        hear(number, body)

    world.core.frame = through  # type: ignore[method-assign]
    return frames


@pytest.mark.parametrize("restart", [False, True])
def test_s09_the_second_exchange_sends_only_changes(restart: bool) -> None:
    net = Net(2, 5, limits=replace(Limits(), peers_dialed=1))
    first, second, third, fourth, fifth = net.worlds
    for one in (third, second):
        dial(net, one, first)
    net.advance(5)
    if restart:
        net.crash(second)
    else:
        do(net, second, acquaintance.drop, first)
    frames = listened(second)
    assert not linked(second)
    assert dial(net, second, first) == ""
    net.advance(5)
    assert frames == [], "nothing has changed"
    for one in (fourth, fifth):
        dial(net, one, first)
        net.advance(5)
    said = [[row[0] for row in frame.rows] for frame in frames]
    assert said == [[address(fourth)], [address(fifth)]]


def test_s10_a_restart_links_those_known_before_without_a_bootstrap() -> None:
    net = Net(3, 3)
    first, second, third = net.worlds
    dial(net, second, first)
    dial(net, third, first)
    net.advance(40)
    for world in net.worlds:
        net.stop(world)
    net.advance(3600)
    for world in net.worlds:
        net.start(world)
    net.advance(5)
    everyone = {address(world) for world in net.worlds}
    for world in net.worlds:
        assert linked(world) == everyone - {address(world)}


def test_t06_when_a_better_peer_returns_the_worst_goes() -> None:
    net = Net(4, 4, limits=replace(Limits(), links=2, peers_dialed=2))
    hub, good, bad, better = net.worlds
    dial(net, hub, better)
    net.advance(1)
    dial(net, hub, good)
    net.advance(1)
    net.stop(better)
    dial(net, hub, bad)
    net.advance(1)
    known = hub.core.host.roster.known
    known[address(bad)].count(hub.now_ms, bad=5)
    assert linked(hub) == {address(good), address(bad)}
    net.start(better)
    net.advance(60)
    assert linked(hub) == {address(good), address(better)}
    assert hub.core.host.counts["evicted"]


def test_t06_a_link_with_a_batch_on_its_way_is_not_given_up() -> None:
    net = Net(5, 3, limits=replace(Limits(), links=1, peers_dialed=1))
    here, there, third = net.worlds
    made = there.create("pouch", ModuleCode(apple), ())
    client = here.client()
    take = held(here, client, there, made.names["take"])
    client.ask(take, (1, 1))
    net.settle()
    there.suspend("pouch")
    ask = client.ask(take, (7, 1))
    net.settle()
    here.core.host.roster.known[address(there)].count(here.now_ms, bad=99)
    assert dial(net, here, third) == ""
    net.advance(20)
    assert linked(here) == {address(there)}, "the worst, but busy"
    there.resume("pouch")
    net.settle()
    assert client.outcomes[ask] == ["thanks"]
    assert dial(net, here, third) == ""
    net.advance(20)
    assert linked(here) == {address(third)}, "idle, and the worst"


def test_t06_the_best_of_those_reached_are_dialed_before_those_heard_of() -> None:
    roster = Roster()
    for n, (reached, good) in enumerate([(0, 0), (1, 0), (1, 5), (1, 1)]):
        known = roster.of(bytes([n]) * 32, Limits(), 0)
        known.add(WHERE, reached)
        known.reached_ms, known.good = reached, good
    assert [one.address[0] for one in roster.to_dial((), 9, 1)] == [2, 3, 1, 0]
    assert [one.address[0] for one in roster.to_dial([bytes([2]) * 32], 1, 1)] == [3]


def test_t06_a_host_that_is_not_there_is_tried_later_each_time() -> None:
    net = Net(5, 2)
    here, there = net.worlds
    dial(net, here, there)
    net.advance(2)
    net.stop(there)
    tried: list[int] = []
    no_link = here.core.no_link

    def count(address: bytes) -> None:
        tried.append(here.now_ms)
        no_link(address)

    here.core.no_link = count  # type: ignore[method-assign]
    net.advance(3600)
    gaps = [after - before for before, after in pairwise(tried)]
    assert 6 < len(tried) < 20 and gaps[-1] > 10 * gaps[0]
    net.start(there)
    net.advance(5)
    assert linked(here) == {address(there)}, "it dials us"


def test_t08_dial_drop_ban_and_unban_take_effect_at_once() -> None:
    net = Net(6, 2, limits=replace(Limits(), peers_dialed=1))
    here, there = net.worlds
    assert dial(net, here, there) == "" and linked(here) == {address(there)}
    assert do(net, here, acquaintance.drop, there) == "" and not linked(here)
    there.core.host.roster.known[address(here)].dropped = True
    net.advance(300)
    assert not linked(here), "neither dials unasked"
    assert dial(net, here, there) == "" and linked(here)
    assert do(net, here, acquaintance.ban, there) == "" and not linked(here)
    assert "banned" in dial(net, here, there)
    assert dial(net, there, here) == "", "the handshake goes through, and the link is closed"
    net.advance(1)
    assert not linked(here) and not linked(there)
    net.crash(here)
    net.advance(300)
    assert not linked(here) and here.core.host.roster.is_banned(address(there))
    assert do(net, here, acquaintance.unban, there) == ""
    assert dial(net, here, there) == "" and linked(here) == {address(there)}
    assert "not banned" in do(net, here, acquaintance.unban, there)
    assert "host itself" in do(net, here, acquaintance.ban, here)


def test_t08_a_dial_that_fails_says_so() -> None:
    net = Net(7, 2)
    here, there = net.worlds
    net.stop(there)
    assert "could not be reached" in dial(net, here, there)


def test_t08_a_dial_waits_for_one_that_is_under_way_to_another_endpoint() -> None:
    net = Net(11, 2)
    here, there = net.worlds
    peering.seen(here.core.host, address(there), WHERE)
    peering.upkeep(here.core.host)
    assert peer_of(here.core.host, address(there)).dialing
    assert dial(net, here, there) == "" and linked(here) == {address(there)}


def test_t08_what_is_sent_to_a_banned_host_waits_for_the_end_of_the_ban() -> None:
    pair = Pair()
    do(pair.net, pair.here, acquaintance.ban, pair.there)
    ask = pair.client.ask(pair.cap("take"), (7, 1))
    pair.net.advance(5)
    assert not pair.client.outcomes and pair.tokens() == ()
    assert address(pair.here) not in pair.there.core.host.roster.known, "it is not even dialed"
    do(pair.net, pair.here, acquaintance.unban, pair.there)
    pair.net.advance(1)
    assert pair.client.outcomes == {ask: ["thanks"]}


def test_what_a_stranger_says_of_others_is_a_hint_and_bounded() -> None:
    net = Net(8, 3, limits=replace(Limits(), peers_told=8, peers=20))
    here, there, third = net.worlds
    dial(net, here, there)
    dial(net, here, third)
    net.advance(2)
    roster = here.core.host.roster
    (link,) = [one.number for one in here.core.host.links.values() if one.peer == address(there)]
    for start in range(0, 200, PEERS_MAX):
        rows = [
            (bytes([9, n]) + bytes(30), WHERE.ip, 1000 + n, 0) for n in range(start, start + 50)
        ]
        rows.append((address(here), WHERE.ip, 1, 0))
        rows.append((address(third), WHERE.ip, 1, 0))
        here.core.frame(link, pack_frame(Peers(2**62, rows)))
    heard = [one for one in roster.known.values() if one.teller == address(there)]
    assert len(heard) <= 8 and len(roster.known) <= 20
    assert address(here) not in roster.known
    assert roster.known[address(third)].best()[0] == at(net, third), "what was reached comes first"
    net.advance(3600)
    assert linked(here) == {address(there), address(third)}
    assert not [one for one in roster.known.values() if not one.reached_ms], "given up"
    assert set(here.core.host.peers) == linked(here), "and nothing is kept of them"


def test_a_peer_that_asks_or_tells_on_end_is_not_heard() -> None:
    net = Net(9, 3)
    here, there, third = net.worlds
    dial(net, here, third)
    dial(net, here, there)
    net.advance(20)
    counts = here.core.host.counts
    told, before = counts["peers_told"], counts["stray"]
    (link,) = [one.number for one in here.core.host.links.values() if one.peer == address(there)]
    for n in range(50):
        here.core.frame(link, pack_frame(Want(0)))
        here.core.frame(link, pack_frame(Peers(n, [(THIRD, WHERE.ip, 1 + n, 0)])))
    assert counts["peers_told"] == told
    assert counts["stray"] == before + 50 + 45
    net.advance(10)
    here.core.frame(link, pack_frame(Peers(50, [])))
    assert here.core.host.roster.known[address(there)].heard == 50


@pytest.mark.parametrize("body", [[16], [16, -1], [16, 0, 0], [17, 0], [17, 0, [[b"", b"", 1, 1]]]])
def test_p08_a_frame_about_peers_that_is_none_is_malformed(body: list[object]) -> None:
    with pytest.raises(Malformed):
        unpack_frame_untrusted(dumps_plain(body))


def test_frames_about_peers_have_the_bytes_of_the_vectors() -> None:
    rows = [(THERE, WHERE.ip, WHERE.port, 1500), (THIRD, bytes(15) + b"\1", 65535, 0)]
    for frame, name in ((Want(1_700_000_000_000), "want"), (Peers(7, rows), "peers")):
        assert pack_frame(frame).hex() == VECTORS[name]
        read = unpack_frame_untrusted(bytes.fromhex(VECTORS[name]))
        assert read == frame


def test_a_beacon_has_the_bytes_of_the_vector() -> None:
    assert pack_beacon(THERE, 4433).hex() == VECTORS["beacon"]
    assert read_beacon_untrusted(bytes.fromhex(VECTORS["beacon"])) == (THERE, 4433)


@given(st.binary(max_size=80) | st.builds(pack_beacon, st.binary(max_size=40), st.integers(0, 9)))
def test_p08_any_datagram_is_a_beacon_or_malformed(body: bytes) -> None:
    try:
        address, port = read_beacon_untrusted(body)
    except Malformed:
        return
    assert pack_beacon(address, port) == body


def test_hints_never_take_the_place_of_hosts_that_were_reached() -> None:
    limits, roster = replace(Limits(), peers=3), Roster()
    for n in range(3):
        roster.reached(roster.of(bytes([n]) * 32, limits, 0), WHERE, 0.0, 1)
        roster.failed(roster.known[bytes([n]) * 32], 1, 9)
    rows = [(bytes([9, n]) * 16, WHERE, 0) for n in range(5)]
    roster.hear(THIRD, bytes(32), rows, limits, 2)
    assert sorted(roster.known) == [bytes([n]) * 32 for n in range(3)]


def test_what_a_beacon_says_is_tried_and_proven() -> None:
    net = Net(10, 2, limits=replace(Limits(), peers_told=4))
    here, there = net.worlds
    for n in range(50):
        peering.seen(here.core.host, bytes([5, n]) * 16, Endpoint(WHERE.ip, 1 + n))
    assert len(here.core.host.roster.known) == 4, "one that says much is one teller"
    peering.seen(here.core.host, address(there), at(net, there))
    net.advance(5)
    assert linked(here) == {address(there)}


TIMES = st.integers(0, 2**45)
KNOWN = st.builds(
    Known,
    st.binary(min_size=32, max_size=32),
    st.dictionaries(
        st.builds(Endpoint, st.binary(min_size=4, max_size=4), st.integers(1, 65535)), TIMES
    ),
    TIMES,
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    TIMES,
    st.floats(0, 1e5),
    st.integers(0, 99),
    TIMES,
    TIMES,
    TIMES,
    st.binary(max_size=32),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(KNOWN, max_size=4), TIMES)
def test_s10_a_roster_comes_back_from_its_row(known: list[Known], changes: int) -> None:
    roster = Roster({one.address: one for one in known}, changes)
    assert from_bytes(to_bytes(roster)) == roster


@given(KNOWN, TIMES)
def test_t06_a_score_is_from_0_to_1_and_tends_to_that_of_a_stranger(one: Known, now: int) -> None:
    assert 0 < one.score(now) <= 1
    far = max(now, one.counted_ms) + 100 * HALF_LIFE_MS
    assert one.score(far) * (1 + one.round_trip_ms / 1000) == pytest.approx(0.5, abs=0.01)


def test_t06_scores_put_the_reliable_before_the_near_before_the_far() -> None:
    good, bad, far = Known(HERE), Known(THERE), Known(THIRD)
    for one in (good, bad, far):
        one.count(0, good=4)
    bad.count(0, bad=6)
    far.round_trip_ms = 300.0
    assert good.score(0) > far.score(0) > bad.score(0)
    assert bad.score(5 * HALF_LIFE_MS) > bad.score(0)


@given(st.integers(1, 30), st.integers(1, 20))
def test_hosts_that_are_banned_or_linked_make_no_room(count: int, most: int) -> None:
    limits, roster = replace(Limits(), peers=most), Roster()
    kept = bytes([255]) * 32
    roster.of(kept, limits, 0)
    banned = roster.of(bytes(32), limits, 0, (kept,))
    banned.banned = True
    for n in range(count):
        roster.of(bytes([1, n]) * 16, limits, n, (kept,))
    assert kept in roster.known and roster.is_banned(bytes(32))
    assert len(roster.known) <= max(most, 2) + 1
