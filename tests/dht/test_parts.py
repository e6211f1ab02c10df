"""The small rooms of a node: tokens, rates, what replaces what, the shelf, provider records."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caps.certificate import Terms, issue
from caps.identity import Endpoint, Identity, RootKey
from dht.asking import ForCheck, ForLookup, Question, Questions, RoundTrips
from dht.contact import Contact
from dht.density import SPACE, is_odd, region_bits, region_points
from dht.errors import ExpiredRecord, InvalidRecord, NodeBusy
from dht.newest import Newest, Verdict
from dht.observed import Observed
from dht.proofs import Kind, Proofs, Proved
from dht.provider import Provider, parse_provider_untrusted, provide
from dht.publishing import Publishing
from dht.rates import Rates
from dht.record import Location, publish
from dht.settings import DAY_MS, HOUR_MS, Settings
from dht.shelf import Shelf
from dht.tokens import Tokens
from dht.wire import Status

ROOT, HOST, OTHER = RootKey(b"r" * 32), RootKey(b"h" * 32), RootKey(b"o" * 32)
MACHINE = ROOT.identity({"name": "counter"})
NOW = 1_000_000
HERE = Endpoint(b"\xc0\0\2\1", 4000)
SETTINGS = Settings()


def at(host: RootKey, incarnation: int, sequence: int, expiry_ms: int = NOW + DAY_MS) -> Proved:
    """The location of the machine at a host."""
    address = host.identity({}).address
    far = NOW + 30 * DAY_MS
    terms = Terms(MACHINE.address, address, host.public_key, incarnation, 1, 0, far, far)
    location = Location(MACHINE, incarnation, sequence, expiry_ms, issue(ROOT, terms))
    body = publish(location, host).to_bytes()
    return Proofs(1).record_untrusted(Kind.LOCATION, MACHINE.address, body, NOW)


def provider_of(host: RootKey, sequence: int = 1, metadata: dict[str, str] | None = None) -> Proved:
    provider = Provider(
        MACHINE.address, host.identity({}), sequence, NOW, NOW + DAY_MS, metadata or {}
    )
    body = provide(provider, host).to_bytes()
    return Proofs(1).record_untrusted(Kind.PROVIDER, MACHINE.address, body, NOW)


def test_a_token_is_for_one_endpoint_and_for_one_to_two_epochs() -> None:
    tokens = Tokens(b"s" * 32, 1_000)
    token = tokens.make(HERE, 5_500)
    assert tokens.holds_untrusted(token, HERE, 5_500)
    assert tokens.holds_untrusted(token, HERE, 6_999)
    assert not tokens.holds_untrusted(token, HERE, 7_000)
    assert not tokens.holds_untrusted(token, Endpoint(HERE.ip, 4001), 5_500)
    assert not tokens.holds_untrusted(token, Endpoint(b"\xc0\0\2\2", 4000), 5_500)
    assert not tokens.holds_untrusted(b"", HERE, 5_500)
    assert not Tokens(b"t" * 32, 1_000).holds_untrusted(token, HERE, 5_500)


@settings(deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=200))
def test_an_endpoint_gets_its_burst_and_its_rate_and_no_more(gaps: list[int]) -> None:
    rates = Rates(Settings(endpoint_rate=10, endpoint_burst=5, subnet_rate=1e6, subnet_burst=1e6))
    now_ms, allowed = 0, 0
    for gap in gaps:
        now_ms += gap
        allowed += rates.allows(HERE, now_ms)
    assert allowed <= 5 + now_ms * 10 / 1000
    assert allowed >= min(len(gaps), 5)


def test_a_subnet_has_a_rate_of_its_own_and_tables_are_bounded() -> None:
    few = Settings(endpoint_burst=100, subnet_rate=0, subnet_burst=10, rates_max=4)
    rates = Rates(few)
    same = [Endpoint(b"\xc0\0\2" + bytes([n]), 4000) for n in range(20)]
    assert sum(rates.allows(one, 0) for one in same) == 10
    assert rates.allows(Endpoint(b"\xc0\0\3\1", 4000), 0)
    assert len(rates._endpoints) <= 4 and len(rates._subnets) <= 4


def test_an_endpoint_over_its_rate_takes_nothing_from_its_neighbours() -> None:
    rates = Rates(Settings(endpoint_rate=0, endpoint_burst=2, subnet_rate=0, subnet_burst=4))
    for _ in range(100):
        rates.allows(HERE, 0)
    neighbour = Endpoint(b"\xc0\0\2\2", 4000)
    assert rates.allows(neighbour, 0) and rates.allows(neighbour, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=20))
def test_w18_a_newer_record_replaces_an_older_and_never_the_reverse(
    orders: list[tuple[int, int]],
) -> None:
    newest = Newest(10)
    highest = (-1, -1)
    for order in orders:
        verdict = newest.offer(at(HOST, *order))
        assert (verdict is Verdict.NEWER) == (order > highest)
        highest = max(highest, order)
        mark = newest.mark(Kind.LOCATION, MACHINE.address)
        assert mark is not None and mark.newest.order == highest


def test_w18_two_hosts_under_one_incarnation_freeze_it_at_the_first() -> None:
    newest = Newest(10)
    first = at(HOST, 3, 1)
    assert newest.offer(first) is Verdict.NEWER
    assert newest.offer(at(OTHER, 3, 9)) is Verdict.CONTRADICTS
    assert newest.offer(at(HOST, 3, 2)) is Verdict.CONTRADICTS
    assert newest.offer(at(HOST, 2, 5)) is Verdict.OLDER
    assert newest.offer(first) is Verdict.SAME
    mark = newest.mark(Kind.LOCATION, MACHINE.address)
    assert mark is not None and mark.newest == first and mark.frozen
    kept = Newest(10)
    kept.load(newest.saved())
    assert kept.offer(at(HOST, 3, 2)) is Verdict.CONTRADICTS
    assert kept.offer(at(OTHER, 4, 0)) is Verdict.NEWER


def test_a_shelf_keeps_the_newest_until_it_ends_and_takes_nothing_older_after() -> None:
    shelf = Shelf(bytes(32), SETTINGS)
    newer, older = at(HOST, 1, 2, NOW + HOUR_MS), at(HOST, 1, 1)
    assert shelf.put(newer, NOW).status is Status.KEPT
    assert shelf.put(newer, NOW).status is Status.KEPT
    kept = shelf.put(older, NOW)
    assert kept.status is Status.OLDER and kept.standing == newer
    assert shelf.get(Kind.LOCATION, MACHINE.address, NOW + HOUR_MS - 1) == [newer]
    assert shelf.get(Kind.LOCATION, MACHINE.address, NOW + HOUR_MS) == []
    shelf.sweep(NOW + HOUR_MS)
    assert len(shelf) == 0
    assert shelf.put(older, NOW + HOUR_MS).status is Status.OLDER
    again = Shelf(bytes(32), SETTINGS)
    again.load(shelf.saved())
    assert again.put(older, NOW).status is Status.OLDER


def test_a_mark_that_was_crowded_out_does_not_let_an_older_record_replace_what_is_held() -> None:
    shelf = Shelf(bytes(32), Settings(records_max=8))
    newer = at(HOST, 1, 2)
    shelf.put(newer, NOW)
    for number in range(1, 8):
        shelf.put(replace(at(HOST, 1, 1), key=bytes([number]) * 32), NOW)
    shelf._newest._marks.clear()
    assert shelf.put(at(HOST, 1, 1), NOW).status is Status.OLDER
    assert shelf.get(Kind.LOCATION, MACHINE.address, NOW) == [newer]


def test_a_shelf_drops_what_nobody_puts_again() -> None:
    shelf = Shelf(bytes(32), Settings(hold_ms=HOUR_MS))
    record = at(HOST, 1, 1)
    shelf.put(record, NOW)
    shelf.put(record, NOW + HOUR_MS // 2)
    assert shelf.get(Kind.LOCATION, MACHINE.address, NOW + HOUR_MS) == [record]
    assert shelf.get(Kind.LOCATION, MACHINE.address, NOW + 2 * HOUR_MS) == []


def test_a_full_shelf_gives_up_what_is_farthest_from_its_node() -> None:
    shelf = Shelf(bytes(32), Settings(records_max=4))
    keys = [bytes([n]) * 32 for n in (9, 1, 200, 3, 4)]
    for key in keys:
        shelf.put(replace(at(HOST, 1, 1), key=key), NOW)
    held = [key[0] for key in keys if shelf.get(Kind.LOCATION, key, NOW)]
    assert held == [9, 1, 3, 4]


def test_a_key_has_few_providers_and_few_brought_from_one_subnet() -> None:
    shelf = Shelf(bytes(32), Settings(providers_max=4, providers_of_subnet_max=2))
    hosts = [RootKey(bytes([n]) * 32) for n in range(1, 9)]
    statuses = [shelf.put(provider_of(host), NOW, b"one").status for host in hosts[:4]]
    assert statuses == [Status.KEPT, Status.KEPT, Status.REFUSED, Status.REFUSED]
    assert shelf.put(provider_of(hosts[0], 2), NOW, b"one").status is Status.KEPT
    others = [
        shelf.put(provider_of(host), NOW, b"%d" % n).status for n, host in enumerate(hosts[4:])
    ]
    assert others == [Status.KEPT, Status.KEPT, Status.REFUSED, Status.REFUSED]
    held = shelf.get(Kind.PROVIDER, MACHINE.address, NOW)
    assert len(held) == 4 and held[0].order == (0, 2)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=5), st.data())
def test_w18_a_provider_record_is_its_bytes_and_no_flipped_bit_passes(
    metadata: dict[str, str], data: st.DataObject
) -> None:
    provider = Provider(MACHINE.address, HOST.identity({}), 7, NOW, NOW + 1, metadata)
    record = provide(provider, HOST)
    body = record.to_bytes()
    assert parse_provider_untrusted(body) == record
    record.check(NOW)
    with pytest.raises(ExpiredRecord):
        record.check(NOW + 1)
    spoiled = bytearray(body)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    spoiled[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidRecord):
        parse_provider_untrusted(bytes(spoiled)).check(NOW)


def test_the_bytes_of_a_provider_record_stay_what_they_are() -> None:
    vectors = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())
    body = bytes.fromhex(vectors["provider"]["bytes"])
    record = parse_provider_untrusted(body)
    record.check(1_999)
    assert record.to_bytes() == body
    assert (record.provider.sequence, dict(record.provider.metadata)) == (7, {"load": "0.5"})


def test_only_the_host_signs_its_provider_record_and_metadata_has_an_end() -> None:
    home = HOST.identity({})
    with pytest.raises(InvalidRecord):
        provide(Provider(MACHINE.address, home, 1, NOW, NOW + 1, {}), OTHER)
    with pytest.raises(InvalidRecord):
        provide(Provider(MACHINE.address, home, 1, NOW, NOW + 1, {"a": "b" * 200}), HOST)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_a_strangers_provider_record_raises_one_error_only(body: bytes) -> None:
    with pytest.raises(InvalidRecord):
        parse_provider_untrusted(body)
    with pytest.raises(InvalidRecord):
        Proofs(2).record_untrusted(Kind.PROVIDER, bytes(32), body, NOW)


def test_w18_a_record_under_another_key_or_kind_or_out_of_time_is_refused() -> None:
    proofs = Proofs(4)
    record = at(HOST, 1, 1)
    for kind in Kind:
        for key in (MACHINE.address, bytes(32)):
            if (kind, key) != (Kind.LOCATION, MACHINE.address):
                with pytest.raises(InvalidRecord):
                    proofs.record_untrusted(kind, key, record.body, NOW)
    assert proofs.record_untrusted(Kind.LOCATION, MACHINE.address, record.body, NOW) == record
    with pytest.raises(ExpiredRecord):
        proofs.record_untrusted(Kind.LOCATION, MACHINE.address, record.body, NOW + DAY_MS)


def test_sequence_numbers_go_up_over_restarts_and_republishing_is_hourly() -> None:
    publishing = Publishing(HOST, SETTINGS)
    home = HOST.identity({})
    draft = Location(home, 1, 0, 0, (HERE,))
    first = publishing.add(Kind.LOCATION, home.address, draft, NOW)
    second = publishing.add(Kind.LOCATION, home.address, draft, NOW)
    assert (first.order, second.order) == ((1, 1), (1, 2))
    assert publishing.due(NOW) == second
    assert publishing.next_ms() == NOW + HOUR_MS
    assert publishing.due(NOW + HOUR_MS - 1) is None
    assert publishing.due(NOW + HOUR_MS) == second
    half_ms = NOW + DAY_MS // 2 + HOUR_MS
    renewed = publishing.due(half_ms)
    assert renewed is not None and renewed.order == (1, 3)
    assert renewed.expiry_ms == half_ms + SETTINGS.location_life_ms
    again = Publishing(HOST, SETTINGS)
    for (kind, key), number in publishing.sequences.items():
        again.raise_sequence(kind, key, number)
    assert again.add(Kind.LOCATION, home.address, draft, NOW).order == (1, 4)
    again.withdraw(Kind.LOCATION, home.address)
    assert again.next_ms() is None


def test_what_a_host_publishes_is_bounded() -> None:
    publishing = Publishing(HOST, Settings(published_max=1))
    publishing.add_signed(at(HOST, 1, 1))
    publishing.add_signed(at(HOST, 1, 2))
    with pytest.raises(NodeBusy):
        publishing.add_signed(provider_of(HOST))


def test_one_subnet_of_observers_cannot_say_where_we_are() -> None:
    observed = Observed()
    seen, lie = HERE, Endpoint(b"\6\6\6\6", 6)
    for number in range(50):
        observed.see(Endpoint(b"\1\1\1" + bytes([number]), 1), lie)
    assert observed.endpoint() is None
    for number in range(1, 3):
        observed.see(Endpoint(bytes([number, 2, 2, 2]), 1), seen)
    assert observed.endpoint() is None
    observed.see(Endpoint(b"\7\7\7\7", 1), seen)
    assert observed.endpoint() == seen


def test_waits_follow_the_round_trips_within_their_bounds() -> None:
    trips = RoundTrips(SETTINGS)
    for _ in range(100):
        trips.measured(20)
    assert trips.late_ms <= 25 and trips.lost_ms == SETTINGS.wait_ms_min
    for _ in range(100):
        trips.measured(60_000)
    assert trips.lost_ms == SETTINGS.wait_ms_max and trips.late_ms <= SETTINGS.wait_ms_max // 2


def test_a_reply_counts_by_nonce_and_endpoint_and_once() -> None:
    questions = Questions(SETTINGS)
    question = Question(
        b"n" * 8, HERE, Contact(bytes(32), HERE), ForLookup(1, bytes(32), None), NOW
    )
    questions.put(question)
    assert questions.take(b"m" * 8, HERE, NOW) is None
    assert questions.take(b"n" * 8, Endpoint(HERE.ip, 1), NOW) is None
    assert questions.take(b"n" * 8, HERE, NOW + 50) == question
    assert questions.take(b"n" * 8, HERE, NOW + 50) is None
    assert questions.next_ms() is None and questions.due(NOW + DAY_MS) == []


def test_a_question_is_late_and_then_lost() -> None:
    questions = Questions(SETTINGS)
    late, lost = questions.round_trips.late_ms, questions.round_trips.lost_ms
    one = Question(b"1" * 8, HERE, None, ForLookup(1, bytes(32), None), NOW)
    two = Question(b"2" * 8, HERE, None, ForCheck(), NOW)
    questions.put(one)
    questions.put(two)
    assert questions.next_ms() == NOW + late
    assert questions.due(NOW + late) == [(one, False)]
    assert sorted(q.nonce for q, gone in questions.due(NOW + lost) if gone) == [b"1" * 8, b"2" * 8]
    assert len(questions) == 0


@pytest.mark.parametrize(
    ("spacing", "odd"),
    [
        (lambda place: place, False),
        (lambda place: place * 0.7, False),
        (lambda place: place * 1.5, False),
        (lambda place: place * 2.5, True),
        (lambda place: place * 1e-9, True),
        (lambda place: place * 1e-9 if place <= 10 else place, True),
    ],
)
def test_ground_ids_and_gaps_are_odd_and_chance_is_not(
    spacing: Callable[[int], float], odd: bool
) -> None:
    size = 5_000
    distances = [int(spacing(place) * (SPACE // size)) for place in range(1, 21)]
    assert is_odd(distances, size) is odd


def test_the_points_of_a_region_lie_in_it_one_in_each_part() -> None:
    key = int.from_bytes(b"key!" * 8, "big")
    bits = region_bits(10_000)
    assert 10_000 / 2**bits <= 64
    points = region_points(key, bits, 8)
    assert points[0] == key
    assert len({point >> (256 - bits) for point in points}) == 1
    assert len({point >> (256 - bits - 3) for point in points}) == 8
    assert region_bits(10) == 0


def test_an_identity_proves_itself_by_its_hash() -> None:
    identity: Identity = MACHINE
    proved = Proofs(1).record_untrusted(Kind.IDENTITY, identity.address, identity.to_bytes(), NOW)
    assert proved.content == identity and proved.expiry_ms is None
