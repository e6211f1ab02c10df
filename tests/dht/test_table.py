import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kademlia.routing import KBucket

from caps.identity import Endpoint
from dht.contact import Contact
from dht.settings import Settings
from dht.table import Bucket, Table

SETTINGS = Settings()
OWN = bytes(32)
ids = st.binary(min_size=32, max_size=32).filter(lambda octets: octets != OWN)
close_ids = st.integers(1, 2**12).map(lambda number: number.to_bytes(32, "big"))
mixed_ids = st.one_of(ids, close_ids)


def contact(octets: bytes, subnet: int) -> Contact:
    return Contact(
        octets, Endpoint(bytes([10 + (subnet >> 16), subnet >> 8 & 255, subnet & 255, 1]), 1)
    )


def filled(octets: list[bytes]) -> Table:
    table = Table(OWN, SETTINGS)
    for number, one in enumerate(octets):
        table.add_contact(contact(one, number))
    return table


@settings(deadline=None, max_examples=150)
@given(st.lists(mixed_ids, unique=True, max_size=120), mixed_ids, st.integers(1, 25))
def test_the_closest_are_exactly_the_closest(octets: list[bytes], point: bytes, count: int) -> None:
    table = filled(octets)
    target = int.from_bytes(point, "big")
    everybody = sorted(table, key=lambda one: one.long_id ^ target)
    assert table.closest(target, count) == everybody[:count]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=200))
def test_a_bucket_does_what_that_of_kademlia_does(acts: list[tuple[bool, int]]) -> None:
    settings = Settings(bucket_size=8, replacements_max=40)
    ours, theirs = Bucket(256, settings), KBucket(2**255, 2**256 - 1, 8)
    known = [contact(bytes([0x80]) + bytes(30) + bytes([n]), n) for n in range(61)]
    for add, number in acts:
        one = known[number]
        if add:
            assert ours.add_node(one) == theirs.add_node(one)
        else:
            ours.remove_node(one)
            theirs.remove_node(one)
        assert ours.get_nodes() == theirs.get_nodes()
        assert list(ours.replacement_nodes) == list(theirs.replacement_nodes)
        point = one.long_id
        assert ours.closest(point) == sorted(theirs.get_nodes(), key=lambda n: n.long_id ^ point)


def test_an_id_with_the_highest_bit_alone_sits_in_the_last_bucket() -> None:
    table = filled([(1 << 255).to_bytes(32, "big"), b"\xff" * 32, (1).to_bytes(32, "big")])
    assert sorted(table.buckets) == [1, 256]
    assert len(table) == 3


def test_a_node_never_sits_in_its_own_table() -> None:
    assert not Table(OWN, SETTINGS).add_contact(contact(OWN, 1))


def test_at_most_two_of_a_subnet_sit_in_one_bucket_whatever_waits() -> None:
    table = Table(OWN, SETTINGS)
    for number in range(30):
        table.add_contact(contact(b"\x80" + bytes([number]) * 31, 7))
    assert len(table) == 2
    other = contact(b"\x90" + bytes(31), 8)
    assert table.add_contact(other) and len(table) == 3
    net = bytes.fromhex("20010db80001")
    same = [
        Contact(b"\xa0" + bytes([n]) * 31, Endpoint(net + bytes([n]) * 10, 1)) for n in range(9)
    ]
    assert [table.add_contact(one) for one in same] == [True, True, *[False] * 7]


def test_the_subnet_rule_holds_for_replacements_too() -> None:
    settings = Settings(bucket_size=2)
    bucket = Bucket(256, settings)
    for number in range(2):
        assert bucket.add_node(contact(b"\x80" + bytes([number]) * 31, number))
    for number in range(2, 12):
        bucket.add_node(contact(b"\x80" + bytes([number]) * 31, 99))
    assert len(bucket.replacement_nodes) == 2


def test_loopback_is_no_subnet() -> None:
    table = Table(OWN, SETTINGS)
    for number in range(10):
        table.add_contact(
            Contact(b"\x80" + bytes([number]) * 31, Endpoint(b"\x7f\0\0\1", number + 1))
        )
    assert len(table) == 10


def test_a_contact_that_is_removed_gives_its_seat_to_the_last_that_waited_and_is_lost() -> None:
    table = filled([b"\x80" + bytes([number]) * 31 for number in range(1, 26)])
    first = contact(b"\x80" + b"\1" * 31, 0)
    assert len(table) == 20 and not table.is_new_node(first)
    table.remove_contact(first)
    assert len(table) == 20 and table.is_new_node(first)
    assert table.seated(contact(b"\x80" + bytes([25]) * 31, 24)) is not None
    assert list(table.lost.values()) == [first]
    assert table.saved().lost == ((first.id, first.endpoint),)


@settings(deadline=None)
@given(st.lists(mixed_ids, unique=True, max_size=60), st.integers(1, 20))
def test_find_neighbors_leaves_out_the_node_and_who_shares_an_endpoint(
    octets: list[bytes], count: int
) -> None:
    table = filled(octets)
    for one in list(table)[:3]:
        found = table.find_neighbors(one, count, exclude=one)
        assert one not in found
        others = [other for other in table if other != one]
        assert found == sorted(others, key=lambda other: other.long_id ^ one.long_id)[:count]


@pytest.mark.parametrize("most", [1, 5])
def test_the_lost_are_bounded(most: int) -> None:
    table = Table(OWN, Settings(lost_max=most))
    for number in range(1, 20):
        table.lose(contact(bytes([number]) * 32, number))
    assert [one.id[0] for one in table.lost.values()] == list(range(20 - most, 20))
