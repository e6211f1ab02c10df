"""One machine's move: what goes along, what is refused, and a crash at each of its steps."""

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.host import acquaintance, history, links, peering
from avm.host.capability import Cap, Sealed
from avm.host.channel import pack_frame
from avm.host.effects import Dial, Say
from avm.host.passage import CODE, FAILED, JOURNAL, SNAPSHOT, Moved
from avm.host.state import Machine, Mode, Status
from avm.past.audit import Audit
from avm.past.reading import NoSuchMachine, Reader
from avm.sim.host import Refusal, SimHost
from avm.sim.net import Net
from caps.identity import Endpoint
from caps.value import Capability, Failed
from tests.sim import apple
from tests.sim.code import ModuleCode, gap_free, replayed
from tests.sim.orchard import sealed


class Town:
    """A pouch at the first of three hosts, a client at each, and a second pouch beside the first."""

    def __init__(self, seed: int = 1, trusting: bool = True) -> None:
        self.net = Net(seed, 3)
        self.here, self.there, self.far = self.net.worlds
        self.wires: dict[str, dict[str, bytes]] = {}
        for name in ("pouch", "other"):
            made = self.here.create(name, ModuleCode(apple), ())
            self.wires[name] = {one: self.here.core.seal(cap) for one, cap in made.names.items()}
        self.clients = {world: world.client() for world in self.net.worlds}
        if trusting:
            self.trust(self.there, self.here)
            self.trust(self.here, self.there)

    def trust(self, world: SimHost, other: SimHost, trusted: bool = True) -> None:
        """One host's operator lets the other's machines come, or no more."""
        address = other.core.host.address
        world.ask(lambda request: acquaintance.trust(world.core.host, request, address, trusted))
        self.net.settle()

    def cap(self, world: SimHost, name: str, machine: str = "pouch") -> Capability:
        """A capability as a client of a host has it."""
        return self.clients[world].hold(sealed(self.wires[machine][name]))

    def give(self, world: SimHost, token: int) -> None:
        """A client gives the pouch a token."""
        self.clients[world].send(self.cap(world, "take"), (token, 1))

    def begin(
        self, home: SimHost | None = None, to: SimHost | None = None, name: str = "pouch"
    ) -> int:
        """The pouch is asked to move; the number of the request."""
        home, to = home or self.here, to or self.there
        machine, where = home.machine("pouch"), to.core.host.address
        request = home.begin(lambda number: home.core.move(number, machine, where, name))
        home.carry_out()
        return request

    def move(
        self, home: SimHost | None = None, to: SimHost | None = None, name: str = "pouch"
    ) -> Any:
        """The pouch moves; what the operator hears."""
        home = home or self.here
        request = self.begin(home, to, name)
        self.net.settle()
        answer = home.answers.pop(request)
        if answer.error:
            raise Refusal(answer.error)
        return answer.value

    def home(self) -> SimHost:
        """The one host where the pouch is."""
        address = sealed(self.wires["pouch"]["take"]).address
        (found,) = [one for one in self.net.worlds if address in one.core.host.machines]
        return found

    def tokens(self) -> tuple[int, ...]:
        """What the pouch holds, by its journal."""
        home = self.home()
        address = sealed(self.wires["pouch"]["take"]).address
        name = home.core.host.machines[address].name
        gap_free(home, name)
        found: tuple[int, ...] = replayed(home, name).tokens
        return found


def test_a_machine_moves_there_and_back_under_new_incarnations() -> None:
    town = Town()
    for world in town.net.worlds:
        town.give(world, len(town.clients) + town.net.worlds.index(world))
    town.net.settle()
    there = town.there.core.host.address.hex()
    done = town.move()
    assert done == {
        "machine": "pouch",
        "address": sealed(town.wires["pouch"]["take"]).address.hex(),
        "host": there,
        "name": "pouch",
        "incarnation": 2,
    }
    assert town.home() is town.there and town.there.machine("pouch").incarnation == 2
    town.give(town.far, 7)
    town.net.settle()
    assert town.move(town.there, town.here)["incarnation"] == 3
    town.give(town.there, 8)
    town.give(town.here, 9)
    town.net.settle()
    assert sorted(town.tokens()) == [3, 4, 5, 7, 8, 9]
    assert not town.there.core.host.by_id and not list(town.there.store.rows("slot"))
    for world in town.net.worlds:
        for number in range(1, 20):
            alive = number in world.core.host.by_id
            assert alive or not list(world.store.entries(number)), "no history is left behind"


