"""A node among a few others: whom it believes, what it answers, what it keeps and what it tells."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.dht_world import START_MS, Place, World
from caps.certificate import Terms, issue
from caps.hostproof import HostProof
from caps.identity import Endpoint, RootKey
from dht.contact import Contact, node_id, sign_node_record
from dht.effects import Ended, Evidence, Seen, Send, Superseded
from dht.node import Node
from dht.proofs import Kind, Proofs, Proved
from dht.record import Location, LocationRecord, publish
from dht.settings import DAY_MS, HOUR_MS, Settings
from dht.wire import (
    Answer,
    Find,
    Get,
    Put,
    Status,
    Stored,
    encode_answer,
    encode_request,
    parse_packet_untrusted,
)

ROOT = RootKey(b"r" * 32)
MACHINE = ROOT.identity({})
STRANGER = Endpoint(b"\xc6\x33\x64\1", 999)
MALLORY = Endpoint(b"\xc6\x33\x65\1", 999)


def small(seed: int = 1, nodes: int = 12) -> World:
    world = World(seed)
    for _ in range(nodes):
        world.add()
    world.settle()
    return world


def node_of(place: Place) -> Node:
    assert isinstance(place.node, Node)
    return place.node


def located(host: RootKey, incarnation: int, sequence: int) -> Proved:
    """The machine's location at a host, as that host would sign it."""
    far = START_MS + 30 * DAY_MS
    address = host.identity({}).address
    terms = Terms(MACHINE.address, address, host.public_key, incarnation, 1, 0, far, far)
    location = Location(MACHINE, incarnation, sequence, far, issue(ROOT, terms))
    body = publish(location, host).to_bytes()
    return Proofs(1).record_untrusted(Kind.LOCATION, MACHINE.address, body, START_MS)


def asks(node: Node, datagram: bytes, endpoint: Endpoint = STRANGER) -> list[bytes]:
    """What a stranger's datagram is answered, to that stranger."""
    node.receive_untrusted(START_MS, datagram, endpoint)
    sends = [effect for effect in node.take_effects() if isinstance(effect, Send)]
    return [send.datagram for send in sends if send.endpoint == endpoint]


def token_for(node: Node, endpoint: Endpoint = STRANGER) -> bytes:
    answer = parse_packet_untrusted(
        asks(node, encode_request(Find(bytes(8), None, b"", bytes(32))), endpoint)[0]
    )
    assert isinstance(answer, Answer)
    return answer.token


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([0, 150, 400]),
    st.booleans(),
    st.one_of(st.none(), st.binary(min_size=32, max_size=32)),
    st.binary(min_size=32, max_size=32),
)
def test_the_unproven_are_sent_at_most_three_times_their_question(
    padded_bytes: int, asks_records: bool, sender: bytes | None, near: bytes
) -> None:
    world = small()
    world.publish_home(world.places[0])
    key = world.home(world.places[0]).address
    find: Find | Get = Find(bytes(8), sender, b"", near)
    if asks_records:
        find = Get(bytes(8), sender, b"", near, key, Kind.LOCATION)
    for place in world.places[:3]:
        datagram = encode_request(find, padded_bytes=padded_bytes)
        answers = asks(node_of(place), datagram)
        assert answers and sum(map(len, answers)) <= 3 * len(datagram)
        assert (len(answers) == 2) == (sender is not None)
        proven = replace(find, token=token_for(node_of(place)))
        whole = asks(node_of(place), encode_request(proven))
        assert len(whole[0]) >= len(answers[0])


def test_a_put_without_a_good_token_costs_no_public_key_work_and_keeps_nothing() -> None:
    world = small()
    node = node_of(world.places[0])
    record = located(RootKey(b"h" * 32), 1, 1)
    for token in (b"", bytes(8), token_for(node, MALLORY)):
        put = Put(bytes(8), None, token, record.key, record.kind, record.body)
        stored = parse_packet_untrusted(asks(node, encode_request(put))[0])
        assert isinstance(stored, Stored) and stored.status is Status.TOKEN
        assert not world.proofs._records
    put = replace(put, token=token_for(node))
    stored = parse_packet_untrusted(asks(node, encode_request(put))[0])
    assert isinstance(stored, Stored) and stored.status is Status.KEPT


