"""A factory of the host: each ask makes one machine beside it, or none, wherever the host dies."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avm import Capability, Failed, Map, Me, Message, Send, Step
from avm.host import journal
from avm.host.acts import Needs
from avm.host.capability import Local, from_bytes, to_bytes
from avm.host.making import Make, made_by, make_capability, overdue
from avm.host.operate import Created
from avm.host.state import Status
from avm.limits import Limits
from avm.past.audit import Audit
from avm.past.causes import HOST, Causes
from avm.past.reading import Reader
from avm.recording.log import Segment
from avm.recording.whatif import WhatIf
from avm.sim.client import Client
from avm.sim.host import Refusal, SimHost
from avm.sim.net import Net
from caps.identity import identity_at_untrusted
from tests.sim import buyer as buying
from tests.sim.code import ModuleCode, entries, gap_free, replayed
from tests.sim.making import factory_in, shops_of
from tests.sim.portrait import Watched
from tests.sim.taped import InProcess, Taped, rerun
from tests.sim.test_audit import entries as audit_entries
from tests.sim.test_carrying import export
from tests.sim.test_lives import TINY, USUAL, Lives
from tests.sim.test_rows import Held, Steps, names, outcome

VECTORS = Path(__file__).parents[1] / "vectors" / "making.json"
GOOD: dict[str, Any] = {"stock": 7}


def works(seed: int = 1, at_most: int = 100) -> tuple[SimHost, Client, dict[str, Any]]:
    """A host with a factory of shops, and who may ask it."""
    world = Watched(seed)
    client = world.client()
    return world, client, names(client, factory_in(world, at_most))


def buyer(world: SimHost, client: Client, make: Any) -> dict[str, Any]:
    made = names(client, world.create("buyer", ModuleCode(buying)))
    client.send(made["meet"], make)
    world.settle()
    return made


def whole(world: SimHost) -> None:
    """Nothing waits, every journal is its machine's, and the store holds."""
    host = world.core.host
    assert not host.making and not host.outbox and not host.inbox
    assert not any(one.asks for one in host.machines.values())
    assert all(one.status is not Status.CREATING for one in host.machines.values())
    for name in host.names:
        gap_free(world, name)
        replayed(world, name)
    assert not list(Audit(Reader(world.store), None).problems())


def test_w20_what_the_init_of_a_new_machine_answers_is_the_answer_of_its_factory() -> None:
    world, client, made = works()
    take = outcome(world, client, client.ask(made["make"], GOOD))["take"]
    assert outcome(world, client, client.ask(take, 2)) == 5
    assert outcome(world, client, client.ask(take, 9)) == Failed("refused", "out of stock")
    (shop,) = shops_of(world)
    machine, factory = world.machine(shop), world.machine("works")
    assert client.held_as(take) == Local(machine.address, 0, 0, 0, None, b"dtake", ())
    first = entries(world, shop)[0]
    assert first.form == journal.INIT and first["sender"] == factory.address
    assert machine.address != factory.address and machine.head > 0
    whole(world)


def test_w20_each_machine_that_a_factory_makes_has_an_address_and_a_state_of_its_own() -> None:
    world, client, made = works()
    asks = [client.ask(made["make"], {"stock": stock}) for stock in (3, 5)]
    first, second = (outcome(world, client, ask)["take"] for ask in asks)
    assert outcome(world, client, client.ask(first, 3)) == 0
    assert outcome(world, client, client.ask(second, 3)) == 2
    one, other = (world.machine(name) for name in shops_of(world))
    assert one.address != other.address
    world.suspend(one.name)
    assert outcome(world, client, client.ask(second, 1)) == 1
    world.resume(one.name)
    whole(world)


def test_w20_capabilities_go_into_a_new_machines_environment_and_nothing_else_does() -> None:
    world, client, made = works()
    till = client.ear("till")
    outcome(world, client, client.ask(made["make"], {"stock": 4, "till": till}))
    assert [content for _to, content in client.inbox] == [("open", 4)]
    (shop,) = shops_of(world)
    held = (world.machine(shop).slots or {}).values()
    host = world.core.host
    assert not [cap for cap in held if made_by(host, cap)], "the power to make is the factory's"
    assert {cap.address for cap in held if isinstance(cap, Local)} == {client.address}


