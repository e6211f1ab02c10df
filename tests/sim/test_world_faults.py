"""Each thing that can go wrong in a world does what it says, and is over when it is."""

from dataclasses import replace

import pytest

from avm.limits import Limits
from avm.sim import post
from avm.sim.events import (
    ClientHeard,
    CommitRefused,
    Committed,
    Crashed,
    Delivered,
    LinkDown,
    Said,
    WorkerLost,
)
from avm.sim.plan import (
    Asymmetric,
    BreakLinks,
    ClockJump,
    Clog,
    Crash,
    CrashAtCommit,
    DeadWorker,
    Duplicate,
    Fault,
    FsyncError,
    KillWorker,
    Latency,
    Loss,
    Nat,
    Partition,
    Plan,
    RefuseCommits,
    Reorder,
    SlowDisk,
    SlowWorker,
)
from avm.sim.world import World
from tests.sim.code import replayed
from tests.sim.grove import Diary, Grove, code_of

ALARM = 3_600.0


def grove(*faults: Fault, dht: bool = False, seed: int = 1) -> Grove:
    """A grove with links between all, to which these things happen now."""
    made = Grove(seed, dht=dht)
    made.play(9, 0.05)
    made.world.run(3)
    for fault in faults:
        made.world.inject(fault)
    made.world.run(0.001)
    return made


def answered_ms(made: Grove, asker: int, machine: int, limit_s: float = 60.0) -> int:
    """How long an ask takes that a client makes of a machine; -1 when it is not answered in time."""
    client, began_ms = made.clients[asker], made.world.now_ms
    made.said[asker, machine] = made.said.get((asker, machine), 0) + 1
    content = (str(asker), made.said[asker, machine], 1, 1)
    number = client.ask(made.go[machine], content, timeout_s=limit_s + 60)
    done = made.world.run_until(lambda: number in client.outcomes, limit_s)
    return made.world.now_ms - began_ms if done else -1


def test_a_partition_stops_all_between_its_sides_and_nothing_else() -> None:
    made = grove(Partition(0, 20_000, ("h0",)))
    began_ms = made.world.now_ms
    assert answered_ms(made, 0, 1, 5) == -1
    assert 0 <= answered_ms(made, 1, 2, 5) < 1_000
    assert made.world.run_until(lambda: 1 in made.clients[0].outcomes, 30)
    assert 20_000 <= made.world.now_ms - began_ms < 21_000


def test_a_link_on_which_nothing_comes_for_long_is_given_up_at_both_ends() -> None:
    made = grove(Partition(0, 60_000, ("h0",)))
    diary = Diary(LinkDown)
    made.world.watch(diary)
    made.world.run(50)
    gone = {event.host for _, event in diary.events if isinstance(event, LinkDown)}
    assert gone == {"h0", "h1", "h2"}
    assert made.world.counts["link given up for silence"] > 0


def test_what_is_blocked_one_way_still_comes_the_other() -> None:
    made = grove(Asymmetric(0, 10_000, ("h0",), ("h1",)))
    diary = Diary(Said, Delivered)
    made.world.watch(diary)
    answered_ms(made, 0, 1, 3)
    answered_ms(made, 1, 0, 3)
    came = {event.host for _, event in diary.events if isinstance(event, Delivered)}
    said = {event.host for _, event in diary.events if isinstance(event, Said)}
    assert {"h0", "h1"} <= said
    assert "h0" in came and "h1" not in came


def test_latency_and_reordering_take_longer_and_a_lane_keeps_its_order() -> None:
    quick = answered_ms(grove(), 0, 1)
    assert answered_ms(grove(Latency(0, 60_000, 400)), 0, 1) >= quick + 800
    made = grove(Reorder(0, 60_000, 500))
    diary = Diary(Said, Delivered)
    made.world.watch(diary)
    for _ in range(6):
        made.play(6, 0.01)
    made.world.run(5)
    lanes: dict[tuple[str, int, int], list[bytes]] = {}
    for _, event in diary.events:
        if isinstance(event, Said | Delivered):
            lanes.setdefault((type(event).__name__, event.link, event.lane), []).append(event.frame)
    ends = {end.link: end.other for end in made.world.scene.ends.values()}
    for (kind, link, lane), frames in lanes.items():
        if kind == "Said":
            assert lanes[("Delivered", ends[link], lane)] == frames


