"""What else happens during a move: clients end, batches are withdrawn, answers are late, it comes back."""

from collections.abc import Callable

import cbor2
import pytest

from avm.host import acquaintance, landing, moving, parting, passage
from avm.host.capability import Sealed
from avm.host.operate import Edit
from avm.host.passage import FETCH, Ready
from avm.sim.client import Client
from avm.sim.host import Refusal, SimHost
from avm.sim.net import End
from caps.codec import dumps_plain
from tests.sim import apple
from tests.sim.code import ModuleCode, replayed
from tests.sim.orchard import sealed
from tests.sim.test_moving import Town

STEPS = range(2, 80, 3)


def address_of(town: Town) -> bytes:
    return sealed(town.wires["pouch"]["take"]).address


def step_until(town: Town, holds: Callable[[], object]) -> None:
    while not holds():
        assert town.net.step()


def is_leaving(town: Town) -> bool:
    return address_of(town) in town.here.core.host.moves.leaving


def held_back(town: Town, word: bytes) -> tuple[End, list[bytes]]:
    """Goes on until the old host is about to hear this, and keeps it from it for now."""

    def found() -> list[End]:
        ends = [end for end in town.net._ends.values() if end.world is town.here]
        return [
            end for end in ends if any(word in one for lane in end.lanes.values() for one in lane)
        ]

    step_until(town, found)
    (end,) = found()
    frames = [frame for lane in end.lanes.values() for frame in lane]
    end.lanes.clear()
    return end, frames


def come_again(world: SimHost, client: Client) -> None:
    """A client of the same name."""
    client.senders.clear()
    client.connect(world.core)


# Clients.


@pytest.mark.parametrize("at", STEPS)
def test_w05_a_client_that_ends_while_its_receiver_moves_is_forgotten_and_can_come_again(
    at: int,
) -> None:
    town = Town(seed=at)
    client = town.clients[town.far]
    town.give(town.far, 1)
    town.net.settle()
    town.begin()
    for _ in range(at):
        town.net.step()
    client.leave(ended=True)
    town.net.advance(60)
    come_again(town.far, client)
    town.give(town.far, 2)
    town.net.advance(30)
    assert town.home() is town.there and replayed(town.there, "pouch").tokens == (1, 2)
    assert not town.net.frozen and not town.far.core.host.endings
    assert not [pair for pair in town.here.core.host.channels if client.address in pair]


def test_a_client_that_ended_while_its_receiver_was_leaving_is_forgotten_where_that_stays() -> None:
    town = Town()
    client = town.clients[town.far]
    town.give(town.far, 1)
    town.net.settle()
    town.begin()
    step_until(town, lambda: is_leaving(town))
    client.leave(ended=True)
    address = town.here.core.host.address
    town.there.core.host.roster.known[address].trusted = False
    town.net.settle()
    assert town.home() is town.here
    assert not town.far.core.host.endings
    assert not [pair for pair in town.here.core.host.channels if client.address in pair]


def test_w05_a_machine_that_comes_to_the_host_of_an_ended_client_begins_anew_with_it() -> None:
    town = Town()
    client = town.clients[town.there]
    town.give(town.there, 1)
    town.net.settle()
    town.net.part(town.here, town.there)
    client.leave(ended=True)
    town.net.settle()
    assert town.there.core.host.endings
    town.net.mend()
    town.begin()
    town.net.advance(60)
    assert town.home() is town.there and not town.there.core.host.endings
    come_again(town.there, client)
    town.give(town.there, 2)
    town.net.advance(30)
    assert replayed(town.there, "pouch").tokens == (1, 2)


def test_what_a_client_has_not_fetched_counts_for_a_machine_that_comes_back() -> None:
    town = Town()
    client = town.clients[town.here] = town.here.client(durable=True)
    outbox = town.here.core.host.outbox
    client.ask(town.cap(town.here, "take"), (1, 1))
    step_until(town, lambda: any(key[1] == client.address for key in outbox))
    client.leave()
    town.net.settle()
    town.move()
    town.move(town.there, town.here)
    assert town.here.machine("pouch").outbox_bytes > 0
    client.connect(town.here.core)
    town.net.settle()
    assert not outbox and town.here.machine("pouch").outbox_bytes == 0


def retry(world: SimHost) -> None:
    """The operator offers the newest failed batch of the pouch again."""
    machine = world.machine("pouch")
    rows = {int(key[1]): row for key, row in world.store.rows("failed") if key[0] == machine.id}
    world.ask(lambda request: world.core.retry(request, machine, max(rows), rows[max(rows)]))