@pytest.mark.parametrize(
    ("environment", "heard"),
    [
        ("no stock", Failed("refused", "a shop has a stock")),
        ("broken", Failed("refused", "")),
        ("dies", Failed("refused", "")),
    ],
)
def test_w20_an_init_that_fails_is_told_and_leaves_nothing(
    environment: str, heard: Failed, capsys: pytest.CaptureFixture[str]
) -> None:
    world, client, made = works(at_most=1)
    before = set(world.core.host.machines)
    slots = {key for key, _row in world.store.rows("slot")}
    told = outcome(world, client, client.ask(made["make"], environment))
    assert told == heard
    assert set(world.core.host.machines) == before
    assert {key for (key,), _row in world.store.rows("machine")} == {
        one.id for one in world.core.host.machines.values()
    }
    held = [(one.id,) for one in world.core.host.machines.values()]
    assert all(key[:1] in held for key, _row in world.store.rows("slot")) and slots
    hint = {"broken": "ValueError: broken", "dies": "every worker that tried it died"}
    assert hint.get(environment, "") in capsys.readouterr().out, "its operator sees why"
    assert "take" in outcome(world, client, client.ask(made["make"], GOOD)), "it does not count"
    whole(world)


def test_w20_a_factory_makes_so_many_and_no_more() -> None:
    world, client, made = works(at_most=2)
    asks = [client.ask(made["make"], GOOD) for _ in range(3)]
    told = [outcome(world, client, ask) for ask in asks]
    assert ["take" in one for one in told[:2]] == [True, True]
    assert told[2] == Failed("refused", "the factory has made all that it may")
    assert len(shops_of(world)) == 2
    whole(world)


def test_w26_a_revoked_factory_makes_nothing_more_and_what_it_made_stays() -> None:
    world, client, made = works()
    take = outcome(world, client, client.ask(made["make"], GOOD))["take"]
    assert outcome(world, client, client.ask(made["revoke"])) is None
    assert outcome(world, client, client.ask(made["make"], GOOD)) == Failed("refused", "revoked")
    assert outcome(world, client, client.ask(take, 1)) == 6
    assert len(shops_of(world)) == 1
    whole(world)


def test_w26_what_a_halted_factory_has_asked_for_is_not_made() -> None:
    world, client, made = works()
    for worker in world.workers.values():
        worker.hangs = True
    host = world.core.host
    world.eager = False
    for _ in range(3):
        client.ask(made["make"], GOOD)
    for number in list(world.workers):
        world.lose(number, "died")
    while not host.making:
        assert world.step()
    machine = world.machine("works")
    world.eager = True
    world.ask(lambda request: world.core.change(request, machine, "halt"))
    world.settle()
    assert not shops_of(world) and not host.making and not host.outbox
    made_there = [one for one in host.machines.values() if one.status is Status.CREATING]
    assert not made_there


@pytest.mark.parametrize("kill", ["host", "worker"])
def test_w20_each_ask_of_a_factory_makes_one_machine_or_none_wherever_it_is_cut(kill: str) -> None:
    for cut in range(400):
        world, client, made = works()
        ordered = buyer(world, client, made["make"])
        world.eager = False
        for said in (GOOD, "no stock", {"stock": 1}):
            client.send(ordered["order"], said)
        left = cut
        while left and world.step():
            left -= 1
        world.crash() if kill == "host" else world.kill_worker()
        world.eager = True
        world.advance(70)
        state = replayed(world, "buyer")
        assert sorted(map(str, state.told)) == sorted(
            ["made", "made", "('refused', 'a shop has a stock')"]
        )
        assert len(shops_of(world)) == len(state.shops) == 2
        assert replayed(world, "works").made == 2
        assert sorted(replayed(world, shop).stock for shop in shops_of(world)) == [0, 6]
        whole(world)
        if left:
            return
    raise AssertionError("the life has more steps than were cut")


def test_w20_what_waits_to_be_made_at_its_deadline_is_undelivered_and_never_made() -> None:
    world, client, made = works()
    ordered = buyer(world, client, made["make"])
    client.send(ordered["order"], "hangs", GOOD)
    while not any(worker.hangs for worker in world.workers.values()):
        assert world.step()
    world.settle()
    factory = world.machine("works")
    assert len(world.core.host.making[factory.address].batches) == 2
    world.core.hear_clock(world.now_ms + 61_000)
    for ask in list(factory.asks or ()):
        overdue(world.core.host, factory.address, ask + 1)
    closing = [ask.closing for ask in (factory.asks or {}).values()]
    assert closing == [False, True], "the first is undecided, its turn is being taken"
    for number, worker in list(world.workers.items()):
        if worker.hangs:
            world.lose(number, "died")
    world.advance(120)
    why = sorted(one[0] for one in replayed(world, "buyer").told)
    assert len(why) == 2 and "made" not in why
    assert not shops_of(world) and replayed(world, "works").made == 0
    whole(world)