def test_w18_a_forged_older_or_conflicting_record_is_refused_by_the_storer() -> None:
    world = small()
    node = node_of(world.places[0])
    first, other = RootKey(b"h" * 32), RootKey(b"o" * 32)

    def put(record: Proved, body: bytes | None = None) -> Status:
        request = Put(bytes(8), None, token_for(node), record.key, record.kind, body or record.body)
        node.receive_untrusted(START_MS, encode_request(request), STRANGER)
        effects = node.take_effects()
        told.extend(effect for effect in effects if isinstance(effect, Evidence))
        sends = [effect for effect in effects if isinstance(effect, Send)]
        stored = parse_packet_untrusted(sends[0].datagram)
        assert isinstance(stored, Stored)
        return stored.status

    told: list[Evidence] = []
    record = located(first, 2, 5)
    assert put(record) is Status.KEPT
    assert put(record, record.body[:-1] + bytes([record.body[-1] ^ 1])) is Status.REFUSED
    assert put(located(first, 2, 4)) is Status.OLDER
    assert put(located(other, 1, 9)) is Status.OLDER
    assert not told
    assert put(located(other, 2, 6)) is Status.CONTRADICTS
    assert told == [Evidence(record, located(other, 2, 6))]
    assert put(located(first, 2, 6)) is Status.CONTRADICTS
    assert put(located(other, 3, 0)) is Status.KEPT


def test_a_stranger_enters_the_table_only_after_it_answered_us_and_proved_its_id() -> None:
    world = small(nodes=3)
    newcomer = world.add()
    host = node_of(world.places[0])
    host.receive_untrusted(
        world.now_ms,
        encode_request(Find(bytes(8), newcomer.contact.id, b"", bytes(32))),
        newcomer.contact.endpoint,
    )
    assert host.table.is_new_node(newcomer.contact)
    world.do(world.places[0], lambda node, now_ms: None)
    world.run(1_000)
    assert host.table.seated(newcomer.contact) == newcomer.contact


def test_nobody_takes_anothers_id_to_an_endpoint_of_its_own() -> None:
    world = small(nodes=3)
    host, victim = node_of(world.places[0]), world.places[1]
    fake = Contact(victim.contact.id, MALLORY)
    host.table.remove_contact(victim.contact)
    host.receive_untrusted(
        START_MS, encode_request(Find(bytes(8), victim.contact.id, b"", bytes(32))), MALLORY
    )
    checks = [
        effect
        for effect in host.take_effects()
        if isinstance(effect, Send) and effect.endpoint == MALLORY
    ]
    nonces = [
        packet.nonce
        for packet in (parse_packet_untrusted(send.datagram) for send in checks)
        if isinstance(packet, Find)
    ]
    assert len(nonces) == 1
    stolen = node_of(victim)._node_record or sign(victim)
    answer = Answer(nonces[0], STRANGER, bytes(8), stolen, (), ())
    host.receive_untrusted(START_MS, encode_answer(answer, 1_200), MALLORY)
    assert host.table.seated(fake) is None


def sign(place: Place) -> bytes:
    node_of(place)._serves(START_MS)
    return node_of(place)._node_record


def test_a_client_answers_nothing_and_names_no_id() -> None:
    world = small()
    place = world.add()
    place.node = Node(
        place.key, Random(1).randbytes, serving=False, settings=world.settings, proofs=world.proofs
    )
    boot = world.places[0].contact.endpoint
    world.do(place, lambda node, now_ms: node.join(now_ms, (boot,)))
    world.run(5_000)
    assert len(node_of(place).table) > 5
    assert all(
        node_of(other).table.is_new_node(place.contact) for other in world.places if other != place
    )
    assert asks(node_of(place), encode_request(Find(bytes(8), None, b"", bytes(32)))) == []
    published = world.publish_home(place)
    assert published.kept >= 10
    assert world.locate(world.places[3], world.home(place).address).records


def test_a_node_that_was_told_no_endpoint_learns_it_and_begins_to_serve() -> None:
    world = small()
    place = world.add()
    place.node = Node(place.key, Random(1).randbytes, settings=world.settings, proofs=world.proofs)
    assert asks(node_of(place), encode_request(Find(bytes(8), None, b"", bytes(32)))) == []
    boots = tuple(other.contact.endpoint for other in world.places[:3])
    world.do(place, lambda node, now_ms: node.join(now_ms, boots))
    world.run(5_000)
    assert node_of(place).endpoints == (place.contact.endpoint,)
    assert asks(node_of(place), encode_request(Find(bytes(8), None, b"", bytes(32))))


