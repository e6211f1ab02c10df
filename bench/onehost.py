"""What else a host is measured by: idle latency, start, memory with many machines, recovery."""

import subprocess
import sys
from pathlib import Path
from time import perf_counter

from avm.store.sqlite import SqliteStore
from bench.figures import Figure, Section, spread_ms
from bench.host import HostProcess, hosting, operating
from bench.load import one_at_a_time, run_load
from bench.scale import Scale
from bench.throughput import LINE
from bench.wire import BenchFailed, Lane, Operator, bundle_of, encode

AHEAD = 64
START_TIMES = 9
COMMAND_TIMES = 11
IMPORT = "from time import perf_counter as now; a = now(); import avm; print(now() - a)"
NEVER = ("limits.snapshot_bytes=1000000000000", "limits.snapshot_turns=1000000000")
AT_ONCE = ("limits.snapshot_turns=1000",)
SENDERS = 32


def latency(directory: Path, scale: Scale) -> Section:
    """One client that sends one message at a time, and waits for its verdict."""
    with hosting(directory) as host, operating(host) as operator:
        line = operator.create("one", bundle_of("tally"))["line"]
        times = one_at_a_time(host.directory, Lane.to(line, [LINE], scale.idle, 1))
    figures = spread_ms("one message at a time", times, 0.4)
    return Section(
        "Idle latency to durable",
        "From the send to the verdict, which comes after the commit. The first tenth is left out.",
        figures,
    )


def many_machines(directory: Path, scale: Scale) -> Section:
    """Start-up, empty and with many machines, and what they all weigh."""
    figures = [
        Figure("import of the step author's face", _import_s() * 1000, "ms", most=20.0),
        Figure("`avm-host --help`", _help_s() * 1000, "ms", most=250.0),
        Figure("start, empty store", _start_s(directory), "s"),
    ]
    many = f"{scale.many:,} machines"
    with hosting(directory) as host, operating(host) as operator:
        begun = perf_counter()
        wires = _create(operator, scale.many)
        rate = scale.many / (perf_counter() - begun)
        run_load(directory, [Lane.to(wire, [LINE], 1, 1) for wire in wires], SENDERS)
        memory = host.memory_bytes()
    figures.append(Figure(f"start, {many} in the store", _start_s(directory), "s", most=0.5))
    pss, rss = memory["Pss"] / 1e6, memory["Rss"] / 1e6
    what = f"memory of {many} after one turn each"
    figures.append(Figure(f"{what}, shared pages once (PSS)", pss, "MB", most=300.0))
    figures.append(Figure(f"{what}, sum of the processes (RSS)", rss, "MB"))
    figures.append(Figure("machines created, all durable", rate, "a second"))
    text = "The import and the help are the middle one of eleven, in new processes. Start-up is from the start of the"
    text += " process to its ready line, the middle one of nine. The memory is"
    text += " that of the host, its workers and the process that forks them."
    return Section("Start-up and memory", text, figures)


def _create(operator: Operator, count: int) -> list[bytes]:
    """Creates machines, some ahead of their answers; their capabilities to `line`."""
    wires: list[bytes] = []
    begun = 0
    bundle = bundle_of("tally")
    while len(wires) < count:
        while begun < count and begun - len(wires) < AHEAD:
            operator.begin("create", name=f"m{begun}", bundle=bundle, content=encode(None), caps=[])
            begun += 1
        wires.append(operator.end()["names"]["line"])
    return wires


def _import_s() -> float:
    """How long `import avm` takes in a new process, of a few the middle one."""
    command = [sys.executable, "-c", IMPORT]
    runs = [
        subprocess.run(command, stdout=subprocess.PIPE, check=True) for _ in range(COMMAND_TIMES)
    ]
    return sorted(float(run.stdout) for run in runs)[COMMAND_TIMES // 2]


def _help_s() -> float:
    """How long the help takes from the start of its process to its end, likewise."""
    times = []
    for _ in range(COMMAND_TIMES):
        begun = perf_counter()
        command = [sys.executable, "-m", "avm.cli.main", "--help"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(perf_counter() - begun)
    return sorted(times)[COMMAND_TIMES // 2]


def _start_s(directory: Path) -> float:
    times = []
    for _ in range(START_TIMES):
        with hosting(directory) as host:
            times.append(host.start_s)
    return sorted(times)[START_TIMES // 2]


def recovery(directory: Path, scale: Scale) -> Section:
    """Kills a host with -9 after many turns of one machine; with no snapshot, then with one."""
    with hosting(directory, NEVER) as host:
        with operating(host) as operator:
            names = operator.create("one", bundle_of("tally"))
        per_lane = scale.turns // SENDERS
        line = names["line"]
        run_load(directory, [Lane.to(line, [LINE], per_lane, 8) for _ in range(SENDERS)], SENDERS)
        host.kill()
    taken = per_lane * SENDERS
    again_s = _first_answer(directory, names["total"], taken, NEVER)
    with hosting(directory, AT_ONCE) as host:
        run_load(directory, [Lane.to(names["line"], [LINE], 5, 1)], 1)
        host.kill()
    if not _has_snapshot(directory, taken):
        raise BenchFailed("there is no snapshot")
    snapshot_s = _first_answer(directory, names["total"], taken + 5, ())
    turns = f"{taken:,} turns"
    figures = [
        Figure(f"{turns} since the last snapshot, executed again", again_s, "s", most=10.0),
        Figure(f"{turns} before the last snapshot", snapshot_s, "s", most=1.0),
        Figure("turns executed again", taken / again_s, "turns/s"),
    ]
    text = "From the ready line of the host, started after kill -9, to the first answer of the machine."
    return Section("Recovery", text, figures)


def _first_answer(directory: Path, total: bytes, expected: int, settings: tuple[str, ...]) -> float:
    host = HostProcess(directory, settings)
    begun = perf_counter()
    with operating(host) as operator:
        content = operator.call(1, total)
        seconds = perf_counter() - begun
        if content != encode(expected):
            raise BenchFailed("a turn was lost or doubled")
        host.kill()
    return seconds


def _has_snapshot(directory: Path, turn: int) -> bool:
    store = SqliteStore.open_readonly(directory / "store.db")
    try:
        numbers = [key[0] for key, _row in store.rows("machine")]
        snapshots = [store.snapshot(int(number)) for number in numbers]
        return all(one is not None and one[0] >= turn for one in snapshots)
    finally:
        store.close()
