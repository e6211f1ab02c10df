"""What a node keeps over a restart: contacts, and numbers that never go back."""

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from avm.host.nodesave import pack_saved, unpack_saved
from caps.identity import Endpoint
from dht.proofs import Kind
from dht.saved import Saved
from dht.table import SavedTable

ADDRESS = st.binary(min_size=32, max_size=32)
CONTACT = (b"c" * 32, Endpoint(b"\x0a\0\0\1", 4000))


@given(st.lists(st.tuples(ADDRESS, st.integers(1, 2**40)), max_size=8), st.integers(0, 2**40))
def test_no_number_goes_back_wherever_the_clock_is(
    numbers: list[tuple[bytes, int]], now_s: int
) -> None:
    sequences = tuple((Kind.LOCATION, address, number) for address, number in numbers)
    saved = Saved(SavedTable((CONTACT,), ()), sequences, (), ((), ()))
    own = [address for address, _ in numbers]
    again = unpack_saved(pack_saved(saved), own, now_s)
    assert again.table == saved.table
    known = {key: number for _, key, number in again.sequences}
    assert all(known[address] >= max(number, now_s) for address, number in numbers)


def test_a_row_with_a_number_for_each_address_is_read() -> None:
    body = cbor2.dumps([[], [], [[2, b"a" * 32, 7], [2, b"b" * 32, 9]]])
    again = unpack_saved(body, [b"a" * 32], 3)
    assert again.sequences == ((Kind.LOCATION, b"a" * 32, 9),)


def test_it_takes_little_however_many_addresses_there_are() -> None:
    sequences = tuple((Kind.LOCATION, n.to_bytes(32, "big"), 10**9) for n in range(20_000))
    assert len(pack_saved(Saved(SavedTable((), ()), sequences, (), ((), ())))) < 100
