"""The small cores of the host: the scheduler's fairness, deadlines, the codec of rows."""

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.host import batch as batches
from avm.host import journal
from avm.host.batch import Batch, Said
from avm.host.capability import Cap, Local, Named, Reply, Sealed, from_bytes, to_bytes
from avm.host.deadlines import Deadlines
from avm.host.scheduler import Queue
from avm.machine import frames, pack
from avm.run.protocol import Frames


@dataclass(eq=False)
class Waiting:
    sender: bytes
    number: int
    messages: tuple[object, ...] = (None,)
    priority: int = 0


def test_w07_a_slow_sender_waits_for_one_batch_of_each_other() -> None:
    queue: Queue[Waiting] = Queue()
    for number in range(1000):
        queue.push(Waiting(b"flood", number))
    for _ in range(300):
        queue.pop()
    queue.push(Waiting(b"slow", 0))
    taken = [queue.pop().sender for _ in range(3)]
    assert b"slow" in taken[:2]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_w07_equal_senders_are_served_in_turn(arrivals: list[int]) -> None:
    queue: Queue[Waiting] = Queue()
    for number, sender in enumerate(arrivals):
        queue.push(Waiting(bytes([sender]), number))
    order = [queue.pop() for _ in arrivals]
    for sender in set(arrivals):
        own = [one.number for one in order if one.sender == bytes([sender])]
        assert own == sorted(own), "in order within a sender"
    active = deque(order)
    counts = dict.fromkeys((bytes([s]) for s in set(arrivals)), 0)
    left = {bytes([s]): arrivals.count(s) for s in set(arrivals)}
    while active:
        one = active.popleft()
        counts[one.sender] += 1
        left[one.sender] -= 1
        waiting = [counts[s] for s in counts if left[s]]
        if waiting:
            assert counts[one.sender] - min(waiting) <= 2, "nobody is left behind"


def test_higher_priority_overtakes_across_senders_and_none_starves() -> None:
    queue: Queue[Waiting] = Queue()
    for number in range(100):
        queue.push(Waiting(b"low", number, priority=-1000))
        queue.push(Waiting(b"high", number, priority=1000))
    first = [queue.pop().sender for _ in range(60)]
    assert first.count(b"high") > 3 * first.count(b"low") > 0


@given(st.lists(st.tuples(st.sampled_from(["push", "pop", "back", "drop"]), st.integers(0, 3))))
def test_the_queue_agrees_with_a_model(doings: list[tuple[str, int]]) -> None:
    queue: Queue[Waiting] = Queue()
    model: dict[bytes, list[int]] = {}
    last: Waiting | None = None
    for number, (doing, sender) in enumerate(doings):
        name = bytes([sender])
        if doing == "push":
            queue.push(Waiting(name, number))
            model.setdefault(name, []).append(number)
        elif doing == "pop" and queue:
            last = queue.pop()
            assert model[last.sender].pop(0) == last.number
        elif doing == "back" and last is not None:
            queue.push_front(last)
            model[last.sender].insert(0, last.number)
            last = None
        elif doing == "drop" and model.get(name):
            victim = next(one for one in queue if one.sender == name)
            assert queue.discard(victim)
            model[name].remove(victim.number)
            last = None
        assert len(queue) == sum(map(len, model.values())) == len(list(queue))
        assert bool(queue) == bool(len(queue))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100), st.booleans()), max_size=200))
def test_deadlines_come_in_order_and_use_bounded_memory(
    changes: list[tuple[int, int, bool]],
) -> None:
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, int] = {}
    for key, at_ms, drop in changes:
        if drop:
            deadlines.drop(key)
            model.pop(key, None)
        else:
            deadlines.put(key, at_ms)
            model[key] = at_ms
        assert deadlines.next_ms() == min(model.values(), default=None)
        assert len(deadlines._heap) <= 65 + 2 * len(model) + 1
    assert [model[key] for key in deadlines.due(50)] == sorted(v for v in model.values() if v <= 50)