def test_c06_the_operator_offers_a_batch_again_after_a_move_there_and_back() -> None:
    town = Town()
    town.clients[town.here].send(town.cap(town.here, "take"), (1, 7))
    town.net.settle()
    retry(town.here)
    town.move()
    town.move(town.there, town.here)
    retry(town.here)
    town.net.settle()
    assert town.here.machine("pouch").failed == 1, "it fails again, each time"


# Asks, and acts of the operator.


def test_an_ask_withdrawn_in_line_where_its_machine_moves_to_has_its_outcome() -> None:
    town = Town()
    client = town.clients[town.here]
    made = town.there.create("sink", ModuleCode(apple), ())
    take = client.hold(sealed(town.there.core.seal(made.names["take"])))
    client.send(town.cap(town.here, "meet"), (take,))
    for token in (5, 6, 7):
        town.give(town.here, token)
    client.send(town.cap(town.here, "go"), ("0", 1, 0, 3))
    town.net.settle()
    town.there.suspend("sink")
    for number, way in ((2, 3), (3, 1)):  # the second waits half a second, behind the first
        client.send(town.cap(town.here, "go"), ("0", number, 0, way))
        town.net.settle()
    town.net.advance(0.6)
    town.move()
    town.there.resume("sink")
    town.net.advance(100)
    assert not town.there.machine("pouch").asks
    assert dict(replayed(town.there, "pouch").outcomes.items()) == {"thanks": 2, "undelivered": 1}


def test_what_an_operator_is_about_to_do_holds_no_record_of_a_machine_that_left() -> None:
    town = Town()
    here = town.here
    other = here.machine("other")
    client = town.clients[here]
    client.send(town.cap(here, "take", "other"), (2, 1))
    town.give(here, 1)
    town.net.settle()
    assert other.worker is not None and other.worker is not here.machine("pouch").worker
    here.workers[other.worker.id].hangs = True
    client.send(town.cap(here, "take", "other"), (3, 1))
    town.net.settle()
    cap = here.core.unseal_untrusted(town.wires["pouch"]["take"])
    here.core.edit(99, other, b"", (cap,))
    town.move()
    assert other.acts is not None
    (act,) = other.acts
    assert isinstance(act, Edit) and isinstance(act.caps[0], Sealed)


def test_a_machine_does_not_leave_for_a_host_that_was_banned_meanwhile() -> None:
    town = Town()
    here, there = town.here.core.host, town.there.core.host
    request = town.begin()
    step_until(town, lambda: not here.moves.asked)
    town.here.begin(lambda number: acquaintance.ban(here, number, there.address))
    town.net.settle()
    assert town.home() is town.here and "banned" in town.here.answers.pop(request).error


def test_a_machine_that_holds_too_much_for_a_parcel_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    monkeypatch.setattr(parting, "ITEM_BYTES_MAX", 1_000)
    with pytest.raises(Refusal, match="holds more than 1,000 bytes"):
        town.move()
    assert town.home() is town.here


# Answers that are late, and what is lost.


def test_c01_a_no_that_is_late_does_not_undo_what_another_link_has_brought_about() -> None:
    town = Town(trusting=False)
    town.begin()
    end, frames = held_back(town, b"does not take your machines")
    here = town.here.core.host.address
    town.there.core.host.roster.known[here].trusted = True
    town.net._link(town.here, town.there)
    town.net._carry_out()
    step_until(town, lambda: address_of(town) in town.there.core.host.machines)
    assert is_leaving(town), "it has not heard yet"
    for frame in frames:
        town.here.core.frame(end.number, frame)
    town.net.advance(60)
    assert town.home() is town.there


def test_c01_a_machine_that_was_refused_once_is_not_taken_up_under_that_incarnation() -> None:
    town = Town()
    town.begin()
    step_until(town, lambda: is_leaving(town))
    known = town.there.core.host.roster.known[town.here.core.host.address]
    known.trusted = False
    end, frames = held_back(town, b"does not take your machines")
    known.trusted = True
    town.net._link(town.here, town.there)
    town.net._carry_out()
    town.net.settle()
    for frame in frames:
        town.here.core.frame(end.number, frame)
    town.net.advance(60)
    assert town.home() is town.here and town.here.machine("pouch").incarnation == 2
    assert town.move()["incarnation"] == 3


def test_a_refusal_is_remembered_of_a_few_machines_only() -> None:
    town = Town(trusting=False)
    town.begin()
    town.net.settle()
    host = town.there.core.host
    (link,) = host.links.values()
    for number in range(landing.REFUSED_MAX + 10):
        landing.ready(host, link, Ready(number.to_bytes(32, "big"), 2, "pouch"))
    assert len(host.peers[link.peer].refused) == landing.REFUSED_MAX


