"""The audit log of a simulated host: one entry an act, in its commit, without secrets, and whole after crashes."""

from dataclasses import replace
from functools import partial

import pytest

from avm import Message, Step, narrow
from avm.host import audited, generations, operate
from avm.host.audited import ROW
from avm.host.auditlog import HOUR_MS, AuditLog, Broken, Entry, from_bytes_untrusted, walk_untrusted
from avm.host.capability import Local
from avm.host.state import Status
from avm.limits import Limits
from avm.sim.host import SimHost
from avm.store.memory import MemoryStore
from caps.codec import encode_state
from caps.slots import Me
from tests.sim import apple
from tests.sim.code import ModuleCode
from tests.sim.portrait import Watched
from tests.sim.test_lives import TINY, Lives
from tests.sim.test_rows import Held, Steps, create_with, names, see

PLANTED = "planted-content-of-a-message"


def log_in(store: MemoryStore) -> AuditLog:
    body = store.get(ROW)
    return AuditLog() if body is None else from_bytes_untrusted(body)


def entries(store: MemoryStore) -> list[Entry]:
    found: list[Entry] = []
    for one in walk_untrusted(
        log_in(store), [(int(n), body) for (n,), body in store.rows("audit")]
    ):
        assert not isinstance(one, Broken), one
        found.append(one)
    return found


def acts(world: SimHost) -> list[str]:
    return [one.what for one in entries(world.store)]


def raw(store: MemoryStore) -> bytes:
    return b"".join([store.get(ROW) or b"", *(body for _, body in store.rows("audit"))])


class Audited(Watched):
    """A world in which the log holds at every commit, and says what became of each machine last."""

    def on_written(self) -> None:
        super().on_written()
        self.agree_with_log()

    def agree_with_log(self) -> None:
        last: dict[object, str] = {}
        for one in entries(self.store):
            if one.what in ("created", "suspended", "resumed", "halted", "removed"):
                last[one.about["machine"]] = one.what
        alive = {machine.name: machine for machine in self.core.host.machines.values()}
        kept = {bytes(body) for _, body in self.store.rows("machine")}
        assert len(kept) == sum(what != "removed" for what in last.values())
        for name, what in last.items():
            if name in alive and self.core.host.group.number == self.core.host.committed + 1:
                suspended = alive[str(name)].status is Status.SUSPENDED
                assert suspended == (what == "suspended"), (name, what)


def test_each_act_of_the_operator_has_its_entry() -> None:
    world = Audited(1)
    client = world.client()
    into = world.create("sink", Steps(see))
    granted = client.hold(into.names["a"])
    made = create_with(world, "m", Steps(see), client, [granted])
    machine = made.machine
    body = encode_state(Held(Me(), seen=(PLANTED,)))[0]
    world.ask(lambda request: world.core.edit(request, machine, body, ()))
    world.upgrade("m", Steps(see))
    world.suspend("m")
    world.resume("m")
    world.ask(lambda request: world.core.change(request, machine, "halt"))
    world.ask(lambda request: world.core.change(request, machine, "rm"))
    assert acts(world) == [
        *("created", "created", "edited", "upgraded", "suspended", "resumed", "halted", "removed")
    ]
    created = entries(world.store)[1]
    assert created.about["granted"] == [into.machine.address.hex()]
    assert created.about["names"] == ["a", "b", "c"]
    assert all(one.about["machine"] == "m" for one in entries(world.store)[1:])


def test_w26_generations_are_told_of_and_who_was_refused_for_one_is_counted() -> None:
    world = Audited(4)
    client = world.client()
    m = names(client, world.create("m", Steps(see)))
    machine = world.machine("m")
    few = narrow(m["b"], only=1)
    world.ask(lambda request: world.core.do(generations.rotate, request, machine, 1_000))
    client.send(few, 2)
    world.advance(2)
    client.send(m["a"], 1)
    world.ask(lambda request: world.core.do(generations.rotate, request, machine, None))
    world.ask(lambda request: world.core.do(generations.revoke_generation, request, machine, 1))
    world.advance(2 * HOUR_MS / 1000)
    assert acts(world) == ["created", "rotated", "revoked", "rotated", "revoked", "refused"]
    (counted,) = [one.about for one in entries(world.store) if one.what == "refused"]
    assert counted["counts"] == {"narrowed to less": 1, "of another generation": 1}
    ended = [one.about["generation"] for one in entries(world.store) if one.what == "revoked"]
    assert ended == [0, 1]


def test_an_act_that_is_refused_has_none() -> None:
    world = Audited(1)
    world.create("m", Steps(see))
    machine = world.machine("m")
    world.ask(lambda request: world.core.change(request, machine, "halt"))
    with pytest.raises(Exception, match="halted for good"):
        world.resume("m")
    assert acts(world) == ["created", "halted"]


