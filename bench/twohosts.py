"""Two hosts on loopback, joined by the network: from a client of one to a machine of the other."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from bench.figures import Figure, Section, spread_ms
from bench.host import HostProcess, hosting, operating
from bench.load import one_at_a_time, run_load
from bench.scale import BATCHES, Scale
from bench.throughput import LINE
from bench.wire import Lane, Operator, bundle_of, encode

# How many offers each sender has under way, by the size of the batch.
WINDOW = {1: 16, 10: 8, 100: 4}
MOST_MS = 2.0
LEAST = {100: 25_000.0}


def free_endpoint() -> str:
    """An endpoint of loopback that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@contextmanager
def two_hosts(directory: Path) -> Iterator[tuple[HostProcess, HostProcess]]:
    """Two hosts, each in a directory of its own; the second joins through the first."""
    paths = [directory / name for name in ("a", "b")]
    for path in paths:
        path.mkdir()
    with ExitStack() as running:
        settings = [f'network.listen="{free_endpoint()}"']
        first = running.enter_context(hosting(paths[0], settings))
        with operating(first) as operator:
            route = operator.do("status")["route"]
        settings = [f'network.listen="{free_endpoint()}"', f'network.bootstrap=["{route}"]']
        yield first, running.enter_context(hosting(paths[1], settings))


def measure(directory: Path, scale: Scale) -> Section:
    """One message at a time, asks, and many senders, from a client of one host to the other."""
    with two_hosts(directory) as (here, there), operating(here) as asker:
        with operating(there) as owner:
            names = owner.create("one", bundle_of("tally"))
            many = [owner.create(f"m{i}", bundle_of("tally"))["line"] for i in range(scale.apart)]
        times = one_at_a_time(here.directory, Lane.to(names["line"], [LINE], scale.idle, 1))
        figures = spread_ms("one message at a time", times, MOST_MS)
        figures += _asks(asker, names["total"], scale)
        both = here, there
        one = f"one machine, {scale.apart} senders"
        figures += _loads(both, one, [names["line"]], scale)
        figures += _loads(both, f"{scale.apart} machines, {scale.apart} senders", many, scale)
    text = "A client of one host, a machine of another, both on this computer and linked by QUIC. A message"
    text += " counts when the client has the verdict: by then it is committed at the client's host, executed and"
    text += " committed at the machine's, and its end is committed at the client's. The first tenth is left out."
    return Section("From host to host", text, figures)


def _asks(sender: Operator, total: bytes, scale: Scale) -> list[Figure]:
    """Asks of another client, once all messages are there."""
    times = []
    for seq in range(1, 1 + scale.idle // 2):
        begun = perf_counter()
        content = sender.call(seq, total)
        times.append(perf_counter() - begun)
        assert content == encode(scale.idle), "a message was lost or doubled"
    return spread_ms("one ask at a time, to its answer", times, None)


def _loads(
    hosts: tuple[HostProcess, HostProcess], shape: str, wires: list[bytes], scale: Scale
) -> list[Figure]:
    """Two figures for each size of batch, after a run of a tenth to warm up."""
    figures = []
    for batch, messages in zip(BATCHES, scale.apart_messages, strict=True):
        offers = max(1, messages // batch // scale.apart)
        for share in (max(1, offers // 10), offers):
            lanes = [
                Lane.to(wires[i % len(wires)], [LINE] * batch, share, WINDOW[batch])
                for i in range(scale.apart)
            ]
            used_s = sum(host.processor_s() for host in hosts)
            seconds = run_load(hosts[0].directory, lanes, scale.apart)
            used_s = sum(host.processor_s() for host in hosts) - used_s
        sent = offers * scale.apart * batch
        what = f"{shape}, batches of {batch}"
        figures.append(Figure(what, sent / seconds, "messages/s", least=LEAST.get(batch)))
        what = f"{what}, processor time of both hosts"
        figures.append(Figure(what, used_s / sent * 1e6, "us a message"))
    return figures
