"""The peers, in the same run: DBOS on SQLite, pycapnp with a commit a call, bare SQLite, and tokens."""

from pathlib import Path
from time import perf_counter

import apsw

from bench.child import result_of
from bench.figures import Figure, Section
from bench.scale import Scale

ROW_BYTES = 300
GROUPS = (1, 100, 1000)
IN_FLIGHT = 100


def dbos(directory: Path, scale: Scale) -> Section:
    """One-step workflows, one after the other and from 16 threads."""
    figures = []
    for threads in (1, 16):
        file = directory / f"dbos{threads}.sqlite"
        rate = result_of("bench.peer_dbos", str(file), str(threads), str(scale.dbos_s))["rate"]
        what = f"DBOS on SQLite, one-step workflows, {threads} thread{'s'[: threads > 1]}"
        figures.append(Figure(what, rate, "workflows/s"))
    text = "The step adds the length of a text to a number in memory; DBOS records the workflow and the step."
    return Section("DBOS", text, figures)


def capnp(directory: Path, scale: Scale) -> Section:
    """A server in a process of its own that commits one row a call."""
    found = result_of("bench.peer_capnp", str(directory / "capnp.db"), str(scale.calls))
    figures = [
        Figure("pycapnp, one SQLite FULL commit a call, in sequence", found["sequence"], "calls/s"),
        Figure(f"the same, {IN_FLIGHT} calls in flight", found["in_flight"], "calls/s"),
    ]
    text = (
        "A call brings a text as long over a Unix socket; its row is committed before its answer."
    )
    return Section("pycapnp", text, figures)


def tokens(_directory: Path, scale: Scale) -> Section:
    """Macaroons and biscuits, and capabilities again beside them, for the same work."""
    found = result_of("bench.peer_tokens", str(scale.primitives), str(scale.spread_s))
    figures = [Figure(what, took_us, "us") for what, took_us in found.items()]
    for peer in ("pymacaroons", "biscuit-python"):
        for what in ("mint", "attenuate", "verify"):
            ratio = found[f"{peer} {what}"] / found[f"ours {what}"]
            figures.append(Figure(f"{peer} over ours, {what}", ratio, "times"))
    text = (
        "From bytes to bytes, in processor time, by turns: a token is minted, narrowed by a time, and verified "
        "with it. A capability's context is encrypted, what the others say can be read. A biscuit is "
        "signed (Ed25519): whoever has the public key verifies it, the other two their issuer alone."
    )
    return Section("Macaroons and biscuits", text, figures)


def floor(directory: Path, scale: Scale) -> Section:
    """Rows of the size that a turn writes, put into SQLite with nothing around it."""
    figures = []
    for group in GROUPS:
        rows = scale.floor_rows if group > 1 else max(group, scale.floor_rows // 20)
        connection = apsw.Connection(str(directory / f"floor{group}.db"))
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE journal(id INTEGER PRIMARY KEY, entry BLOB)")
        body = bytes(ROW_BYTES)
        begun = perf_counter()
        for first in range(0, rows, group):
            last = min(rows, first + group)
            with connection:
                sql = "INSERT INTO journal VALUES (?, ?)"
                connection.executemany(sql, [(number, body) for number in range(first, last)])
        rate = rows / (perf_counter() - begun)
        connection.close()
        figures.append(Figure(f"SQLite WAL FULL, {group} rows a commit", rate, "rows/s"))
    text = f"Rows of {ROW_BYTES} bytes, about what a turn of one message writes, through apsw."
    return Section("The floor", text, figures)