def test_a_node_that_nobody_reaches_any_more_goes_on_as_a_client_and_may_serve_again() -> None:
    world = small()
    place = world.add()
    place.node = Node(
        place.key,
        Random(1).randbytes,
        endpoints=(place.contact.endpoint,),
        settings=world.settings,
        proofs=world.proofs,
    )
    boot = world.places[0].contact.endpoint
    world.do(place, lambda node, now_ms: node.join(now_ms, (boot,)))
    world.run(5_000)
    question = encode_request(Find(bytes(8), None, b"", bytes(32)))
    assert asks(node_of(place), question)
    seen = [effect for _, effect in place.effects if isinstance(effect, Seen)]
    assert seen and {effect.seen for effect in seen} == {place.contact.endpoint}
    world.do(place, lambda node, now_ms: node.serve(now_ms, ()))
    assert asks(node_of(place), question) == []
    assert world.publish_home(place).kept >= 10
    assert world.locate(world.places[3], world.home(place).address).records
    world.do(place, lambda node, now_ms: node.serve(now_ms, (place.contact.endpoint,)))
    assert asks(node_of(place), question)


def test_a_miss_is_told_as_a_miss_and_remembered_until_somebody_publishes() -> None:
    world = small()
    owner, reader = world.places[0], world.places[1]
    key = world.home(owner).address
    first = world.locate(reader, key)
    assert first.records == () and not first.cached and first.trace
    assert world.locate(reader, key).cached
    world.run(world.settings.miss_ms)
    world.publish_home(owner)
    found = world.locate(reader, key)
    assert [record.key for record in found.records] == [key]


def test_w18_a_trace_names_each_node_asked_and_what_it_said() -> None:
    world = small(nodes=40)
    owner = world.places[0]
    world.publish_home(owner)
    ended = world.locate(world.places[7], world.home(owner).address)
    holders = [step for step in ended.trace if step.records]
    assert holders and all(step.outcome == "answered" for step in holders)
    content = holders[0].records[0].content
    assert isinstance(content, LocationRecord)
    assert content.location.where == (owner.contact.endpoint,)
    assert all(step.answered_ms is None or step.answered_ms > step.asked_ms for step in ended.trace)


def test_a_stale_holder_is_sent_the_newer_record() -> None:
    world = small(nodes=30)
    owner = world.places[0]
    world.publish_home(owner)
    key = world.home(owner).address
    point = int.from_bytes(key, "big")
    stale = min(world.places[1:], key=lambda place: place.contact.long_id ^ point)
    stale.alive = False
    world.publish_home(owner)
    stale.alive = True

    def held(place: Place) -> tuple[int, int]:
        return node_of(place)._shelf.get(Kind.LOCATION, key, world.now_ms)[0].order

    assert held(stale) == (1, 1)
    for reader in world.places[1:6]:
        if reader is not stale:
            world.locate(reader, key)
            world.run(1_000)
    assert held(stale) == (1, 2)


def test_w18_a_reader_never_goes_back_to_an_older_record() -> None:
    world = small(nodes=30)
    owner, reader = world.places[0], world.places[1]
    world.publish_home(owner)
    world.publish_home(owner)
    key = world.home(owner).address
    assert world.locate(reader, key).records[0].order == (1, 2)
    old = replace_sequence(world, owner, 1)
    for place in world.places[1:]:
        shelf = node_of(place)._shelf
        shelf._held.clear()
        shelf._newest._marks.clear()
        shelf.put(old, world.now_ms)
    node_of(reader)._shelf._held.clear()
    node_of(owner)._shelf._held.clear()
    assert world.locate(reader, key).records[0].order == (1, 2)


def replace_sequence(world: World, owner: Place, sequence: int) -> Proved:
    home = world.home(owner)
    where = (owner.contact.endpoint,)
    location = Location(home, 1, sequence, world.now_ms + DAY_MS, where)
    body = publish(location, owner.key).to_bytes()
    return world.proofs.record_untrusted(Kind.LOCATION, home.address, body, world.now_ms)


def test_w18_a_host_restored_from_an_old_backup_publishes_above_what_the_network_has() -> None:
    world = small(nodes=30)
    owner = world.places[0]
    for _ in range(5):
        world.publish_home(owner)
    owner.node = world.make_node(owner.key, owner.contact.endpoint)
    world.settle()
    world.publish_home(owner)
    world.run(60_000)
    ended = world.locate(world.places[5], world.home(owner).address)
    assert ended.records[0].order == (1, 6)