def test_a_move_of_which_a_word_is_lost_begins_anew() -> None:
    town = Town()
    town.begin()

    def is_lost() -> bool:
        ends = [end for end in town.net._ends.values() if end.world is town.here]
        for lane in [lane for end in ends for lane in end.lanes.values()]:
            if any(cbor2.loads(frame)[0] == FETCH for frame in lane):
                lane.clear()
                return True
        return False

    step_until(town, is_lost)
    town.net.advance(2 * town.there.limits.landing_s)
    assert town.home() is town.there


@pytest.mark.parametrize("seed", range(28, 36))
def test_a_machine_comes_back_before_it_is_known_that_it_was_there(seed: int) -> None:
    town = Town(seed)
    town.give(town.here, 1)
    town.net.settle()
    first = town.begin()
    there = town.there.core.host
    step_until(town, lambda: address_of(town) in there.machines and there.committed > 0)
    while any(str(key[0]).startswith("landing ") for key, _ in town.there.store.rows("meta")):
        assert town.net.step()
    assert is_leaving(town)
    town.net.part(town.here, town.there)
    town.net.mend()
    town.begin(town.there, town.here)
    town.net.advance(100)
    home = town.home()
    assert home is town.here and home.machine("pouch").incarnation == 3
    assert town.here.answers[first].value["incarnation"] == 2, "it was there"
    assert not home.core.host.moves.redirects and not home.core.host.moves.leaving
    town.give(town.there, 2)
    town.net.advance(10)
    assert town.tokens() == (1, 2)


def test_a_machine_is_read_once_for_all_the_parts_it_goes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = Town()
    for token in range(40):
        town.give(town.here, token)
    town.net.settle()
    packed: list[int] = []
    dumps = dumps_plain

    def counted(value: object) -> bytes:
        packed.append(1)
        return dumps(value)

    monkeypatch.setattr(moving, "dumps_plain", counted)
    for module in (moving, landing, passage):
        monkeypatch.setattr(module, "PIECE_BYTES", 64)
    town.begin()
    town.net.settle()
    assert town.home() is town.there and len(packed) == 1


def test_w05_a_client_here_that_ends_after_its_machine_left_begins_anew_there() -> None:
    town = Town()
    client = town.clients[town.here]
    town.give(town.here, 1)
    town.net.settle()
    town.move()
    client.leave(ended=True)
    town.net.advance(5)
    come_again(town.here, client)
    town.give(town.here, 2)
    town.net.advance(30)
    assert not town.net.frozen and replayed(town.there, "pouch").tokens == (1, 2)


def test_what_waits_for_a_machines_old_host_goes_on_when_the_machine_speaks_from_its_new_one() -> (
    None
):
    town = Town()
    town.give(town.far, 1)
    town.net.settle()
    town.move()
    far, address = town.far.core.host, address_of(town)
    town.net.part(town.here, town.far)
    town.give(town.far, 2)
    while any(one.link for one in far.outgoing.values()):
        assert town.net.step()
    town.net.settle()
    assert far.places[address].host == town.here.core.host.address
    town.net._link(town.there, town.far)
    ear = town.clients[town.far].ear()
    town.clients[town.there].send(town.cap(town.there, "meet"), (ear,))
    town.clients[town.there].send(town.cap(town.there, "bulk"), (0, 1))
    town.net.settle()
    assert town.tokens() == (1, 2), "without time passing"


def test_c02_what_a_machine_left_waiting_is_held_before_what_it_sends_from_its_new_host() -> None:
    """What it sends from there is held for a suspended receiver: over a crash it must not come alone."""
    town = Town()
    take = town.clients[town.here].hold(sealed(town.wires["other"]["take"]))
    town.clients[town.here].send(town.cap(town.here, "meet"), (take,))
    for token in (4, 5, 6):
        town.give(town.here, token)
    town.clients[town.here].send(town.cap(town.here, "go"), ("0", 1, 0, 3))
    town.net.settle()
    town.here.suspend("other")
    town.clients[town.here].send(town.cap(town.here, "go"), ("0", 2, 0, 3))
    town.net.settle()
    town.move()
    town.clients[town.there].send(town.cap(town.there, "go"), ("0", 3, 0, 3))
    town.net.advance(5)
    town.net.crash(town.here)
    town.net.advance(5)
    town.here.resume("other")
    town.net.advance(5)
    assert sorted(replayed(town.here, "other").tokens) == [4, 5, 6]
    assert dict(replayed(town.there, "pouch").outcomes.items()) == {"thanks": 3}
