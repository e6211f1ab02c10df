"""What two hosts say to each other about third ones: whom they reached, and where. Pure.

Beside the journey. Two frames of a link, each a CBOR array, the kind first:

    WANT    since                                   tell me whom you reached, of what changed after this
    PEERS   upto, [[address, ip, port, age], ..]    the most recent first; `age` in milliseconds

`upto` is the number to want the next ones after, also when the link is another: what did not change is
not told twice. Whoever is told of has to prove itself where it is said to be.
"""

from typing import NamedTuple

from avm.host.header import ADDRESS_BYTES
from caps import shape
from caps.errors import Malformed
from caps.identity import Endpoint

WANT, PEERS = 16, 17
PEERS_MAX = 64
NUMBER_MAX = 2**62


class Want(NamedTuple):
    """Asks for what changed after this number, and from then on for what changes."""

    since: int


class Peers(NamedTuple):
    """Hosts that were reached: address, IP, port, and how long ago."""

    upto: int
    rows: list[tuple[bytes, bytes, int, int]]


def read_untrusted(plain: list[object]) -> Want | Peers:
    """Reads one of these frames, decoded; raises `Malformed` only."""
    if plain[0] == WANT:
        _, since = shape.array(plain, 2, "want")
        return Want(shape.integer(since, 0, NUMBER_MAX, "want: since"))
    _, upto, rows = shape.array(plain, 3, "peers")
    read = [_row(row) for row in shape.items(rows, PEERS_MAX, "peers: rows")]
    return Peers(shape.integer(upto, 0, NUMBER_MAX, "peers: upto"), read)


def _row(value: object) -> tuple[bytes, bytes, int, int]:
    address, ip, port, age = shape.array(value, 4, "peers: row")
    whose = shape.octets(address, ADDRESS_BYTES, "peers: address")
    octets = shape.some_octets(ip, 4, 16, "peers: ip")
    number = shape.integer(port, 1, 65535, "peers: port")
    try:
        Endpoint(octets, number)
    except Malformed:
        shape.refuse("peers: endpoint")
    return whose, octets, number, shape.time_ms(age, "peers: age")
