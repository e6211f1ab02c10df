"""What one host holds against another: who speaks, what came before, how much, and until when."""

from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.host import channel, deciding, links
from avm.host.capability import Cap, address_of
from avm.host.channel import OPEN, Again, End, Gone, Mark, Offer, Open, Part, Told
from avm.host.effects import Say
from avm.host.exchange import Peers, Want
from avm.host.header import parse_header_untrusted
from avm.host.operate import Created
from avm.host.state import Mode
from avm.host.verdicts import BACK_HERE, BACK_THERE, TWO_VERSIONS
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.host import SimHost
from avm.sim.net import Net
from caps.codec import dumps_plain
from caps.errors import Malformed
from caps.value import Capability, Failed
from examples import agent
from tests.sim import apple
from tests.sim.code import ModuleCode, entries, gap_free, replayed


class Pair:
    """A pouch at one host, and a client at another that can reach it."""

    def __init__(self, seed: int = 1, limits: Limits | None = None) -> None:
        self.net = Net(seed, 2, limits=limits)
        self.here, self.there = self.net.worlds
        self.made: Created = self.there.create("pouch", ModuleCode(apple), ())
        self.client = self.here.client()

    def cap(self, name: str) -> Capability:
        """The client's capability to the pouch."""
        return held(self.here, self.client, self.there, self.made.names[name])

    def goes_back(self) -> None:
        """The pouch takes 1 and 2, its host goes back to before the second, and 3 is sent."""
        self.client.send(self.cap("take"), (1, 1))
        self.net.settle()
        old = self.there.store.copy()
        self.client.send(self.cap("take"), (2, 1))
        self.net.settle()
        self.there.store = old
        self.net.crash(self.there)
        self.client.send(self.cap("take"), (3, 1))
        self.net.advance(60)

    def tokens(self) -> tuple[int, ...]:
        """What the pouch holds."""
        found: tuple[int, ...] = replayed(self.there, "pouch").tokens
        return found


def held(here: SimHost, client: Client, there: SimHost, cap: Cap) -> Capability:
    return client.hold(here.core.unseal_untrusted(there.core.seal(cap)))


def test_an_ask_to_another_host_is_answered() -> None:
    pair = Pair()
    ask = pair.client.ask(pair.cap("take"), (7, 1))
    pair.net.settle()
    assert pair.client.outcomes == {ask: ["thanks"]} and pair.tokens() == (7,)


def test_w28_an_ask_that_was_never_offered_is_undelivered_at_its_deadline() -> None:
    pair = Pair()
    pair.net.stop(pair.there)
    ask = pair.client.ask(pair.cap("take"), (7, 1), timeout_s=5)
    pair.net.advance(4.9)
    assert not pair.client.outcomes
    pair.net.advance(0.2)
    assert pair.client.outcomes == {ask: [Failed("undelivered", "the deadline passed")]}
    pair.net.start(pair.there)
    pair.net.advance(60)
    assert pair.tokens() == () and not pair.here.core.host.outbox


def test_w28_unknown_when_the_other_host_is_gone_with_what_was_offered() -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    ask = pair.client.ask(pair.cap("take"), (7, 1), timeout_s=5)
    pair.net.settle()
    pair.net.stop(pair.there)
    pair.net.advance(5.1)
    (said,) = pair.client.outcomes[ask]
    assert isinstance(said, Failed) and said.why == "unknown"
    pair.net.start(pair.there)
    pair.there.resume("pouch")
    pair.net.advance(60)
    assert pair.client.outcomes[ask] == [said], "each ask has one outcome"
    assert pair.tokens() == (1,), "its deadline had passed there too"
    assert not pair.here.core.host.outbox
    gap_free(pair.there, "pouch")


def test_w28_a_withdrawn_batch_is_undelivered_when_the_other_host_confirms_it() -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    ask = pair.client.ask(pair.cap("take"), (7, 1), timeout_s=5)
    pair.net.advance(4)
    pair.there.resume("pouch")
    pair.net.advance(3)
    assert pair.client.outcomes[ask] == ["thanks"], "in time"


