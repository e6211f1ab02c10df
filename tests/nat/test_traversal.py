"""Ways round routers, in virtual time: who is hidden, who meets, what is relayed, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.nat.effects import Send, Way
from avm.nat.frames import Enlisted, Meet, Meeting, Relaying, Seen
from avm.nat.limits import (
    ANNOUNCE_BURST,
    ASKED_BURST,
    MEET_BURST,
    MOVE_BURST,
    PACKETS_MAX,
    PINGS_S,
    NatLimits,
)
from avm.nat.packets import Punch
from caps.identity import Route, parse_endpoint
from tests.nat.worlds import Box, Host, World

BOXES = {"none": None, "guards": "guards", "keeps ports": "keeps", "random ports": "random"}


def host_of(world: World, name: str, kind: str | None, known: Host) -> Host:
    """A host behind a box of a kind, that knows one other."""
    number = 50 + len(world.hosts)
    how: dict[str, object] = {"known": (known.route,)}
    if kind is None:
        host = world.public(name, **how)
    else:
        box = Box(f"203.0.{number}.1", kind == "random", kind != "guards")
        host = world.behind(name, box, **how)
    host.dial(known.address, known.endpoint)
    return host


def three(
    seed: int, here: str | None, there: str | None, loss: float = 0.0, **allowed: int
) -> tuple[World, Host, Host, Host]:
    """A host that all know, and two others; run until they know how they are reached."""
    world = World(seed)
    known = world.public("known", allowed=NatLimits(**allowed))
    one, two = (
        host_of(world, name, kind, known) for name, kind in (("here", here), ("there", there))
    )
    world.run(8.0)
    world.loss = loss
    return world, known, one, two


def is_met(here: Host, there: Host, way: Way) -> bool:
    return here.ways(there) == [way] and there.ways(here) == [way]


def test_s08_a_host_that_others_see_elsewhere_names_who_introduces_it() -> None:
    _, known, here, _ = three(1, "keeps", None)
    assert here.nat.standing.is_hidden
    assert here.nat.standing.observed == parse_endpoint("203.0.51.1:4433")
    assert here.announced[-1] == (known.route,)
    assert known.hidden == [here.address], "nobody else is told of where it was seen"


def test_s08_a_host_behind_a_firewall_names_who_introduces_it_and_itself_last() -> None:
    _, known, here, _ = three(1, "guards", None)
    assert here.nat.standing.is_hidden
    assert here.announced[-1] == (known.route, here.endpoint)


def test_s08_a_host_that_all_can_reach_names_itself() -> None:
    _, _, here, _ = three(1, None, None)
    assert not here.nat.standing.is_hidden
    assert here.nat.standing.routes() == (here.endpoint,)


def test_s08_what_the_operator_announces_holds() -> None:
    world = World(1)
    known = world.public("known")
    here = world.behind("here", Box("203.0.113.1"), fixed=True)
    here.dial(known.address, known.endpoint)
    world.run(8.0)
    assert not here.nat.standing.is_hidden
    assert here.nat.standing.routes() == (here.endpoint,)


def test_s08_one_liar_among_three_observers_hides_nobody() -> None:
    world = World(1)
    standing = world.public("here").nat.standing
    own = parse_endpoint("198.51.100.1:4433")
    for number, seen in enumerate((own, parse_endpoint("192.0.2.66:6"), own)):
        standing.hear_observed(parse_endpoint(f"203.0.{number}.1:1"), own, seen, 0.0)
    assert not standing.is_hidden
    assert standing.observed == own


@pytest.mark.parametrize("here", [None, "keeps", "guards", "random"])
def test_s08_a_hidden_host_is_met_by_any_other(here: str | None) -> None:
    world, _, one, two = three(2, here, "keeps")
    one.meet(two)
    way = Way.RELAYED if here == "random" else Way.PUNCHED
    assert world.run(10.0, lambda: is_met(one, two, way))


def test_s08_a_host_behind_random_ports_is_met_by_one_that_all_can_reach() -> None:
    world, _, one, two = three(2, None, "random")
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.PUNCHED))


def test_s08_two_behind_random_ports_are_relayed() -> None:
    world, known, one, two = three(3, "random", "random")
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    assert known.nat.relayed_sessions == 1
    assert known.nat.counts["relayed.bytes"] > 0


def test_s08_a_host_that_relays_nothing_says_so_and_there_is_no_meeting() -> None:
    world, known, one, two = three(3, "random", "random", relays=0)
    one.meet(two)
    assert world.run(10.0, lambda: one.not_met == [two.address])
    assert known.nat.counts["relays.refused"] == 1


def test_s08_a_host_that_introduces_nobody_says_so() -> None:
    _, known, one, _ = three(3, "keeps", "keeps", introduced=0)
    assert known.nat.counts["enlisted.refused"] == 2
    assert one.announced[-1] == (one.endpoint,)


def test_s08_nobody_is_introduced_who_did_not_ask_for_it() -> None:
    world, known, one, two = three(3, None, None)
    one.nat.meet(two.address, [known.route], world.now_s)
    one.carry_out()
    assert world.run(5.0, lambda: one.not_met == [two.address])
    assert two.sent == []


def test_s08_a_relayed_link_becomes_a_punched_one_when_the_way_is_free() -> None:
    world, _, one, two = three(4, "keeps", "keeps")
    assert one.box is not None and two.box is not None
    one.box.blocked.add(two.box.ip)
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    world.run(25.0)
    assert one.ways(two) == [Way.RELAYED], "while it is blocked it stays"
    one.box.blocked.clear()
    assert world.run(40.0, lambda: is_met(one, two, Way.PUNCHED))


def test_s08_who_relays_being_forgotten_costs_a_relayed_link_no_time() -> None:
    world, _, here, there = three(1, "random", "random")
    here.meet(there)
    world.run(5.0)
    assert is_met(here, there, Way.RELAYED)
    here.nat._meetings.through.clear()
    here.nat.tick(world.now_s + 20.0)
    wake_s = here.nat.next_wake_s()
    assert wake_s is None or wake_s > world.now_s + 20.0


@pytest.mark.parametrize("side", [0, 1])
def test_s08_a_router_with_another_ip_makes_its_hosts_meet_anew(side: int) -> None:
    world, _, *both = three(5, "keeps", "keeps")
    one, two = both
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.PUNCHED))
    old = set(one.lines)
    moved = both[side].box
    assert moved is not None
    moved.move("203.0.99.1")
    assert world.run(6.0, lambda: set(one.lines) != old and is_met(one, two, Way.PUNCHED))
    world.run(60.0)
    assert is_met(one, two, Way.PUNCHED)


def test_s08_a_relay_goes_on_when_a_router_gets_another_ip() -> None:
    world, _, one, two = three(5, "random", "random")
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    old = set(one.lines)
    assert one.box is not None
    one.box.move("203.0.99.1")
    world.run(60.0)
    assert set(one.lines) == old
    assert is_met(one, two, Way.RELAYED)


def test_s08_an_idle_link_keeps_its_mapping() -> None:
    world, _, one, two = three(6, "keeps", "keeps")
    assert one.box is not None and two.box is not None
    one.box.keeps_s = two.box.keeps_s = 5.0
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.PUNCHED))
    old = set(one.lines)
    world.run(600.0)
    assert set(one.lines) == old


def test_s08_a_relayed_link_goes_when_a_direct_one_is_there() -> None:
    world, _, one, two = three(6, "random", "random")
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    one.box = two.box = None
    two.endpoint = parse_endpoint("198.51.100.77:4433")
    one.dial(two.address, two.endpoint)
    assert world.run(10.0, lambda: is_met(one, two, Way.DIRECT))


def test_s08_one_in_the_introducers_own_network_is_relayed() -> None:
    world, known, one, two = three(6, None, "keeps")
    one.endpoint = parse_endpoint("192.168.7.7:4433")
    two.box = Box("203.0.99.1")
    for host in (one, two):
        host.dial(known.address, known.endpoint)
    world.run(8.0)
    assert two.box is not None
    two.box.blocked.add(one.endpoint.host_text)
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    assert one.endpoint not in [where for _, where in two.sent]


def test_s08_where_one_introducer_is_gone_the_other_introduces() -> None:
    world = World(7)
    first, second = world.public("first"), world.public("second")
    one, two = (
        world.behind(name, Box(f"203.0.{number}.1"), known=(first.route, second.route))
        for number, name in enumerate(("one", "two"))
    )
    for host in (one, two):
        host.dial(first.address, first.endpoint)
    world.run(8.0)
    assert set(two.announced[-1]) == {first.route, second.route}
    first.endpoint = parse_endpoint("198.51.100.99:4433")
    world.run(30.0)
    assert two.announced[-1] == (second.route,)
    one.nat.meet(two.address, [first.route, second.route], world.now_s)
    one.carry_out()
    assert world.run(15.0, lambda: is_met(one, two, Way.PUNCHED))


@given(
    seed=st.integers(0, 2**32),
    here=st.sampled_from([None, "guards", "keeps", "random"]),
    there=st.sampled_from(["guards", "keeps", "random"]),
    loss=st.sampled_from([0.0, 0.1, 0.2]),
)
def test_s08_any_two_meet_in_any_weather(
    seed: int, here: str | None, there: str, loss: float
) -> None:
    world, _, one, two = three(seed, here, there, loss)

    def is_linked() -> bool:
        if one.address in [line.peer for line in two.lines.values()]:
            return bool(one.ways(two))
        if two.address in one.not_met:  # as the core does, after a while
            one.not_met.clear()
            one.meet(two)
        return False

    one.meet(two)
    assert world.run(120.0, is_linked)


# What a stranger, or an introducer that lies, can make a host do.


def a_meeting(introducer: str, target: str) -> tuple[Host, World]:
    """A host that is introduced by one at an endpoint is told of a meeting at another."""
    world = World(7)
    here = world.behind("here", Box("203.0.113.1"))
    endpoint = parse_endpoint(introducer)
    here.nat.link_up(1, b"i" * 32, True, endpoint, world.now_s)
    seen = parse_endpoint("203.0.113.1:4433")
    here.nat.hear_untrusted(1, Seen(seen).to_bytes(), here.endpoint, world.now_s)
    here.nat.hear_untrusted(1, Enlisted(True).to_bytes(), here.endpoint, world.now_s)
    said = Meeting(b"n" * 16, b"x" * 32, parse_endpoint(target), True)
    here.nat.hear_untrusted(1, said.to_bytes(), here.endpoint, world.now_s)
    here.carry_out()
    world.run(20.0)
    return here, world


def test_s08_few_datagrams_go_to_whom_an_introducer_names() -> None:
    here, _ = a_meeting("198.51.100.1:4433", "192.0.2.1:53")
    assert [where for _, where in here.sent] == [parse_endpoint("192.0.2.1:53")] * len(PINGS_S)


@pytest.mark.parametrize(
    "target", ["127.0.0.1:53", "10.1.2.3:53", "192.168.1.1:80", "0.0.0.0:1", "224.0.0.1:1"]
)
def test_s08_an_introducer_far_off_names_nobody_near(target: str) -> None:
    here, _ = a_meeting("198.51.100.1:4433", target)
    assert here.sent == []
    assert here.nat.counts["punches.unsent"] == len(PINGS_S)


def test_s08_a_meeting_answers_no_more_than_so_many_datagrams() -> None:
    here, world = a_meeting("198.51.100.1:4433", "192.0.2.1:53")
    before = len(here.sent)
    said = Meeting(b"m" * 16, b"y" * 32, parse_endpoint("192.0.2.2:53"), True)
    here.nat.hear_untrusted(1, said.to_bytes(), here.endpoint, world.now_s)
    for _ in range(1000):
        ping = Punch(b"m" * 16, False).to_bytes()
        here.nat.receive_untrusted(ping, parse_endpoint("192.0.2.9:9"), world.now_s)
    here.carry_out()
    assert len(here.sent) - before <= PACKETS_MAX


def test_s08_one_who_says_ever_new_endpoints_makes_a_host_announce_little() -> None:
    here, world = a_meeting("198.51.100.1:4433", "192.0.2.1:53")
    before = len(here.announced)
    own, other = here.endpoint, parse_endpoint("203.0.113.1:4433")
    for number in range(1_000):
        seen = (own, other)[number % 2]
        here.nat.hear_untrusted(1, Seen(seen).to_bytes(), own, world.now_s)
        here.carry_out()
    world.run(0.0)
    assert len(here.announced) - before <= ANNOUNCE_BURST
    world.run(20.0)
    assert here.announced[-1] == here.nat.standing.routes(), "the last of it is told in the end"
    assert here.nat.counts["moved"] <= MOVE_BURST


def test_s08_an_introducer_makes_a_host_meet_so_many_and_no_more() -> None:
    here, world = a_meeting("198.51.100.1:4433", "192.0.2.1:53")
    before = len(here.sent)
    for number in range(1_000):
        nonce = number.to_bytes(16, "big")
        said = Meeting(nonce, b"y" * 32, parse_endpoint(f"192.0.2.2:{1 + number}"), True)
        here.nat.hear_untrusted(1, said.to_bytes(), here.endpoint, world.now_s)
    here.carry_out()
    world.run(20.0)
    assert len(here.sent) - before <= ASKED_BURST * len(PINGS_S)


def test_s08_a_punch_of_no_meeting_is_not_answered() -> None:
    here, world = a_meeting("198.51.100.1:4433", "192.0.2.1:53")
    before = len(here.sent)
    for asked in (False, True):
        punch = Punch(b"?" * 16, asked).to_bytes()
        here.nat.receive_untrusted(punch, parse_endpoint("192.0.2.9:9"), world.now_s)
    here.carry_out()
    assert len(here.sent) == before
    assert here.nat.counts["punches.stray"] == 2


def test_s08_a_host_takes_no_echo_of_its_own_for_an_answer() -> None:
    here, world = a_meeting("198.51.100.1:4433", "192.0.2.1:53")
    before = len(here.sent)
    said = Meeting(b"m" * 16, b"y" * 32, parse_endpoint("192.0.2.2:53"), True)
    here.nat.hear_untrusted(1, said.to_bytes(), here.endpoint, world.now_s)
    here.carry_out()
    echo, where = here.sent[before]
    here.nat.receive_untrusted(echo, where, world.now_s)
    here.carry_out()
    assert len(here.sent) == before + 1
    assert here.nat.counts["punches.stray"] == 1


def test_s08_a_peer_asks_for_so_many_introductions_and_no_more() -> None:
    world, known, one, two = three(8, "keeps", "keeps")
    line = next(iter(one.lines.values()))
    before = known.nat.counts["introductions"]
    for _ in range(100):
        one.say(line, b"F" + Meet(two.address).to_bytes())
    world.run(1.0)
    assert known.nat.counts["introductions"] - before <= MEET_BURST + 1
    assert known.nat.counts["introductions.refused"] >= 90


def test_s08_a_relay_passes_on_no_more_than_its_rate() -> None:
    world, known, one, two = three(9, "random", "random", relay_bytes_s=10_000)
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    line = next(line for line in one.lines.values() if line.peer == two.address)
    before = known.nat.counts["relayed.bytes"]
    for _ in range(100):
        for _ in range(20):
            one.say(line, bytes(1_000))
        world.run(0.1)
    assert known.nat.counts["relayed.bytes"] - before <= 11 * 10_000
    assert known.nat.counts["relayed.dropped"] > 0


def test_s08_what_is_relayed_needs_a_token_and_comes_from_the_relay() -> None:
    world, known, one, two = three(9, "random", "random")
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    stray = parse_endpoint("192.0.2.9:9")
    token = next(iter(one.tunnels.values())).token
    for host in (known, one):
        host.nat.receive_untrusted(b"\x20" + bytes(16) + b"\x40", stray, world.now_s)
        assert host.nat.counts["relayed.stray"] == 1
    one.nat.receive_untrusted(b"\x20" + token + b"\x40", stray, world.now_s)
    assert one.nat.counts["relayed.stray"] == 2
    assert not [one for one in one.nat.take_effects() if isinstance(one, Send)]


def test_s08_what_is_idle_is_forgotten() -> None:
    world, known, one, two = three(9, "random", "random")
    one.meet(two)
    assert world.run(10.0, lambda: is_met(one, two, Way.RELAYED))
    for host in (one, two):
        for line in [line for line in host.lines.values() if line.peer != known.address]:
            host.down(line)
    world.run(200.0)
    assert known.nat.relayed_sessions == 0
    assert one.tunnels == {} and two.tunnels == {}
    assert one.nat._meetings._by_nonce == {} and two.nat._meetings._by_nonce == {}


def test_s08_a_token_that_was_not_waited_for_opens_nothing() -> None:
    here, world = a_meeting("198.51.100.1:4433", "192.0.2.1:53")
    here.nat.hear_untrusted(
        1, Relaying(b"?" * 16, b"t" * 16).to_bytes(), here.endpoint, world.now_s
    )
    here.carry_out()
    assert here.tunnels == {}


def test_s08_a_host_does_not_ask_itself_to_introduce_others() -> None:
    world, known, _, two = three(9, None, "keeps")
    known.nat.meet(two.address, [Route(known.address, known.endpoint)], world.now_s)
    known.carry_out()
    assert known.not_met == [two.address]