def test_a_machine_moves_whatever_its_size() -> None:
    town = Town()
    for n in range(12):
        large = bytes([n]) * 200_000
        town.clients[town.here].send(town.cap(town.here, "meet"), (large,))
    town.give(town.here, 5)
    town.net.settle()
    town.move()
    assert town.tokens() == (5,)
    assert replayed(town.there, "pouch").peers == (large,)


def test_a_store_that_a_machine_has_left_says_where_it_went_and_is_whole() -> None:
    town = Town()
    for token in range(20):
        town.give(town.here, token)
    town.net.settle()
    reader, host = Reader(town.here.store), town.there.core.host.address.hex()
    address = reader.machine("pouch").address.hex()
    town.begin()
    while not reader.leaving():
        assert town.net.step()
    with pytest.raises(NoSuchMachine, match=f"pouch is on its way to host {host}"):
        reader.machine("pouch")
    audit = Audit(reader, None)
    assert not list(audit.problems()) and audit.entries > 20
    damaged = town.here.store.copy()
    entries = damaged._journal[reader.leaving()[0].number]
    entries[9] = entries[8]
    found = list(Audit(Reader(damaged), None).problems())
    assert {one.machine for one in found} == {"pouch"} and 9 in {one.turn for one in found}
    town.net.settle()
    for named in ("pouch", address, address[:8]):
        with pytest.raises(NoSuchMachine, match=f"pouch has moved to host {host}"):
            reader.machine(named)
    assert not list(Audit(Reader(town.there.store), None).problems())
    assert reader.gone("other") == reader.gone("") == ""


def test_w05_what_waits_for_a_machine_follows_it() -> None:
    town = Town()
    town.here.suspend("pouch")
    for token in range(3):
        for world in town.net.worlds:
            town.give(world, 10 * token + town.net.worlds.index(world))
    town.net.settle()
    town.move()
    assert town.there.machine("pouch").status is Status.SUSPENDED
    assert town.tokens() == ()
    town.there.resume("pouch")
    town.net.advance(5)
    assert sorted(town.tokens()) == [0, 1, 2, 10, 11, 12, 20, 21, 22]


def test_what_a_machine_has_sent_goes_with_it_and_arrives_once() -> None:
    town = Town()
    take = town.clients[town.here].hold(sealed(town.wires["other"]["take"]))
    town.clients[town.here].send(town.cap(town.here, "meet"), (take,))
    town.give(town.here, 5)
    town.net.settle()
    town.here.suspend("other")
    town.clients[town.here].send(town.cap(town.here, "go"), ("0", 1, 0, 1))
    town.net.settle()
    assert town.here.machine("pouch").asks, "it waits for the other's word"
    town.move()
    assert town.there.machine("pouch").asks
    town.here.resume("other")
    town.net.advance(5)
    assert replayed(town.here, "other").tokens == (5,)
    state = replayed(town.there, "pouch")
    assert (state.tokens, state.asked, dict(state.outcomes.items())) == ((), 1, {"thanks": 1})


def test_p06_a_timer_moves_with_its_machine_and_fires_once() -> None:
    town = Town()
    town.clients[town.here].send(town.cap(town.here, "alarm"), 30.0)
    town.net.settle()
    town.move()
    assert not town.here.core.host.machines.keys() & {sealed(town.wires["pouch"]["go"]).address}
    town.net.advance(29)
    assert replayed(town.there, "pouch").rings == 0
    town.net.advance(2)
    town.net.advance(100)
    assert replayed(town.there, "pouch").rings == 1


def test_a_capability_that_comes_again_after_a_move_is_the_one_that_is_held() -> None:
    town = Town()
    client = town.clients[town.here]
    for _ in range(2):
        client.send(town.cap(town.here, "meet", "other"), (town.cap(town.here, "take"),))
    town.net.settle()
    other = town.here.machine("other")
    slots, before = other.next_slot, held(other)
    town.move()
    client.send(town.cap(town.here, "meet", "other"), (town.cap(town.here, "take"),))
    town.net.settle()
    assert other.next_slot == slots and isinstance(held(other), Sealed)
    town.move(town.there, town.here)
    client.send(town.cap(town.here, "meet", "other"), (town.cap(town.here, "take"),))
    town.net.settle()
    assert other.next_slot == slots and held(other) == before


