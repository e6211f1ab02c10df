"""A host that was recorded answers the same when it is told the same, in whatever process."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avm.recording.log import BadRecording, End, Header, Item, Segment, State, Told, pack
from avm.recording.rerun import Rerun
from avm.recording.tape import Tape
from avm.sim.entropy import Entropy
from avm.sim.host import SimHost
from tests.sim.recordings import Counting, Recorded, of_counter, of_lives, of_orchard
from tests.sim.taped import Taped, rerun

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(4)
ORCHARDS = range(2)


def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)


def agrees(recorded: Recorded) -> None:
    found = rerun(list(recorded.segments))
    assert found.found is None and found.inputs > 100 and found.effects > 20
    assert found.segments == len(recorded.segments) and found.ended


@pytest.mark.parametrize("seed", SEEDS)
def test_p04_a_host_that_was_recorded_answers_the_same_again(seed: int) -> None:
    agrees(of_lives(seed))


@pytest.mark.parametrize("seed", ORCHARDS)
def test_p04_hosts_of_a_network_answer_the_same_again(seed: int) -> None:
    for recorded in of_orchard(seed):
        agrees(recorded)


@pytest.mark.parametrize("seed", SEEDS)
def test_p02_each_segment_goes_on_from_what_the_core_knew(seed: int) -> None:
    """The segments before one are not needed, and at its begin the states are the same."""
    recorded = of_lives(seed)
    whole = rerun(list(recorded.segments))
    for first in range(1, len(recorded.segments)):
        rest = rerun(list(recorded.segments[first:]))
        assert rest.found is None and rest.last == whole.last


def written(recorded: Recorded, place: Path) -> Path:
    for number, body in enumerate(recorded.segments, 1):
        (place / f"{number:08}.segment").write_bytes(body)
    return place


def test_p01_a_rerun_is_the_same_in_other_processes_and_under_other_hash_seeds(
    tmp_path: Path,
) -> None:
    for hash_seed, recorded in (("1", of_lives(1)), ("2", of_orchard(1)[0])):
        place = tmp_path / hash_seed
        place.mkdir()
        written(recorded, place)
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "avm.cli.main", "rerun", str(place), "--force", "--json"]
        done = run(command, env=environ)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["last"] == recorded.last


def test_p07_what_was_drawn_for_a_machines_keys_is_told_again() -> None:
    """A machine that is created anew has the address that it had."""
    recorded = of_counter()
    (created,) = recorded.inputs("create")
    assert len(created.arguments[-1]) == 88
    found = rerun(list(recorded.segments))
    assert found.core is not None
    address = recorded.world.machine("counter").address
    assert found.core.host.names["counter"].address == address


def test_p08_what_is_no_frame_is_told_and_told_again() -> None:
    """A worker and a peer that say nonsense are counted, and counted again."""
    world = SimHost(3)
    taped = Taped(world)
    world.core.answer(1, b"\xff\xff")
    world.core.frame(7, b"nonsense")
    world.core.answer(99, b"of nobody")
    world.settle()
    found = rerun(taped.end())
    assert found.found is None and found.core is not None
    assert found.core.host.counts == world.core.host.counts
    assert [
        one.name for one in Recorded(world, tuple(taped.segments)).items() if isinstance(one, Told)
    ]


def test_p04_a_defect_of_the_core_is_recorded_and_comes_again() -> None:
    world = SimHost(3)
    taped = Taped(world)
    with pytest.raises(AssertionError, match="only what was taken"):
        world.core.committed()
    found = rerun(taped.end(whole=False))
    (told,) = [
        one for one in Recorded(world, tuple(taped.segments)).items() if isinstance(one, Told)
    ]
    raised, kind, text = told.output[0]
    assert (raised, kind) == ("raised", "AssertionError")
    assert text.startswith("only what was taken can be committed")
    assert found.found is None and not found.ended


def test_p04_the_time_that_a_pass_begins_at_is_told_again() -> None:
    """A real host reads its clock at each pass; the time that has not moved is left out."""
    world = SimHost(3)
    taped = Taped(world)
    client = world.client()
    add = client.hold(world.create("counter", Counting()).names["add"])
    for n in range(1, 4):
        for _ in range(3):
            world.core.hear_clock(world.now_ms + 5 * n)
        client.ask(add, n)
        world.settle()
    found = rerun(taped.end())
    assert found.found is None and found.core is not None
    assert found.core.host.now_ms == world.core.host.now_ms == world.now_ms + 15
    inputs = Recorded(world, tuple(taped.segments)).inputs("hear_clock")
    assert [one.arguments[0] - world.now_ms for one in inputs] == [5, 10, 15]


def test_p04_what_changes_a_core_beside_its_inputs_is_found() -> None:
    """Where a segment begins, all that the core knows is compared."""
    world = SimHost(3)
    taped = Taped(world, 5_000)
    world.create("counter", Counting())
    world.core.host.counts["unheard of"] += 1
    while len(taped.segments) < 2:
        world.advance(1)
    found = rerun(taped.end()).found
    assert found is not None and found.name == "segment"
    assert found.difference.where == "what the core knows"


def test_p03_a_rerun_goes_no_further_than_it_is_told() -> None:
    recorded = of_counter()
    found = rerun(list(recorded.segments), Rerun(until=10))
    assert (found.inputs, found.last, found.is_whole) == (10, 10, False)
    half_ms = recorded.world.now_ms - 2_500
    found = rerun(list(recorded.segments), Rerun(until_ms=half_ms))
    assert found.core is not None and 0 <= half_ms - found.core.host.now_ms <= 1_000


# What was changed or lost.


def items_of(body: bytes) -> list[Item]:
    return list(Segment(body).items_untrusted())


def edited(recorded: Recorded, n: int, told: Told) -> list[bytes]:
    return [
        b"".join(
            pack(told if isinstance(one, Told) and one.n == n else one) for one in items_of(body)
        )
        for body in recorded.segments
    ]


def entry_of(told: Told) -> int | None:
    """The number of the entry that a commit begins with."""
    journal = told.output[2][2]
    return journal[0][1] if journal else None


def test_p03_an_answer_that_was_changed_in_the_recording_is_named() -> None:
    recorded = of_counter()
    commit = next(one for one in recorded.inputs("take_commit") if entry_of(one) == 2)
    result, effects, group = commit.output
    group[2][0][3] = group[2][0][3].replace(b"\x02", b"\x09")
    told = Told(commit.n, commit.name, commit.fresh, commit.arguments, [result, effects, group])
    found = rerun(edited(recorded, commit.n, told)).found
    assert found is not None and found.n == commit.n
    assert str(found.difference) == ("machine 2, entry 2 (turn), seq: recorded 9, now 2")


def test_p03_an_input_that_was_changed_in_the_recording_is_named_where_it_shows() -> None:
    recorded = of_counter()
    offer = recorded.inputs("offer")[2]
    offer.arguments[3][1][0][1] = b"\x0a"
    found = rerun(edited(recorded, offer.n, offer)).found
    assert found is not None and offer.n < found.n <= offer.n + 2
    assert str(found.difference) == "effect 1, ToWorker frame[4][4][0][1]: recorded 3, now 10"


def test_p03_no_flipped_byte_passes_for_what_was_written() -> None:
    recorded = of_counter()
    body = recorded.segments[0]
    entropy = Entropy(5)
    heads = [0, 3, 4, 8, 12, 15]
    for at in [*heads, *(entropy.below(len(body)) for _ in range(80))]:
        flipped = bytearray(body)
        flipped[at] ^= 1 << entropy.below(8)
        segment = Segment(bytes(flipped))
        with pytest.raises(BadRecording):
            Rerun().take(segment.items_untrusted())
        assert segment.at <= at < segment.at + 100_000


def test_p03_a_recording_that_is_cut_short_is_compared_as_far_as_it_goes() -> None:
    body = of_counter().segments[0]
    ends: list[int] = []
    segment = Segment(body)
    ends.extend(segment.at for _item in segment.items_untrusted())
    entropy = Entropy(6)
    for size in [ends[4], *(ends[1] + entropy.below(len(body) - ends[1]) for _ in range(60))]:
        segment = Segment(body[:size])
        found = Rerun()
        assert found.take(segment.items_untrusted())
        assert found.found is None and not found.ended
        assert segment.cut == (size not in ends)
        assert found.last == max(sum(end <= size for end in ends) - 2, 0)


def test_a_segment_that_is_missing_is_told() -> None:
    segments = of_lives(1).segments
    last = [one for one in segments if isinstance(items_of(one)[0], Header)]
    places = [items_of(one)[0] for one in last]
    runs = [one.run for one in places if isinstance(one, Header)]
    at = next(i for i in range(1, len(runs) - 1) if runs[i - 1] == runs[i] == runs[i + 1])
    with pytest.raises(BadRecording, match="is missing"):
        rerun([*segments[:at], *segments[at + 1 :]])


def test_a_recording_of_another_version_is_refused() -> None:
    header, state, *rest = items_of(of_counter().segments[0])
    assert isinstance(header, Header) and isinstance(state, State)
    with pytest.raises(BadRecording, match="avm-host sim recorded it, and this is 9"):
        Rerun(version="9.9").take([header, state, *rest])
    newer = replace(header, version=2)
    with pytest.raises(BadRecording, match="of form 2, and this avm-host reads 1"):
        Rerun().take(Segment(pack(newer)).items_untrusted())
    with pytest.raises(BadRecording, match="does not begin with"):
        Rerun().take([header, *rest])
    other = State(state.secret, state.seed, state.body)
    with pytest.raises(BadRecording, match="another host's state"):
        Rerun().take([header, other])


def test_inputs_that_are_none_are_told_in_a_line() -> None:
    recorded = of_counter()
    header, state, first, *_ = items_of(recorded.segments[0])
    assert isinstance(first, Told)
    for name, arguments, why in (
        ("fly", [], "there is no 'fly'"),
        ("tick", ["noon"], "malformed number"),
        ("tick", [], "malformed arguments of tick"),
        ("prune", [1, 77, 0], "there is no machine 77"),
        ("retire", [5, "x"], "there is no link 5"),
        ("take_back", [1, b"x" * 32], "no such machine on its way"),
    ):
        told = Told(first.n, name, True, arguments, [None, [], None])
        with pytest.raises(BadRecording, match=f"input {first.n}.*{why}"):
            Rerun().take([header, state, told])


def test_the_end_is_of_the_last_input() -> None:
    world = SimHost(4)
    taped = Taped(world)
    world.client()
    world.settle()
    items = items_of(taped.end()[0])
    last = [one.n for one in items if isinstance(one, Told)][-1]
    assert items[-1] == End(last)
    assert "take_commit" not in world.core.__dict__, "nobody listens any more"


def test_a_tape_without_a_host_that_changes_is_empty() -> None:
    """What every pass does and what changes nothing takes no room."""
    world = SimHost(4)
    world.settle()
    taped = Taped(world)
    for _ in range(10):
        world.core.hear_clock(world.now_ms)
        assert world.core.take_commit() is None
    assert isinstance(taped.tape, Tape) and taped.tape.last == 0


def test_the_counts_of_a_rerun_are_told_as_json(tmp_path: Path) -> None:
    written(of_counter(), tmp_path)
    command = [sys.executable, "-m", "avm.cli.main", "rerun", str(tmp_path), "--force", "--json"]
    done = run(command, cwd=ROOT)
    found = json.loads(done.stdout)
    assert (done.returncode, found["agrees"], found["ended"], found["cut"]) == (
        0,
        True,
        True,
        False,
    )
    assert found["segments"] == found["starts"] == 1 and found["difference"] is None
