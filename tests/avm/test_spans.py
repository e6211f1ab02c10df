"""Which spans are run again, and what follows from a difference: the host's part, without a process."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from avm.host import journal
from avm.host.capability import from_bytes
from avm.host.doubt import NONDETERMINISTIC, Found, Verdict, concluded, next_span
from avm.host.spans import FIRST_TURNS, WAITING_MAX, Span, Spans, lot
from avm.limits import Limits
from avm.past.reading import Reader
from avm.sim.host import SimHost
from tests.avm.journals import make, tell

ADDRESSES = st.binary(min_size=32, max_size=32)


def world_of(share: int, **limits: int) -> SimHost:
    world = SimHost(limits=replace(Limits(), **limits))
    world.core.host.spans.share = share
    return world


def add(world: SimHost, name: str, count: int) -> None:
    created = make(world, name)
    client = world.client()
    held = client.hold(created.names["add"])
    for n in range(count):
        tell(client, world, held, n % 5)


@given(ADDRESSES, st.integers(0, 2**40), st.integers(1, 1000))
def test_w01_the_lot_of_a_span_is_the_same_whenever_it_is_drawn(
    address: bytes, n: int, share: int
) -> None:
    assert lot(address, n, share) == lot(bytes(address), n, share)
    assert lot(address, n, 1)


def test_w01_about_one_span_in_the_share_is_chosen() -> None:
    drawn = sum(lot(bytes([i]) * 32, n, 16) for i in range(64) for n in range(64))
    assert 200 <= drawn <= 312


def test_w01_a_newcomer_is_due_when_the_host_is_idle_and_again_when_it_has_grown() -> None:
    world = world_of(16)
    host = world.core.host
    add(world, "counter", 1)
    machine = world.machine("counter")
    assert next_span(host) == Span(machine.id, -1, 2)
    assert next_span(host) is None
    client = world.client()
    held = client.hold(
        from_bytes(next(row for (_id, name), row in host.bound.items() if name == "add"))
    )
    tell(client, world, held, 1)
    assert next_span(host) is None
    tell(client, world, held, 1)
    assert next_span(host) == Span(machine.id, -1, 4)
    assert next_span(host) is None


def test_w01_a_busy_newcomer_is_due_after_its_first_hundred_turns() -> None:
    spans = Spans(16)
    spans.begin(1, -1)
    assert not spans.is_due(1, FIRST_TURNS - 1, idle=False)
    assert spans.is_due(1, FIRST_TURNS, idle=False) and spans.is_due(1, 2, idle=True)


def test_w01_the_first_span_of_a_machine_that_was_never_looked_at_is_always_chosen() -> None:
    spans = Spans(10**9)
    spans.begin(1, -1)
    spans.keep(1, b"a" * 32, -1, 400, 7)
    assert list(spans.chosen) == [Span(1, -1, 401, 7)]
    spans.keep(1, b"a" * 32, 400, 900, 8)
    assert len(spans.chosen) == 1 and not spans.young


def test_w01_what_waits_is_bounded_and_what_is_passed_over_is_counted() -> None:
    spans = Spans(1)
    for n in range(WAITING_MAX + 5):
        spans.keep(1, b"a" * 32, n - 1, n, 1)
    assert len(spans.chosen) == WAITING_MAX and spans.passed_over == 5


def test_w01_a_share_of_none_chooses_nothing() -> None:
    world = world_of(0, snapshot_turns=2)
    add(world, "counter", 9)
    assert next_span(world.core.host) is None
    assert not world.core.host.spans.chosen and not world.core.host.spans.young


def test_w01_spans_between_snapshots_follow_one_another_and_are_in_the_store() -> None:
    world = world_of(1, snapshot_turns=3)
    add(world, "counter", 14)
    host, reader = world.core.host, Reader(world.store)
    kept = [one.n for one in reader.snapshots(world.machine("counter"))][::-1]
    found = []
    while span := next_span(host):
        found.append((span.start, span.stop))
    assert found == list(zip([-1, *kept], [n + 1 for n in kept], strict=False))


def test_w01_a_span_that_is_not_committed_yet_waits() -> None:
    world = world_of(1)
    add(world, "counter", 1)
    host = world.core.host
    host.spans.young.clear()
    span = Span(world.machine("counter").id, -1, 2, host.committed + 1)
    host.spans.chosen.append(span)
    assert next_span(host) is None
    host.committed += 1
    assert next_span(host) == span


def test_w01_a_difference_suspends_the_machine_in_a_commit_that_says_why() -> None:
    world = world_of(16)
    add(world, "counter", 2)
    host, machine = world.core.host, world.machine("counter")
    span = Span(machine.id, -1, 3)
    assert concluded(host, span, Found(Verdict.AGREED, 3)) is None
    assert concluded(host, span, Found(Verdict.NONE, 1, "over time")) is None
    assert host.counts["rerun_without_verdict"] == 1 and not machine.acts
    assert concluded(host, span, Found(Verdict.DIFFERENT, 3, "turn 2: x")) is machine
    world.core.pump()
    world.settle()
    reader = Reader(world.store)
    stored = reader.machine("counter")
    assert stored.status.name == "SUSPENDED" and stored.why == NONDETERMINISTIC + "turn 2: x"
    _n, body = world.store.last_entry(machine.id) or (0, b"")
    assert journal.decode(0, body).form == journal.SUSPEND
    assert concluded(host, span, Found(Verdict.DIFFERENT, 3, "turn 2: x")) is None


def test_w01_a_machine_of_another_python_is_not_judged() -> None:
    world = world_of(16)
    add(world, "counter", 4)
    world.machine("counter").python = "2.7"
    assert next_span(world.core.host) is None
