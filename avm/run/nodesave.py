"""What a node of the network keeps over a restart, as one row of the store. Pure.

Beside the journey. Contacts and the sequence numbers of what this host announced; a number never
goes back, also when the last ones were not written before a crash: they follow the clock.
"""

from collections.abc import Iterable
from typing import Any

import cbor2

from caps.identity import Endpoint
from dht.node import Saved
from dht.proofs import Kind
from dht.table import SavedTable

CONTACTS_MAX = 512


def pack_saved(saved: Saved) -> bytes:
    """The row."""
    sequences = [[int(kind), key, number] for kind, key, number in saved.sequences]
    table = saved.table
    return cbor2.dumps([_packed(table.contacts), _packed(table.lost), sequences])


def _packed(contacts: Iterable[tuple[bytes, Endpoint]]) -> list[list[Any]]:
    return [[octets, endpoint.ip, endpoint.port] for octets, endpoint in contacts][:CONTACTS_MAX]


def unpack_saved(body: bytes | None, own: Iterable[bytes], now_s: int) -> Saved:
    """What the row says, none of the numbers of `own` addresses below the time in seconds."""
    contacts, lost, sequences = cbor2.loads(body) if body is not None else ([], [], [])
    numbers = {(Kind(kind), key): number for kind, key, number in sequences}
    for address in own:
        place = (Kind.LOCATION, address)
        numbers[place] = max(now_s, numbers.get(place, 0))
    table = SavedTable(_contacts(contacts), _contacts(lost))
    known = tuple((kind, key, number) for (kind, key), number in numbers.items())
    return Saved(table, known, (), ((), ()))


def _contacts(rows: list[list[Any]]) -> tuple[tuple[bytes, Endpoint], ...]:
    return tuple((octets, Endpoint(ip, port)) for octets, ip, port in rows)
