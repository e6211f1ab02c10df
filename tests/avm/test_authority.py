"""The authority graph of a store: what its machines hold, whence, and what has left them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from avm.authority.holding import OPERATOR, Holding, How, What
from avm.authority.reach import path, who_can
from avm.cli.caps_ls import of_machine
from avm.host.capability import Local, Reply
from avm.host.chain import Link, Slots
from avm.host.refer import slots_in
from avm.limits import Limits
from avm.past.authority import Authority
from avm.past.moments import entry_at
from avm.past.reading import Reader
from avm.past.states import state_at
from avm.sim.host import SimHost
from avm.sim.net import Net
from tests.avm.holders import NAMES, Act, Holders
from tests.avm.journals import in_process, make
from tests.avm.relays import RELAY, reader_of

PLACES = st.integers(0, len(NAMES) - 1)
ACTS = st.lists(
    st.tuples(st.sampled_from(["introduce", "introduce", "give", "drop"]), PLACES, PLACES, PLACES),
    max_size=14,
)


def slots_of(found: Authority, address: bytes) -> list[Holding]:
    return [
        one
        for one in found.graph.held.get(address, ())
        if one.how is How.SLOT and type(one.cap) is not Reply
    ]


def reachable(found: Authority, name: str) -> dict[str, list[str]]:
    address = found.reader.machine(name).address
    return {
        party.label: [found.label(one.target) for one in chain]
        for party, chain in who_can(found.graph, address)
    }


@given(acts=ACTS, turns=st.sampled_from([1, 2, 5, 100]))
@settings(max_examples=15)
def test_w26_the_graph_is_who_was_given_what_and_kept_it(acts: list[Act], turns: int) -> None:
    holders = Holders(limits=Limits(snapshot_turns=turns))
    holders.do(acts)
    found, worker = holders.authority(), in_process()
    for name in NAMES:
        machine = found.reader.machine(name)
        kept = {f"{to}.{use}" for to, use in holders.held[name].values() if to != name}
        every = found.graph.held.get(machine.address, ())
        held = {one.place: one for one in every if one.how is How.SLOT}
        past, looked = found.past(machine.address), found.looked_at(machine)
        assert past.arrivals.keys() == held.keys() | past.dropped.keys()
        assert not held.keys() & past.dropped.keys()
        _body, references = state_at(found.reader, machine, worker)
        referred = slots_in(references)
        assert {found.called(held[slot].cap) for slot in referred} == kept
        for slot in held.keys() - referred:
            # It was let go since the last look, which is when it would have been collected.
            assert looked is None or slot in looked[1] or past.arrivals[slot].turn > looked[0]


def test_x02_a_slot_that_the_state_let_go_is_collected_and_told_as_dropped() -> None:
    holders = Holders()
    holders.introduce("ann", "bob")
    holders.introduce("ann", "cid")
    holders.drop("ann", "bob")
    holders.introduce("ann", "dan")
    found = holders.authority()
    machine = found.reader.machine("ann")
    told = of_machine(found, machine, None)
    assert [(one["to"], one["retained"]) for one in told["holds"]] == [
        ("cid.keep", True),
        ("dan.keep", None),
    ]
    dropped = [one for one in told["dropped"] if one["given"]["turn"]]
    assert [one["slot"] for one in dropped] == [1]
    assert not slots_in([0, 1]) & (holders.world.machine("ann").slots or {}).keys()
    checked = of_machine(found, machine, {told["holds"][1]["place"]})
    assert [one["retained"] for one in checked["holds"]] == [False, True]


def test_x02_no_collected_slot_is_used_when_the_capability_comes_again() -> None:
    holders = Holders()
    for _ in range(3):
        holders.introduce("ann", "bob")
        holders.drop("ann", "bob")
    holders.introduce("ann", "bob")
    found = holders.authority()
    machine, slots = found.reader.machine("ann"), Slots()
    for link in found.reader.walk(machine):
        assert isinstance(link, Link) and not slots.take(link.entry)
    assert (
        len(slots.gone) >= 3 and not slots.gone & (holders.world.machine("ann").slots or {}).keys()
    )


def test_w26_a_turn_that_kept_nothing_brought_nothing() -> None:
    holders = Holders()
    holders.say("ann", "drop", holders.client.hold(holders.caps["bob"]["use"]))
    holders.introduce("ann", "cid")
    found = holders.authority()
    (one,) = slots_of(found, holders.address("ann"))
    given_ = found.given(one)
    assert given_ is not None and found.called(one.cap) == "cid.keep"
    entry = entry_at(found.reader, found.reader.machine("ann"), given_.turn).entry
    assert entry["seq"] == 2


def test_w26_each_capability_is_told_with_its_giver_and_both_turns() -> None:
    holders = Holders()
    holders.introduce("ann", "bob")
    holders.introduce("ann", "cid")
    holders.give("ann", "cid", "bob")
    found = holders.authority()
    (one,) = slots_of(found, holders.address("bob"))
    given_ = found.given(one)
    assert given_ is not None
    ann, bob = found.reader.machine("ann"), found.reader.machine("bob")
    turn = {
        machine.name: max(
            n for n, entry, _printed in found.reader.store.entries(machine.id) if entry[1] == 1
        )
        for machine in (ann, bob)
    }
    assert (given_.turn, given_.sender, given_.by_turn) == (turn["bob"], ann.address, turn["ann"])
    (handed,) = [one for one in found.past(ann.address).handed if one.turn]
    assert (handed.to, handed.turn) == (bob.address, turn["ann"])
    assert found.handed_json(handed)["what"] == "cid.keep" and handed.slot >= 0


def test_w26_what_a_timer_sent_is_told_with_the_turn_that_set_it() -> None:
    holders = Holders(("ann", "bob", "cid"))
    holders.introduce("ann", "bob")
    holders.introduce("ann", "cid")
    holders.say("ann", "later", {"what": "cid", "to": "bob"})
    ann, bob = holders.address("ann"), holders.address("bob")
    waiting = holders.authority()
    timers = [one for one in waiting.graph.held[ann] if one.how is How.TIMER]
    assert {waiting.called(one.cap) for one in timers} == {"bob.keep", "cid.keep"}
    setter = waiting.reader.machine("ann").head - 1
    holders.world.advance(5)
    found = holders.authority()
    (one,) = slots_of(found, bob)
    given_ = found.given(one)
    assert given_ is not None and (given_.sender, given_.by_turn) == (ann, setter)


def test_w26_what_a_client_can_have_a_machine_use_is_held_by_that_machine() -> None:
    holders = Holders(("ann", "bob"), Limits(snapshot_turns=100))
    holders.introduce("ann", "bob")
    holders.client.ask(holders.client.hold(holders.caps["ann"]["open"]), "bob")
    holders.world.settle()
    found = holders.authority()
    held = [one for one in found.graph.held[holders.address("ann")] if one.how is How.CONTEXT]
    assert [found.called(one.cap) for one in held] == ["bob.keep"]
    assert not found.unknown
    collected = Holders(("ann", "bob"))
    collected.introduce("ann", "bob")
    collected.client.ask(collected.client.hold(collected.caps["ann"]["open"]), "bob")
    collected.world.settle()
    collected.say("ann", "drop", "nothing")
    assert collected.authority().unknown == 1


def test_w26_a_capability_on_its_way_or_in_a_context_is_held() -> None:
    holders = Holders(("ann", "bob"))
    holders.introduce("ann", "bob")
    wrap = {"as": "bob", "to": "bob"}
    holders.say("ann", "wrap", wrap)
    found = holders.authority()
    (wrapped,) = [one for one in slots_of(found, holders.address("bob")) if type(one.cap) is Local]
    assert found.called(wrapped.cap) == 'ann ("bob", capability)'
    inner = [one for one in found.graph.held[holders.address("ann")] if one.how is How.CONTEXT]
    assert [found.called(one.cap) for one in inner] == ["bob.keep"]
    holders.world.ask(
        lambda request: holders.world.core.change(request, holders.world.machine("bob"), "suspend")
    )
    holders.say("ann", "give", {"what": "bob", "to": "bob"})
    holders.drop("ann", "bob")
    waiting = holders.authority()
    coming = [one for held in waiting.graph.held.values() for one in held if one.how is How.COMING]
    assert not coming  # bob's own: it is that literal again when it comes
    holders.introduce("ann", "bob")
    holders.introduce("bob", "ann")
    waiting = holders.authority()
    (one,) = [one for held in waiting.graph.held.values() for one in held if one.how is How.COMING]
    assert (waiting.label(one.holder), waiting.called(one.cap)) == ("bob", "ann.keep")
    assert "bob" in reachable(waiting, "ann")


def test_w26_what_a_client_was_given_is_told_until_it_ends() -> None:
    world = SimHost(5)
    created = make(world, "bank", BANK)
    client = world.client()
    client.ask(client.hold(created.names["open"]))
    world.settle()
    found = Authority.read(Reader(world.store), world.core.host.address, world.core.host.now_ms)
    (one,) = [one for one in found.graph.held[client.address] if one.how is How.GIVEN]
    assert found.called(one.cap) == "bank Account(owner: text)"
    assert found.given_json(found.given(one)) == {
        "turn": 1, "by": "bank", "address": one.target.hex(), "by_turn": 1,
    }  # fmt: skip
    client.leave(ended=True)
    world.settle()
    found = Authority.read(Reader(world.store), world.core.host.address, world.core.host.now_ms)
    assert client.address not in found.graph.held and found.ended == 1


BANK = """
from avm import Me, Message, Refused, record