def test_w20_what_waited_to_be_made_while_the_host_was_away_too_long_is_never_made() -> None:
    world, client, made = works()
    ordered = buyer(world, client, made["make"])
    client.send(ordered["order"], GOOD)
    world.eager = False
    host = world.core.host.address
    while not any(receiver == host for (_from, receiver, _seq), _ in world.store.rows("outbox")):
        assert world.step()
    world.die()
    world.now_ms += 61_000
    world.start()
    world.eager = True
    world.advance(70)
    assert not shops_of(world) and replayed(world, "works").made == 0
    assert len(replayed(world, "buyer").told) == 1
    whole(world)


def test_w20_the_host_makes_nothing_for_what_only_looks_like_its_capability() -> None:
    world, client, made = works()
    host = world.core.host
    code = world.machine("works").code
    good = make_capability(host.address, code, "shop")
    assert made_by(host, good) == (code, "shop", {})
    for other in (
        good._replace(generation=1),
        good._replace(kind=1),
        good._replace(expires_ms=2**50),
        good._replace(caveats=(b"\x82\x01\x05",)),
        good._replace(address=world.machine("works").address),
        good._replace(context=b"hoperator"),
        good._replace(context=b"\xff"),
    ):
        assert made_by(host, other) is None
    ask = client.ask(client.hold(good), GOOD)
    assert outcome(world, client, ask) == Failed("rejected"), "no client asks the host itself"
    assert not shops_of(world)
    assert made["make"]


class Greedy(Steps):
    """A factory of its own code: it asks for one machine, or for two in one batch."""

    def __init__(self) -> None:
        super().__init__(self._ask)

    def _init(self, message: Message, me: Me) -> Step[Held]:
        assert isinstance(message.content, Map)
        host = message.content["host"]
        assert isinstance(host, Capability)
        return message.answer({name: me(name) for name in self.names}), Held(me, caps=(host,))

    def _ask(self, message: Message, state: Held) -> Step[Held]:
        if message.context == "c":
            return [], replace(state, seen=(*state.seen, message.content))
        ask = Send(state.caps[0], GOOD, reply=state.me("c"))
        return [ask, ask] if message.context == "b" else [ask], state


def test_w20_the_host_is_asked_for_one_machine_a_batch() -> None:
    world = Watched(1)
    client = world.client()
    made = names(client, factory_in(world, code=Greedy()))
    client.send(made["b"], None)
    client.send(made["a"], None)
    world.settle()
    no, also_no, shop = replayed(world, "works").seen
    assert (no, also_no) == (Failed("rejected"), Failed("rejected")) and "take" in shop
    assert len(shops_of(world)) == 1
    whole(world)


def test_w26_the_audit_log_and_the_causes_say_who_had_a_machine_made() -> None:
    world, client, made = works()
    ordered = buyer(world, client, made["make"])
    client.send(ordered["order"], GOOD)
    world.settle()
    (shop,) = shops_of(world)
    factory = world.machine("works")
    created = [one.about for one in audit_entries(world.store) if one.what == "created"]
    (about,) = [one for one in created if one["machine"] == shop]
    assert about["by"] == factory.address and about["names"] == ["take"]
    reader = Reader(world.store)
    trail = Causes(reader, world.core.host.address).of_turn(world.machine(shop), 0)
    assert [step.machine.name for step in trail.steps] == [shop, "works", "buyer"]
    assert trail.end.why != HOST


def test_t05_what_a_factory_makes_says_what_its_operator_had_it_say() -> None:
    world = SimHost(5)
    client = world.client()
    made = names(client, factory_in(world, about={"region": "north"}))
    outcome(world, client, client.ask(made["make"], GOOD))
    world.crash()
    outcome(world, client, client.ask(made["make"], GOOD))
    shops = [world.machine(name) for name in shops_of(world)]
    assert len(shops) == 2
    for shop in shops:
        said = identity_at_untrusted(shop.address, shop.identity).metadata
        assert said == {"name": shop.name, "type": "avm", "region": "north"}
    whole(world)


@pytest.mark.parametrize("about", [{"name": "bank"}, {"a": "x" * 520}])
def test_t05_a_factory_of_machines_that_could_not_say_it_is_not_created(
    about: dict[str, str],
) -> None:
    world = SimHost(5)
    with pytest.raises(Refusal, match="works is not created"):
        factory_in(world, about=about)
    assert not world.core.host.names
    assert isinstance(factory_in(world), Created)


def test_w20_a_factory_stays_where_it_makes() -> None:
    world, client, made = works()
    outcome(world, client, client.ask(made["make"], GOOD))
    with pytest.raises(Refusal, match="made at this host"):
        export(world, "works", "works.machine")
    (shop,) = shops_of(world)
    assert export(world, shop, "shop.machine"), "what it makes can go"


