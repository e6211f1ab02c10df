"""A core filled from its store: rows that do not fit together are damage of the store. Shell.

Before the journey. A damaged page can hide a whole row, which no checksum then misses.
"""

import os

import cbor2

from avm.errors import AvmError
from avm.host.commons import ENTROPY_BYTES, furnish
from avm.host.core import Core
from avm.run.config import CommonsConfig
from avm.store.errors import StoreDamaged
from avm.store.sqlite import SqliteStore
from caps.errors import Malformed


def load_core(core: Core, store: SqliteStore, commons: CommonsConfig | None = None) -> None:
    """Gives a core what its store holds, of one commit, and fresh random bytes; StoreDamaged.

    `commons` says which of them it answers; all without it.
    """
    commons = commons or CommonsConfig()
    core.do(furnish, os.urandom(ENTROPY_BYTES), commons.off, commons.wire)
    try:
        with store.reading():
            core.load(store.rows)
    except AvmError:
        raise
    except (LookupError, ValueError, TypeError, cbor2.CBORError, Malformed) as error:
        raise StoreDamaged(
            f"{store.path} is damaged: its rows do not fit together, one is missing or is none of "
            "its table's (`avm-host verify` may say which); restore a backup"
        ) from error
