"""What it costs to record a host: the same load on one that is recorded and on one that is not, by turns."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from avm.recording.rerun import Rerun
from avm.run.recordings import recording_in, segments_in
from bench.figures import Figure, Section
from bench.host import hosting, operating
from bench.load import run_load
from bench.scale import BATCHES, Scale
from bench.serve import RECORD
from bench.throughput import LINE, WINDOW_MANY
from bench.wire import BenchFailed, Lane, bundle_of

ROUNDS = 3
LANES = 8
# Of the messages of the other loads a part is enough, three times over.
SHARE = 4
Rates = dict[tuple[bool, int], list[tuple[float, float]]]


def measure(directory: Path, scale: Scale) -> Section:
    """Messages a second with and without, what a message takes of the disk, and telling it again."""
    places, recording = [directory / "plain", directory / "taped"], directory / "recording"
    for one in places:
        one.mkdir()
    rates: Rates = {}
    sent = 0
    with hosting(places[0]) as plain, hosting(places[1], [f"{RECORD}{recording}"]) as taped:
        wires: list[bytes] = []
        for host in (plain, taped):
            with operating(host) as operator:
                wires.append(operator.create("one", bundle_of("tally"))["line"])
        for _ in range(ROUNDS):
            for batch, messages in zip(BATCHES, scale.messages, strict=True):
                offers = max(1, messages // SHARE // batch // LANES)
                for is_taped in (False, True):
                    said = [LINE] * batch
                    window = WINDOW_MANY[batch]
                    lanes = [Lane.to(wires[is_taped], said, offers, window) for _ in range(LANES)]
                    host, count = (taped if is_taped else plain), offers * LANES * batch
                    before_s = host.processor_s()
                    rate = count / run_load(places[is_taped], lanes, LANES)
                    used_us = 1e6 * (host.processor_s() - before_s) / count
                    rates.setdefault((is_taped, batch), []).append((rate, used_us))
                sent += offers * LANES * batch
    text = f"{LANES} senders to one machine, the median of {ROUNDS} runs by turns on two hosts in one run."
    return Section("Recording a host", text, [*_figures(rates), *_told(recording, sent)])


def _figures(rates: Rates) -> Iterator[Figure]:
    for batch in BATCHES:
        for is_taped, name in ((False, "not recorded"), (True, "recorded")):
            found = rates[(is_taped, batch)]
            rate, used_us = (median(one[which] for one in found) for which in (0, 1))
            yield Figure(f"{name}, batches of {batch}", rate, "messages/s")
            yield Figure(f"{name}, batches of {batch}, of the processors", used_us, "us a message")


def _told(recording: Path, sent: int) -> Iterator[Figure]:
    size = sum(one.stat().st_size for one in segments_in(recording))
    yield Figure("bytes of the recording a message", size / sent, "bytes")
    begun, rerun = perf_counter(), Rerun()
    for segment in recording_in(recording):
        rerun.take(segment.items_untrusted())
    if rerun.found is not None:
        raise BenchFailed(f"told again, input {rerun.found.n} differs: {rerun.found.difference}")
    yield Figure("told again", sent / (perf_counter() - begun), "messages/s")