def test_s05_a_stalled_machine_stops_its_senders_only() -> None:
    pair = Pair(limits=replace(Limits(), channel_batches=4))
    other = pair.there.create("other", ModuleCode(apple), ())
    pair.client.send(pair.cap("take"), (0, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    for n in range(1, 40):
        pair.client.send(pair.cap("take"), (n, 1))
    ask = pair.client.ask(held(pair.here, pair.client, pair.there, other.names["take"]), (7, 1))
    pair.net.settle()
    assert len(pair.there.machine("pouch").queue or ()) == 4, "no more than its room"
    assert pair.client.outcomes == {ask: ["thanks"]}
    pair.there.resume("pouch")
    pair.net.advance(30)
    assert pair.tokens() == tuple(range(40))


def test_s05_a_client_whose_batches_find_no_room_elsewhere_is_told_busy() -> None:
    pair = Pair(limits=replace(Limits(), outbox_bytes=100_000))
    pair.client.send(pair.cap("take"), (0, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    for n in range(1, 40):
        pair.client.send(pair.cap("take"), (n, 1), "x" * 9_000)
    pair.net.settle()
    (owner,) = [one for one in pair.here.core.host.clients.values()]
    for again in range(2):
        kept = sum(len(batch.body) for batch in pair.here.core.host.outbox.values())
        assert kept <= 110_000, "no more than its room"
        assert owner.outbox_bytes == sum(b.size for b in pair.here.core.host.outbox.values())
        if not again:
            pair.net.crash(pair.here)
            pair.net.settle()
            (owner,) = [one for one in pair.here.core.host.clients.values()]
    pair.there.resume("pouch")
    pair.net.advance(60)
    assert owner.outbox_bytes == 0 and not pair.here.core.host.outbox


def test_s06_large_batches_go_in_instalments_beside_small_ones() -> None:
    pair = Pair()
    other = pair.there.create("other", ModuleCode(apple), ())
    small = held(pair.here, pair.client, pair.there, other.names["take"])
    pair.client.send(pair.cap("drop"), None)
    pair.client.send(small, (0, 1))
    pair.net.settle()
    pair.client.send(pair.cap("drop"), *["x" * 200_000] * 5)
    ask = pair.client.ask(small, (1, 1))
    came: list[str] = []
    frame = pair.there.core.frame

    def watch(number: int, body: bytes) -> None:
        came.append(type(channel.unpack_frame_untrusted(body)).__name__)
        frame(number, body)

    pair.there.core.frame = watch  # type: ignore[method-assign]
    pair.net.settle()
    assert pair.client.outcomes == {ask: ["thanks"]}
    assert came.count("Part") > 50
    assert "Offer" in came[1:-10], "the small one did not wait for the end of the large one"


def test_w13_a_host_that_does_not_prove_a_machine_gets_nothing() -> None:
    """The network is wrong about where the pouch lives: a third host is asked, and has no proof."""
    net = Net(3, 3)
    here, there, liar = net.worlds
    made = there.create("pouch", ModuleCode(apple), ())
    client = here.client()
    take = held(here, client, there, made.names["take"])
    here.core.found(made.machine.address, liar.core.host.address)
    ask = client.ask(take, (7, 1))
    net.advance(30)
    assert client.outcomes == {ask: ["thanks"]}
    assert not liar.core.host.channels and liar.core.host.counts["not_here"] == 1


def open_as(pair: Pair, sender: bytes, proof: tuple[bytes, bytes]) -> None:
    receiver = pair.made.machine.address
    (link,) = pair.there.core.host.links
    frame = Open(sender, receiver, *proof, 0)
    pair.there.core.frame(link, channel.pack_frame(frame))
    pair.there.carry_out()
    pair.net.settle()


def test_a_host_that_speaks_for_anothers_machine_is_told_no_more_than_that_nobody_lives_here() -> (
    None
):
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    stranger = SimHost(99)
    theirs = stranger.create("thief", ModuleCode(apple), ()).machine
    made = stranger.core.host.keys.speak_for(theirs.address, theirs.identity, 1, pair.here.now_ms)
    assert made is not None
    before = pair.there.core.host.counts["unproven"]
    open_as(pair, theirs.address, (made[0].to_bytes(), made[1].to_bytes()))
    assert pair.there.core.host.counts["unproven"] == before + 1
    assert (theirs.address, pair.made.machine.address) not in pair.there.core.host.arriving


def test_a_host_that_speaks_under_an_older_incarnation_is_not_heard() -> None:
    pair = Pair()
    sender = pair.here.create("sender", ModuleCode(apple), (1,)).machine
    receiver = pair.made.machine.address
    channel_there = pair.there.core.host.channel(sender.address, receiver)
    channel_there.epoch = sender.incarnation + 1
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    made = pair.here.core.host.keys.speak_for(
        sender.address, sender.identity, sender.incarnation, pair.here.now_ms
    )
    assert made is not None
    open_as(pair, sender.address, (made[0].to_bytes(), made[1].to_bytes()))
    assert pair.there.core.host.counts["outdated"] == 1
    assert (sender.address, receiver) not in pair.there.core.host.arriving


def test_nothing_is_offered_to_another_host_before_it_is_committed() -> None:
    pair = Pair()
    effect, offers = pair.net._effect, 0

    def watch(world: SimHost, one: object) -> None:
        nonlocal offers
        frame = channel.unpack_frame_untrusted(one.frame) if isinstance(one, Say) else None
        if isinstance(frame, Offer) and world is pair.here:
            offers += 1
            header = parse_header_untrusted(frame.header)
            key = ("outbox", header.sender, header.receiver, header.seq)
            assert pair.here.store.get(key) is not None, "offered, and not in the store"
        effect(world, one)

    pair.here.network = watch
    for n in range(20):
        pair.client.send(pair.cap("take"), (n, 1))
        for _ in range(pair.net.entropy.below(6)):
            pair.net.step()
    pair.net.settle()
    assert offers == 20


def test_c08_two_versions_of_one_number_are_frozen_and_the_second_is_not_taken() -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    frame = pair.there.core.frame

    def other_version(number: int, body: bytes) -> None:
        said = channel.unpack_frame_untrusted(body)
        if isinstance(said, Offer):
            header = replace(parse_header_untrusted(said.header), before=b"o" * 32)
            body = channel.pack_frame(said._replace(header=header.to_bytes()))
        frame(number, body)

    pair.there.core.frame = other_version  # type: ignore[method-assign]
    pair.client.send(pair.cap("take"), (2, 1))
    pair.net.settle()
    assert [one.why for one in pair.net.frozen] == [TWO_VERSIONS]
    assert pair.tokens() == (1,)
    (known,) = [one for one in pair.there.core.host.channels.values() if one.frozen]
    assert known.evidence, "the second version is kept for the operator"


@pytest.mark.parametrize("ahead", [1, 2, 9])
def test_verdicts_count_in_the_order_of_the_channel_and_of_what_was_offered(ahead: int) -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    for n in range(2, 5):
        pair.client.send(pair.cap("take"), (n, 1))
    pair.net.settle()
    here = pair.here.core.host
    place = (pair.client.address, pair.made.machine.address)
    (link,) = here.links
    seq = here.channels[place].taken + 1 + ahead
    pair.here.core.frame(link, channel.pack_frame(Told(*place, seq, ["applied"], seq + 1)))
    pair.net.settle()
    assert here.counts["stray"] == 1 and len(here.outbox) == 3
    pair.there.resume("pouch")
    pair.net.advance(5)
    assert pair.tokens() == (1, 2, 3, 4) and not here.outbox


def test_a_verdict_of_what_was_never_offered_is_not_believed() -> None:
    pair = Pair(limits=replace(Limits(), channel_batches=1))
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    pair.client.send(pair.cap("take"), (2, 1))
    pair.client.send(pair.cap("take"), (3, 1))
    pair.net.settle()
    here = pair.here.core.host
    place = (pair.client.address, pair.made.machine.address)
    (link,) = here.links
    for seq in (2, 3):
        pair.here.core.frame(link, channel.pack_frame(Told(*place, seq, ["applied"], 2)))
    pair.net.settle()
    assert here.counts["stray"] == 1 and here.channels[place].taken == 2


def test_first_contact_without_a_valid_capability_leaves_nothing_and_begins_anew() -> None:
    pair = Pair()
    good = pair.there.core.seal(pair.made.names["take"])
    bad = bytearray(good)
    bad[-1] ^= 1
    forged = pair.client.hold(pair.here.core.unseal_untrusted(bytes(bad)))
    for _ in range(3):
        pair.client.send(forged, (66, 1))
    pair.net.settle()
    receiver = pair.made.machine.address
    assert [verdict[0] for _seq, verdict in pair.client.verdicts] == ["rejected"] * 3
    assert (pair.client.address, receiver) not in pair.there.core.host.channels
    assert not list(pair.there.store.rows("channel"))
    pair.net.crash(pair.there)
    ask = pair.client.ask(pair.cap("take"), (7, 1))
    pair.net.advance(5)
    assert pair.client.outcomes == {ask: ["thanks"]} and pair.tokens() == (7,)
    assert len(entries(pair.there, "pouch")) == 2, "init and the one that was valid"


def test_c08_a_receiver_that_went_back_in_time_is_noticed_and_frozen() -> None:
    pair = Pair()
    pair.goes_back()
    assert [frozen.why for frozen in pair.net.frozen] == [BACK_THERE]
    assert pair.tokens() == (1,), "nothing more is offered until an operator decides"
    pair.net.crash(pair.here)
    pair.net.advance(60)
    assert pair.tokens() == (1,), "after a restart either"


def test_c08_a_frozen_channel_goes_on_when_both_operators_decide_so() -> None:
    pair = Pair()
    pair.goes_back()
    ends = (pair.client.address, pair.made.machine.address)
    pair.here.ask(lambda request: pair.here.core.do(deciding.restart_channel, request, *ends))
    pair.net.advance(60)
    assert len(pair.net.frozen) == 2, "one operator alone cannot"
    pair.there.ask(lambda request: pair.there.core.do(deciding.restart_channel, request, *ends))
    pair.here.ask(lambda request: pair.here.core.do(deciding.restart_channel, request, *ends))
    pair.net.advance(60)
    assert pair.tokens() == (1, 3), "what was lost stays lost, and the rest goes on"
    assert not pair.here.core.host.outbox


def test_c08_a_sender_that_went_back_in_time_is_noticed_and_frozen() -> None:
    pair = Pair()
    sender = pair.here.create("sender", ModuleCode(apple), (1, 2, 3))
    take = pair.cap("take")
    pair.client.send(pair.client.hold(sender.names["meet"]), (take,))
    go = pair.client.hold(sender.names["go"])
    pair.client.send(go, ("0", 1, 0, 1))
    pair.net.advance(1)
    old = pair.here.store.copy()
    pair.client.send(go, ("0", 2, 0, 1))
    pair.net.advance(1)
    assert pair.tokens() == (1, 2)
    pair.here.store = old
    pair.here.clients.clear()
    pair.net.crash(pair.here)
    client = pair.here.client()
    client.send(client.hold(sender.names["go"]), ("0", 2, 1, 1))
    pair.net.advance(60)
    (frozen,) = pair.net.frozen
    assert frozen.why in (BACK_HERE, TWO_VERSIONS)
    assert pair.tokens() == (1, 2), "the second version of a number is not taken"


def test_w12_a_batch_of_another_host_that_is_not_taken_has_an_entry() -> None:
    pair = Pair()
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch", Mode.FAIL)
    ask = pair.client.ask(pair.cap("take"), (2, 1))
    pair.net.settle()
    (said,) = pair.client.outcomes[ask]
    assert isinstance(said, Failed) and said.why == "undelivered"
    last = entries(pair.there, "pouch")[-1]
    assert (last.name, last["sender"]) == ("void", pair.client.address)
    assert last["why"] == "the machine is suspended"
    pair.net.crash(pair.there)
    pair.there.resume("pouch")
    pair.client.send(pair.cap("take"), (3, 1))
    pair.net.advance(5)
    assert pair.tokens() == (1, 3)
    gap_free(pair.there, "pouch")


ADDRESS = st.binary(min_size=32, max_size=32)
SEQ = st.integers(0, 2**48)
PORT = st.integers(1, 65535)
FRAMES = st.one_of(
    st.builds(
        Open,
        ADDRESS,
        ADDRESS,
        st.binary(min_size=1, max_size=90),
        st.binary(min_size=1, max_size=90),
        SEQ,
    ),
    st.builds(Told, ADDRESS, ADDRESS, SEQ, st.just(["applied"]), SEQ),
    st.builds(
        Offer,
        ADDRESS,
        ADDRESS,
        st.binary(min_size=1, max_size=90),
        st.integers(0, 99),
        st.binary(max_size=99),
        SEQ,
        st.lists(st.tuples(ADDRESS, ADDRESS), max_size=3),
    ),
    st.builds(Part, ADDRESS, ADDRESS, SEQ, SEQ, st.binary(min_size=1, max_size=90)),
    st.builds(Again, ADDRESS, ADDRESS, SEQ, st.sampled_from(channel.WHYS)),
    st.builds(Gone, ADDRESS, ADDRESS),
    st.builds(End, ADDRESS, ADDRESS),
    st.builds(Want, SEQ),
    st.builds(
        Peers, SEQ, st.lists(st.tuples(ADDRESS, st.binary(min_size=4, max_size=4), PORT, SEQ))
    ),
)


@given(st.binary(max_size=200) | FRAMES.map(channel.pack_frame))
def test_p08_any_bytes_of_another_host_are_a_frame_or_malformed(body: bytes) -> None:
    try:
        frame = channel.unpack_frame_untrusted(body)
    except Malformed:
        return
    assert channel.pack_frame(frame) == body
    assert dumps_plain([channel.KINDS[type(frame)], *frame]) == body


FOULED = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 10**6), st.integers(0, 255)), max_size=6
)


@given(FOULED)
def test_p08_flipped_bytes_in_frames_disturb_nobody_else(fouls: list[tuple[int, int, int]]) -> None:
    """Frames of a host are fouled on their way: the link is closed or they are counted, no more."""
    pair = Pair()
    other = pair.there.client()
    local = other.hold(pair.made.names["take"])
    foul = {number: (place, byte) for number, place, byte in fouls}
    count = 0
    frame = pair.there.core.frame

    def through(number: int, body: bytes) -> None:
        nonlocal count
        if count in foul:
            place, byte = foul[count]
            place %= len(body)
            body = body[:place] + bytes((byte,)) + body[place + 1 :]
        count += 1
        frame(number, body)

    pair.there.core.frame = through  # type: ignore[method-assign]
    for n in range(5):
        pair.client.send(pair.cap("take"), (n, 1))
        other.send(local, (100 + n, 1))
    pair.net.advance(30)
    tokens = pair.tokens()
    assert {100, 101, 102, 103, 104} <= set(tokens), "who sends from here is not disturbed"
    assert len(tokens) == len(set(tokens)), "nothing is doubled"
    gap_free(pair.there, "pouch")


@pytest.mark.parametrize("mode", [Mode.HOLD, Mode.FAIL])
def test_w12_a_suspended_machine_holds_or_fails_what_other_hosts_send(mode: Mode) -> None:
    pair = Pair()
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch", mode)
    ask = pair.client.ask(pair.cap("take"), (2, 1))
    pair.net.settle()
    pair.net.crash(pair.there)
    pair.net.advance(5)
    if mode is Mode.FAIL:
        assert pair.client.verdicts[-1][1][0] == "undelivered"
        return
    assert not pair.client.outcomes
    pair.there.resume("pouch")
    pair.net.advance(5)
    assert pair.client.outcomes == {ask: ["thanks"]} and pair.tokens() == (1, 2)


def test_a_client_that_has_ended_leaves_nothing_at_the_other_host() -> None:
    pair = Pair()
    ask = pair.client.ask(pair.cap("take"), (7, 1))
    pair.net.settle()
    assert pair.client.outcomes == {ask: ["thanks"]}
    assert len(list(pair.there.store.rows("channel"))) == 2
    pair.client.leave(ended=True)
    pair.net.settle()
    for world in (pair.here, pair.there):
        host = world.core.host
        assert not list(world.store.rows("channel")) and not host.channels
        assert not host.outgoing and not host.arriving and not host.proofs.keys() - host.machines


def test_marks_are_frames_like_others() -> None:
    mark = Mark(b"s" * 32, b"r" * 32, b"i", b"c", 3, b"d" * 32, 9, [(2, ["refused", 0, "no"])])
    assert channel.unpack_frame_untrusted(channel.pack_frame(mark)) == mark


def test_what_is_sent_to_a_client_reaches_it_from_here_and_from_another_host() -> None:
    pair = Pair()
    listener = pair.there.client()
    ear = listener.held_as(listener.ear("box"))
    near = pair.there.client()
    near.send(near.hold(ear), "near")
    pair.client.send(held(pair.here, pair.client, pair.there, ear), "far")
    pair.net.settle()
    assert sorted(str(content) for _cap, content in listener.inbox) == ["far", "near"]
    assert near.verdicts == [(1, ["applied"])] and pair.client.verdicts == [(1, ["applied"])]
    assert not pair.there.core.host.outbox, "it has taken them"


def test_a_forged_capability_to_a_client_is_rejected() -> None:
    pair = Pair()
    listener = pair.there.client()
    wire = bytearray(pair.there.core.seal(listener.held_as(listener.ear("box"))))
    wire[-1] ^= 1
    pair.client.send(pair.client.hold(pair.here.core.unseal_untrusted(bytes(wire))), "x")
    pair.net.settle()
    assert not listener.inbox and pair.client.verdicts[0][1][0] == "rejected"


def test_an_answer_finds_its_way_to_a_client_that_only_the_host_between_knows() -> None:
    """A client of the first host asks a machine there, which passes the ask on to a third host."""
    net = Net(5, 3)
    first, _, third = net.worlds
    passing = first.create("passing", ModuleCode(agent))
    pouch = third.create("pouch", ModuleCode(apple), ())
    client = first.client()
    take = held(first, client, third, pouch.names["take"])
    known = {"name": "pouch", "cap": take}
    client.send(client.hold(passing.names["learn"]), known)
    ask = client.ask(client.hold(passing.names["use"]), {"name": "pouch", "content": (7, 1)})
    sought: list[bytes] = []
    third.core.not_found = sought.append  # type: ignore[method-assign, assignment]
    net.settle()
    assert client.outcomes == {ask: ["thanks"]} and not sought


NEAR = st.integers(0, 6)
LIES = st.one_of(
    st.tuples(
        st.just(Told),
        NEAR,
        st.sampled_from((["applied"], ["undelivered"], ["rejected", 0, "stranger"])),
        NEAR,
    ),
    st.tuples(st.just(Again), NEAR.map(lambda n: n + 1), st.sampled_from(channel.WHYS)),
    st.tuples(st.just(Part), NEAR.map(lambda n: n + 1), NEAR.map(lambda n: n + 1), st.just(b"x")),
    st.tuples(st.just(Gone)),
    st.tuples(st.just(End)),
    st.tuples(st.just(Open), NEAR),
    st.tuples(st.just(Mark), NEAR, NEAR),
)


def lie(pair: Pair, told: tuple[Any, ...], back: bool) -> channel.Frame:
    """A frame that a host could say of the real channel, or of the one back, with other numbers."""
    kind, *rest = told
    ends = (pair.client.address, pair.made.machine.address)
    sender, receiver = ends[::-1] if back else ends
    speaker = sender if kind is Open else receiver
    if kind in (Open, Mark):
        host = (pair.here if speaker == pair.client.address else pair.there).core.host
        proof = links.prove(host, speaker)
        assert proof is not None
        shown = (proof.identity, proof.certificate)
        more = (rest[0],) if kind is Open else (rest[0], bytes(32), rest[1], [])
        rest = [*shown, *more]
    frame: channel.Frame = kind(sender, receiver, *rest)
    return frame


@given(st.lists(st.tuples(st.booleans(), st.booleans(), LIES), max_size=8))
def test_p08_a_host_that_lies_harms_its_own_channels_only(
    told: list[tuple[bool, bool, tuple[Any, ...]]],
) -> None:
    pair = Pair()
    other = pair.there.client()
    local = other.hold(pair.made.names["take"])
    pair.client.ask(pair.cap("take"), (0, 1))
    pair.net.settle()
    for n, (to_here, back, one) in enumerate(told):
        world = pair.here if to_here else pair.there
        for number in list(world.core.host.links):
            world.core.frame(number, channel.pack_frame(lie(pair, one, back)))
            world.core.pump()
        pair.client.send(pair.cap("take"), (n + 1, 1))
        other.send(local, (100 + n, 1))
        pair.net.advance(1)
    pair.net.advance(30)
    tokens = pair.tokens()
    assert {100 + n for n in range(len(told))} <= set(tokens), (
        "who sends from here is not disturbed"
    )
    assert len(tokens) == len(set(tokens)), "nothing is doubled"
    gap_free(pair.there, "pouch")


def test_w05_a_verdict_said_on_a_link_that_goes_is_asked_for_on_the_one_that_is_left() -> None:
    pair = Pair()
    pair.there.suspend("pouch")
    ask = pair.client.ask(pair.cap("take"), (1, 1))
    receiver = address_of(pair.made.names["take"])
    while (pair.client.address, receiver) not in pair.here.core.host.outgoing or not pair.net._ends:
        assert pair.net.step()
    (first,) = [end for end in pair.net._ends.values() if end.world is pair.there]
    while not any(cbor2.loads(one)[0] == OPEN for lane in first.lanes.values() for one in lane):
        assert pair.net.step()
    late = [one for lane in first.lanes.values() for one in lane]
    first.lanes.clear()
    pair.net._link(pair.here, pair.there)
    pair.net.settle()
    for frame in late:  # the two are taken in another order there
        pair.there.core.frame(first.number, frame)
    first.world.carry_out()
    for end in pair.net._ends.values():
        if first in (end, end.other):
            end.lanes.clear()
    pair.there.resume("pouch")
    pair.net._break((pair.there, first.number))
    pair.net.settle()
    assert pair.client.outcomes == {ask: ["thanks"]}
    assert not pair.here.core.host.outbox, "without time passing"
