"""Causes: the line of turns that led to one is the way that its message says it went."""

import json
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.cli.cause import trail_json
from avm.host import journal
from avm.host.chain import input_of, output_of, shape_fault
from avm.limits import Limits
from avm.past.causes import CLIENT, DEPTH, ELSEWHERE, GONE, HOST, OPERATOR, PRUNED, Causes, Trail
from avm.past.reading import Reader
from avm.past.senders import Way
from avm.past.trails import TrailRefused, joined, trail_untrusted
from avm.sim.host import SimHost
from avm.sim.net import Net
from caps.codec import decode_content_untrusted, encode_state
from caps.map import Map
from tests.avm.journals import make, tell
from tests.avm.relays import RELAY, reader_of, relays
from tests.sim.code import entries

NAMES = ("ann", "bob", "cid")
PASS = encode_state("pass")[0]


def path_of(world: SimHost, name: str, turn: int) -> list[str]:
    """The way that the message of a turn says it came; nothing where it was not passed on."""
    entry = entries(world, name)[turn]
    given = input_of(entry) if entry.form == journal.TURN else None
    if given is None or given.messages[0][0] != PASS:
        return []
    content = decode_content_untrusted(given.messages[0][1], [])
    assert isinstance(content, Map) and isinstance(content["path"], tuple)
    return [str(hop) for hop in content["path"]]


def names(trail: Trail) -> list[str]:
    return [step.machine.name for step in trail.steps]


HOPS = st.lists(st.integers(0, 2), max_size=5)
SAID = st.lists(
    st.tuples(st.sampled_from(NAMES), HOPS, st.sampled_from([None, 0, 1, 3])), max_size=8
)


@given(said=SAID, seed=st.integers(0, 1000), shuffled=st.booleans())
@settings(max_examples=10)
def test_x05_the_cause_of_every_turn_is_the_way_its_message_went(
    said: list[tuple[str, list[int], int | None]], seed: int, shuffled: bool
) -> None:
    world = SimHost(seed, limits=Limits(snapshot_turns=5))
    client, made = relays(world, *NAMES)
    world.eager = not shuffled
    for number, (name, hops, after) in enumerate(said):
        content: dict[str, Any] = {"hops": hops or [0], "path": (f"client {number}",)}
        if after is None:
            client.send(client.hold(made[name]["pass"]), content)
        else:
            # Two timers to one capability renew each other: each is at its end before the next.
            client.send(client.hold(made[name]["later"]), {**content, "after": after})
            world.advance(4)
    world.advance(10)
    causes = Causes(Reader(world.store), world.core.host.address)
    for name in NAMES:
        for machine in (one for one in causes.reader.machines() if one.name == name):
            for turn in range(machine.head):
                path = path_of(world, name, turn)
                if path:
                    trail = causes.of_turn(machine, turn)
                    assert trail.end.why == CLIENT
                    assert names(trail) == [name, *reversed(path[1:])]


def world_of_lines() -> tuple[SimHost, Causes]:
    world = SimHost(3)
    client, made = relays(world, *NAMES)
    start = client.hold(made["ann"]["pass"])
    tell(client, world, start, {"hops": [1, 2, 0], "path": ("client",)})
    later = client.hold(made["cid"]["later"])
    tell(client, world, later, {"hops": [0], "path": ("client",), "after": 2})
    world.advance(5)
    return world, Causes(Reader(world.store), world.core.host.address)


def test_x05_a_timer_is_told_with_the_turn_that_set_it() -> None:
    _world, causes = world_of_lines()
    machine = causes.reader.machine("ann")
    trail = causes.of_turn(machine, machine.head - 1)
    assert names(trail) == ["ann", "cid"]
    assert [step.timer for step in trail.steps] == [False, True]


