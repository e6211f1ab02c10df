"""Runs seeds of the campaign, in as many processes as there are jobs, and tells what came of them."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import blake2b
from itertools import count
from multiprocessing import get_context
from time import monotonic
from typing import Any

from avm.sim.plan import BadPlan, Plan, parse_plan_untrusted
from tests.sim.campaign.happenings import WANTED
from tests.sim.campaign.installing import install_named
from tests.sim.campaign.picture import Picture
from tests.sim.campaign.scenario import Outcome, run

HOUR_S = 3600
AT_A_TIME = 20


def main(options: argparse.Namespace) -> int:
    """Runs a campaign, or one seed of it; 1 when something that must hold did not."""
    if options.seed is None:
        return many(options)
    try:
        text = options.plan.read_text(encoding="utf-8") if options.plan else None
        return one(options, None if text is None else parse_plan_untrusted(text))
    except (BadPlan, OSError, UnicodeDecodeError) as error:
        print(f"{options.plan} is no plan of faults: {error}", file=sys.stderr)
        return 2


def one(options: argparse.Namespace, plan: Plan | None) -> int:
    """Runs one seed, and draws it if asked."""
    picture = Picture()
    found = run(
        options.seed, options.messages, plan, lambda scenario: scenario.world.watch(picture)
    )
    if options.picture:
        try:
            options.picture.write_text(picture.page(options.seed, found.why), encoding="utf-8")
        except OSError as error:
            print(f"the picture cannot be written: {error}", file=sys.stderr)
            return 2
    print(
        f"seed {found.seed}: {found.messages} messages in {found.virtual_s:.0f} s, {found.digest}"
    )
    if found.why:
        print(found.why)
    return 1 if found.why else 0


def outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    """What each seed came to, in their order, for as many as are wanted."""
    runs = partial(run, messages=options.messages)
    hours = 0.0
    spawn = get_context("spawn")
    with ProcessPoolExecutor(options.jobs, spawn, install_named, (options.bug,)) as pool:
        for begin in count(options.first, AT_A_TIME):
            left = options.first + options.seeds - begin
            if left <= 0 and hours >= options.hours:
                return
            seeds = range(begin, begin + (min(left, AT_A_TIME) if left > 0 else AT_A_TIME))
            for found in pool.map(runs, seeds):
                hours += found.virtual_s / HOUR_S
                yield found


def many(options: argparse.Namespace) -> int:
    """Runs many seeds, and tells what came of them."""
    begun = monotonic()
    total: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    virtual_s = 0.0
    traces = blake2b(digest_size=16)
    broken: list[Outcome] = []
    for found in outcomes(options):
        total.update(seeds=1, messages=found.messages, batches=found.batches)
        virtual_s += found.virtual_s
        seen.update(found.counts)
        traces.update(f"{found.seed} {found.digest}\n".encode())
        if found.why:
            broken.append(found)
            print(f"seed {found.seed}: {found.why}", file=sys.stderr, flush=True)
            if options.bug:
                break  # it is caught
        if sys.stderr.isatty():
            print(
                f"\r{total['seeds']} seeds, {total['messages']} messages", end="", file=sys.stderr
            )
    never = [name for name in WANTED if not seen[name]]
    summary = {
        **total,
        "hours": round(virtual_s / HOUR_S, 1),
        "seconds": round(monotonic() - begun, 1),
        "digest": traces.hexdigest(),
        "broken": [{"seed": one.seed, "why": one.why} for one in broken],
        "counts": dict(sorted(seen.items())),
        "never": never,
    }
    print(json.dumps(summary, indent=2) if options.json else report(summary, options))
    return 1 if broken else 0


def report(summary: dict[str, Any], options: argparse.Namespace) -> str:
    """The summary for people."""
    rate = summary["messages"] / max(summary["seconds"], 0.1)
    what = f"{summary['seeds']} seeds, {summary['messages']:,} messages in {summary['batches']:,} batches"
    time = f"{summary['hours']:,} simulated hours in {summary['seconds']:.0f} s"
    lines = [
        f"{what}, {time} ({rate:,.0f} messages a second)",
        f"traces  {summary['digest']}",
        f"met     {len(summary['counts'])} kinds of event; never: {', '.join(summary['never']) or 'none'}",
    ]
    for one in summary["broken"]:
        again = f"python -m tests.sim.campaign --seed {one['seed']} --messages {options.messages}"
        bug = f' --bug "{options.bug}"' if options.bug else ""
        lines += [f"BROKEN  seed {one['seed']}: {one['why']}"]
        lines += [f"        again: {again}{bug} --picture sim-{one['seed']}.html"]
    lines.append(f"{len(summary['broken'])} broken")
    return "\n".join(lines)