def held(machine: Machine) -> Cap:
    """The capability of its newest slot."""
    assert machine.slots is not None
    return machine.slots[machine.next_slot - 1]


def test_c06_a_failed_batch_moves_with_its_machine_and_can_be_offered_again() -> None:
    town = Town()
    town.clients[town.here].send(town.cap(town.here, "take"), (1, 7))
    town.net.settle()
    ((key, _row),) = list(town.here.store.rows("failed"))
    number, n = int(key[0]), int(key[1])
    assert number == town.here.machine("pouch").id
    town.move()
    pouch = town.there.machine("pouch")
    row = town.there.store.get(("failed", pouch.id, n))
    assert row is not None and not list(town.here.store.rows("failed"))
    town.there.ask(lambda request: town.there.core.retry(request, pouch, n, row))
    town.net.settle()
    assert town.there.machine("pouch").failed == 1, "it fails again, at its new host"


def test_the_old_host_redirects_and_never_forwards_a_body() -> None:
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    town.move()
    frames: list[bytes] = []
    said = town.net._effect

    def watched(world: SimHost, effect: Any) -> None:
        if world is town.here and isinstance(effect, Say):
            frames.append(effect.frame)
        said(world, effect)

    town.here.network = watched
    town.give(town.far, 2)
    town.net.settle()
    assert town.tokens() == (1, 2)
    assert town.far.core.host.counts["redirected"] == 1
    kinds = {cbor2.loads(frame)[0] for frame in frames}
    assert kinds <= {5, 6, 17, 24}, "again, gone, peers and moved, and nothing else"


def test_a_certificate_that_is_no_newer_redirects_nobody() -> None:
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    town.move()
    town.give(town.far, 2)
    town.net.settle()
    address = sealed(town.wires["pouch"]["take"]).address
    redirect = town.here.core.host.moves.redirects[address]
    town.move(town.there, town.here)
    town.give(town.far, 3)
    town.net.settle()
    before = town.far.core.host.counts["redirected"]
    pair = (town.clients[town.far].address, address)
    outgoing = town.far.core.host.outgoing[pair]
    stale = Moved(*pair, redirect.identity, redirect.certificate)
    town.far.core.frame(outgoing.link, pack_frame(stale))
    town.net.advance(30)
    assert town.far.core.host.counts["redirected"] == before
    town.give(town.far, 4)
    town.net.advance(30)
    assert town.tokens() == (1, 2, 3, 4)


def test_a_machine_does_not_move_where_it_may_not() -> None:
    town = Town(trusting=False)
    with pytest.raises(Refusal, match="does not take your machines"):
        town.move()
    town.trust(town.there, town.here)
    town.there.create("pouch", ModuleCode(apple), ())
    with pytest.raises(Refusal, match="has a machine pouch already"):
        town.move()
    with pytest.raises(Refusal, match="lives here already"):
        town.move(to=town.here)
    town.net.stop(town.there)
    with pytest.raises(Refusal, match="cannot be reached"):
        town.move(name="elsewhere")
    town.net.start(town.there)
    town.here.suspend("pouch")
    assert town.move(name="elsewhere")["name"] == "elsewhere"
    town.there.ask(
        lambda request: town.there.core.change(request, town.there.machine("elsewhere"), "halt")
    )
    assert town.there.machine("elsewhere").status is Status.HALTED


@pytest.mark.parametrize("is_told", [False, True], ids=["the network knows", "the operator knows"])
@pytest.mark.parametrize("is_dialed", [False, True], ids=["not dialed", "dialed already"])
def test_a_machine_moves_to_a_host_that_is_elsewhere_now(is_told: bool, is_dialed: bool) -> None:
    town = Town()
    here, there = town.here.core, town.there.core.host.address
    for number in list(here.host.links):
        here.link_down(number)
    known = peering.known_of(here.host, there)
    known.endpoints.clear()
    known.add(Endpoint(bytes((10, 9, 9, 9)), 4433), 5)
    if is_dialed:
        links.peer_of(here.host, there).dialing = True
        here.host.effects.append(Dial(there, tuple(known.best())))
    pouch = town.here.machine("pouch")
    endpoint = town.net.endpoint_of(town.there) if is_told else None
    request = town.here.begin(lambda one: here.move(one, pouch, there, "pouch", endpoint))
    town.here.carry_out()
    town.net.settle()
    assert not town.here.answers.pop(request).error
    assert town.home() is town.there


