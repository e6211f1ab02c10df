"""Key generations: which of a machine's capabilities still work. Pure.

Step 8 of the journey: judged at the turn, by its recorded time. A generation ends when an operator
revokes it, at once or after a time of grace, and every older one with it.
"""

from avm.host.state import End, Machine


def is_revoked(machine: Machine, generation: int, now_ms: int) -> bool:
    """Whether a machine's capabilities of a generation are refused at a time."""
    revoked = generation <= machine.revoked
    for ended, from_ms in machine.ends:
        revoked |= generation <= ended and from_ms <= now_ms
    return revoked


def revoke(machine: Machine, generation: int, from_ms: int, now_ms: int) -> None:
    """Has a generation and the older ones end; what says no more than another end is dropped."""
    ends = [*machine.ends, End(generation, from_ms)]
    over = [end.generation for end in ends if end.from_ms <= now_ms]
    machine.revoked = max([machine.revoked, *over])
    left = [end for end in ends if end.from_ms > now_ms and end.generation > machine.revoked]
    machine.ends = tuple(
        sorted({end for end in left if not any(_covers(other, end) for other in left)})
    )


def _covers(other: End, end: End) -> bool:
    return other != end and other.generation >= end.generation and other.from_ms <= end.from_ms


__all__ = ["is_revoked", "revoke"]
