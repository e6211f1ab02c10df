"""Durable messages a second, from one sender and from many, to one machine and to many; ping-pong."""

from pathlib import Path
from time import perf_counter

from avm.run import protocol
from bench.figures import Figure, Section
from bench.host import HostProcess, hosting, operating
from bench.load import run_load
from bench.scale import BATCHES, Scale
from bench.wire import Lane, Operator, bundle_of, encode
from caps.codec import encode_content
from caps.slots import Foreign
from caps.value import freeze

LINE = encode('203.0.113.7 - - [21/Nov/2026:08:30:12 +0000] "GET /page HTTP/1.1" 200 5123 "-"')
LEAST = {1: 25_000.0, 100: 60_000.0}
# How many offers each channel has under way, by the size of the batch.
WINDOW_ALONE = {1: 256, 10: 64, 100: 16}
WINDOW_MANY = {1: 8, 10: 8, 100: 4}
BALLS = 100
# Its capabilities are in the order of the keys: `done` first.
MEETING = encode_content(freeze({"done": Foreign(0), "other": Foreign(1)}))[0]


def measure(directory: Path, scale: Scale) -> Section:
    """All loads on one host."""
    with hosting(directory) as host, operating(host) as operator:
        bundle = bundle_of("tally")
        one = [operator.create("one", bundle)["line"]]
        many = [operator.create(f"m{i}", bundle)["line"] for i in range(scale.machines)]
        senders = scale.senders
        figures = [
            *_loads(host, "one machine, one sender", one, 1, 1, WINDOW_ALONE, scale),
            *_loads(
                host, f"one machine, {senders} senders", one, senders, senders, WINDOW_MANY, scale
            ),
            *_loads(
                host,
                f"{scale.machines} machines, {senders} senders",
                many,
                2 * max(scale.machines, senders),
                senders,
                WINDOW_MANY,
                scale,
            ),
            *_ping_pong(operator, scale),
        ]
    text = "Messages of 80 characters, sent without asking for answers; `batches of N` is the size of the"
    text += " sender's batches. A ping-pong turn takes what the turn before it sent."
    return Section("Durable messages a second", text, figures)


def _loads(
    host: HostProcess,
    shape: str,
    wires: list[bytes],
    lanes: int,
    senders: int,
    windows: dict[int, int],
    scale: Scale,
) -> list[Figure]:
    """One figure for each size of batch, after a run of a tenth to warm up."""
    figures = []
    for batch, messages in zip(BATCHES, scale.messages, strict=True):
        offers = max(1, messages // batch // lanes)
        for share in (max(1, offers // 10), offers):
            loads = [
                Lane.to(wires[i % len(wires)], [LINE] * batch, share, windows[batch])
                for i in range(lanes)
            ]
            seconds = run_load(host.directory, loads, senders)
        rate = offers * lanes * batch / seconds
        least = LEAST.get(batch) if senders > 1 else None
        what = f"{shape}, batches of {batch}"
        figures.append(Figure(what, rate, "messages/s", least=least))
    return figures


def _ping_pong(operator: Operator, scale: Scale) -> list[Figure]:
    """Two machines that send each other one ball, then a hundred at once."""
    names = [operator.create(name, bundle_of("player")) for name in ("left", "right")]
    done: bytes = operator.do("ear", context=encode("done"))
    for mine, theirs in (names, names[::-1]):
        operator.offer(1, mine["meet"], [MEETING], [done, theirs["ball"]])
        operator.receive(protocol.VERDICT)
    figures = []
    for number, balls in ((2, 1), (3, BALLS)):
        hops = scale.hops if balls == 1 else max(1, scale.hops // 20)
        begun = perf_counter()
        operator.offer(number, names[0]["ball"], [encode(hops)] * balls, [])
        operator.receive(protocol.DELIVER)
        turns = (hops + 1) / (perf_counter() - begun)
        what = f"ping-pong between two machines, {balls} message{'s'[: balls > 1]} a turn"
        figures.append(Figure(what, turns, "turns/s"))
        if balls > 1:
            figures.append(Figure(what, turns * balls, "messages/s"))
    return figures
