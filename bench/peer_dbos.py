"""DBOS on SQLite: `python -m bench.peer_dbos FILE THREADS SECONDS`, prints `{"rate": ..}`."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from dbos import DBOS, DBOSConfig

TEXT = "x" * 80


@DBOS.step()
def length(text: str) -> int:
    return len(text)


@DBOS.workflow()
def take(text: str) -> int:
    return length(text)


def measure(threads: int, seconds: float) -> float:
    """Workflows a second, each one waited for by the thread that started it."""
    for _ in range(5):
        take(TEXT)

    def run(_number: int) -> int:
        done = 0
        while perf_counter() < end:
            take(TEXT)
            done += 1
        return done

    begun = perf_counter()
    end = begun + seconds
    with ThreadPoolExecutor(threads) as pool:
        total = sum(pool.map(run, range(threads)))
    return total / (perf_counter() - begun)


def main() -> None:
    _program, file, threads, seconds = sys.argv
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{file}",
        "log_level": "CRITICAL",
    }
    DBOS(config=config)
    DBOS.launch()
    rate = measure(int(threads), float(seconds))
    DBOS.destroy()
    print(json.dumps({"rate": rate}), flush=True)


if __name__ == "__main__":
    main()
