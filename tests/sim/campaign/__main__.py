"""`python -m tests.sim.campaign`: whole worlds from seeds, and what must hold in each.

make sim SEEDS=1000 HOURS=100
python -m tests.sim.campaign --seeds 1000 --messages 500
python -m tests.sim.campaign --seeds 20000 --ledger campaign.jsonl
python -m tests.sim.campaign --seed 42 --picture sim-42.html
python -m tests.sim.campaign --bug "acknowledge before commit" --seeds 200
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from tests.sim.campaign.bugs import BUGS
from tests.sim.campaign.installing import install


def arguments() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    told = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "tests.sim.campaign", description=__doc__, formatter_class=told
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (100)")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first of them (1)")
    parser.add_argument("--hours", type=float, default=0, help="go on for so many simulated hours")
    parser.add_argument("--messages", type=int, default=500, help="said by clients a seed (500)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--seed", type=int, help="this one seed alone")
    parser.add_argument(
        "--plan", type=Path, help="with the faults of this file, not the seed's own"
    )
    parser.add_argument("--picture", type=Path, help="draw the one seed as a page of HTML")
    parser.add_argument(
        "--bug", help="with one of the seeded bugs, until it is caught: " + "; ".join(sorted(BUGS))
    )
    parser.add_argument(
        "--ledger", type=Path, help="keep each seed here as it ends, and go on from what is there"
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    return parser


def main() -> int:
    """Runs a campaign; 1 when something that must hold did not."""
    options = arguments().parse_args()
    if options.ledger and (options.bug or options.seed is not None):
        print("a ledger is of many seeds, without a bug", file=sys.stderr)
        return 2
    if options.bug:
        if options.bug not in BUGS:
            print(f"no bug of this name; they are {', '.join(sorted(BUGS))}", file=sys.stderr)
            return 2
        install(BUGS[options.bug])
    # Only now: what a bug changes must not have been imported before.
    code: int = import_module("tests.sim.campaign.running").main(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
