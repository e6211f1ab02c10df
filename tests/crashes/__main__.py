"""`python -m tests.crashes`: every crash of the three workloads, or one again; see `make crashes`."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avm.sim.entropy import Entropy
from tests.crashes.explore import Choice, Exploration, Level, Tally
from tests.crashes.rot import Rot, rot
from tests.crashes.trail import Crash, crashes_at
from tests.crashes.workloads import WORKLOADS, Workload

SHM = Path("/dev/shm")
SHOWN_MAX = 20


def crash_of(text: str) -> Crash:
    """A crash from its text."""
    try:
        boundary, fate, seed = text.split(":")
        return Crash(int(boundary), fate, int(seed))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not BOUNDARY:FATE:SEED") from None


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser("python -m tests.crashes", description=__doc__)
    made.add_argument("--workload", choices=WORKLOADS, help="only this one")
    made.add_argument("--share", type=float, default=1.0, help="this share of the second crashes")
    made.add_argument("--draws", type=int, default=1, help="of each random fate at each boundary")
    made.add_argument(
        "--crash", type=crash_of, metavar="B:F:S", help="one crash, with its recoveries"
    )
    made.add_argument("--again", metavar="B:F:S", help="and one while the store is opened")
    made.add_argument("--back", metavar="B:F:S", help="or one while the host comes back")
    made.add_argument("--no-rot", action="store_true", help="without flipped bits and stale reads")
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    return made


def share_of(share: float, seed: int) -> Callable[[], bool]:
    """Says yes to a seeded share."""
    entropy = Entropy(seed)
    return lambda: share >= 1.0 or entropy.chance(share)


def explored(workload: Workload, args: argparse.Namespace) -> Tally:
    """Every crash of a workload, told on standard error as it goes."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as scratch:
        choice = Choice(share_of(args.share, 1), share_of(args.share, 2), draws=args.draws)
        exploration = Exploration(workload, Path(scratch), choice)
        tally = exploration.tally
        moments = exploration.trail.moments
        for moment in moments:
            for crash in crashes_at(moment, args.draws):
                if args.crash is None or args.crash == crash:
                    exploration.judge(crash)
            if args.crash is None and moment.number % 20 == 0:
                _progress(workload, moment.number, len(moments), tally)
        if args.crash is None:
            _progress(workload, len(moments), len(moments), tally)
            print(file=sys.stderr)
        second = f"--again {args.again}" if args.again else f"--back {args.back}"
        if args.again or args.back:
            tally.wrong = [one for one in tally.wrong if f"{second} " in one]
    return tally


def _progress(workload: Workload, at: int, of: int, tally: Tally) -> None:
    states = sum(sum(level.states.values()) for level in _levels(tally).values())
    line = f"\r{workload.name}: boundary {at} of {of}, {states:,} states, {len(tally.wrong)} wrong"
    print(line, end="", file=sys.stderr, flush=True)


def _levels(tally: Tally) -> dict[str, Level]:
    return {"crash": tally.first, "opening": tally.again, "coming back": tally.back}


def table(tallies: dict[str, Tally], rots: dict[str, Rot], seconds: float) -> str:
    """What was enumerated and found, in a table."""
    fates = ("lost", "kept", "prefix", "reordered", "torn", "killed")
    head = f"{'workload':12} {'crash of':12} {'boundaries':>10} {'states':>8}"
    lines = [head + "".join(f" {fate:>9}" for fate in fates) + f" {'distinct':>9}"]
    total = 0
    for name, tally in tallies.items():
        for what, level in _levels(tally).items():
            states = sum(level.states.values())
            total += states
            row = f"{name:12} {what:12} {sum(level.boundaries.values()):>10,} {states:>8,}"
            row += "".join(f" {level.states[fate]:>9,}" for fate in fates)
            lines.append(f"{row} {level.disks:>9,}")
    lives = sum(tally.lives for tally in tallies.values())
    wrong = [one for tally in tallies.values() for one in tally.wrong]
    lines.append(f"{total:,} states, {lives:,} lives to their end, {seconds:,.0f} s of CPU")
    for name, found in rots.items():
        lines.append(f"{name}: {found}")
    lines.append(f"{len(wrong)} wrong")
    lines += wrong[:SHOWN_MAX]
    return "\n".join(lines)


def figures(tallies: dict[str, Tally], rots: dict[str, Rot], seconds: float) -> dict[str, Any]:
    """The same for a script."""
    return {
        "workloads": {name: _figures(tally) for name, tally in tallies.items()},
        "rot": {
            name: {
                "flipped": dict(found.flipped),
                "flipped_log": dict(found.flipped_log),
                "stale": dict(found.stale),
                "silent": found.examples,
            }
            for name, found in rots.items()
        },
        "cpu_s": round(seconds, 1),
    }


def _figures(tally: Tally) -> dict[str, Any]:
    levels = {
        what: {
            "boundaries": dict(level.boundaries),
            "states": dict(level.states),
            "distinct": level.disks,
        }
        for what, level in _levels(tally).items()
    }
    return {**levels, "lives": tally.lives, "wrong": tally.wrong}


def main() -> int:
    """Runs it; 1 when anything is wrong."""
    args = parser().parse_args()
    if args.crash is not None and args.workload is None:
        parser().error("--crash needs --workload")
    chosen = [WORKLOADS[args.workload]] if args.workload else list(WORKLOADS.values())
    began = time.process_time()
    tallies = {workload.name: explored(workload, args) for workload in chosen}
    rots: dict[str, Rot] = {}
    if args.crash is None and not args.no_rot:
        rots = {workload.name: rot(workload) for workload in chosen}
    seconds = time.process_time() - began
    if args.json:
        print(json.dumps(figures(tallies, rots, seconds), indent=2))
    else:
        print(table(tallies, rots, seconds))
    silent = sum(found.silent for found in rots.values())
    return 1 if silent or any(tally.wrong for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