def take_back(town: Town) -> Any:
    """The old host's operator takes the pouch back."""
    core = town.here.core
    (left,) = core.host.moves.leaving.values()
    request = town.here.begin(lambda number: core.take_back(number, left))
    town.here.carry_out()
    town.net.settle()
    answer = town.here.answers.pop(request)
    if answer.error:
        raise Refusal(answer.error)
    return answer.value


def test_a_machine_whose_new_host_is_gone_is_taken_back_by_its_operator() -> None:
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    request = town.begin()
    while not town.here.core.host.moves.leaving:
        assert town.net.step()
    with pytest.raises(Refusal, match="is linked, and goes on"):
        take_back(town)
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    request = town.begin()
    while not Reader(town.here.store).leaving():
        assert town.net.step()
    town.net.stop(town.there)
    town.give(town.here, 2)
    town.net.advance(30)
    done = take_back(town)
    assert done["incarnation"] == 3 and done["host"] == town.here.core.host.address.hex()
    assert "its operator took it back" in town.here.answers.pop(request).error
    (decision,) = town.here.core.host.cases.decisions
    assert (decision.act, decision.receiver) == ("back", town.there.core.host.address)
    town.give(town.far, 3)
    town.net.advance(30)
    assert sorted(town.tokens()) == [1, 2, 3]
    town.net.start(town.there)
    town.give(town.there, 4)
    town.net.advance(60)
    assert sorted(town.tokens()) == [1, 2, 3, 4]
    assert not town.there.core.host.machines and not town.there.core.host.moves.landing


def test_of_a_machine_that_was_taken_back_too_late_the_one_of_before_is_believed_no_more() -> None:
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    town.begin()
    while not Reader(town.there.store).machines():
        assert town.net.step()
    town.net.stop(town.there)
    town.net.advance(30)
    assert town.here.core.host.moves.leaving, "that it has landed was not heard"
    take_back(town)
    town.give(town.far, 2)
    town.net.advance(30)
    town.net.start(town.there)
    town.net.advance(60)
    town.give(town.far, 3)
    town.net.advance(30)
    assert sorted(replayed(town.here, "pouch").tokens) == [1, 2, 3]
    assert replayed(town.there, "pouch").tokens == (1,)


def test_a_host_that_is_trusted_no_more_has_its_machine_back() -> None:
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    request = town.begin()
    while not town.here.core.host.moves.leaving:
        assert town.net.step()
    address = town.here.core.host.address
    town.there.core.host.roster.known[address].trusted = False
    town.net.settle()
    assert "stays here" in town.here.answers.pop(request).error
    assert town.home() is town.here and town.here.machine("pouch").incarnation == 2
    town.give(town.far, 2)
    town.give(town.here, 3)
    town.net.advance(30)
    assert sorted(town.tokens()) == [1, 2, 3]


def changed(kind: int, change: Callable[[bytes], bytes]) -> Callable[..., tuple[bytes, int]]:
    """The history with items of a kind changed."""
    pack = history.pack

    def packed(store: Any, machine: int, what: int, n: int, digest: bytes) -> tuple[bytes, int]:
        body, following = pack(store, machine, what, n, digest)
        return (change(body) if what == kind else body), following

    return packed


def other_entry(body: bytes) -> bytes:
    """The first turn's number in its channel is another."""
    rows = cbor2.loads(body)
    entry = cbor2.loads(rows[1][1])
    entry[3] += 1
    rows[1][1] = cbor2.dumps(entry)
    return cbor2.dumps(rows)


def missing_entry(body: bytes) -> bytes:
    rows = cbor2.loads(body)
    return cbor2.dumps(rows[:1] + rows[2:])


