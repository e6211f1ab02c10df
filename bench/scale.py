"""How much of everything a run does: the full run, and a quick one that only shows that it works."""

from dataclasses import dataclass


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
    apart_messages=(10_000, 60_000, 200_000),
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
)
BATCHES = (1, 10, 100)
