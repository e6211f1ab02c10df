"""The writer: the one thread that commits. Step 6 of the journey."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from avm.errors import AvmError
from avm.store.errors import DiskFull
from avm.store.interface import Store, Transaction

Outcome = Callable[[AvmError | None], None]


class Writer:
    """Commits transactions one after the other, each whole, and tells when each is durable."""

    def __init__(self, store: Store, tell: Callable[[Callable[[], None]], None]) -> None:
        """`tell` has a function called on the runtime's own thread."""
        self._store = store
        self._tell = tell
        self._work: SimpleQueue[tuple[Transaction, Outcome] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="avm-writer", daemon=True)
        self._thread.start()

    def commit(self, transaction: Transaction, outcome: Outcome) -> None:
        """Has a transaction committed; `outcome` hears of it: None, or what went wrong."""
        self._work.put((transaction, outcome))

    def close(self) -> None:
        """Ends the thread once all that was given to it is done."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            transaction, outcome = work
            error = self._try(transaction)
            self._tell(lambda outcome=outcome, error=error: outcome(error))  # type: ignore[misc]

    def _try(self, transaction: Transaction) -> AvmError | None:
        try:
            self._store.commit([transaction])
        except DiskFull as full:
            return full
        except AvmError as broken:
            return broken
        return None
