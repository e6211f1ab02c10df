"""How long a batch waits for those of other senders: the bound that users are told."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from avm.host.scheduler import BATCH_COST, Queue


@dataclass(eq=False)
class Waiting:
    sender: bytes
    messages: tuple[object, ...]
    priority: int = 0


SLOW = b"slow"
SIZES = st.sampled_from([1, 2, 10, 100, 1000])


def flooded(senders: int, size: int, priority: int = 0) -> Queue[Waiting]:
    queue: Queue[Waiting] = Queue()
    for sender in range(senders):
        for _ in range(200):
            queue.push(Waiting(bytes([sender]), (None,) * size, priority))
    return queue


def overtaken_by(queue: Queue[Waiting], batch: Waiting) -> Counter[bytes]:
    """How many batches of each other sender are taken before this one."""
    queue.push(batch)
    before: Counter[bytes] = Counter()
    while (taken := queue.pop()) is not batch:
        before[taken.sender] += 1
    return before


@given(st.integers(1, 6), SIZES, st.lists(st.integers(0, 15), max_size=6))
def test_w07_of_equal_batches_at_most_one_of_each_other_sender_goes_first(
    senders: int, size: int, pauses: list[int]
) -> None:
    queue = flooded(senders, size)
    for pause in pauses:
        for _ in range(pause):
            queue.pop()
        before = overtaken_by(queue, Waiting(SLOW, (None,) * size))
        assert max(before.values(), default=0) <= 1


@given(st.integers(1, 4), SIZES, st.sampled_from([1, 2, 10, 100]), st.integers(0, 20))
def test_w07_a_large_batch_waits_until_the_others_had_as_much(
    senders: int, size: int, mine: int, pause: int
) -> None:
    queue = flooded(senders, size)
    for _ in range(pause):
        queue.pop()
    before = overtaken_by(queue, Waiting(SLOW, (None,) * mine))
    most = (BATCH_COST + mine) / (BATCH_COST + size) + 1
    assert max(before.values(), default=0) <= most


def test_w07_the_highest_priority_is_served_sixteen_times_as_often_as_the_lowest() -> None:
    queue: Queue[Waiting] = Queue()
    for _ in range(1000):
        queue.push(Waiting(b"low", (None,), -1000))
        queue.push(Waiting(b"high", (None,), 1000))
    first = Counter(queue.pop().sender for _ in range(850))
    assert 15 <= first[b"high"] / first[b"low"] <= 17
