"""What users are promised of one host, in a world without processes: one test for each promise."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from avm import (
    Cancel,
    Capability,
    Event,
    Failed,
    Map,
    Me,
    Message,
    Refused,
    Send,
    Step,
    record,
)
from avm.host import journal
from avm.host.capability import Reply, from_bytes
from avm.host.operate import Created
from avm.host.state import Mode, Status
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.host import Refusal, SimHost
from avm.sim.worker import Dies
from caps.sealing import MachineKeys
from tests.sim.code import entries, gap_free, replayed


@record
class Held:
    me: Me
    seen: tuple[Any, ...] = ()
    caps: tuple[Capability, ...] = ()


@record
class Note:
    name: str


class Steps:
    """A machine made of one function; every name it is asked for is a context."""

    def __init__(
        self,
        step: Callable[[Message, Any], Any],
        names: str = "a b c",
        signal: Callable[[Event, Any], Any] | None = None,
        migrate: Callable[[Any], Any] | None = None,
    ) -> None:
        self.step: Callable[[Message, Any], Any] = step
        self.signal: Callable[[Event, Any], Any] | None = signal
        self.migrate: Callable[[Any], Any] | None = migrate
        self.records: dict[str, type] = {"Held": Held, "Note": Note}
        self.names = names.split()
        self.init: Callable[[Message, Any], Any] = self._init

    def _init(self, message: Message, me: Me) -> Step[Held]:
        caps = message.content if isinstance(message.content, tuple) else ()
        return message.answer({name: me(name) for name in self.names}), Held(me, caps=caps)

    def printed(self) -> str:
        return ""


def see(message: Message, state: Held) -> Step[Held]:
    return message.answer("seen"), replace(state, seen=(*state.seen, message.content))


def names(client: Client, made: Created) -> dict[str, Capability]:
    return {name: client.hold(cap) for name, cap in made.names.items()}


def start(
    step: Callable[[Message, Any], Any], **more: Any
) -> tuple[SimHost, Client, dict[str, Capability]]:
    world = SimHost(1, limits=more.pop("limits", None))
    client = world.client()
    return world, client, names(client, world.create("m", Steps(step, **more)))


def seen(world: SimHost, name: str = "m") -> tuple[Any, ...]:
    found: tuple[Any, ...] = replayed(world, name).seen
    return found


def second(world: SimHost, client: Client, name: str = "n", step: Any = see) -> Any:
    return names(client, world.create(name, Steps(step)))


def outcome(world: SimHost, client: Client, ask: int) -> Any:
    world.settle()
    found = client.outcomes.get(ask, [])
    assert len(found) <= 1, "no ask has two outcomes"
    return found[0] if found else None


def test_w02_a_failed_batch_sends_nothing() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "bad":
            raise ValueError
        sends = [Send(state.caps[0], message.content)]
        return sends, replace(state, seen=(*state.seen, message.content))

    world = SimHost(2)
    client = world.client()
    into = world.create("sink", Steps(see))
    made = create_with(world, "m", Steps(step), client, [client.hold(into.names["a"])])
    m = names(client, made)
    before = made.machine.head
    client.send(m["a"], 1, 2, 3, "bad", 5)
    world.settle()
    assert client.verdicts == [(1, ["rejected", 3])]
    assert seen(world, "m") == () and seen(world, "sink") == ()
    assert made.machine.head == before + 1
    client.send(m["a"], 6)
    world.settle()
    assert seen(world, "m") == (6,) and seen(world, "sink") == (6,)


def create_with(
    world: SimHost, name: str, code: Steps, client: Client, caps: list[Capability]
) -> Created:
    """Creates a machine that is granted capabilities of a client."""
    return world.create(name, code, tuple(caps), tuple(client.held_as(cap) for cap in caps))


def test_w02_a_batch_applies_whole_or_not_at_every_commit() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        return [Send(state.caps[0], message.content)], replace(
            state, seen=(*state.seen, message.content)
        )

    for crash_after in range(12):
        world = SimHost(3)
        world.eager = False
        client = world.client()
        into = world.create("sink", Steps(see))
        made = create_with(world, "m", Steps(step), client, [client.hold(into.names["a"])])
        client.send(names(client, made)["a"], 1, 2, 3)
        for _ in range(crash_after):
            world.step()
        world.crash()
        for name in ("m", "sink"):
            assert len(seen(world, name)) in (0, 3)
        assert len(seen(world, "sink")) <= len(seen(world, "m"))
        world.settle()
        assert seen(world, "m") == (1, 2, 3) == seen(world, "sink")


@pytest.mark.parametrize("cut", [(6,), (1, 5), (2, 2, 2), (1, 1, 1, 1, 1, 1)])
def test_w03_batching_is_invisible_to_the_step(cut: tuple[int, ...]) -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        said = (message.content, message.id.rpartition(".")[2])
        return [Send(state.caps[0], said)], replace(state, seen=(*state.seen, said))

    world = SimHost(4)
    client = world.client()
    into = world.create("sink", Steps(see))
    made = create_with(world, "m", Steps(step), client, [client.hold(into.names["a"])])
    to = names(client, made)["a"]
    start = 0
    for size in cut:
        client.send(to, *range(start, start + size))
        start += size
    world.settle()
    wanted = tuple((n, str(n)) for n in range(6))
    assert seen(world, "m") == wanted == seen(world, "sink")


def test_w04_sends_leave_as_one_batch_for_each_destination() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        b, c = state.caps
        return [Send(b, 1), Send(c, 2), Send(b, 3), Send(c, 4)], state

    world = SimHost(5)
    client = world.client()
    b = world.create("b", Steps(see))
    c = world.create("c", Steps(see))
    caps = [client.hold(b.names["a"]), client.hold(c.names["a"])]
    made = create_with(world, "m", Steps(step), client, caps)
    to = names(client, made)["a"]
    client.send(to, None, None, None)
    world.settle()
    for name, wanted in (("b", (1, 3) * 3), ("c", (2, 4) * 3)):
        turns = [entry for entry in entries(world, name) if entry.form == journal.TURN]
        assert len(turns) == 1 and seen(world, name) == wanted


def test_apart_gives_a_send_a_batch_of_its_own() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        return [Send(cap, message.content, apart=True) for cap in state.caps * 2], state

    world = SimHost(5)
    client = world.client()
    b = world.create("b", Steps(see))
    made = create_with(world, "m", Steps(step), client, [client.hold(b.names["a"])])
    client.send(names(client, made)["a"], "x")
    world.settle()
    assert len([entry for entry in entries(world, "b") if entry.form == journal.TURN]) == 2


def test_w06_batches_are_never_interleaved() -> None:
    world, first, m = start(see)
    second_client = world.client()
    there = {name: second_client.hold(first.held_as(cap)) for name, cap in m.items()}
    for n in range(20):
        first.send(m["a"], *[("first", n)] * 5)
        second_client.send(there["a"], *[("second", n)] * 3)
    world.settle()
    found = list(seen(world))
    while found:
        size = 5 if found[0][0] == "first" else 3
        assert found[:size] == [found[0]] * size
        del found[:size]


def test_w12_a_suspended_machine_holds_over_a_restart() -> None:
    world, client, m = start(see)
    world.suspend("m")
    client.send(m["a"], 1)
    ask = client.ask(m["a"], 2, timeout_s=600)
    world.settle()
    assert seen(world) == () and not client.verdicts
    world.crash()
    world.settle()
    assert world.machine("m").status is Status.SUSPENDED and seen(world) == ()
    world.resume("m")
    assert outcome(world, client, ask) == "seen"
    assert seen(world) == (1, 2)


def test_w12_a_suspended_machine_fails_what_comes_when_so_chosen() -> None:
    world, client, m = start(see)
    world.suspend("m", Mode.FAIL)
    ask = client.ask(m["a"], 1)
    assert outcome(world, client, ask) == Failed("undelivered", "the machine is suspended")
    world.resume("m")
    assert outcome(world, client, client.ask(m["a"], 2)) == "seen"
    assert seen(world) == (2,)


@pytest.mark.parametrize("how", ["suspended", "halted"])
def test_w12_each_batch_that_a_machine_does_not_take_has_an_entry(how: str) -> None:
    world, client, ask = pair(see, deadline_s=60)
    taken = client.hold(from_bytes(world.core.host.bound[(world.machine("n").id, "a")]))
    client.send(ask, 1)
    client.send(taken, 2)
    world.settle()
    machine = world.machine("n")
    if how == "halted":
        world.ask(lambda request: world.core.change(request, machine, "halt"))
    else:
        world.suspend("n", Mode.FAIL)
    world.advance(1)
    before = len(entries(world, "n"))
    client.send(ask, 3)
    client.send(taken, 4, 5)
    world.settle()
    told = entries(world, "n")[before:]
    assert [(one.form, one["why"], one["count"]) for one in told] == [
        (journal.VOID, f"the machine is {how}", count) for count in (1, 2)
    ]
    assert {one["sender"] for one in told} == {world.machine("m").address, client.address}
    assert all(one["now_ms"] == world.now_ms for one in told)
    gap_free(world, "n")
    world.crash()
    world.settle()
    gap_free(world, "n")
    if how == "suspended":
        world.resume("n")
        client.send(taken, 6)
        world.settle()
        gap_free(world, "n")
        assert seen(world, "n")[-1] == 6


def test_w12_a_failure_that_no_turn_came_to_has_its_own_time() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "end":
            raise Dies
        return see(message, state)

    world, client, m = start(step)
    client.send(m["a"], 1)
    world.advance(60)
    client.send(m["a"], "end")
    world.advance(1)
    *_before, failed = entries(world, "m")
    assert failed.form == journal.FAILED and not failed["input"]
    assert world.now_ms - 1000 <= failed["now_ms"] <= world.now_ms
    assert journal.now_of(failed) == failed["now_ms"]


def test_w19_life_cycle_events_reach_the_step() -> None:
    def signal(event: Event, state: Held) -> Step[Held]:
        return [], replace(state, seen=(*state.seen, event.name))

    world, client, m = start(see, signal=signal)
    client.send(m["a"], "hello")
    world.settle()
    world.crash()
    world.settle()
    assert seen(world) == ("hello",), "restarted comes lazily, before the next batch"
    client.send(m["a"], "again")
    world.settle()
    world.suspend("m")
    world.resume("m")
    world.core.drain()
    world.settle()
    wanted = ("hello", "restarted", "again", "suspended", "resumed", "will-stop")
    assert seen(world) == wanted


def test_w19_an_event_is_heard_once_wherever_the_host_dies() -> None:
    def signal(event: Event, state: Held) -> Step[Held]:
        return [], replace(state, seen=(*state.seen, event.name))

    late = 0
    for steps in range(12):
        world, client, m = start(see, signal=signal)
        world.suspend("m")
        world.crash()  # so that it is loaded anew to hear of it
        world.settle()
        machine = world.machine("m")
        world.begin(lambda r, w=world, one=machine: w.core.change(r, one, "resume"))  # type: ignore[misc]
        for _ in range(steps):
            world.step()
        world.crash()
        world.settle()
        if world.machine("m").status is not Status.RUNNING:
            continue
        late += bool(world.machine("m").untold)
        client.send(m["a"], "again")
        world.settle()
        assert seen(world)[-1] == "again" and seen(world).count("resumed") == 1
        assert not world.machine("m").untold
    assert late, "at some step its commit was there, and that of the event was not"


def test_w19_a_stranger_cannot_send_a_signal() -> None:
    heard: list[str] = []

    def signal(event: Event, state: Held) -> Step[Held]:
        heard.append(event.name)
        return [], state

    world, client, m = start(see, signal=signal)
    for name in ("restarted", "upgraded", "will-stop"):
        client.send(m["a"], name)
    world.settle()
    assert heard == [] and seen(world) == ("restarted", "upgraded", "will-stop")


def test_w21_code_changes_and_the_state_is_migrated_in_the_same_commit() -> None:
    def newer(message: Message, state: Held) -> Step[Held]:
        return message.answer("newer"), replace(state, seen=(*state.seen, "newer"))

    def migrate(old: Any) -> Held:
        return Held(old.fields["me"], (*old.fields["seen"], "migrated"), old.fields["caps"])

    world, client, m = start(see)
    client.send(m["a"], 1)
    world.settle()
    world.upgrade("m", Steps(newer, migrate=migrate))
    world.crash()
    assert outcome(world, client, client.ask(m["a"], 2)) == "newer"
    from_snapshot = replayed(world, "m", from_start=False)
    assert from_snapshot.seen == (1, "migrated", "newer")


def test_w21_an_upgrade_that_does_not_load_is_refused_whole() -> None:
    def bad(old: Any) -> Any:
        raise ValueError("no way")

    world, client, m = start(see)
    head = world.machine("m").head
    with pytest.raises(Refusal, match="keeps its code: migrate raised ValueError: no way"):
        world.upgrade("m", Steps(see, migrate=bad))
    assert world.machine("m").head == head
    assert outcome(world, client, client.ask(m["a"], 2)) == "seen"


def test_w28_refused_and_rejected() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "no":
            raise Refused("no such thing")
        if message.content == "bug":
            raise KeyError("secret")
        return message.answer("yes"), state

    world, client, m = start(step)
    assert outcome(world, client, client.ask(m["a"], "no")) == Failed("refused", "no such thing")
    assert outcome(world, client, client.ask(m["a"], "bug")) == Failed("rejected")
    assert outcome(world, client, client.ask(m["a"], "x")) == "yes"


def asking(deadline_s: float | None = None) -> Callable[[Message, Any], Any]:
    def step(message: Message, state: Held) -> Step[Held]:
        match message.context, message.content:
            case "a", content:
                reply = state.me(Note("outcome"))
                return [Send(state.caps[0], content, reply=reply, deadline_s=deadline_s)], state
            case Note(_), Failed(why, detail):
                return [], replace(state, seen=(*state.seen, (why, detail)))
            case Note(_), content:
                return [], replace(state, seen=(*state.seen, content))
        raise Refused

    return step


def pair(
    step: Callable[[Message, Any], Any], deadline_s: float | None = None
) -> tuple[SimHost, Client, Capability]:
    """An asker `m` and whom it asks, `n`, with the given step."""
    world = SimHost(6)
    client = world.client()
    n = world.create("n", Steps(step))
    caps = [client.hold(n.names["a"])]
    made = create_with(world, "m", Steps(asking(deadline_s)), client, caps)
    return world, client, names(client, made)["a"]


def test_w28_each_outcome_reaches_a_machine_once_over_crashes() -> None:
    def answerer(message: Message, state: Held) -> Step[Held]:
        match message.content:
            case "answer":
                return message.answer(1), replace(state, seen=(*state.seen, 1))
            case "refuse":
                raise Refused("word")
            case "break":
                raise ValueError("broken")
            case "drop":
                return [], state
            case "imitate":
                return message.answer(Failed("late", "not really")), state
        return [], replace(state, seen=(*state.seen, "kept"))

    wanted = {
        "answer": 1,
        "refuse": ("refused", "word"),
        "break": ("rejected", ""),
        "drop": ("dropped", "applied, and no answer will come"),
        "imitate": ("refused", "not really"),
        "keep": ("late", "applied, without an answer by the deadline"),
    }
    for content, result in wanted.items():
        for crash_after in (0, 2, 5, 8, 12):
            world, client, ask = pair(answerer)
            world.eager = False
            client.send(ask, content)
            for _ in range(crash_after):
                world.step()
            world.crash()
            world.eager = True
            world.advance(61)
            assert seen(world, "m") == (result,), content
            assert not world.machine("m").asks and not world.core.host.outbox


def test_w28_undelivered_at_the_deadline() -> None:
    world, client, ask = pair(see, deadline_s=5)
    world.suspend("n")
    client.send(ask, "x")
    world.advance(4)
    assert seen(world, "m") == ()
    world.advance(2)
    assert seen(world, "m") == (("undelivered", "the deadline passed"),)
    world.resume("n")
    world.advance(1)
    assert seen(world, "n") == (), "what was reported undelivered never happens"


def test_t02_nothing_waits_for_ever_at_a_machine_that_is_gone() -> None:
    world, client, ask = pair(see, deadline_s=5)
    machine = world.machine("n")
    world.ask(lambda request: world.core.change(request, machine, "halt"))
    client.send(ask, "x")
    world.settle()
    assert seen(world, "m") == (("undelivered", "the machine is halted"),)


def test_s01_a_second_reply_is_inert_and_counted() -> None:
    def twice(message: Message, state: Held) -> Step[Held]:
        return [*message.answer(1), *message.answer(2)], state

    world, client, ask = pair(twice)
    client.send(ask, "x")
    world.settle()
    assert seen(world, "m") == (1,)
    assert world.core.host.counts["inert"] == 1
    ask_number = client.ask(names(client, world.create("t", Steps(twice)))["a"])
    assert outcome(world, client, ask_number) == 1
    assert world.core.host.counts["inert"] == 2


def test_s01_a_late_reply_is_inert() -> None:
    def later(message: Message, state: Held) -> Step[Held]:
        if message.context == "a":
            return [], replace(state, caps=(message.reply,))
        return [Send(state.caps[0], "too late")], state

    world, client, ask = pair(later, deadline_s=5)
    client.send(ask, "x")
    world.advance(6)
    b = client.hold(from_bytes(world.core.host.bound[(world.machine("n").id, "b")]))
    client.send(b, None)
    world.settle()
    assert seen(world, "m") == (("late", "applied, without an answer by the deadline"),)
    assert world.core.host.counts["inert"] == 1


def test_s01_a_reply_to_an_ask_of_that_number_in_another_time_is_inert() -> None:
    def keep(message: Message, state: Held) -> Step[Held]:
        return [], replace(state, caps=(message.reply,))

    world, client, ask = pair(keep, deadline_s=60)
    client.send(ask, "x")
    world.settle()
    machine = world.machine("m")
    ((number, open_ask),) = (machine.asks or {}).items()
    other = client.hold(Reply(machine.address, number, open_ask.deadline_ms - 1))
    client.send(other, "of a host that was put back since")
    world.settle()
    assert world.core.host.counts["inert"] == 1 and seen(world, "m") == ()
    client.send(client.hold(Reply(machine.address, number, open_ask.deadline_ms)), "of now")
    world.settle()
    assert seen(world, "m") == ("of now",)


def test_s01_the_flooded_table_does_not_grow() -> None:
    def answerer(message: Message, state: Held) -> Step[Held]:
        return message.answer(message.content), state

    world, client, ask = pair(answerer)
    for _ in range(300):
        client.send(ask, "x")
    world.settle()
    machine = world.machine("m")
    assert not machine.asks and not world.core.host.outbox and len(machine.slots or ()) <= 2


def test_s03_a_request_carries_its_context_and_leaves_no_state() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        match message.context:
            case "a":
                return message.answer(state.me(("cookie", message.content))), state
            case ("cookie", value):
                return message.answer(value), state
        raise Refused

    world, client, m = start(step)
    before, slots = replayed(world, "m"), dict(world.machine("m").slots or {})
    for n in range(50):
        client.ask(m["a"], n)
    world.settle()
    assert replayed(world, "m") == before and world.machine("m").slots == slots


def test_c01_one_commit_holds_state_mark_sends_timers_and_asks() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.context != "a":
            return [], replace(state, seen=(*state.seen, message.context))
        sends = [
            Send(state.caps[0], 1, reply=state.me("answer")),
            Send(state.me("timer"), after_s=5),
        ]
        return [*message.answer("done"), *sends], replace(state, seen=(*state.seen, "turn"))

    for crash_after in range(14):
        world = SimHost(7)
        world.eager = False
        client = world.client()
        n = world.create("n", Steps(see))
        made = create_with(world, "m", Steps(step), client, [client.hold(n.names["a"])])
        ask = client.ask(names(client, made)["a"])
        for _ in range(crash_after):
            world.step()
        world.crash()
        machine = world.machine("m")
        applied = any(entry.form == journal.TURN for entry in entries(world, "m"))
        assert bool(machine.timers) == applied
        world.eager = True
        world.advance(6)
        assert sorted(map(str, seen(world, "m"))) == ["answer", "timer", "turn"]
        assert client.outcomes[ask] == ["done"]


def test_c03_raising_leaves_no_trace_but_a_reason() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        raise Refused("never")

    world, client, m = start(step)
    before = replayed(world, "m")
    client.send(m["a"], "x")
    world.settle()
    last = entries(world, "m")[-1]
    assert last.form == journal.REFUSED and last["word"] == "never"
    assert replayed(world, "m") == before and not world.core.host.outbox


def test_c06_a_poisoned_batch_is_set_aside_and_the_channel_goes_on() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "poison" and "antidote" not in state.seen:
            raise ValueError("poisoned")
        return [], replace(state, seen=(*state.seen, message.content))

    world, client, m = start(step)
    client.send(m["a"], "x", "poison")
    client.send(m["a"], "antidote")
    world.settle()
    assert seen(world) == ("antidote",)
    rows = list(world.store.rows("failed"))
    assert len(rows) == 1 and world.machine("m").failed == 1
    (machine_id, turn), row = rows[0]
    machine = world.machine("m")
    assert machine_id == machine.id and isinstance(turn, int)
    world.ask(lambda request: world.core.retry(request, machine, turn, row))
    assert seen(world) == ("antidote", "x", "poison")
    assert not list(world.store.rows("failed"))


def timers(message: Message, state: Held) -> Step[Held]:
    me = state.me
    match message.context, message.content:
        case "a", (int(seconds), note):
            return [Send(me("b"), note, after_s=seconds)], state
        case "b", note:
            return [], replace(state, seen=(*state.seen, note))
        case "c", None:
            return [Cancel(me("b"))], state
    raise Refused


def test_p06_a_timer_fires_once_over_restarts_and_suspension() -> None:
    world, client, m = start(timers)
    client.send(m["a"], (10, "ring"))
    world.advance(3)
    world.crash()
    world.advance(3)
    assert seen(world) == ()
    world.suspend("m")
    world.advance(10)
    world.crash()
    world.resume("m")
    world.advance(1)
    assert seen(world) == ("ring",)
    world.advance(100)
    assert seen(world) == ("ring",)


def test_p06_what_a_suspended_machine_had_set_to_send_later_is_sent() -> None:
    def later(message: Message, state: Held) -> Step[Held]:
        match message.content:
            case Capability() as to:
                return [Send(to, "ring", after_s=5)], state
        raise Refused

    world, client, m = start(later)
    client.send(m["a"], second(world, client)["a"])
    world.settle()
    world.suspend("m")
    world.crash()
    assert seen(world, "n") == ()
    world.advance(10)
    assert seen(world, "n") == ("ring",) and not world.machine("m").timers


def test_p06_a_timer_is_renewed_and_cancelled() -> None:
    world, client, m = start(timers)
    client.send(m["a"], (10, "first"))
    world.advance(6)
    client.send(m["a"], (10, "second"))
    world.advance(6)
    assert seen(world) == ()
    world.advance(5)
    assert seen(world) == ("second",)
    client.send(m["a"], (10, "third"))
    client.send(m["c"], None)
    world.advance(20)
    assert seen(world) == ("second",)


def test_x02_a_step_cannot_name_what_it_does_not_hold() -> None:
    """A worker that refers to slots which the machine does not have has its turn rejected."""

    def step(message: Message, state: Held) -> Step[Held]:
        forged = type(state.caps[0])(message.content)  # type: ignore[call-arg]
        return [Send(forged, "boo")], state

    world = SimHost(8)
    client = world.client()
    n = world.create("n", Steps(see))
    made = create_with(world, "m", Steps(step), client, [client.hold(n.names["a"])])
    to = names(client, made)["a"]
    client.send(to, 99)
    world.settle()
    assert client.verdicts == [(1, ["rejected", 0])] and seen(world, "n") == ()


def test_w20_a_machine_with_an_empty_environment_reaches_nothing() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        return message.answer([]), state

    world, client, m = start(step)
    ask = client.ask(m["a"], None)
    assert outcome(world, client, ask) == () and len(world.machine("m").slots or ()) == 1


def test_slot_numbers_are_never_used_again() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        match message.context, message.content:
            case "a", Capability() as cap:
                return [], replace(state, caps=(cap,))
            case "b", None:
                return [Send(state.caps[0], "hi")], replace(state, seen=(*state.seen, "sent"))
        raise Refused

    limits = replace(Limits(), snapshot_turns=1)
    world, client, m = start(step, limits=limits)
    numbers: set[int] = set()
    for i in range(6):
        n = second(world, client, f"n{i}")
        client.send(m["a"], n["a"])
        world.settle()
        client.send(m["b"], None)
        world.settle()
        held = set(world.machine("m").slots or ())
        assert seen(world, f"n{i}") == ("hi",)
        numbers |= held
    assert len(numbers) >= 6
    assert len(world.machine("m").slots or ()) <= 2, "what the state let go is collected"
    assert any(entry.form == journal.COLLECT for entry in entries(world, "m"))


def test_failed_and_read_only_turns_intern_nothing() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.context == "b":
            raise Refused
        return message.answer(message.content), state

    world, client, m = start(step)
    ear = client.ear()
    client.send(m["b"], ear)
    assert outcome(world, client, client.ask(m["a"], ear)) is not None
    machine = world.machine("m")
    assert machine.next_slot == 1, "only the creator's reply, at init"


def test_an_own_capability_comes_back_as_itself() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        match message.context, message.content:
            case "a", None:
                return message.answer(state.me(Note("purse"))), state
            case "b", Capability() as cap:
                same = cap == state.me(Note("purse"))
                return message.answer((same, state.me.open(cap) == Note("purse"))), state
        raise Refused

    world, client, m = start(step)
    purse = outcome(world, client, client.ask(m["a"]))
    assert outcome(world, client, client.ask(m["b"], purse)) == (True, True)
    other = second(world, client)["a"]
    assert outcome(world, client, client.ask(m["b"], other)) == (False, False)


def test_a_capability_of_another_machine_in_a_context_is_kept() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        match message.context, message.content:
            case "a", Capability() as cap:
                return message.answer(state.me((Note("forward"), cap))), state
            case (Note("forward"), Capability() as cap), content:
                return [Send(cap, content)], state
        raise Refused

    world, client, m = start(step)
    n = second(world, client)
    forward = outcome(world, client, client.ask(m["a"], n["a"]))
    world.crash()
    client.send(forward, "through")
    world.settle()
    assert seen(world, "n") == ("through",)
    assert len(world.machine("m").slots or ()) == 1, "the context holds it, not the table"


def test_a_passed_on_reply_moves_the_obligation() -> None:
    def first(message: Message, state: Held) -> Step[Held]:
        return [Send(state.caps[0], message.content, reply=message.reply)], state

    world = SimHost(9)
    client = world.client()
    n = world.create("n", Steps(see))
    made = create_with(world, "m", Steps(first), client, [client.hold(n.names["a"])])
    assert outcome(world, client, client.ask(names(client, made)["a"], "x")) == "seen"


def test_a_late_offer_of_what_was_taken_is_answered_as_before() -> None:
    """Expiry is never judged before duplication: the first verdict holds."""
    world, client, m = start(see)
    ask = client.ask(m["a"], "x", timeout_s=5)
    world.settle()
    assert outcome(world, client, ask) == "seen"
    receiver, sender = next(iter(client.senders.items()))
    assert not sender.waiting
    world.advance(100)
    client.verdicts.clear()
    sender.waiting[1] = []
    world.core.offer(client.address, receiver, 1, [], deadline_ms=world.now_ms - 1)
    world.settle()
    assert client.verdicts == [(1, ["applied"])] and seen(world) == ("x",)


def test_a_failed_that_no_case_takes_is_discarded() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        match message.context, message.content:
            case "a", _:
                return [Send(state.caps[0], "x", reply=state.me("b"))], state
            case "b", "seen":
                return [], state
        raise Refused

    def no(message: Message, state: Held) -> Step[Held]:
        raise Refused("no")

    world = SimHost(10)
    client = world.client()
    n = world.create("n", Steps(no))
    made = create_with(world, "m", Steps(step), client, [client.hold(n.names["a"])])
    client.send(names(client, made)["a"], None)
    world.settle()
    machine = world.machine("m")
    assert not machine.asks and machine.refused == 0


def test_a_map_of_the_whole_environment_is_the_content_of_the_first_message() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        return message.answer(len(state.caps)), state

    world = SimHost(11)
    client = world.client()
    code = Steps(step)

    def init(message: Message, me: Me) -> Step[Held]:
        assert isinstance(message.content, Map)
        return message.answer({"a": me("a")}), Held(me, caps=(message.content["friend"],))

    code.init = init
    friend = second(world, client)["a"]
    made = world.create("m", code, {"friend": friend}, (client.held_as(friend),))
    assert outcome(world, client, client.ask(names(client, made)["a"])) == 1


def test_a_turn_with_one_unfit_send_sends_nothing() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        first = Send(state.caps[0], "first")
        return [first, Send(state.caps[0], "second", reply=state.caps[0])], state

    world = SimHost(12)
    client = world.client()
    n = world.create("n", Steps(see))
    made = create_with(world, "m", Steps(step), client, [client.hold(n.names["a"])])
    client.send(names(client, made)["a"], None)
    world.settle()
    assert client.verdicts == [(1, ["rejected", 0])] and seen(world, "n") == ()


def test_a_refused_batch_undoes_its_first_messages() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "no":
            raise Refused("no")
        return [], replace(state, seen=(*state.seen, message.content))

    world, client, m = start(step)
    client.send(m["a"], 1, 2, "no")
    world.settle()
    assert client.verdicts == [(1, ["refused", 2, "no"])] and seen(world) == ()


def test_t01_local_traffic_needs_no_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches between local machines, with capabilities in them, never touch a sealing key."""

    def step(message: Message, state: Held) -> Step[Held]:
        match message.context, message.content:
            case "a", None:
                return [Send(state.caps[0], state.me("b"), reply=state.me("c"))], state
        return [], replace(state, seen=(*state.seen, message.context))

    def back(message: Message, state: Held) -> Step[Held]:
        assert isinstance(message.content, Capability)
        return [*message.answer("ok"), Send(message.content, "hello")], replace(
            state, caps=(message.content,)
        )

    world = SimHost(13)
    client = world.client()
    n = world.create("n", Steps(back))
    made = create_with(world, "m", Steps(step), client, [client.hold(n.names["a"])])
    touched: list[object] = []

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            touched.append(given)
            return real(*given, **named)

        return call

    for name in ("seal", "unseal", "__init__"):
        monkeypatch.setattr(MachineKeys, name, counted(getattr(MachineKeys, name)))
    for _ in range(20):
        client.send(names(client, made)["a"], None)
    world.settle()
    assert len(seen(world)) == 40 and not touched


def test_a_client_cannot_imitate_the_host() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        match message.content:
            case Failed(why, detail):
                return [], replace(state, seen=(*state.seen, (why, detail)))
        raise Refused

    world, client, m = start(step)
    client.send(m["a"], Failed("late", "not really"))
    world.settle()
    assert seen(world) == (("refused", "not really"),)
