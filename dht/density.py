"""The density test: are the nodes closest to a key as many as a network of this size has there?

Ids that were ground next to one key stand far closer than chance puts them, and where colluders name
only each other they stand too far apart. Both set off a search of the key's whole region: the part
of the space in which about thirty honest nodes are expected, by points spread evenly over it.
"""

from collections.abc import Sequence

from dht.settings import CLOSEST, ID_BITS
from dht.table import Table

SPACE = 1 << ID_BITS
REGION_NODES = 32
DENSE_RATIO = 0.35
SPARSE_RATIO = 1.9


def estimated_size(table: Table) -> float:
    """Estimate the nodes of the network from how close our own neighbours are."""
    nearest = table.closest(table.own, CLOSEST)
    if len(nearest) < CLOSEST:
        return len(nearest) + 1.0
    return CLOSEST * SPACE / max(1, nearest[-1].long_id ^ table.own)


def is_odd(distances: Sequence[int], size: float) -> bool:
    """Tell whether ascending distances to a key are not those of chance among `size` nodes."""
    if size <= 2 * CLOSEST or len(distances) < CLOSEST:
        return False
    for place in (CLOSEST // 2, CLOSEST):
        ratio = distances[place - 1] * size / (place * SPACE)
        if ratio < DENSE_RATIO * place / CLOSEST or ratio > SPARSE_RATIO * CLOSEST / place:
            return True
    return False


def region_bits(size: float) -> int:
    """Return how many leading bits name a region of about `REGION_NODES` nodes."""
    bits = 0
    while size > 2 * REGION_NODES and bits < ID_BITS // 2:
        size /= 2
        bits += 1
    return bits


def region_points(key: int, bits: int, count: int) -> list[int]:
    """Return `count` points (a power of two) spread over the region of a key, its own part first."""
    step = ID_BITS - bits - (count - 1).bit_length()
    return [key ^ (part << step) for part in range(count)]
