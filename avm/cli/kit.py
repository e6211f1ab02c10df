"""`kit`: plays the scenes of the capability patterns, and prints what holds where."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from avm.cli.arguments import add_json
from avm.cli.errors import REFUSED, Usage
from avm.cli.kit_hosts import running
from avm.cli.output import Progress, print_json, say
from avm.kit import puppet
from avm.kit.playing import SCENES, play
from avm.kit.process import Process
from avm.kit.stage import HERE, THERE, Bench
from avm.kit.worlds import Introduced, Storm
from avm.run.files import bundle_of, read
from caps import patterns as library

PATTERNS = Path(library.__file__).parent
PUPPET = str(puppet.__file__)
WAYS = ("process", "host", "hosts", "dht", "faults")
SEED_MAX = 2**32

Benches = Callable[[], Bench]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a pattern's scenes on one of the ways."""

    pattern: str
    way: str
    scenes: int
    failed: tuple[str, ...]


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("patterns", metavar="PATTERN", nargs="*", help="which ones (default: all)")
    ways_text = f"where, of {','.join(WAYS)} (default: everywhere)"
    parser.add_argument("--on", metavar="WAYS", default=",".join(WAYS), help=ways_text)
    machine_text = "the file of a machine that is to keep what one PATTERN promises"
    parser.add_argument("--machine", metavar="FILE", help=machine_text)
    seed_text = "which faults come with `faults`, and when (default 1)"
    parser.add_argument("--seed", metavar="N", type=int, default=1, help=seed_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Plays, and prints a table; 1 when something does not hold."""
    patterns, ways = _patterns(args), _ways(args.on)
    if not 0 <= args.seed < SEED_MAX:
        raise Usage(f"--seed is a number from 0 up to {SEED_MAX - 1}")
    files = {name: str(PATTERNS / f"{name}.py") for name in patterns}
    if args.machine is not None:
        bundle_of(args.machine)
        files = {patterns[0]: args.machine}
    results: list[Result] = []
    progress = Progress.on_stderr()
    for way in ways:
        with _benches(way, args.seed) as bench:
            for pattern, file in files.items():
                progress.show(f"{pattern} on {way}")
                results.append(_result(pattern, way, file, bench))
    progress.clear()
    failed = any(one.failed for one in results)
    if args.json:
        print_json({"ok": not failed, "results": [_json(one) for one in results]})
    else:
        _show(list(files), ways, results, args.seed)
    return REFUSED if failed else 0


def _patterns(args: argparse.Namespace) -> list[str]:
    chosen: list[str] = list(dict.fromkeys(args.patterns)) or list(SCENES)
    for name in chosen:
        if name not in SCENES:
            near = get_close_matches(name, SCENES, 1)
            meant = f"did you mean {near[0]}?" if near else f"they are {', '.join(SCENES)}"
            raise Usage(f"there is no pattern {name!r}: {meant}")
    if args.machine is not None and len(args.patterns) != 1:
        raise Usage("--machine keeps one pattern: `avm-host kit caretaker --machine FILE`")
    return chosen


def _ways(said: str) -> list[str]:
    ways = list(dict.fromkeys(said.split(",")))
    for way in ways:
        if way not in WAYS:
            raise Usage(f"--on {said}: {way!r} is none of {','.join(WAYS)}")
    return ways


@contextmanager
def _benches(way: str, seed: int) -> Iterator[Benches]:
    """Benches of one way: a new one for each scene, or running hosts that are the same for all."""
    if way in ("host", "hosts"):
        with running((HERE, THERE) if way == "hosts" else (HERE,)) as hosts:
            yield lambda: hosts
        return
    made: dict[str, Benches] = {
        "process": Process,
        "dht": lambda: Introduced(read, PUPPET, seed),
        "faults": lambda: Storm(read, seed),
    }
    yield made[way]


def _result(pattern: str, way: str, file: str, bench: Benches) -> Result:
    props = {"puppet": PUPPET, "mint": str(PATTERNS / "mint.py")}
    said = [play(scene, bench(), file, props) for scene in SCENES[pattern]]
    return Result(pattern, way, len(said), tuple(why for why in said if why))


def _json(one: Result) -> dict[str, object]:
    row = {"pattern": one.pattern, "on": one.way, "ok": not one.failed}
    return {**row, "scenes": one.scenes, "failed": list(one.failed)}


def _show(patterns: list[str], ways: list[str], results: list[Result], seed: int) -> None:
    found = {(one.pattern, one.way): "failed" if one.failed else "ok" for one in results}
    say(f"{'':<12}" + "".join(f"{way:<9}" for way in ways).rstrip())
    for pattern in patterns:
        cells = "".join(f"{found[pattern, way]:<9}" for way in ways)
        say(f"{pattern:<12}{cells.rstrip()}")
    for one in results:
        told = f" --seed {seed}" if one.way == "faults" else ""
        for why in one.failed:
            say(f"{one.pattern} --on {one.way}{told}: {why}")