def test_p03_a_recording_in_which_machines_are_made_reruns_the_same() -> None:
    """Also where all steps are taken again, from the begin of each segment, in the middle of making."""
    world, client, made = works()
    ordered = buyer(world, client, made["make"])
    taped = Taped(world, segment_bytes=14_000)
    for said in (GOOD, "no stock", GOOD, "dies"):
        client.send(ordered["order"], said)
        world.settle()
    segments = taped.end()
    told = rerun(segments)
    assert told.found is None and told.segments > 3
    assert len(shops_of(world)) == 2
    for first in range(len(segments)):
        found = WhatIf(InProcess(world))
        for body in segments[first:]:
            assert found.take(Segment(body).items_untrusted())
        found.end()
        assert found.lives.first is None and not found.is_apart


def test_w20_who_is_at_another_host_has_machines_made_by_a_granted_factory() -> None:
    net = Net(3, 2)
    here, there = net.worlds
    made, client = factory_in(there), here.client()
    wire = there.core.seal(made.names["make"])
    ask = client.ask(client.hold(here.core.unseal_untrusted(wire)), GOOD)
    net.settle()
    (answer,) = client.outcomes[ask]
    assert isinstance(answer, Map)
    ask = client.ask(answer["take"], 3)
    net.settle()
    assert client.outcomes[ask] == [4]
    assert len(shops_of(there)) == 1 and not shops_of(here)
    forged = make_capability(there.core.host.address, made.machine.code, "shop")
    wire = there.core.seal(forged)
    ask = client.ask(client.hold(here.core.unseal_untrusted(wire)), GOOD)
    net.advance(70)
    assert client.outcomes[ask] == [Failed("undelivered", "the deadline passed")]
    assert len(shops_of(there)) == 1, "no other host asks the host itself"


def test_what_a_capability_to_make_says_is_a_fixed_format() -> None:
    pinned = json.loads(VECTORS.read_text())
    cap = make_capability(bytes(32), bytes(range(32)), "shop")
    assert cap.context.hex() == pinned["context"]
    assert to_bytes(cap).hex() == pinned["row"]
    assert from_bytes(bytes.fromhex(pinned["row"])) == cap


def test_an_act_that_makes_a_machine_needs_a_worker_and_is_tried_again() -> None:
    world, client, made = works()
    client.send(made["make"], GOOD)
    acts: list[Any] = []
    while not acts and world.step():
        acts = [
            flight.act
            for machine in world.core.host.machines.values()
            for flight in machine.flights or ()
            if isinstance(flight.act, Make)
        ]
    assert [(act.needs, act.again) for act in acts] == [(Needs.WORKER, True)]
    world.kill_worker()
    world.kill_worker()
    world.settle()
    assert len(shops_of(world)) == 1
    assert isinstance(world.create("other", ModuleCode(buying)), Created)


class Works(Lives):
    """A life of a host in which clients have machines made, in between."""

    def __init__(self, seed: int, limits: Limits) -> None:
        super().__init__(seed, limits)
        made = factory_in(self.world, 10_000)
        self.make = self.world.handles.hold(made.names["make"])

    def speak(self) -> None:
        entropy = self.entropy
        if entropy.chance(0.6):
            super().speak()
            return
        c = entropy.below(len(self.clients))
        said = entropy.choice((GOOD, GOOD, GOOD, "no", "broken", "dies", "hangs", "silent"))
        if self.clients[c].core is not None:
            timeout_s = entropy.choice((0.2, 2.0, 60.0))
            self.asked.setdefault(c, []).append(self.clients[c].ask(self.make, said, timeout_s))

    def operate(self) -> None:
        core, entropy = self.world.core, self.entropy
        super().operate()
        machine = core.host.names["works"]
        verb = entropy.choice(("suspend", "resume", "resume"))
        self.begin(lambda request: core.change(request, machine, verb))

    def heal(self) -> None:
        self.names.append("works")
        super().heal()
        self.names.pop()

    def check(self) -> None:
        super().check()
        told = [
            outcomes[0]
            for c, client in enumerate(self.clients)
            for number in self.asked.get(c, [])
            if isinstance(outcomes := client.outcomes.get(number), list)
        ]
        heard = [one["take"] for one in told if isinstance(one, Map) and "take" in one]
        shops = shops_of(self.world)
        assert len(heard) == len(set(map(self.world.handles.held_as, heard))) <= len(shops)
        assert replayed(self.world, "works", from_start=False).made == len(shops)
        for shop in shops:
            replayed(self.world, shop)


@pytest.mark.parametrize("seed", range(12))
def test_lives_of_a_host_in_which_machines_are_made(seed: int) -> None:
    lives = Works(seed, TINY if seed % 2 else USUAL)
    lives.run(60)
    lives.heal()
    lives.check()
