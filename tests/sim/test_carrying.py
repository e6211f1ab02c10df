"""A machine in a file: it is here or there, never both, and goes on as if it had never been away."""

import re
from io import BytesIO
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.host import carrying, machine_file
from avm.host.machine_file import HEAD, OtherVersion, unpack_untrusted
from avm.host.state import Status
from avm.past.audit import Audit
from avm.past.reading import NoSuchMachine, Reader
from avm.sim.host import Refusal, SimHost
from caps.errors import Malformed
from tests.sim import apple, metronome
from tests.sim.code import ModuleCode, entries, gap_free, replayed
from tests.sim.test_moving import Town

FILE = "pouch.machine"


def export(world: SimHost, name: str = "pouch", file: str = FILE, whole: bool = True) -> bytes:
    """Suspends a machine and has it go into a file; what is in it."""
    if world.machine(name).status is Status.RUNNING:
        world.suspend(name)
    machine = world.machine(name)
    world.ask(lambda request: carrying.export(world.core.host, request, machine, file, whole))
    return world.files.files.pop(file)


def take_up(world: SimHost, octets: bytes, name: str = "") -> Any:
    """Has a machine out of a file live at a host."""
    unpacked = world.files.read(octets, world.core.host.new_id())
    return world.ask(lambda request: carrying.take_up(world.core.host, request, unpacked, name))


def refused(world: SimHost, octets: bytes, name: str = "") -> str:
    with pytest.raises(Refusal) as found:
        take_up(world, octets, name)
    return str(found.value)


MOVES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=8)


def beat(
    moves: list[tuple[int, int]], away: int | None, whole: bool = True, paused_s: float = 0
) -> list[tuple[int, int, float]]:
    """A metronome that is set again and again; before the `away`-th time it goes to another host."""
    here, there = SimHost(1), SimHost(2)
    there.codes = here.codes
    created = here.create("metronome", ModuleCode(metronome))
    start = here.core.seal(created.names["start"])
    home, client = here, here.client()
    for at, (every, count) in enumerate(moves):
        if at == away:
            octets = export(here, "metronome", whole=whole)
            there.advance(here.now_ms / 1000 - there.now_ms / 1000 + paused_s)
            take_up(there, octets)
            there.resume("metronome")
            home, client = there, there.client()
        client.send(client.hold(home.core.unseal_untrusted(start)), (at, every, count))
        home.settle()
        home.advance(every * 1.5)
    home.advance(60)
    if whole:
        gap_free(home, "metronome")
    assert not list(Audit(Reader(home.store), None).problems())
    beats: tuple[tuple[int, int, float], ...]
    beats = replayed(home, "metronome", from_start=whole or away is None).beats
    return list(beats)


@settings(max_examples=25, deadline=None)
@given(MOVES, st.integers(0, 7), st.booleans())
def test_p02_a_machine_suspended_with_timers_pending_goes_on_elsewhere_as_if_it_never_was(
    moves: list[tuple[int, int]], away: int, whole: bool
) -> None:
    stayed = beat(moves, None)
    assert beat(moves, away % len(moves), whole) == stayed
    assert len(stayed) == sum(count for _every, count in moves)


def test_p02_what_a_machine_missed_comes_once_when_it_goes_on() -> None:
    moves = [(2, 3), (3, 3), (1, 2)]
    stayed, went = beat(moves, None), beat(moves, 2, paused_s=500)
    assert sorted(one[:2] for one in stayed) == sorted(one[:2] for one in went)
    assert max(one[2] for one in went) > max(one[2] for one in stayed) + 400


def test_p06_a_timer_survives_suspend_restart_and_a_file_and_fires_once() -> None:
    town = Town()
    town.clients[town.here].send(town.cap(town.here, "alarm"), 30.0)
    town.net.settle()
    town.here.suspend("pouch")
    town.net.crash(town.here)
    octets = export(town.here)
    town.net.crash(town.there)
    done = take_up(town.there, octets)
    assert done["timers"] == 1 and done["incarnation"] == 2
    town.net.crash(town.there)
    town.net.advance(100)
    assert town.there.machine("pouch").status is Status.SUSPENDED
    town.there.resume("pouch")
    town.net.advance(100)
    assert replayed(town.there, "pouch").rings == 1


def test_what_waits_for_a_machine_in_a_file_reaches_it_where_it_lives_again() -> None:
    town = Town()
    for token in (1, 2):
        town.give(town.here, token)
    town.net.settle()
    octets = export(town.here)
    for n, world in enumerate(town.net.worlds):
        town.give(world, 10 + n)
    town.net.advance(30)
    take_up(town.there, octets)
    town.there.resume("pouch")
    town.net.advance(60)
    assert sorted(town.tokens()) == [1, 2, 10, 11, 12]
    octets = export(town.there)
    town.give(town.there, 20)
    town.net.advance(10)
    assert take_up(town.here, octets)["incarnation"] == 3
    town.here.resume("pouch")
    town.net.advance(60)
    assert sorted(town.tokens()) == [1, 2, 10, 11, 12, 20]


