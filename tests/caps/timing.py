"""How long refusals take, by their cause: `python -m tests.caps.timing [--trials N] [--caveats N]`.

Each capability is presented as an arrival presents it, opened and then judged, and once more, as
whoever holds it can. Causes come by turns in an order that is drawn anew each time, so that what else
the machine does falls on all alike; compared are medians.
"""

import argparse
import gc
import sys
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from time import perf_counter_ns

from avm.host.capability import INVALID, Cap, Local
from avm.host.judging import is_good
from avm.host.state import End, Flight
from caps import caveats
from caps.capability import SealedCapability, narrow
from caps.errors import InvalidCapability
from caps.sealing import MachineKeys, pack_context
from tests.caps.forging import ENDING, IN_USE, NOW_MS, REVOKED, SENDER, Forger

TRIALS = 100_000
MOST_US = 1.0
GOOD = "good"
NOT_YET = IN_USE + 1
LATER = caveats.until(NOW_MS * 2)
OVER = caveats.until(NOW_MS)


class Presenter:
    """One host, and capabilities to a machine of it that are refused for one cause each."""

    def __init__(self, seed: int, chain: int) -> None:
        self.forger = Forger(seed)
        self.random = self.forger.random
        self.chain = chain
        self.machine, other = self.forger.machines
        self.machine.ends = (End(ENDING, NOW_MS),)
        self.keys = self._keys(self.machine.address)
        self.neighbour = self._keys(other.address)
        self.stranger = MachineKeys(b"x" * 32, self.machine.address)
        self.count = 0

    def _keys(self, address: bytes) -> MachineKeys:
        keys = self.forger.keys(address)
        assert keys is not None, "the machine lives here"
        return keys

    def ways(self) -> dict[str, Callable[[], SealedCapability]]:
        """How one is made that was never presented, by its cause."""
        made = self._made
        ways = {
            GOOD: made,
            "a forged proof": lambda: replace(made(), proof=self.random.randbytes(16)),
            "a flipped bit": lambda: self._resealed(lambda one: bytes((one[0] ^ 1,)) + one[1:]),
            "a seal cut short": lambda: self._resealed(lambda one: one[:-1]),
            "re-kinded": lambda: replace(made(), kind=1),
            "re-prioritised": lambda: replace(made(), priority=6),
            "of another generation": lambda: replace(made(), generation=ENDING),
            "another secret's": lambda: made(self.stranger),
            "a neighbour's": lambda: replace(made(self.neighbour), address=self.machine.address),
            "widened": self._widened,
            "revoked": lambda: made(generation=REVOKED),
            "of a generation that has ended": lambda: made(generation=ENDING),
            "of a generation to come": lambda: made(generation=NOT_YET),
            "expired": lambda: made(expires_ms=NOW_MS),
        }
        if self.chain:
            ways["a caveat that is over"] = lambda: made(last=OVER)
        return ways

    def _made(
        self,
        keys: MachineKeys | None = None,
        *,
        generation: int = IN_USE,
        expires_ms: int = NOW_MS * 2,
        last: caveats.Caveat = LATER,
    ) -> SealedCapability:
        self.count += 1
        plain = pack_context(b"context" + self.count.to_bytes(8, "big"), [])
        made = (keys or self.keys).seal(
            plain, generation=generation, priority=5, kind=0, expires_ms=expires_ms
        )
        for at in range(self.chain):
            made = narrow(made, last if at == self.chain - 1 else LATER)
        return made

    def _resealed(self, change: Callable[[bytes], bytes]) -> SealedCapability:
        made = self._made()
        return replace(made, sealed=change(made.sealed))

    def _widened(self) -> SealedCapability:
        """With one caveat less than the proof has."""
        made = self._made()
        return replace(made, proof=narrow(made, OVER).proof)

    def present(self, wire: bytes) -> bool:
        """Whether a message to it would be taken: opened at its arrival, judged at the turn."""
        try:
            to: Cap = self.forger.keys.open_untrusted(wire)
        except InvalidCapability:
            to = INVALID
        flight = Flight(self.machine, 1, now_ms=NOW_MS)
        return type(to) is Local and is_good(self.forger.host, flight, SENDER, to)


def measure(
    trials: int, chain: int = 0, seed: int = 1
) -> tuple[dict[str, float], dict[str, float]]:
    """The median time of each cause in microseconds: presented first, and then again."""
    presenter = Presenter(seed, chain)
    ways = presenter.ways()
    times = [{name: array("q") for name in ways} for _ in range(2)]
    names = list(ways)
    gc.disable()
    try:
        for _ in range(trials):
            wires = {name: make().wire() for name, make in ways.items()}
            for time in times:
                presenter.random.shuffle(names)
                for name in names:
                    begun = perf_counter_ns()
                    taken = presenter.present(wires[name])
                    time[name].append(perf_counter_ns() - begun)
                    assert taken == (name == GOOD), name
    finally:
        gc.enable()
    first, again = ({name: median(one) / 1000 for name, one in time.items()} for time in times)
    return first, again


def widest_us(medians: Mapping[str, float], good: bool) -> float:
    """The largest difference of two causes, with a good one among them or without."""
    found = [value for name, value in medians.items() if good or name != GOOD]
    return max(found) - min(found)


def main() -> int:
    """Prints medians and their largest differences; 1 when refusals are further apart than 1 us."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each cause")
    parser.add_argument("--caveats", type=int, default=0, help="how many each capability has")
    asked = parser.parse_args()
    first, again = measure(asked.trials, asked.caveats)
    print(f"{'cause':32} {'first, us':>9} {'again, us':>9}")
    for name in first:
        print(f"{name:32} {first[name]:9.2f} {again[name]:9.2f}")
    apart = [widest_us(one, good) for good in (False, True) for one in (first, again)]
    print(f"{'refusals are apart by':32} {apart[0]:9.2f} {apart[1]:9.2f}")
    print(f"{'with a good one by':32} {apart[2]:9.2f} {apart[3]:9.2f}")
    return int(max(apart[:2]) > MOST_US)


if __name__ == "__main__":
    sys.exit(main())