def test_lost_packets_make_a_link_slower_and_nothing_goes_missing() -> None:
    made = grove(Loss(0, 600_000, 0.3))
    for _ in range(10):
        assert answered_ms(made, 0, 1) >= 0
    assert made.world.counts["frame sent again"] > 0


def test_datagrams_are_lost_and_doubled_as_often_as_is_said() -> None:
    world = World(3, Plan((Loss(0, 600_000, 0.2), Duplicate(0, 600_000, 0.4))))
    for number in range(10):
        world.add_host(f"h{number}")
        world.run(0.1)
    world.run(3)
    counts = world.counts
    assert 0.15 < counts["datagram lost"] / counts["datagram sent"] < 0.25
    assert 0.25 < counts["duplicate datagram"] / counts["datagram sent"] < 0.4
    nodes = [site.node for site in world.scene.sites]
    assert all(node is not None and len(node.table) > 2 for node in nodes)


def test_a_clogged_link_takes_the_time_that_its_bytes_take() -> None:
    made = grove(Clog(0, 60_000, "h0", "h1", 1_000))
    diary = Diary(Said)
    made.world.watch(diary)
    took_ms = answered_ms(made, 0, 1)
    first = next(event for _, event in diary.events if isinstance(event, Said))
    assert took_ms >= len(first.frame)
    assert 0 <= answered_ms(made, 1, 2) < 1_000


def test_what_a_clog_has_held_up_goes_on_at_once_when_it_is_over() -> None:
    """What was on its way at ten bytes in a second went on so for minutes after all had healed."""
    made = grove(Clog(0, 2_000, "h0", "h1", 10))
    assert 1_500 < answered_ms(made, 0, 1) < 3_000
    assert made.world.counts["frame through a clogged link"]