def test_x05_a_line_ends_where_it_is_told_to_and_where_nothing_is_known() -> None:
    world, causes = world_of_lines()
    ann = causes.reader.machine("ann")
    (turn,) = (n for n in range(ann.head) if len(path_of(world, "ann", n)) == 4)
    assert names(causes.of_turn(ann, turn)) == ["ann", "cid", "bob", "ann"]
    short = causes.of_turn(ann, turn, 2)
    assert (names(short), short.end.why) == (["ann", "cid"], DEPTH)
    cid = world.machine("cid")
    world.ask(lambda request: world.core.change(request, cid, "suspend"))
    world.ask(lambda request: world.core.change(request, cid, "resume"))
    suspended = causes.of_turn(causes.reader.machine("cid"), cid.head - 1)
    assert (len(suspended.steps), suspended.end.why) == (1, OPERATOR)
    created = causes.of_turn(ann, 0)
    assert created.end.why == HOST  # which creates machines in a simulation


def test_x05_what_a_pruned_journal_does_not_say_is_told() -> None:
    world = SimHost(4, limits=Limits(snapshot_turns=4))
    client, made = relays(world, *NAMES)
    start = client.hold(made["ann"]["pass"])
    for _ in range(4):
        tell(client, world, start, {"hops": [1, 2], "path": ("client",)})
    bob = world.machine("bob")
    reader = Reader(world.store)
    first = next(turn for turn in range(bob.head) if path_of(world, "bob", turn))
    causes = Causes(reader, world.core.host.address)
    assert causes.of_turn(reader.machine("bob"), first).end.why == CLIENT
    ann = world.machine("ann")
    world.ask(lambda request: world.core.prune(request, ann, ann.head))
    assert causes.of_turn(reader.machine("bob"), first).end.why == PRUNED


def test_x05_the_hosts_own_word_and_a_client_that_left_are_told() -> None:
    world = SimHost(5)
    client, made = relays(world, "ann")
    read = client.hold(made["ann"]["read"])
    client.ask(read)
    world.settle()
    client.leave(ended=True)
    world.settle()
    causes = Causes(Reader(world.store), world.core.host.address)
    ann = causes.reader.machine("ann")
    assert causes.of_turn(ann, ann.head - 1).end.why == GONE
    host = causes.of_batch(Way(world.core.host.address, ann.address, 1))
    assert (host.steps, host.end.why) == ((), HOST)


def test_x05_an_entry_says_what_it_sent_to_others_than_clients_and_only_that() -> None:
    world, _causes = world_of_lines()
    for name in NAMES:
        machine = world.machine(name)
        for entry in entries(world, name):
            to_clients_only = all(
                type(send[0]) is int and send[0] < 0 for said in output_of(entry) for send in said
            )
            assert ("sent" in entry.fields) == (
                not to_clients_only
                and not any(
                    len(s) == 7 and s[5] is not None for said in output_of(entry) for s in said
                )
            )
            for receiver, first, count in entry.fields.get("sent", ()):
                channel = world.core.host.channels[(machine.address, receiver)]
                assert 0 < first and first + count - 1 <= channel.sent


@pytest.mark.parametrize(
    "sent", [[], [[b"short", 1, 1]], [[bytes(32), 0, 1]], [[bytes(32), 1]], [7]]
)
def test_x05_what_a_turn_sent_is_held_to_its_shape(sent: list[Any]) -> None:
    given = cbor2.dumps([1, "c", 0, False, []])
    fields = (bytes(32), 1, False, given, cbor2.dumps([0, False, []]), sent)
    entry = journal.decode(3, journal.encode(journal.TURN, b"", *fields))
    assert shape_fault(entry) == "what it sent is not told as it should be"