@record
class Account:
    owner: str

def init(message, me):
    return message.answer({"open": me("open")}), me

def step(message, state):
    if message.context == "open":
        return message.answer(state(Account("secret name"))), state
    raise Refused
"""


def test_w26_capabilities_to_another_host_are_held_there_as_far_as_is_known() -> None:
    net = Net(6, 2)
    here, there = net.worlds
    ann, bob = make(here, "ann", RELAY), make(there, "bob", RELAY)
    client = here.client()
    to = client.hold(here.core.unseal_untrusted(there.core.seal(bob.names["pass"])))
    client.send(client.hold(ann.names["join"]), {"name": "ann", "to": to})
    net.settle()
    host = here.core.host
    found = Authority.read(reader_of(here), host.address, host.now_ms)
    away = there.machine("bob").address
    (one,) = found.graph.to[away]
    assert found.graph.party(away).what is What.ELSEWHERE
    assert (one.holder, one.how) == (here.machine("ann").address, How.SLOT)
    assert path(found.graph, OPERATOR, away) is not None


def test_w26_a_pruned_journal_tells_from_its_oldest_snapshot_on() -> None:
    holders = Holders(limits=Limits(snapshot_turns=2))
    for _ in range(3):
        for name in ("bob", "cid", "dan"):
            holders.introduce("ann", name)
        holders.drop("ann", "bob")
    machine = holders.world.machine("ann")
    before = holders.authority()
    whole = {slot: before.past(machine.address).arrivals[slot] for slot in machine.slots or ()}
    holders.world.ask(lambda request: holders.world.core.prune(request, machine, machine.head - 4))
    after = holders.authority()
    assert after.reader.first(after.reader.machine("ann"))
    told = after.past(machine.address).arrivals
    assert all(told.get(slot, arrival) == arrival for slot, arrival in whole.items())
    holders.introduce("ann", "bob")
    newest = max(holders.world.machine("ann").slots or ())
    arrival = holders.authority().past(machine.address).arrivals[newest]
    assert arrival.sender == holders.client.address


def test_w26_revoked_expired_and_used_capabilities_do_nothing_in_the_graph() -> None:
    holders = Holders(("ann", "bob"))
    holders.introduce("ann", "bob")
    world = holders.world
    assert "ann" in reachable(holders.authority(), "bob")
    world.ask(lambda request: world.core.change(request, world.machine("bob"), "halt"))
    found = holders.authority()
    (one,) = slots_of(found, holders.address("ann"))
    assert found.graph.dead(one) == "halted"
    assert "ann" not in reachable(found, "bob")


def test_w26_what_an_operator_put_into_a_state_came_from_the_operator() -> None:
    holders = Holders(("ann", "bob"))
    holders.introduce("ann", "bob")
    world, found = holders.world, holders.authority()
    machine = world.machine("ann")
    body, references = state_at(found.reader, found.reader.machine("ann"), in_process())
    assert slots_in(references)
    put = holders.caps["bob"]["use"]
    world.ask(lambda request: world.core.edit(request, machine, body, (put,)))
    edited = holders.authority()
    (one,) = slots_of(edited, machine.address)
    given_ = edited.given(one)
    assert given_ is not None and given_.sender == OPERATOR
    assert edited.called(one.cap) == "bob.use"
    assert entry_at(edited.reader, edited.reader.machine("ann"), given_.turn).entry.name == "edit"


def test_w26_capabilities_of_a_kind_are_told_when_they_come_and_when_they_go() -> None:
    holders = Holders()
    for kind in ("linear", "affine", "relevant"):
        holders.say("ann", "seal", {"as": kind, "kind": kind})
    for holder, other in (("ann", "bob"), ("bob", "cid")):
        holders.introduce(holder, other)
        for kind in ("linear", "affine", "relevant"):
            holders.say(holder, "part", {"what": kind, "to": other})
    found = holders.authority()
    cid = holders.address("cid")
    handed = [one for one in found.past(holders.address("bob")).handed if one.to == cid]
    held = [one.cap for one in slots_of(found, cid)]
    assert [one.kind for one in held if isinstance(one, Local)] == [1, 2, 3]
    # What bob has given away is collected, but for the last.
    assert [one.cap for one in handed] == [None, None, held[2]]
    assert all(one.slot >= 0 for one in handed)
