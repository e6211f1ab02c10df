"""What `status` tells of a running host: its size, its rates, its workers, its store."""

import os
import time
from pathlib import Path
from typing import Any

from avm.host.delays import owed
from avm.host.state import Host
from avm.machine.confined import available
from avm.run.pool import Pool
from avm.store.sqlite import SqliteStore
from avm.version import VERSION

# Rates are over the time since the last look, of at least so long.
SPAN_S = 1.0


class Figures:
    """The figures of a host, and what they were when they were last looked at."""

    def __init__(self, host: Host, pool: Pool, store: SqliteStore, path: Path) -> None:
        self._host = host
        self._pool = pool
        self._store = store
        self._path = path
        self._started_s = time.monotonic()
        self._rates = (self._started_s, 0, 0)

    def now(self, outside: dict[str, int]) -> dict[str, Any]:
        """The figures in plain values; `outside` holds the network's own counts."""
        host = self._host
        machines = host.machines.values()
        now_s = time.monotonic()
        outside_of, confined = owed(host), available()
        return {
            "version": VERSION,
            "dir": str(self._path),
            "pid": os.getpid(),
            "address": host.address.hex(),
            "uptime_s": round(now_s - self._started_s, 3),
            "machines": len(host.machines),
            "workers": [
                {
                    "pid": worker.pid,
                    "turns": worker.turns,
                    "restarts": self._pool.restarts,
                    "rss_bytes": worker.rss_bytes(),
                }
                for worker in self._pool.workers.values()
            ],
            "confined": {"files": confined.files, "calls": confined.calls},
            "store": {
                "kind": "sqlite",
                "bytes": self._store.size(),
                "turns": sum(machine.head for machine in machines),
            },
            "rates": self._rates_at(now_s),
            "failed": sum(machine.failed for machine in machines),
            "refused": sum(machine.refused for machine in machines),
            "waiting": sum(len(machine.queue or ()) for machine in machines),
            "counts": dict(sorted((host.counts | outside).items())),
            "owed": {
                "waiting": outside_of.waiting,
                "stuck": outside_of.stuck,
                "frozen": outside_of.frozen,
            },
            "store_full": host.full,
            "draining": host.draining,
        }

    def _rates_at(self, now_s: float) -> dict[str, float]:
        host = self._host
        since_s, turns, messages = self._rates
        span_s = max(now_s - since_s, 0.001)
        if span_s > SPAN_S:
            self._rates = (now_s, host.folded, host.messages)
        return {
            "turns_per_s": round((host.folded - turns) / span_s, 1),
            "messages_per_s": round((host.messages - messages) / span_s, 1),
        }