def test_x05_lines_of_two_hosts_join_to_one() -> None:
    net = Net(6, 2)
    here, there = net.worlds
    ann, bob = make(here, "ann", RELAY), make(there, "bob", RELAY)
    for world, own, other, name in ((here, ann, there, "bob"), (there, bob, here, "ann")):
        client = world.client()
        to = (bob if name == "bob" else ann).names["pass"]
        held = client.hold(world.core.unseal_untrusted(other.core.seal(to)))
        client.send(client.hold(own.names["join"]), {"name": own.machine.name, "to": held})
        net.settle()
    client = here.client()
    client.send(client.hold(ann.names["pass"]), {"hops": [0, 0], "path": ("client",)})
    net.settle()
    causes = {world: Causes(reader_of(world), world.core.host.address) for world in net.worlds}
    line = causes[here].of_turn(causes[here].reader.machine("ann"), here.machine("ann").head - 1)
    assert (names(line), line.end.why) == (["ann"], ELSEWHERE)
    assert line.end.way is not None
    over_there = causes[there].of_batch(line.end.way)
    assert (names(over_there), over_there.end.why) == (["bob"], ELSEWHERE)
    assert over_there.end.way is not None
    back = causes[here].of_batch(over_there.end.way)
    assert (names(back), back.end.why) == (["ann"], CLIENT)
    shown = [
        trail_json(causes[world].reader, causes[world].reader.labels(), one)
        for world, one in ((there, over_there), (here, back), (here, line))
    ]
    read = [trail_untrusted(json.dumps(one).encode()) for one in shown]
    whole = joined(read)
    assert [step["machine"] for step in whole["steps"]] == ["ann", "bob", "ann"]
    assert whole["end"] == shown[1]["end"] and whole["begins"] is None
    with pytest.raises(TrailRefused, match="1 of the 4 lines follow no other's end"):
        joined([*read, read[0]])


@given(
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["why", "client", "a"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["begins", "steps", "end", "why", "channel", "sender", "seq", "entry"]
                ),
                inner,
                max_size=4,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_x05_a_file_that_is_no_line_of_causes_is_refused(body: bytes) -> None:
    with suppress(TrailRefused):
        joined([trail_untrusted(body)])


APART = """
from avm import Me, Send

def init(message, me):
    return message.answer({"go": me("go")}), (me, ())

def step(message, state):
    me, others = state
    match message.content:
        case {"join": to}:
            return [], (me, (*others, to))
        case {"say": count, "apart": apart}:
            return [Send(to, n, apart=apart) for n in range(count) for to in others], state
        case {"later": after, "what": what}:
            # A capability of its own each time: timers to one capability renew each other.
            return [Send(me(after), what, after_s=after)], state
        case _:
            return [], state
"""


def test_x05_every_number_of_a_channel_stands_in_the_entry_that_sent_it() -> None:
    world = SimHost(8)
    made = {name: make(world, name, APART) for name in ("one", "two", "three")}
    client = world.client()
    go = client.hold(made["one"].names["go"])
    for other in ("two", "three"):
        tell(client, world, go, {"join": client.hold(made[other].names["go"])})
    for count, apart in ((3, False), (2, True), (1, True), (4, False)):
        tell(client, world, go, {"say": count, "apart": apart})
    told: dict[bytes, list[int]] = {}
    for entry in entries(world, "one"):
        for receiver, first, count in entry.fields.get("sent", ()):
            told.setdefault(receiver, []).extend(range(first, first + count))
    for other in ("two", "three"):
        address = world.machine(other).address
        sent = world.core.host.channels[(world.machine("one").address, address)].sent
        assert told[address] == list(range(1, sent + 1)) == [1, 2, 3, 4, 5]


def test_x05_of_two_timers_the_one_that_was_due_is_told() -> None:
    world = SimHost(9)
    made = make(world, "one", APART)
    client = world.client()
    go = client.hold(made.names["go"])
    turns = []
    for after in (2, 9):
        tell(client, world, go, {"later": after, "what": "same"})
        turns.append(world.machine("one").head - 1)
    world.advance(3)
    causes = Causes(Reader(world.store), world.core.host.address)
    machine = causes.reader.machine("one")
    trail = causes.of_turn(machine, machine.head - 1)
    assert [(step.turn, step.timer) for step in trail.steps][1] == (turns[0], True)