def test_what_is_so_already_has_none() -> None:
    world = Audited(1)
    world.create("m", Steps(see))
    machine = world.machine("m")
    for verb in ("resume", "suspend", "suspend", "resume", "resume", "halt", "halt"):
        world.ask(partial(world.core.change, machine=machine, verb=verb))
    assert acts(world) == ["created", "suspended", "resumed", "halted"]


def test_x01_no_secret_is_in_the_audit_log() -> None:
    def step(message: Message, state: Held) -> Step[Held]:
        if message.content == "bad":
            raise ValueError(PLANTED)
        return see(message, state)

    world = Audited(3)
    client = world.client()
    m = names(client, world.create("m", Steps(step)))
    client.send(m["a"], PLANTED)
    client.send(m["a"], "bad")
    world.settle()
    world.core.do(audited.handed, world.machine("m"), "a")
    world.core.do(audited.refused, "not the operator")
    machine = world.machine("m")
    body = encode_state(Held(Me(), seen=(PLANTED,)))[0]
    world.ask(lambda request: world.core.edit(request, machine, body, ()))
    world.suspend("m")
    world.advance(2 * HOUR_MS / 1000)
    assert acts(world) == ["created", "edited", "suspended", "refused", "handed-out"]
    said = raw(world.store)
    sealed = world.core.seal(client.held_as(m["a"]))
    keys = world.core.host.keys
    secret = [*keys.secrets, keys.open_machine(machine.sealed_keys)[:32]]
    secret += [keys.open_machine(machine.sealed_keys)[32:], sealed[-40:], PLANTED.encode()]
    assert not [one for one in secret if one in said or one.hex().encode() in said]


def test_refusals_are_counted_by_cause_and_told_by_the_hour() -> None:
    world = Audited(4)
    client = world.client()
    made = world.create("m", Steps(see))
    m = names(client, made)
    good = client.held_as(m["a"])
    assert isinstance(good, Local)
    old = client.hold(good._replace(expires_ms=world.now_ms - 1))
    newer = client.hold(good._replace(generation=9))
    for cap in (old, old, newer):
        client.send(cap, 1)
        world.settle()
    assert log_in(world.store).refused == {"expired": 2, "of another generation": 1}
    assert world.core.host.counts["turned_away"] == 3
    world.crash()
    assert world.core.host.audit.refused == {"expired": 2, "of another generation": 1}
    world.advance(HOUR_MS / 1000 + 1)
    last = entries(world.store)[-1]
    assert last.what == "refused"
    assert last.about["counts"] == {"expired": 2, "of another generation": 1}
    assert not log_in(world.store).refused
    before = len(entries(world.store))
    world.advance(3 * HOUR_MS / 1000)
    assert len(entries(world.store)) == before, "an hour without a refusal has no entry"


def test_what_was_only_counted_is_kept_when_the_host_is_told_to_end() -> None:
    world = Audited(5)
    world.core.do(operate.refuse, 99, "no")
    world.core.do(audited.refused, "not the operator")
    world.settle()
    assert world.store.get(ROW) is None, "nobody can have the host write by being refused"
    world.core.drain()
    world.settle()
    assert log_in(world.store).refused == {"not the operator": 1}


def test_the_oldest_entries_make_room() -> None:
    world = SimHost(6, limits=replace(Limits(), audit_entries=5))
    world.create("m", Steps(see))
    for _ in range(6):
        world.suspend("m")
        world.resume("m")
    assert len(entries(world.store)) == 5
    assert entries(world.store)[-1].n == 12


def test_where_the_keys_stand_is_told_when_it_is_news() -> None:
    world = SimHost(7)
    for how, act in (("open", "made"), ("open", "found"), ("locked", "found"), ("locked", "found")):
        world.core.do(audited.keys_stand, how, act)
        world.settle()
    world.core.do(audited.keys_stand, "locked", "came with a backup")
    world.settle()
    told = [(one.about["act"], one.about["now"]) for one in entries(world.store)]
    assert told == [("made", "open"), ("found", "locked"), ("came with a backup", "locked")]


@pytest.mark.parametrize("seed", range(3))
def test_the_log_holds_whatever_breaks_and_whenever(seed: int) -> None:
    lives = Lives(seed, TINY)
    lives.run(40)
    lives.heal()
    found = entries(lives.world.store)
    assert [one.what for one in found].count("created") >= 4
    assert log_in(lives.world.store).head == lives.world.core.host.audit.head


def test_a_second_host_of_the_same_inputs_has_the_same_log() -> None:
    def life() -> bytes:
        world = SimHost(8)
        client = world.client()
        m = names(client, world.create("m", ModuleCode(apple), ()))
        client.send(m["take"], (1, 1))
        world.settle()
        world.suspend("m")
        return raw(world.store)

    assert life() == life()
