"""What a node keeps over a restart. Values."""

from caps.light import dataclass
from dht.newest import Mark
from dht.proofs import Kind
from dht.shelf import Held
from dht.table import SavedTable


@dataclass(frozen=True, slots=True)
class Saved:
    """What a node keeps over a restart, as plain values.

    `sequences` are the last numbers of our own records by kind and key, `marks` the newest records
    seen of others, `held` those kept for others with their marks.
    """

    table: SavedTable
    sequences: tuple[tuple[Kind, bytes, int], ...]
    marks: tuple[Mark, ...]
    held: tuple[tuple[Held, ...], tuple[Mark, ...]]
