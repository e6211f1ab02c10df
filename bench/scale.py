"""How much of everything a run does: the full run, and a quick one that only shows that it works."""

from dataclasses import dataclass

from bench.link import Scale as LinkScale


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of one run; `messages` are those at batches of 1, 10 and 100.

    `apart` are the senders at one host to another, and the machines there.
    """

    messages: tuple[int, int, int]
    senders: int
    machines: int
    hops: int
    idle: int
    many: int
    turns: int
    dbos_s: float
    calls: int
    floor_rows: int
    apart: int
    apart_messages: tuple[int, int, int]
    link: LinkScale
    dht_s: float
    dht_runs: int
    primitives: int
    spread_s: float
    holders: int
    worlds: int
    world: tuple[int, int]


FULL = Scale(
    messages=(60_000, 150_000, 400_000),
    senders=64,
    machines=100,
    hops=10_000,
    idle=3_000,
    many=10_000,
    turns=100_000,
    dbos_s=8.0,
    calls=4_000,
    floor_rows=100_000,
    apart=32,
    apart_messages=(20_000, 60_000, 300_000),
    link=LinkScale(trips=2_000, seconds=1.0, handshakes=100, idle=50, rounds=3),
    dht_s=1.9,
    dht_runs=6,
    primitives=200,
    spread_s=20.0,
    holders=1_000,
    worlds=6,
    world=(100, 10),
)
QUICK = Scale(
    messages=(2_000, 4_000, 20_000),
    senders=16,
    machines=20,
    hops=200,
    idle=100,
    many=200,
    turns=2_000,
    dbos_s=0.5,
    calls=100,
    floor_rows=2_000,
    apart=8,
    apart_messages=(500, 2_000, 8_000),
    link=LinkScale(trips=50, seconds=0.1, handshakes=5, idle=5, rounds=1),
    dht_s=0.2,
    dht_runs=1,
    primitives=50,
    spread_s=0.05,
    holders=20,
    worlds=1,
    world=(4, 2),
)
BATCHES = (1, 10, 100)