def test_what_is_first_said_to_an_exported_machine_waits_for_it() -> None:
    world = SimHost()
    created = world.create("pouch", ModuleCode(apple), ())
    take = created.names["take"]
    octets = export(world)
    client = world.client()
    client.send(client.hold(world.core.unseal_untrusted(world.core.seal(take))), (1, 1))
    world.advance(10)
    assert not client.settled
    take_up(world, octets)
    world.resume("pouch")
    world.settle()
    assert replayed(world, "pouch").tokens == (1,)


def test_what_it_has_sent_and_not_heard_of_goes_with_it() -> None:
    town = Town()
    take = town.clients[town.here].hold(
        town.here.core.unseal_untrusted(town.wires["other"]["take"])
    )
    town.clients[town.here].send(town.cap(town.here, "meet"), (take,))
    town.give(town.here, 5)
    town.net.settle()
    town.here.suspend("other")
    town.clients[town.here].send(town.cap(town.here, "go"), ("0", 1, 0, 1))
    town.net.settle()
    octets = export(town.here)
    take_up(town.there, octets)
    town.there.resume("pouch")
    assert town.there.machine("pouch").asks
    town.here.resume("other")
    town.net.advance(30)
    assert replayed(town.here, "other").tokens == (5,)
    state = replayed(town.there, "pouch")
    assert (state.tokens, dict(state.outcomes.items())) == ((), {"thanks": 1})


def test_a_machine_is_here_or_in_its_file_wherever_the_host_dies() -> None:
    for steps in range(60):
        world = SimHost(3)
        world.create("pouch", ModuleCode(apple), (1, 2, 3))
        world.suspend("pouch")
        world.eager = False
        machine = world.machine("pouch")
        world.begin(lambda n: carrying.export(world.core.host, n, machine, FILE, True))  # noqa: B023
        ended = not all(world.step() for _ in range(steps))
        world.crash()
        world.settle()
        here, there = "pouch" in world.core.host.names, FILE in world.files.files
        assert here is not there and not world.files.parts, steps
        if here:
            assert world.machine("pouch").status is Status.SUSPENDED
            gap_free(world, "pouch")
        else:
            take_up(SimHost(4), world.files.files[FILE])
            assert list(world.store.entries(machine.id)) == []
            with pytest.raises(NoSuchMachine, match="pouch was exported"):
                Reader(world.store).machine("pouch")
        if ended:
            return
    raise AssertionError("it does not end")


def test_a_machine_whose_file_cannot_be_written_stays_and_goes_on() -> None:
    world = SimHost()
    world.create("pouch", ModuleCode(apple), (1,))
    world.files.full = True
    with pytest.raises(Refusal, match="pouch stays here; No space left"):
        export(world)
    world.files.full = False
    world.resume("pouch")
    assert replayed(world, "pouch").tokens == (1,)
    assert take_up(SimHost(2), export(world))["incarnation"] == 3


def test_a_machine_that_runs_or_is_halted_is_not_exported() -> None:
    world = SimHost()
    world.create("pouch", ModuleCode(apple), ())
    machine = world.machine("pouch")

    def why() -> str:
        with pytest.raises(Refusal) as found:
            world.ask(lambda n: carrying.export(world.core.host, n, machine, FILE, True))
        return str(found.value)

    assert why() == "pouch cannot be exported: it is running: `avm-host suspend pouch` first"
    world.ask(lambda request: world.core.change(request, machine, "halt"))
    assert why() == "pouch cannot be exported: it is halted"


def test_a_machine_may_have_a_long_name_in_its_file() -> None:
    world, name = SimHost(), "p" * 300
    world.create(name, ModuleCode(apple), (1,))
    assert take_up(world, export(world, name))["machine"] == name


def test_a_file_is_imported_once_and_an_old_one_not_at_all() -> None:
    world, other = SimHost(1), SimHost(2)
    world.create("pouch", ModuleCode(apple), (1,))
    first = export(world)
    other.codes = world.codes
    take_up(other, first, "bag")
    assert refused(other, first) == "pouch cannot be imported: it lives here already, as bag"
    second = export(other, "bag")
    assert "has lived on since" in refused(other, first)
    take_up(other, second, "bag")
    other.ask(lambda request: other.core.change(request, other.machine("bag"), "halt"))
    other.ask(lambda request: other.core.change(request, other.machine("bag"), "rm"))
    for octets in (first, second):
        assert "has lived on since" in refused(other, octets)
    take_up(world, first)
    world.create("bag", ModuleCode(apple), ())
    assert "there is a machine bag already" in refused(world, second, "bag")
    assert "lives here already, as pouch" in refused(world, second, "b")


def test_two_hosts_that_import_one_file_have_it_under_one_incarnation() -> None:
    """Nobody can know it from the file alone; two keys under one incarnation are evidence to others."""
    worlds = [SimHost(1), SimHost(2), SimHost(3)]
    worlds[0].create("pouch", ModuleCode(apple), (1,))
    octets = export(worlds[0])
    assert [take_up(world, octets)["incarnation"] for world in worlds[1:]] == [2, 2]
    machine = worlds[1].machine("pouch")
    shown = [
        world.core.host.keys.speak_for(machine.address, machine.identity, 2, 0)
        for world in worlds[1:]
    ]
    assert shown[0] is not None and shown[1] is not None
    assert shown[0][1].terms.host_key != shown[1][1].terms.host_key