def other_state(body: bytes) -> bytes:
    n, row = cbor2.loads(body)
    code, state, *rest = cbor2.loads(row)
    return cbor2.dumps([n, cbor2.dumps([code, state + b"\x00", *rest])])


LIES = {
    "an entry changed": (JOURNAL, other_entry),
    "an entry missing": (JOURNAL, missing_entry),
    "no journal": (JOURNAL, lambda _body: cbor2.dumps([])),
    "journal of noise": (JOURNAL, lambda body: body[:-3]),
    "another state": (SNAPSHOT, other_state),
    "no state": (SNAPSHOT, lambda _body: b""),
    "state of noise": (SNAPSHOT, lambda _body: b"\xff" * 40),
    "a failed batch of noise": (FAILED, lambda _body: b"\x82\x01\x41\x00"),
    "other code": (CODE, lambda body: body + b"\x00"),
    "no code": (CODE, lambda _body: b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_p08_a_machine_whose_history_is_a_lie_is_not_taken_up(
    lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town()
    town.give(town.far, 1)
    town.give(town.here, 2)
    town.net.settle()
    monkeypatch.setattr(history, "pack", changed(*LIES[lie]))
    with pytest.raises(Refusal, match="stays here; the other host says"):
        town.move()
    there = town.there.core.host
    assert not (there.machines or there.moves.landing) and there.counts["malformed"] == 1
    assert not any(list(town.there.store.entries(number)) for number in range(1, 20))
    monkeypatch.undo()
    town.give(town.far, 3)
    town.net.advance(20)
    assert town.home() is town.here and sorted(town.tokens()) == [1, 2, 3]
    town.move()
    assert town.home() is town.there and sorted(town.tokens()) == [1, 2, 3]


@settings(max_examples=60)
@given(st.integers(0, 4), st.integers(0, 2000), st.integers(1, 255))
def test_p08_a_byte_flipped_in_what_is_carried_leaves_the_machine_where_it_was_or_as_it_was(
    kind: int, at: int, flip: int
) -> None:
    def flipped(body: bytes) -> bytes:
        octets = bytearray(body)
        if octets:
            octets[at % len(octets)] ^= flip
        return bytes(octets)

    town = Town()
    town.give(town.here, 1)
    town.net.settle()
    pack = history.pack
    history.pack = changed(kind, flipped)
    try:
        town.begin()
        town.net.settle()
    finally:
        history.pack = pack
    town.give(town.here, 2)
    town.net.advance(60)
    assert town.tokens() == (1, 2)


# A crash at each step.


def moved_with_crash(victim: int, at: int, noticed: bool) -> bool:
    """A move with a crash of one host after `at` steps; whether there were so many."""
    town = Town(seed=victim + 2 * at)
    for world in town.net.worlds:
        world.eager = False
        town.give(world, town.net.worlds.index(world))
    town.net.settle()
    town.begin()
    for world in town.net.worlds:
        town.give(world, 10 + town.net.worlds.index(world))
    reached = True
    for _ in range(at):
        reached = town.net.step()
        if not reached:
            break
    town.net.crash(town.net.worlds[victim], noticed=noticed)
    for world in town.net.worlds:
        town.give(world, 20 + town.net.worlds.index(world))
    town.net.advance(120)
    assert sorted(town.tokens()) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    for world in town.net.worlds:
        assert not world.core.host.outbox and not world.core.host.moves.leaving
    return reached


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
@pytest.mark.parametrize("victim", [0, 1], ids=["old-host", "new-host"])
def test_c01_a_move_is_all_or_nothing_at_every_step_at_which_a_host_crashes(
    victim: int, noticed: bool
) -> None:
    at = 0
    while moved_with_crash(victim, at, noticed):
        at += 1
    assert at > 30


def test_a_machine_that_fails_what_comes_does_so_at_its_new_host() -> None:
    town = Town()
    town.here.suspend("pouch", Mode.FAIL)
    town.move()
    ask = town.clients[town.far].ask(town.cap(town.far, "take"), (1, 1))
    town.net.settle()
    (outcome,) = town.clients[town.far].outcomes[ask]
    assert isinstance(outcome, Failed) and outcome.why == "undelivered"
    machine: Machine = town.there.machine("pouch")
    assert (machine.status, machine.mode) == (Status.SUSPENDED, Mode.FAIL)
