"""The patterns: their scenes on every bench that needs no process, and what holds of any of their inputs."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm import Cancel, Message, Refused, Send
from avm.kit import puppet
from avm.kit.playing import SCENES, Scene, play
from avm.kit.process import Process
from avm.kit.scenes import finding
from avm.kit.stage import NotHeld, Stage
from avm.kit.worlds import Introduced, Storm
from avm.machine.bundle import collect
from avm.machine.loader import load
from avm.testing import Client, NoAnswer, World, answer_of, cap, me, message
from avm.testing.files import read
from caps.map import Map
from caps.patterns import (
    factory,
    membrane,
    mint,
    once,
    petnames,
    ratelimit,
    registry,
    sealer,
    walking,
)
from caps.slots import NULL
from caps.value import Affine, Capability, Failed, Linear, Relevant, Value, freeze

PATTERNS = Path(__file__).parents[2] / "caps" / "patterns"
PUPPET = str(puppet.__file__)
PROPS = {"puppet": PUPPET, "mint": str(PATTERNS / "mint.py")}
ALL = [(pattern, scene) for pattern, scenes in SCENES.items() for scene in scenes]
PARTS = {"__init__", "maker", "passing", "walking"}

few = settings(max_examples=40)
each_scene = pytest.mark.parametrize(
    ("pattern", "scene"), ALL, ids=lambda one: getattr(one, "__name__", one)
)


def only(sends: Sequence[Send | Cancel]) -> Send:
    (sent,) = sends
    assert isinstance(sent, Send)
    return sent


def file_of(pattern: str) -> str:
    return str(PATTERNS / f"{pattern}.py")


@each_scene
def test_x03_a_pattern_keeps_what_its_scene_says(pattern: str, scene: Scene) -> None:
    assert play(scene, Process(), file_of(pattern), PROPS) == ""


@each_scene
def test_x03_it_does_between_hosts_that_were_introduced_by_one_that_is_gone(
    pattern: str, scene: Scene
) -> None:
    bench = Introduced(read, PUPPET)
    assert play(scene, bench, file_of(pattern), PROPS) == ""
    assert not bench.world.host("introducer").up


@each_scene
def test_x03_it_does_while_hosts_and_workers_die_and_are_slow(pattern: str, scene: Scene) -> None:
    bench = Storm(read, seed=3)
    assert play(scene, bench, file_of(pattern), PROPS) == ""
    assert bench.world.counts["crash"]


def test_x03_each_module_of_the_library_is_a_pattern_with_scenes_or_a_part_of_some() -> None:
    assert {path.stem for path in PATTERNS.glob("*.py")} == SCENES.keys() | PARTS


def test_a_machine_may_use_all_patterns_at_once_and_name_its_records_as_it_likes() -> None:
    uses = "".join(f"from caps.patterns import {name}\n" for name in sorted(SCENES))
    own = "from avm import record\n@record\nclass Purse: pass\ninit = step = mint.step\n"
    loaded = load(collect("m.py", {"m.py": (uses + own).encode()}.get))
    assert {"Purse", "mint.Purse", "matcher.Offer", "registry.Offer"} <= loaded.records.keys()


def test_t05_at_least_so_many_that_offer_it_are_found() -> None:
    finding.at_least_so_many_that_offer_it_are_found(Stage(Process(), file_of("registry"), PROPS))


class Greedy:
    """Tries whatever it was given, text and bytes too, as a capability; or makes a machine with it."""

    @staticmethod
    def init(message: Message, me: Any) -> Any:
        return message.answer({"use": me("use")}), message.content

    @staticmethod
    def step(message: Message, state: Any) -> Any:
        match message.content:
            case {"make": Capability() as target}:
                return [Send(state["factory"], {"target": target}, reply=message.reply)], state
            case found:
                return [Send(found, "hello")], state  # type: ignore[arg-type]


def test_w20_a_machine_with_an_empty_environment_reaches_nothing_and_a_factory_is_a_grant() -> None:
    world = World()
    client, maker = world.client(), world.machine(factory)
    poor = world.machine(Greedy())
    for said in ("avm:AAAA", "greedy.use", b"\x01" * 80, ("use",), {"factory": "factory"}, 7):
        with pytest.raises(NoAnswer, match="rejected"):
            client.call(poor.cap("use"), said)
    with pytest.raises(NoAnswer, match="rejected"):
        client.call(poor.cap("use"), {"make": client.cap()})
    granted = world.machine(Greedy(), "granted", grants={"factory": maker.cap("make")})
    made = client.call(granted.cap("use"), {"make": client.cap("target")})
    assert isinstance(made, Map)
    client.send(made["access"], "hello")
    assert [heard.content for heard in client.inbox()] == ["hello"]
    assert len(maker.state.made) == 1


# What holds of any input.

caps = st.sampled_from([cap(name) for name in "abcd"])
contents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text("xyz", max_size=3) | caps,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("xyz", max_size=2) | caps, inner, max_size=3)
        | st.builds(Linear, inner)
        | st.builds(Affine, inner)
        | st.builds(Relevant, inner)
        | st.builds(Failed, st.just("refused"), st.just("no"), inner)
    ),
    max_leaves=12,
).map(freeze)


@few
@given(contents)
def test_a_value_rebuilt_with_others_has_them_where_it_had_its_own(value: Value) -> None:
    found = walking.capabilities_in(value)
    others = {one: cap(f"instead of {number}") for number, one in enumerate(found)}
    changed = walking.replaced(value, others)
    assert set(walking.capabilities_in(changed)) == set(others.values())
    assert walking.replaced(changed, {other: one for one, other in others.items()}) == value
    assert walking.replaced(value, {}) == value


@few
@given(st.lists(contents, max_size=4))
def test_x03_no_capability_crosses_a_membrane_and_what_comes_home_is_what_went(
    values: list[Value],
) -> None:
    self, target = me(), cap("target")
    asked = message(content={"target": target})
    sends, state = membrane.init(asked, self)
    made = answer_of(sends, asked)
    assert isinstance(made, Map)
    access = self.open(made["access"])
    for value in values:
        sends, state = membrane.step(message(access, value), state)
        sent = only(sends)
        assert sent.to == target and sent.reply is not None
        crossed = freeze(sent.content)
        assert not set(walking.capabilities_in(crossed)) & {cap(name) for name in "abcd"}
        back = message(self.open(sent.reply), crossed)
        sends, after = membrane.step(back, state)
        assert freeze(only(sends).content) == value
        assert after is state
    _, state = membrane.step(message("revoke"), state)
    for context in (access, membrane.Wrapped(1, True)):
        with pytest.raises(Refused, match="revoked"):
            membrane.step(message(context, "hello"), state)
    assert not state.originals and not state.numbers


def test_x03_no_capability_crosses_a_membrane_inside_a_refusal() -> None:
    self, target, secret = me(), cap("target"), cap("secret")
    asked = message(content={"target": target})
    sends, state = membrane.init(asked, self)
    made = answer_of(sends, asked)
    assert isinstance(made, Map)
    sends, state = membrane.step(message(self.open(made["access"]), None), state)
    reply = only(sends).reply
    assert reply is not None
    said = Failed("refused", "no", {"here": secret})
    sends, state = membrane.step(message(self.open(reply), said), state)
    (crossed,) = walking.capabilities_in(freeze(only(sends).content))
    assert self.open(crossed) == membrane.Wrapped(1, False)


names = st.sampled_from(["ann", "bob", "bob 2", " bob", ""])
orders = st.one_of(
    st.builds(lambda name, one: {"name": name, "cap": one}, names, caps),
    st.builds(lambda says, one: {"meet": one, "says": says}, names, caps),
    st.builds(lambda name: {"forget": name}, names),
)


@few
@given(st.lists(orders, max_size=20))
def test_x03_a_name_has_one_capability_and_a_capability_one_name(said: list[Any]) -> None:
    state = petnames.Book()
    for order in said:
        before = dict(state.names)
        try:
            _, state = petnames.step(message("book", order), state)
        except Refused:
            continue
        assert {one: name for name, one in state.caps.items()} == dict(state.names)
        others = {one for one in before if one not in (order.get("cap"), order.get("meet"))}
        kept = {one: state.names.get(one) for one in others}
        assert "forget" in order or kept == {one: before[one] for one in others}


@few
@given(st.lists(st.floats(0, 5), max_size=40), st.integers(1, 5), st.sampled_from([0.5, 2.0, 10.0]))
def test_x03_never_more_goes_through_a_rate_limit_than_its_calls_and_the_time_allow(
    pauses: list[float], calls: int, per_s: float
) -> None:
    asked = message(content={"target": cap("target"), "calls": calls, "per_s": per_s})
    _, state = ratelimit.init(asked, me())
    now, through = 0.0, []
    for pause in pauses:
        now += pause
        try:
            _, state = ratelimit.step(message("access", now=now), state)
        except Refused:
            continue
        through.append(now)
    for first, begun in enumerate(through):
        for last, ended in enumerate(through[first:], first):
            assert last - first + 1 <= calls + (ended - begun) * calls / per_s + 1e-6


outcomes = st.sampled_from(
    ["ok", *(Failed(why) for why in ("refused", "rejected", "undelivered", "late", "unknown"))]
)


@few
@given(st.lists(outcomes, max_size=8))
def test_x03_of_once_at_most_one_happens_whatever_becomes_of_each(said: list[Value]) -> None:
    _, state = once.init(message(content={"target": cap("target")}), me())
    happened = 0
    for outcome in said:
        try:
            sends, state = once.step(message("access"), state)
        except Refused:
            assert happened
            continue
        with pytest.raises(Refused):
            once.step(message("access"), state)
        reply = only(sends).reply
        assert reply is not None
        sends, state = once.step(message(state.me.open(reply), outcome), state)
        maybe = isinstance(outcome, Failed) and outcome.why in ("late", "unknown")
        happened += outcome == "ok" or maybe
        assert len(sends) == (0 if maybe else 1)
        assert happened <= 1


@few
@given(contents, st.integers(0, 2), st.integers(0, 2))
def test_x03_a_box_opens_with_the_unsealer_of_its_pair_only(
    value: Value, sealed: int, opened: int
) -> None:
    state = sealer.Sealers(me(), 3)
    asked = message(sealer.Sealer(sealed), value)
    box = answer_of(sealer.step(asked, state)[0], asked)
    opening = message(sealer.Unsealer(opened), box)
    if sealed != opened:
        with pytest.raises(Refused):
            sealer.step(opening, state)
        return
    assert answer_of(sealer.step(opening, state)[0], opening) == value


def test_x03_what_is_linear_goes_into_a_box_and_comes_out_of_it_once() -> None:
    world = World()
    client, made = world.client(), world.machine(sealer)
    pair = client.call(made.cap("make"))
    assert isinstance(pair, Map)
    box = client.call(pair["seal"], Linear(5))
    assert client.call(pair["unseal"], box) == Linear(5)


moves = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-3, 30)), max_size=10)


@few
@given(moves)
def test_x03_a_mint_keeps_its_sum_and_no_purse_is_overdrawn(
    moved: list[tuple[int, int, int]],
) -> None:
    self = me()
    state = mint.Mint(self, Map({0: 20, 1: 5, 2: 0}))
    for source, to, amount in moved:
        said = {"amount": amount, "from": self(mint.Purse(source))}
        try:
            _, state = mint.step(message(mint.Purse(to), said), state)
        except Refused:
            pass
        assert sum(state.balances.values()) == 25 and min(state.balances.values()) >= 0


# What the tables are held to.


def admitted(client: Client, made: Any, name: str) -> Capability:
    found = client.call(made.cap("admit"), {"as": name})
    assert isinstance(found, Capability)
    return found


def test_offers_that_are_over_are_forgotten_when_another_comes() -> None:
    world = World()
    client, made = world.client(), world.machine(registry)
    for name in ("a", "b"):
        provider = admitted(client, made, name)
        client.call(provider, {"offer": "print", "cap": client.cap(), "for_s": 10})
        world.advance(11)
    assert list(made.state.offers["print"]) == ["b"]


def test_a_full_registry_takes_an_offer_when_others_are_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "OFFERS_MAX", 2)
    world = World()
    client, made = world.client(), world.machine(registry)
    provider = admitted(client, made, "a")
    for what in ("print", "scan"):
        client.call(provider, {"offer": what, "cap": client.cap(), "for_s": 10})
    with pytest.raises(NoAnswer, match="the registry is full"):
        client.call(provider, {"offer": "copy", "cap": client.cap()})
    client.call(provider, {"offer": "scan", "cap": client.cap(), "for_s": 100})
    world.advance(11)
    client.call(provider, {"offer": "copy", "cap": client.cap()})
    assert list(made.state.offers) == ["copy", "scan"]


def test_those_who_waited_in_vain_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "WAITING_MAX", 1)
    asked = message(content=None)
    _, state = registry.init(asked, me())
    waits = {"offer": "print", "wait": True}
    _, state = registry.step(message("find", waits), state)
    with pytest.raises(Refused, match="too many wait"):
        registry.step(message("find", waits), state)
    _, state = registry.step(message("find", waits, now=registry.WAIT_S + 1.0), state)
    assert [one.until for one in state.seekers] == [2 * registry.WAIT_S + 1.0]


def test_an_offer_is_held_only_against_those_who_wait_for_its_like() -> None:
    asked = message(content=None)
    _, state = registry.init(asked, me())
    for least in (2, 1):
        waits = {"offer": "print", "least": least, "wait": True}
        _, state = registry.step(message("find", waits), state)
    for what, waiting in (("scan", 2), ("print", 1)):
        offer = {"offer": what, "cap": cap(what)}
        _, state = registry.step(message(registry.Provider("a"), offer), state)
        assert len(state.seekers) == waiting
    _, state = registry.step(message(registry.Provider("b"), offer), state)
    assert not state.seekers


@pytest.mark.parametrize(
    ("pattern", "limit", "say"),
    [
        (membrane, "WRAPPED_MAX", lambda n, cap: cap),
        (petnames, "NAMES_MAX", lambda n, cap: {"name": str(n), "cap": cap}),
    ],
    ids=["membrane", "petnames"],
)
def test_what_is_too_much_for_a_table_is_refused(
    pattern: ModuleType, limit: str, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern, limit, 3)
    asked = message(content={"target": cap("target")})
    _, state = pattern.init(asked, me())
    context = membrane.Wrapped(0, False) if pattern is membrane else "book"
    with pytest.raises(Refused, match="is full"):
        for number in range(4):
            _, state = pattern.step(message(context, say(number, cap(str(number)))), state)
    assert number >= 2


def test_who_asks_a_powerbox_without_waiting_is_refused() -> None:
    world = World()
    client = world.client()
    made = world.machine(PATTERNS / "powerbox.py")
    with pytest.raises(Exception, match="nobody to grant it to"):
        client.send(made.cap("ask"), {"want": "all"})
    assert not made.state.waiting


def test_a_stage_says_what_was_to_be_and_what_was() -> None:
    stage = Stage(Process(), file_of("caretaker"), PROPS)
    party = stage.party()
    with pytest.raises(NotHeld, match=r"was to be refused, and was answered by 'ok'"):
        stage.refused(party.ear, "hello")
    party.refuses("no")
    with pytest.raises(NotHeld, match=r"was to be answered, and was not: refused: no"):
        stage.call(party.ear, "hello")
    with pytest.raises(NotHeld, match=r"heard: \('hello',\), not \(\)"):
        party.hears()
    assert NULL != party.ear