ADDRESS = st.binary(min_size=32, max_size=32)
MS = st.integers(0, 2**53)
CAPS: st.SearchStrategy[Cap] = st.recursive(
    st.builds(Reply, ADDRESS, MS, MS)
    | st.builds(Sealed, ADDRESS, st.binary(max_size=99))
    | st.builds(Named, st.just("null~")),
    lambda inner: st.builds(
        Local,
        ADDRESS,
        st.integers(0, 9),
        st.integers(-1000, 1000),
        st.integers(0, 3),
        st.none() | MS,
        st.binary(max_size=50),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=5,
)


@given(CAPS)
def test_a_capability_survives_the_store(cap: Cap) -> None:
    assert from_bytes(to_bytes(cap)) == cap


SAID = st.builds(Said, CAPS, st.binary(max_size=20), st.lists(CAPS, max_size=2).map(tuple), CAPS)


@given(st.lists(SAID, min_size=1, max_size=4), MS, MS, st.binary(max_size=64), st.booleans())
def test_a_batch_survives_the_store(
    said: list[Said], seq: int, deadline_ms: int, position: bytes, splits: bool
) -> None:
    place = (b"s" * 32, b"r" * 32, seq, 7, deadline_ms)
    batch = Batch(*place, tuple(said), 99, len(said), position, splits)
    assert batches.from_bytes(batch.sender, batch.receiver, seq, batches.to_bytes(batch)) == batch


BODY = st.binary(max_size=30) | st.sampled_from([bytes(255), bytes(256), bytes(70_000)])
NUMBER = st.integers(0, 2**63) | st.sampled_from([23, 24, 255, 256, 65535, 65536, 2**32])


@given(NUMBER, NUMBER, BODY)
def test_a_turns_frame_by_hand_is_that_of_the_codec(machine: int, token: int, body: bytes) -> None:
    frame = [frames.TURN, machine, token, frames.MESSAGES, body]
    assert pack.turn(pack.place(machine, token), body) == frames.pack(frame)


@given(NUMBER, NUMBER, st.binary(max_size=12))
def test_an_answer_that_is_seen_at_a_glance_is_read_as_any_other(
    machine: int, token: int, other: bytes
) -> None:
    place = pack.place(machine, token)
    for output in (frames.CHANGED, frames.UNCHANGED):
        body = frames.pack([frames.TURN, machine, token, output, "", None])
        assert frames.plain_output(body, place) == output
        assert frames.plain_output(body, pack.place(machine, token ^ 1)) is None
    for rest in ([other, "", None], [frames.CHANGED, "said", None], [frames.CHANGED, "", []]):
        body = frames.pack([frames.TURN, machine, token, *rest])
        found = frames.plain_output(body, place)
        assert found is None or found == other == rest[0]
    assert frames.plain_output(other, place) is None


@given(NUMBER, NUMBER, st.booleans(), st.lists(st.tuples(BODY, BODY), max_size=30))
def test_an_input_by_hand_is_that_of_the_codec(
    now_ms: int, ordinal: int, from_host: bool, messages: list[tuple[bytes, bytes]]
) -> None:
    whole = [now_ms, "c0ffee", ordinal, from_host, [list(one) for one in messages]]
    packed = [pack.plain_message(*one) for one in messages]
    channel = frames.pack_text("c0ffee")
    assert pack.given(now_ms, channel, ordinal, from_host, packed, len(packed)) == frames.pack(
        whole
    )


@pytest.mark.parametrize("count", [23, 24, 255, 256, 10_000, 65_536])
def test_an_input_of_many_messages_by_hand_is_that_of_the_codec(count: int) -> None:
    packed = [pack.plain_message(b"c", b"m")] * count
    whole = [1, "x", 2, False, [[b"c", b"m"]] * count]
    assert pack.given(1, frames.pack_text("x"), 2, False, packed, count) == frames.pack(whole)


@given(st.binary(min_size=32, max_size=32), NUMBER, st.booleans(), BODY, BODY)
def test_an_entry_by_hand_is_that_of_the_codec(
    before: bytes, seq: int, changed: bool, given_bytes: bytes, output: bytes
) -> None:
    fields = (before[::-1], seq, changed, given_bytes, output)
    assert pack.turn_entry(before, *fields) == journal.encode(journal.TURN, before, *fields)


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 9), max_size=60))
def test_frames_are_cut_the_same_however_they_come(bodies: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(len(body).to_bytes(4, "little") + body for body in bodies)
    stream, found, start = Frames(), [], 0
    for cut in [*cuts, len(whole)]:
        found += stream.feed(whole[start : start + cut])
        start += cut
    assert found == bodies
