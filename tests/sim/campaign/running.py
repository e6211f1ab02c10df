"""Runs seeds of the campaign, in as many processes as there are jobs, and tells what came of them."""

import argparse
import gc
import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from hashlib import blake2b
from itertools import count
from multiprocessing import get_context
from time import monotonic, process_time
from typing import Any

from avm.sim.plan import BadPlan, Plan, parse_plan_untrusted
from tests.sim.campaign.happenings import WANTED
from tests.sim.campaign.installing import prepare
from tests.sim.campaign.ledger import BadLedger, Ended, Ledger, hash_of_code
from tests.sim.campaign.picture import Picture
from tests.sim.campaign.scenario import Outcome, run

HOUR_S = 3600
AT_A_TIME = 20
# The seconds of a core by which seeds are told apart, and how many of the slowest are named.
COSTS_S = (0.3, 0.6, 1.0, 3.0)
SLOWEST = 10


def main(options: argparse.Namespace) -> int:
    """Runs a campaign, or one seed of it; 1 when something that must hold did not."""
    if options.seed is None:
        return _many(options)
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


def timed(seed: int, messages: int) -> Ended:
    """Runs a seed, and tells what it took of a core."""
    begun = process_time()
    outcome = run(seed, messages)
    gc.collect()
    return Ended(outcome, round(process_time() - begun, 3))


def outcomes(options: argparse.Namespace, ledger: Ledger | None) -> Iterator[Ended]:
    """What each seed came to, in their order, for as many as are wanted.

    What stands in the ledger is not run again, and the others stand in it as soon as they have ended.
    """
    hours = 0.0
    spawn = get_context("spawn")
    with ProcessPoolExecutor(options.jobs, spawn, prepare, (options.bug,)) as pool:
        for begin in count(options.first, AT_A_TIME):
            left = options.first + options.seeds - begin
            if left <= 0 and hours >= options.hours:
                return
            seeds = range(begin, begin + (min(left, AT_A_TIME) if left > 0 else AT_A_TIME))
            ended = (
                {} if ledger is None else {n: ledger.ended[n] for n in seeds if n in ledger.ended}
            )
            left_out = [seed for seed in seeds if seed not in ended]
            runs = [pool.submit(timed, seed, options.messages) for seed in left_out]
            for done in as_completed(runs):
                found = done.result()
                ended[found.outcome.seed] = found
                if ledger is not None:
                    ledger.note(found)
            for seed in seeds:
                hours += ended[seed].outcome.virtual_s / HOUR_S
                yield ended[seed]


def _many(options: argparse.Namespace) -> int:
    """Runs many seeds beside a ledger, if there is one; 2 when it is none of this campaign."""
    if options.ledger is None:
        return many(options, None)
    try:
        ledger = Ledger(options.ledger, options.messages, hash_of_code())
    except (BadLedger, OSError) as error:
        print(f"the ledger cannot be gone on with: {error}", file=sys.stderr)
        return 2
    try:
        return many(options, ledger)
    finally:
        ledger.close()


def many(options: argparse.Namespace, ledger: Ledger | None) -> int:
    """Runs many seeds, and tells what came of them."""
    begun = monotonic()
    total: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    virtual_s = 0.0
    traces = blake2b(digest_size=16)
    broken: list[Outcome] = []
    costs: dict[int, float] = {}
    for ended in outcomes(options, ledger):
        found = ended.outcome
        costs[found.seed] = ended.core_s
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
        "core_s": round(sum(costs.values()), 1),
        "costs": histogram(costs),
        "slowest": dict(sorted(costs.items(), key=lambda one: -one[1])[:SLOWEST]),
        "digest": traces.hexdigest(),
        "broken": [{"seed": one.seed, "why": one.why} for one in broken],
        "counts": dict(sorted(seen.items())),
        "never": never,
    }
    print(json.dumps(summary, indent=2) if options.json else report(summary, options))
    return 1 if broken else 0


def histogram(costs: dict[int, float]) -> dict[str, int]:
    """How many seeds took how much of a core, in classes of seconds."""
    ends = [*COSTS_S, float("inf")]
    names = [f"under {end:g} s" for end in COSTS_S] + [f"from {COSTS_S[-1]:g} s"]
    found = Counter(next(n for n, end in enumerate(ends) if cost < end) for cost in costs.values())
    return {name: found[n] for n, name in enumerate(names)}


def report(summary: dict[str, Any], options: argparse.Namespace) -> str:
    """The summary for people."""
    rate = summary["messages"] / max(summary["core_s"], 0.1)
    costs = ", ".join(f"{count} {name}" for name, count in summary["costs"].items())
    slowest = ", ".join(f"{seed} ({cost:.1f} s)" for seed, cost in summary["slowest"].items())
    what = f"{summary['seeds']} seeds, {summary['messages']:,} messages in {summary['batches']:,} batches"
    time = f"{summary['hours']:,} simulated hours in {summary['seconds']:.0f} s"
    lines = [
        f"{what}, {time} ({rate:,.0f} messages a second of a core)",
        f"costs   {costs}; most: {slowest}",
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
