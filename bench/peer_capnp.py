"""pycapnp with a SQLite FULL commit a call: `python -m bench.peer_capnp FILE CALLS`.

Prints `{"sequence": .., "in_flight": ..}` in calls a second. With `serve` as a third argument it is
the server, on the Unix socket beside the file.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw
import capnp

SCHEMA: Any = capnp.load(str(Path(__file__).parent / "tally.capnp"))
SERVER: Any = SCHEMA.Tally.Server
TEXT = "x" * 80
IN_FLIGHT = 100


class Tally(SERVER):  # type: ignore[misc]
    """Commits the text of each call, then answers with how many there are."""

    def __init__(self, file: str) -> None:
        self._connection = apsw.Connection(file)
        self._connection.execute("PRAGMA journal_mode=WAL").fetchall()
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS line(id INTEGER PRIMARY KEY, text)")
        self._lines = 0

    async def line(self, text: str, **_rest: Any) -> int:
        self._lines += 1
        self._connection.execute("INSERT INTO line VALUES (?, ?)", (self._lines, text))
        return self._lines


async def serve(file: str) -> None:
    tally = Tally(file)

    async def greet(stream: Any) -> None:
        await capnp.TwoPartyServer(stream, bootstrap=tally).on_disconnect()

    server = await capnp.AsyncIoStream.create_unix_server(greet, f"{file}.sock")
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


async def measure(file: str, calls: int) -> dict[str, float]:
    stream = await capnp.AsyncIoStream.create_unix_connection(f"{file}.sock")
    tally = capnp.TwoPartyClient(stream).bootstrap().cast_as(SCHEMA.Tally)
    await tally.line(TEXT)
    begun = perf_counter()
    for _ in range(calls):
        await tally.line(TEXT)
    sequence = calls / (perf_counter() - begun)
    begun = perf_counter()
    for _ in range(max(1, calls // IN_FLIGHT)):
        await asyncio.gather(*(tally.line(TEXT) for _ in range(IN_FLIGHT)))
    in_flight = max(1, calls // IN_FLIGHT) * IN_FLIGHT / (perf_counter() - begun)
    return {"sequence": sequence, "in_flight": in_flight}


def main() -> None:
    file, calls, *rest = sys.argv[1:]
    if rest:
        asyncio.run(capnp.run(serve(file)))
        return
    command = [sys.executable, "-m", "bench.peer_capnp", file, calls, "serve"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        server.stdout.readline()
        print(json.dumps(asyncio.run(capnp.run(measure(file, int(calls))))), flush=True)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


if __name__ == "__main__":
    main()
