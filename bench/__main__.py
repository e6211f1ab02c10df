"""`python -m bench [--quick] [--without-peers] [--out FILE]`: measures, and writes the results."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from bench import (
    authority,
    authority_costs,
    bare,
    onehost,
    peers,
    primitives,
    recording,
    throughput,
    transport,
    twohosts,
    world,
)
from bench.figures import Figure, Section, page, write
from bench.scale import FULL, QUICK, Scale

RESULTS = Path(__file__).parent / "RESULTS.md"
TIMES_DBOS = 100.0
HEAD: list[Callable[[Path, Scale], Section]] = [primitives.measure]
OWN: list[Callable[[Path, Scale], Section]] = [
    throughput.measure,
    onehost.latency,
    bare.measure,
    onehost.many_machines,
    onehost.recovery,
    recording.measure,
    authority_costs.measure,
    authority.measure,
    twohosts.measure,
    transport.links,
    transport.dht,
    world.measure,
]
PEERS: list[Callable[[Path, Scale], Section]] = [peers.dbos, peers.capnp, peers.floor]
TOKENS: list[Callable[[Path, Scale], Section]] = [peers.tokens]


def run(parts: list[Callable[[Path, Scale], Section]], scale: Scale) -> list[Section]:
    """Measures part after part, each in a directory of its own."""
    sections = []
    for part in parts:
        begun = perf_counter()
        print(f"{part.__module__}.{part.__name__} ..", end="", file=sys.stderr, flush=True)
        directory = Path(tempfile.mkdtemp(prefix="avm-bench-"))
        try:
            sections.append(part(directory, scale))
        finally:
            shutil.rmtree(directory)
        print(f" {perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)
    return sections


def ratios(own: list[Section], others: list[Section]) -> list[Figure]:
    """The host's best at batches of 1 and 100, against each peer."""
    found = []
    for batch in (1, 100):
        ours = max(one.value for one in own[0].figures if one.what.endswith(f"batches of {batch}"))
        for peer in (one for section in others for one in section.figures):
            dbos = batch == 100 and peer.what.startswith("DBOS")
            what = f"batches of {batch} : {peer.what}"
            least = TIMES_DBOS if dbos else None
            found.append(Figure(what, ours / peer.value, "times", least=least))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--without-peers", action="store_true", help="the host alone")
    parser.add_argument("--out", type=Path, help="the file to write (a quick run prints)")
    asked = parser.parse_args()
    scale = QUICK if asked.quick else FULL
    begun, load = perf_counter(), os.getloadavg()[0]
    head = run(HEAD, scale)
    own = run(OWN, scale)
    others = [] if asked.without_peers else run(PEERS, scale)
    tokens = [] if asked.without_peers else run(TOKENS, scale)
    text = page(
        head + own + others + tokens, ratios(own, others), asked.quick, perf_counter() - begun, load
    )
    print(text)
    out = asked.out or (None if asked.quick else RESULTS)
    if out is not None:
        write(out, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
