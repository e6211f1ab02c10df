"""What a node of the network keeps over a restart, as one row of the store. Pure.

Beside the journey. Contacts, and the highest sequence number of what this host announced: all go on
above it, so none goes back, also when the last ones were not written before a crash: they follow the
clock. A number for each of thousands of addresses would be much to write with every contact.
"""

from collections.abc import Iterable
from typing import Any

import cbor2

from caps.identity import Endpoint
from dht.proofs import Kind
from dht.saved import Saved
from dht.table import SavedTable

CONTACTS_MAX = 512


def pack_saved(saved: Saved) -> bytes:
    """The row."""
    highest = max((number for _, _, number in saved.sequences), default=0)
    table = saved.table
    return cbor2.dumps([_packed(table.contacts), _packed(table.lost), highest])


def _packed(contacts: Iterable[tuple[bytes, Endpoint]]) -> list[list[Any]]:
    return [[octets, endpoint.ip, endpoint.port] for octets, endpoint in contacts][:CONTACTS_MAX]


def unpack_saved(body: bytes | None, own: Iterable[bytes], now_s: int) -> Saved:
    """What the row says, none of the numbers of `own` addresses below the time in seconds."""
    contacts, lost, highest = cbor2.loads(body) if body is not None else ([], [], 0)
    if isinstance(highest, list):  # a number for each address, of an older avm-host
        highest = max((number for _, _, number in highest), default=0)
    table = SavedTable(_contacts(contacts), _contacts(lost))
    known = tuple((Kind.LOCATION, address, max(now_s, highest)) for address in own)
    return Saved(table, known, (), ((), ()))


def _contacts(rows: list[list[Any]]) -> tuple[tuple[bytes, Endpoint], ...]:
    return tuple((octets, Endpoint(ip, port)) for octets, ip, port in rows)