def test_what_a_clog_has_held_up_waits_for_the_path_to_open() -> None:
    made = grove(Clog(0, 2_000, "h0", "h1", 10))
    made.world.inject(Asymmetric(made.world.scene.now_us // 1_000 + 1_000, 4_000, ("h0",), ("h1",)))
    assert 4_500 < answered_ms(made, 0, 1) < 6_000


@pytest.mark.parametrize("one_end", [False, True])
def test_links_that_break_are_made_anew_and_all_is_answered(one_end: bool) -> None:
    made = grove(BreakLinks(0, "h0", "h1", one_end))
    assert answered_ms(made, 0, 1) >= 0
    assert answered_ms(made, 1, 0) >= 0


def test_a_crash_keeps_what_was_committed_and_nothing_else() -> None:
    made = grove()
    client, machine = made.clients[1], made.go[1]
    diary = Diary(Committed, Crashed, ClientHeard)
    made.world.watch(diary)
    made.world.inject(CrashAtCommit(0, "h1", 0, False, 500))
    made.world.run(0.001)
    client.send(machine, ("y", 1, 1, 1))
    made.world.run_until(lambda: made.world.counts["crash"] == 1, 5)
    assert replayed(made.world.host("h1"), "pouch").heard.get("y") is None
    made.world.run_until(lambda: made.world.host("h1").up, 5)
    made.world.run_until(lambda: not client.outgoing and not client.unmarked, 5)
    made.world.run(2)
    assert replayed(made.world.host("h1"), "pouch").heard["y"] == 1
    kinds = [type(event) for _, event in diary.events if event.host == "h1"]  # type: ignore[union-attr]
    assert kinds.index(Crashed) < kinds.index(Committed)


def test_what_was_under_way_when_a_host_died_is_not_done_in_its_next_life() -> None:
    made = grove(SlowDisk(0, 60_000, "h1", 700))
    client, diary = made.clients[1], Diary(Committed)
    made.world.watch(diary)
    client.send(made.go[1], ("y", 1, 1, 1))
    made.world.run(0.1)
    assert made.world.host("h1").is_writing
    made.world.inject(Crash(0, "h1", 10))
    made.world.run(0.65)
    assert made.world.host("h1").is_writing
    assert not diary.events
    assert made.world.run_until(lambda: bool(diary.events), 1)
    made.world.run(5)


def test_a_crash_after_a_commit_finds_it_done_and_the_client_hears_of_it() -> None:
    made = grove(CrashAtCommit(0, "h1", 0, True, 500))
    client = made.clients[1]
    before = len(client.verdicts)
    client.send(made.go[1], ("y", 1, 1, 1))
    made.world.run_until(lambda: made.world.counts["crash"] == 1, 5)
    assert replayed(made.world.host("h1"), "pouch").heard["y"] == 1
    assert made.world.run_until(lambda: len(client.verdicts) > before, 10)
    assert client.verdicts[-1][1] == ["applied"]


@pytest.mark.parametrize("holds", [False, True])
def test_an_fsync_error_ends_the_host_and_the_commit_is_there_or_not(holds: bool) -> None:
    made = grove(FsyncError(0, "h1", 0, holds, 500))
    made.clients[1].send(made.go[1], ("y", 1, 1, 1))
    made.world.run_until(lambda: made.world.counts["fsync error"] == 1, 5)
    assert not made.world.host("h1").up
    assert (replayed(made.world.host("h1"), "pouch").heard.get("y") == 1) is holds


def test_a_full_disk_refuses_and_loses_nothing() -> None:
    made = grove(RefuseCommits(0, 5_000, "h1"))
    diary = Diary(CommitRefused, Committed)
    made.world.watch(diary)
    assert 4_000 <= answered_ms(made, 1, 1) < 8_000
    assert any(isinstance(event, CommitRefused) for _, event in diary.events)


def test_a_slow_disk_and_slow_workers_take_their_time() -> None:
    quick = answered_ms(grove(), 1, 1)
    assert answered_ms(grove(SlowDisk(0, 60_000, "h1", 700)), 1, 1) >= quick + 690
    assert answered_ms(grove(SlowWorker(0, 60_000, "h1", 300)), 1, 1) >= quick + 290


def test_a_worker_that_is_killed_is_replaced_and_its_machine_goes_on() -> None:
    made = grove()
    diary = Diary(WorkerLost)
    made.world.watch(diary)
    for _ in range(4):
        made.world.inject(KillWorker(0, "h1"))
    assert answered_ms(made, 1, 1) >= 0
    assert len(diary.events) == 4
    assert len(made.world.host("h1").workers) == 2


def test_a_worker_that_takes_no_more_is_killed_when_its_turn_is_over_time() -> None:
    made = grove()
    home = made.world.host("h1")
    worker = home.machine("pouch").worker
    assert worker is not None
    home.workers[worker.id].hangs = True
    assert 9_000 <= answered_ms(made, 1, 1) < 30_000
    made = grove(DeadWorker(0, "h1"))
    assert sum(one.hangs for one in made.world.host("h1").workers.values()) == 1


@pytest.mark.parametrize("by_ms", [-3_600_000, 3_600_000])
def test_a_clock_that_is_set_is_off_and_a_host_lives_with_it(by_ms: int) -> None:
    made = grove(ClockJump(0, "h1", by_ms))
    site = made.world.scene.sites[1]
    assert site.clock_ms(made.world.scene.now_us) - made.world.now_ms == by_ms
    before_ms = made.world.host("h1").core.host.now_ms
    assert answered_ms(made, 1, 1) >= 0
    assert made.world.host("h1").core.host.now_ms >= before_ms


def test_a_host_that_starts_elsewhere_is_found_there() -> None:
    made = grove(dht=True)
    before = post.outer_endpoint(made.world.scene, made.world.scene.sites[1])
    made.world.inject(Crash(0, "h1", 400, True))
    made.world.run(1)
    assert post.outer_endpoint(made.world.scene, made.world.scene.sites[1]) != before
    assert answered_ms(made, 0, 1) >= 0


WAYS = [
    ("none", "none", "link direct"),
    ("cone", "none", "link direct"),
    ("cone", "cone", "link punched"),
    ("cone", "firewall", "link punched"),
    ("symmetric", "symmetric", "link relayed"),
]


@pytest.mark.parametrize(("one", "other", "way"), WAYS)
def test_hosts_behind_routers_meet_by_a_third_or_are_relayed(
    one: str, other: str, way: str
) -> None:
    faults = (Nat(500, "h2", one), Nat(500, "h3", other))
    plan = Plan(tuple(fault for fault in faults if fault.kind != "none"))
    world = World(4, plan, replace(Limits(), peers_dialed=0))
    hosts = [world.add_host(f"h{number}") for number in range(4)]
    world.run(40)
    made = hosts[3].create("pouch", code_of(b""), ())
    world.run(10)
    client = world.client(hosts[2])
    client.send(world.outside(hosts[3], made.names["alarm"]), ALARM)
    assert world.run_until(lambda: bool(client.verdicts), 60)
    assert client.verdicts == [(1, ["applied"])]
    assert world.counts[way] > 0
    fork = world.fork()
    for each in (world, fork):
        each.run(30)
    assert fork.digest == world.digest
    assert fork.save() == world.save()