def test_a_file_without_the_old_turns_is_smaller_and_goes_on_from_its_snapshot() -> None:
    sizes = []
    for whole in (True, False):
        town = Town()
        for token in range(30):
            town.give(town.here, token)
        town.net.settle()
        octets = export(town.here, whole=whole)
        sizes.append(len(octets))
        take_up(town.there, octets)
        town.there.resume("pouch")
        town.give(town.far, 50)
        town.net.settle()
        state = replayed(town.there, "pouch", from_start=whole)
        assert sorted(state.tokens) == [*(one for one in range(30)), 50]
        assert not list(Audit(Reader(town.there.store), None).problems())
    assert sizes[1] < sizes[0] / 2


def test_c06_a_failed_batch_and_the_history_of_code_go_along() -> None:
    town = Town()
    town.clients[town.here].send(town.cap(town.here, "take"), (1, 7))
    town.net.settle()
    town.here.upgrade("pouch", ModuleCode(apple))
    octets = export(town.here)
    take_up(town.there, octets)
    ((key, _row),) = list(town.there.store.rows("failed"))
    assert key[0] == town.there.machine("pouch").id
    assert len(entries(town.there, "pouch")) > 3
    assert replayed(town.there, "pouch").tokens == ()


def written() -> bytes:
    town = Town()
    town.give(town.here, 1)
    town.clients[town.here].send(town.cap(town.here, "take"), (1, 7))
    town.clients[town.here].send(town.cap(town.here, "alarm"), 30.0)
    town.net.settle()
    return export(town.here)


WRITTEN = written()


def test_p08_a_file_that_is_cut_short_or_flipped_anywhere_is_none() -> None:
    unpack_untrusted(BytesIO(WRITTEN).read, 1)
    for at in range(0, len(WRITTEN), 7):
        for octets in (WRITTEN[:at], WRITTEN[:at] + bytes([WRITTEN[at] ^ 1]) + WRITTEN[at + 1 :]):
            with pytest.raises(Malformed):
                unpack_untrusted(BytesIO(octets).read, 1)
    with pytest.raises(Malformed, match="not what was written"):
        unpack_untrusted(BytesIO(WRITTEN + b"\0").read, 1)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 60))
def test_p08_any_bytes_are_a_machine_file_or_malformed(octets: bytes, kept: int) -> None:
    with pytest.raises(Malformed):
        unpack_untrusted(BytesIO(WRITTEN[:kept] + octets).read, 1)


def test_p08_an_item_of_any_size_and_order_is_refused_before_it_is_read() -> None:
    begin = re.match(rb"avm-host machine.{3}pouch", WRITTEN, re.DOTALL)
    assert begin is not None
    for head in (
        HEAD.pack(0, 0, bytes(32), 0, 2**40),
        HEAD.pack(1, 0, bytes(32), 0, 10),
        HEAD.pack(0, 0, b"x" * 32, 0, 10),
        HEAD.pack(255, 0, bytes(32), 0, 32),
    ):
        with pytest.raises(Malformed):
            unpack_untrusted(BytesIO(begin.group() + head + bytes(100)).read, 1)
    later = WRITTEN[:16] + b"\x02" + WRITTEN[17:]
    with pytest.raises(OtherVersion, match="of version 2, and this avm-host reads version 1"):
        unpack_untrusted(BytesIO(later).read, 1)


def test_p08_a_file_whose_machine_does_not_hold_together_changes_nothing() -> None:
    """An honest digest over a parcel that is not: it is refused before anything is taken."""
    begin, size = 16 + 3 + len("pouch"), HEAD.size
    *_head, machine_size = HEAD.unpack(WRITTEN[begin : begin + size])
    machine = WRITTEN[begin + size :][:machine_size]
    parcel, keys = cbor2.loads(machine)
    rows = cbor2.loads(parcel)
    for at, value in ((2, 0), (4, 7), (11, 0), (12, bytes(32)), (20, [[0, b"x"]])):
        changed = cbor2.dumps([*rows[:at], value, *rows[at + 1 :]])
        whole = cbor2.dumps([changed, keys])
        octets = WRITTEN[:begin] + HEAD.pack(0, 0, bytes(32), 0, len(whole)) + whole
        octets += WRITTEN[begin + size + machine_size :]
        with pytest.raises(Malformed):
            unpack_untrusted(BytesIO(octets).read, 1)
    strangers = cbor2.dumps([parcel, bytes(64)])
    with pytest.raises(Malformed, match="of another machine"):
        machine_file.landing_of(strangers, 1)


def test_a_machine_too_large_for_a_file_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SimHost()
    world.create("pouch", ModuleCode(apple), (1,))
    monkeypatch.setattr(machine_file, "FILE_BYTES_MAX", 1000)
    with pytest.raises(Refusal, match="pouch stays here; more than 1,000 bytes; with `--from-snap"):
        export(world)
    assert replayed(world, "pouch").tokens == (1,)
