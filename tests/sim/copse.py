"""The apple test over whole hosts: pouches hand on tokens while hosts, ports and links come and go.

`python -m tests.sim.copse SEED` runs a seed and prints the digest of its trace; with `--lines FILE`
it also writes down the trace itself.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import trio

from avm.limits import Limits
from avm.link.memory_port import Weather
from avm.sim.entropy import Entropy
from caps.value import Capability
from tests.sim import apple
from tests.sim.code import ModuleCode, gap_free, replayed
from tests.sim.orchard import sealed
from tests.sim.shells import ShellHost, Shells, Trace, run
from tests.sim.test_moves import trust

HOSTS = 3
MACHINES = 5
TOKENS = 20
MOVES = 40
JOIN_S = 5.0
# Longer than the longest deadline of an ask, and than an unheard link lives.
QUIET_S = 200.0
# None of a well-behaved host's. One that is held up until its sender has moved away comes unproven.
FOUL = ("malformed", "frozen")


class Grove:
    """Five pouches on three hosts, a client at each, and what must hold of them."""

    def __init__(self, seed: int, trace: Trace) -> None:
        self.entropy = entropy = Entropy(seed + 5_000_000)
        weather = Weather(
            latency_s=0.004,
            jitter_s=entropy.below(50) / 1000,
            loss=entropy.below(10) / 100,
            double=entropy.below(5) / 100,
        )
        limits = replace(Limits(), withdraw_s=2.0)
        self.shells = Shells(seed, HOSTS, trace, weather, limits)
        self.hosts = self.shells.hosts
        homes = [self.hosts[i % HOSTS] for i in range(MACHINES)]
        self.names = [f"pouch{i}" for i in range(MACHINES)]
        share = TOKENS // MACHINES
        made = [
            home.sim.create(name, ModuleCode(apple), tuple(range(i * share, (i + 1) * share)))
            for i, (home, name) in enumerate(zip(homes, self.names, strict=True))
        ]
        self.clients = [host.sim.client() for host in self.hosts]
        wires = [
            {name: home.sim.core.seal(cap) for name, cap in one.names.items()}
            for home, one in zip(homes, made, strict=True)
        ]
        self.go: list[list[Capability]] = [
            [client.hold(sealed(wire["go"])) for wire in wires] for client in self.clients
        ]
        for i, home in enumerate(homes):
            client = self.clients[home.number]
            take = [client.hold(sealed(one["take"])) for one in wires[:i] + wires[i + 1 :]]
            client.send(client.hold(sealed(wires[i]["meet"])), tuple(take))
        for host in self.hosts:
            for other in self.hosts:
                if other is not host:
                    trust(host.sim, other.sim)
        self.returning: dict[int, None] = {}
        self.said = {(c, m): 0 for c in range(HOSTS) for m in range(MACHINES)}

    # What happens.

    async def play(self, nursery: trio.Nursery) -> None:
        """Hosts join, tokens move under faults, all heals, and time passes."""
        nursery.start_soon(self.shells.carry)
        for host in self.hosts:
            nursery.start_soon(host.live)
        await trio.sleep(JOIN_S)
        left = MOVES
        while left:
            if self.entropy.chance(0.5):
                self.move()
                left -= 1
            if self.entropy.chance(0.08):
                self.travel()
            if self.entropy.chance(0.12):
                self.disturb()
            for host in self.hosts:
                if not host.is_on and host.number not in self.returning:
                    self.returning[host.number] = None
                    nursery.start_soon(self._back, host)
            await trio.sleep(self.entropy.below(400) / 1000)
        self.shells.wire.join_all()
        for host in self.hosts:
            host.sim.dies_after = 0
            if not host.is_on:
                nursery.start_soon(host.live)
        await trio.sleep(QUIET_S)

    def move(self) -> None:
        """One client asks one pouch, here or at another host, to hand on a token."""
        c, m = self.entropy.below(HOSTS), self.entropy.below(MACHINES)
        self.said[(c, m)] += 1
        way, chosen = self.entropy.below(50), self.entropy.below(1000)
        self.clients[c].send(self.go[c][m], (str(c), self.said[(c, m)], chosen, way))
        self.hosts[c].act()

    def travel(self) -> None:
        """One pouch is asked to move to another host, which may be off or out of reach."""
        m, to = self.entropy.below(MACHINES), self.entropy.choice(self.hosts)
        home = self.home(m)
        if home is None or home is to or not home.is_on:
            return
        machine, name, core = home.sim.machine(self.names[m]), self.names[m], home.sim.core
        home.sim.begin(lambda number: core.move(number, machine, to.address, name))
        home.act()

    def home(self, m: int) -> ShellHost | None:
        """Where a pouch lives; None while it is between two hosts."""
        found = [one for one in self.hosts if self.names[m] in one.sim.core.host.names]
        assert len(found) <= 1, "a machine lives at one host"
        return found[0] if found else None

    def disturb(self) -> None:
        """Something breaks, or is mended."""
        host = self.entropy.choice(self.hosts)
        other = self.hosts[host.number - 1]
        wire = self.shells.wire
        match self.entropy.below(7):
            case 0 if host.is_on:
                host.stop()
                self.rebind(host)
            case 1 if host.is_on:
                host.kill()
                if self.entropy.chance(0.5):
                    self.rebind(host)
            case 2:
                wire.sever(host.endpoint, other.endpoint)
            case 3:
                wire.part(host.endpoint, other.endpoint)
            case 4:
                wire.join_all()
            case 5 if host.is_on:
                host.sim.kill_worker()
            case 6:
                host.sim.dies_after = 1 + self.entropy.below(4)

    def rebind(self, host: ShellHost) -> None:
        """A host will be at another port; the first, by which all join, stays where it is."""
        if host is not self.hosts[0]:
            host.rebind()

    async def _back(self, host: ShellHost) -> None:
        await trio.sleep(self.entropy.below(8))
        del self.returning[host.number]
        if not host.is_on:
            await host.live()

    # What must hold.

    def check(self) -> None:
        """After quiet: tokens, outcomes, the clients' messages, channels and replay."""
        tokens: list[int] = []
        unknown = 0
        for m, name in enumerate(self.names):
            home = self.home(m)
            assert home is not None, "each is at some host in the end"
            state = replayed(home.sim, name)
            tokens += state.tokens
            unknown += state.outcomes.get("unknown", 0)
            assert state.asked == sum(state.outcomes.values()), f"one outcome an ask: {state}"
            for c in range(HOSTS):
                assert state.heard.get(str(c), 0) == self.said[(c, m)], "acknowledged is applied"
            assert not home.sim.machine(name).asks, "no ask stays open"
            gap_free(home.sim, name)
        assert len(tokens) == len(set(tokens)), "no token is doubled"
        assert TOKENS - unknown <= len(tokens) <= TOKENS, "none is lost"
        for host in self.hosts:
            assert not host.sim.core.host.outbox, "outboxes drain"
            counts = host.sim.core.host.counts
            assert not {name: counts[name] for name in FOUL if counts[name]}
            assert not host.frozen
            moves = host.sim.core.host.moves
            assert not (moves.asked or moves.leaving or moves.landing), "no move stays open"
        for client in self.clients:
            assert not any(sender.waiting for sender in client.senders.values()), "all is settled"


def play(seed: int, trace: Trace | None = None) -> Trace:
    """Runs a seed whole; a failure names the command that repeats it."""
    kept = trace or Trace()

    async def main() -> None:
        copse = Grove(seed, kept)
        async with trio.open_nursery() as nursery:
            await copse.play(nursery)
            nursery.cancel_scope.cancel()
        copse.check()

    try:
        run(seed, main)
    except BaseException as error:
        error.add_note(f"repeat it with: python -m tests.sim.copse {seed}")
        raise
    return kept


def main() -> int:
    """Runs the seeds of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.copse", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--lines", type=Path, metavar="FILE", help="write the trace of the last")
    args = parser.parse_args()
    for seed in args.seeds:
        lines: list[str] | None = None if args.lines is None else []
        trace = play(seed, Trace(lines))
        print(f"{seed} {trace.digest()} {trace.events}", flush=True)
        if args.lines is not None and lines is not None:
            args.lines.write_text("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
