"""A campaign of forged capabilities: `python -m tests.caps.fuzz --count 10000000 [--seed N]`."""

import argparse
import sys
import time
from collections import Counter

from tests.caps.forging import Forger

# The world of machines and keys is made anew after so many.
EACH = 20_000


def run(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """So many forgeries from a seed: how many of each kind, and those that were let in."""
    forger = Forger(seed)
    kinds: Counter[str] = Counter()
    let_in: list[str] = []
    for number in range(count):
        forged = forger.forged()
        kinds[forged.how] += 1
        if forger.is_let_in(forged):
            let_in.append(f"seed {seed}, number {number}: {forged.how}, {forged.wire.hex()}")
        if number % 1000 == 0 and not all(
            forger.lets_in(one.wire()) for one in forger.genuine if not one.caveats
        ):
            let_in.append(f"seed {seed}, number {number}: a genuine one is refused")
    return kinds, let_in


def main() -> int:
    """Runs the campaign; 1 when one was let in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=EACH, help=f"how many ({EACH:,})")
    parser.add_argument("--seed", type=int, default=1, help="the first of their seeds (1)")
    args = parser.parse_args()
    began, total, left, seed = time.monotonic(), Counter[str](), args.count, args.seed
    while left > 0:
        kinds, let_in = run(seed, min(EACH, left))
        total += kinds
        for one in let_in:
            print(one)
        if let_in:
            return 1
        left -= EACH
        seed += 1
        if sys.stderr.isatty():
            print(f"\r{total.total():,} of {args.count:,}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for how, count in total.most_common():
        print(f"{count:>12,}  {how}")
    print(f"{total.total():,} refused, none let in, in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