def test_what_is_saved_goes_on_after_a_restart() -> None:
    world = small(nodes=30)
    owner, reader = world.places[:2]
    world.publish_home(owner)
    contacts = len(node_of(owner).table)
    world.restart(owner)
    world.run(10_000)
    assert len(node_of(owner).table) >= contacts // 2
    world.publish_home(owner)
    ended = world.locate(reader, world.home(owner).address)
    assert ended.records[0].order == (1, 2)
    content = ended.records[0].content
    assert isinstance(content, LocationRecord)
    assert content.location.where == (owner.contact.endpoint,)


def machine_at(world: World, place: Place, incarnation: int) -> None:
    terms = Terms(
        MACHINE.address,
        world.home(place).address,
        place.key.public_key,
        incarnation,
        1,
        0,
        START_MS + 30 * DAY_MS,
        START_MS + 30 * DAY_MS,
    )
    certificate = issue(ROOT, terms)
    world.publish(
        place,
        lambda node, now_ms: node.publish_location(now_ms, MACHINE, incarnation, certificate),
    )


def test_w18_two_hosts_under_one_incarnation_are_told_as_evidence_and_the_first_stays() -> None:
    world = small(nodes=30)
    first, second, reader = world.places[:3]
    machine_at(world, first, 1)
    assert world.locate(reader, MACHINE.address).records[0].content
    machine_at(world, second, 1)
    assert any(
        isinstance(effect, Evidence) for place in world.places for _, effect in place.effects
    )
    content = world.locate(reader, MACHINE.address).records[0].content
    assert isinstance(content, LocationRecord)
    assert content.location.host == world.home(first).address


def test_w18_a_host_learns_that_its_machine_has_moved_to_a_later_incarnation() -> None:
    world = small(nodes=30)
    first, second = world.places[:2]
    machine_at(world, first, 1)
    machine_at(world, second, 2)
    first.effects.clear()
    world.run(HOUR_MS + 60_000)
    assert any(isinstance(effect, Superseded) for _, effect in first.effects)


def test_providers_of_an_address_are_found_together_with_what_they_say() -> None:
    world = small(nodes=30)
    for number in range(3):
        place = world.places[number]
        home = HostProof(world.home(place))
        world.publish(
            place,
            lambda node, now_ms, home=home: node.publish_provider(  # type: ignore[misc]
                now_ms, MACHINE.address, home, {"replica": "yes"}
            ),
        )
    ended = world.locate(world.places[9], MACHINE.address, Kind.PROVIDER)
    assert len(ended.records) == 3


def test_an_identity_is_found_by_its_hash() -> None:
    world = small(nodes=30)
    key, body = MACHINE.address, MACHINE.to_bytes()
    world.publish(world.places[0], lambda n, now_ms: n.publish(now_ms, Kind.IDENTITY, key, body))
    ended = world.locate(world.places[9], key, Kind.IDENTITY)
    assert ended.records[0].content == MACHINE


def test_records_are_put_again_each_hour_and_reach_those_who_came_since() -> None:
    world = small(nodes=12)
    owner = world.places[0]
    world.publish_home(owner)
    late = world.add()
    boots = (world.places[3].contact.endpoint,)
    world.do(late, lambda node, now_ms: node.join(now_ms, boots))
    world.run(10_000)
    key = world.home(owner).address
    assert not node_of(late)._shelf.get(Kind.LOCATION, key, world.now_ms)
    world.run(HOUR_MS + 10_000)
    assert node_of(late)._shelf.get(Kind.LOCATION, key, world.now_ms)


def test_a_host_that_is_alone_finds_what_it_publishes_and_nothing_else() -> None:
    world = World(1)
    place = world.add()
    published = world.publish_home(place)
    assert published.asked == 0
    assert world.locate(place, world.home(place).address).records[0].order == (1, 1)
    assert world.locate(place, bytes(32)).records == ()


def test_two_lookups_of_one_key_are_one() -> None:
    world = small()
    numbers: list[int] = []
    for _ in range(2):
        world.do(
            world.places[0], lambda node, now_ms: numbers.append(node.locate(now_ms, bytes(32)))
        )
    assert numbers[0] == numbers[1]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([STRANGER, MALLORY]))
def test_no_datagram_of_a_stranger_breaks_a_node(datagram: bytes, endpoint: Endpoint) -> None:
    node = Node(RootKey(bytes(32)), Random(1).randbytes, endpoints=(STRANGER,), settings=Settings())
    node.receive_untrusted(START_MS, datagram, endpoint)
    assert node.take_effects() == []


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_no_spoiled_packet_of_a_running_network_breaks_a_node(data: st.DataObject) -> None:
    world = small(nodes=6)
    heard: list[tuple[bytes, Endpoint]] = []
    node = node_of(world.places[0])
    receive = Node.receive_untrusted

    def listen(self: Node, now_ms: int, datagram: bytes, endpoint: Endpoint) -> None:
        if self is node:
            heard.append((datagram, endpoint))
        receive(self, now_ms, datagram, endpoint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Node, "receive_untrusted", listen)
        world.publish_home(world.places[0])
        world.locate(world.places[0], bytes(32))
    for datagram, endpoint in heard[:20]:
        spoiled = bytearray(datagram)
        for _ in range(data.draw(st.integers(1, 4))):
            spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
        node.receive_untrusted(world.now_ms, bytes(spoiled), endpoint)
    ended = world.locate(world.places[1], world.home(world.places[0]).address)
    assert isinstance(ended, Ended) and ended.records


@pytest.mark.parametrize("again", [False, True])
def test_a_node_whose_first_datagrams_are_lost_is_in_the_network_soon(again: bool) -> None:
    world = small()
    place = world.add()
    boot = world.places[0].contact.endpoint
    if again:
        world.do(place, lambda node, now_ms: node.join(now_ms, (boot,)))
        world.run(5_000)
    world.faults.loss = 1.0
    if again:
        world.restart(place)
    else:
        world.do(place, lambda node, now_ms: node.join(now_ms, (boot,)))
    world.run(20_000)
    assert len(node_of(place).table) == 0
    requests = node_of(place).portrait(world.now_ms).requests
    assert requests <= 120, "it does not flood a network that is silent"
    world.faults.loss = 0.0
    world.run(world.settings.alone_retry_ms_max + 1_000)
    assert len(node_of(place).table) > 5


def test_a_stranger_that_answers_from_elsewhere_is_asked_once_where_it_says_it_is() -> None:
    world = small(nodes=3)
    host, key = node_of(world.places[0]), RootKey(b"n" * 32)
    home = Endpoint(b"\xc6\x33\x64\2", 999)
    there = Contact(node_id(key.public_key), home)
    other = Endpoint(b"\xc6\x33\x64\3", 999)

    def answer(at: Endpoint, says: Endpoint) -> None:
        """Answers the one check that went to an endpoint with the node record of another."""
        sends = [one for one in host.take_effects() if isinstance(one, Send) and one.endpoint == at]
        packets = [parse_packet_untrusted(send.datagram) for send in sends]
        (nonce,) = [packet.nonce for packet in packets if isinstance(packet, Find)]
        record = sign_node_record(key, (says,), START_MS + DAY_MS).to_bytes()
        reply = Answer(nonce, STRANGER, bytes(8), record, (), ())
        host.receive_untrusted(START_MS, encode_answer(reply, 1_200), at)

    host.receive_untrusted(
        START_MS, encode_request(Find(bytes(8), there.id, b"", bytes(32))), STRANGER
    )
    answer(STRANGER, home)
    assert host.table.seated(there) is None
    answer(home, home)
    assert host.table.seated(there) == there
    host.table.remove_contact(there)
    host.receive_untrusted(
        START_MS, encode_request(Find(bytes(8), there.id, b"", bytes(32))), STRANGER
    )
    answer(STRANGER, home)
    answer(home, other)
    sent = [one for one in host.take_effects() if isinstance(one, Send)]
    assert not [one for one in sent if one.endpoint == other], "nobody sends us round"


def test_where_nobody_answered_no_miss_is_remembered() -> None:
    world = small()
    owner = world.places[0]
    world.publish_home(owner)
    reader, key = world.add(), world.home(owner).address
    node_of(reader).table.add_contact(owner.contact)
    world.faults.loss = 1.0
    assert world.locate(reader, key).records == ()
    world.run(3_000)
    world.faults.loss = 0.0
    # By hand: one that is heard of again has all misses forgotten.
    assert node_of(reader).table.add_contact(owner.contact)
    assert world.locate(reader, key).records


def test_a_node_that_had_lost_everybody_when_it_ended_is_in_the_network_soon() -> None:
    world = small()
    place = world.places[0]
    for contact in list(node_of(place).table):
        node_of(place).table.remove_contact(contact)
    world.restart(place)
    world.run(5_000)
    assert len(node_of(place).table) > 5
