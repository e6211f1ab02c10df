"""Clients that end while the host of their machine is out of reach: nothing of them stays, nothing doubles."""

from dataclasses import replace
from random import Random

import pytest

from avm import Message, Step
from avm.host.capability import Local
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.host import SimHost
from tests.sim.code import replayed
from tests.sim.orchard import sealed
from tests.sim.test_between_hosts import Pair, held
from tests.sim.test_moving import Town
from tests.sim.test_moving_meanwhile import come_again
from tests.sim.test_rows import Held, Steps

# A caveat.
UNTIL_5_MS = b"\x82\x01\x05"
# It goes to another host in instalments.
A_LOAD_BYTES = 100_000


def rows(world: SimHost, client: Client) -> list[tuple[bytes, bytes]]:
    """The channels of a client that a store has."""
    return [ends for ends, _body in world.store.rows("channel") if client.address in ends]  # type: ignore[misc]


def endings(world: SimHost) -> list[str]:
    """The clients that a host still has to tell of."""
    return [str(key) for (key,), _body in world.store.rows("meta") if str(key).startswith("end ")]


def leave(pair: Pair, client: Client) -> None:
    client.leave(ended=True)
    pair.here.clients.pop(client.address)
    pair.net.settle()


def meet(pair: Pair) -> None:
    """The two hosts are linked, by another client's message."""
    other = pair.here.client()
    ask = other.ask(held(pair.here, other, pair.there, pair.made.names["take"]), (99, 1))
    pair.net.advance(30)
    assert other.outcomes == {ask: ["thanks"]}
    leave(pair, other)
    pair.net.advance(1)


def test_a_clients_channel_goes_when_it_ends_while_the_hosts_are_linked() -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    assert len(rows(pair.there, pair.client)) == 2, "one each way"
    leave(pair, pair.client)
    assert not rows(pair.there, pair.client) and not rows(pair.here, pair.client)
    assert not endings(pair.here), "the other host has said that it is forgotten"


@pytest.mark.parametrize("crash", ["", "here", "there", "both"])
def test_what_ended_while_the_hosts_were_apart_is_told_at_the_next_link(crash: str) -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.net.part(pair.here, pair.there)
    leave(pair, pair.client)
    assert len(endings(pair.here)) == 1 and len(rows(pair.there, pair.client)) == 2
    for world in (pair.here, pair.there):
        if crash in ("both", "here" if world is pair.here else "there"):
            pair.net.crash(world)
    pair.net.mend()
    meet(pair)
    assert not rows(pair.there, pair.client) and not endings(pair.here)
    assert pair.tokens() == (1, 99)
    assert not pair.here.core.host.counts["stray"] > 1


def test_a_client_whose_first_batch_is_held_over_a_restart_is_not_forgotten_before_it_is_taken() -> (
    None
):
    pair = Pair()
    pair.there.suspend("pouch")
    client = pair.there.client()
    client.send(client.hold(pair.made.names["take"]), (5, 1))
    pair.net.settle()
    client.leave()
    pair.net.crash(pair.there)
    pair.net.advance(2 * pair.there.limits.client_idle_s)
    assert client.address in pair.there.core.host.clients
    pair.there.resume("pouch")
    pair.net.settle()
    assert pair.tokens() == (5,)


def test_an_end_that_was_lost_with_its_link_is_told_again() -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.client.leave(ended=True)
    pair.here.clients.clear()
    while not endings(pair.here):
        assert pair.net.step()
    pair.net.break_link()
    pair.net.settle()
    meet(pair)
    assert not rows(pair.there, pair.client) and not endings(pair.here)


def test_what_is_owed_to_a_client_that_has_ended_is_given_up_with_its_channel() -> None:
    pair = Pair()
    ear = pair.client.ear()
    pair.client.send(pair.cap("meet"), (ear,))
    pair.net.settle()
    pair.net.part(pair.here, pair.there)
    other = pair.there.client()
    other.send(other.hold(pair.made.names["take"]), (5, 1))
    other.send(other.hold(pair.made.names["go"]), ("0", 1, 0, 3))
    pair.net.advance(1)
    assert len(pair.there.core.host.outbox) == 1, "a token for the client waits"
    leave(pair, pair.client)
    pair.net.mend()
    meet(pair)
    assert not pair.there.core.host.outbox and not rows(pair.there, pair.client)
    state = replayed(pair.there, "pouch")
    assert sum(state.outcomes.get(why, 0) for why in ("undelivered", "unknown")) == 1
    assert (5 in state.tokens) == bool(state.outcomes.get("undelivered", 0)), "it is in one place"


def test_a_client_of_the_same_name_begins_anew_behind_the_end_of_the_one_before() -> None:
    pair = Pair()
    for number in (1, 2, 3):
        pair.client.ask(pair.cap("take"), (number, 1))
    pair.net.settle()
    pair.net.part(pair.here, pair.there)
    leave(pair, pair.client)
    again = Client(pair.client.address, pair.client.handles, tag=pair.client.tag)
    pair.here.clients[again.address] = again
    again.connect(pair.here.core)
    asks = [
        again.ask(held(pair.here, again, pair.there, pair.made.names["take"]), (number, 1))
        for number in (4, 5)
    ]
    pair.net.mend()
    pair.net.advance(30)
    assert again.outcomes == {ask: ["thanks"] for ask in asks}
    assert pair.tokens() == (1, 2, 3, 4, 5) and not pair.net.frozen and not endings(pair.here)
    assert len(rows(pair.there, again)) == 2


def test_s02_nothing_stays_of_a_client_that_ends_as_the_first_answer_is_on_its_way() -> None:
    """The other host had opened a channel for its answer, and the client ended before that came: it was
    noted as undelivered in a channel of nobody, by which an answer to the next of that name was too."""
    pair = Pair()
    ask = pair.client.ask(pair.cap("take"), (1, 1))
    host = pair.here.core.host
    while not any(ends[1] == pair.client.address for ends in host.arriving) or host.outbox:
        assert pair.net.step()
    leave(pair, pair.client)
    assert not pair.client.outcomes.get(ask), "it ended before"
    assert not rows(pair.here, pair.client) and not rows(pair.there, pair.client)
    again = Client(pair.client.address, pair.client.handles, tag=pair.client.tag)
    pair.here.clients[again.address] = again
    again.connect(pair.here.core)
    ask = again.ask(held(pair.here, again, pair.there, pair.made.names["take"]), (2, 1))
    pair.net.advance(30)
    assert again.outcomes == {ask: ["thanks"]} and pair.tokens() == (1, 2)


def test_s02_nothing_stays_of_a_client_that_ends_to_which_nothing_could_be_given() -> None:
    """All that came for a client was by a capability that had ended: its channel stayed behind it."""
    pair = Pair()
    client = pair.there.client()
    ear = client.held_as(client.ear())
    assert isinstance(ear, Local)
    over = client.hold(ear._replace(caveats=(UNTIL_5_MS,)))
    other = pair.there.client()
    cap = {name: other.hold(one) for name, one in pair.made.names.items()}
    other.send(cap["meet"], (over,))
    other.send(cap["take"], (5, 1))
    other.send(cap["go"], ("0", 1, 0, 3))
    pair.net.settle()
    assert replayed(pair.there, "pouch").outcomes.get("rejected") == 1
    assert len(rows(pair.there, client)) == 1
    client.leave(ended=True)
    pair.there.clients.pop(client.address)
    pair.net.settle()
    assert not rows(pair.there, client)


def _answer_at_length(message: Message, state: Held) -> Step[Held]:
    return message.answer(bytes(A_LOAD_BYTES)), state


def test_s02_a_client_that_ends_amid_what_it_is_told_takes_no_room_on_the_link() -> None:
    """What had come of a batch for it counted as on its way for as long as the link was there."""
    pair = Pair()
    made = pair.there.create("teller", Steps(_answer_at_length), ())
    pair.client.ask(held(pair.here, pair.client, pair.there, made.names["a"]))
    host = pair.here.core.host
    while not any(link.partial_bytes for link in host.links.values()):
        assert pair.net.step()
    leave(pair, pair.client)
    assert [link.partial_bytes for link in host.links.values()] == [0]
    assert not rows(pair.here, pair.client) and not rows(pair.there, pair.client)


def test_no_more_endings_are_kept_than_the_limit() -> None:
    pair = Pair(limits=replace(Limits(), endings=3))
    clients = [pair.here.client() for _ in range(6)]
    for number, client in enumerate(clients):
        client.send(held(pair.here, client, pair.there, pair.made.names["take"]), (number, 1))
    pair.net.settle()
    pair.net.part(pair.here, pair.there)
    for client in clients:
        leave(pair, client)
    assert len(endings(pair.here)) == 3 and pair.here.core.host.counts["endings_dropped"] == 3


@pytest.mark.parametrize("seed", range(12))
def test_in_any_weather_no_token_is_lost_or_doubled_and_no_ended_clients_row_stays(
    seed: int,
) -> None:
    pair, choose = Pair(seed), Random(seed)
    clients = [pair.client, *(pair.here.client() for _ in range(3))]
    sent: list[int] = []
    gone: list[Client] = []
    for token in range(60):
        client = choose.choice(clients)
        client.ask(held(pair.here, client, pair.there, pair.made.names["take"]), (token, 1))
        sent.append(token)
        for _ in range(choose.randrange(40)):
            pair.net.step()
        match choose.randrange(8):
            case 0:
                pair.net.part(pair.here, pair.there)
            case 1 | 2:
                pair.net.mend()
            case 3:
                pair.net.crash(choose.choice((pair.here, pair.there)))
            case 4 if len(clients) > 1:
                pair.net.mend()
                pair.net.advance(30)
                ended = clients.pop(choose.randrange(len(clients)))
                if choose.random() < 0.7:
                    pair.net.part(pair.here, pair.there)
                leave(pair, ended)
                gone.append(ended)
                clients.append(pair.here.client())
            case _:
                pass
    pair.net.mend()
    pair.net.advance(60)
    for client in clients:
        leave(pair, client)
    pair.net.advance(5)
    meet(pair)
    assert sorted(pair.tokens()) == [*sent, 99] and not pair.net.frozen
    for client in (*gone, *clients):
        assert not rows(pair.there, client), "nothing of it stays"
    assert not endings(pair.here) and not pair.here.core.host.outbox


def test_an_end_is_told_on_the_link_that_is_left_when_the_one_it_was_said_on_is_gone() -> None:
    pair = Pair()
    pair.client.ask(pair.cap("take"), (1, 1))
    pair.net.settle()
    (first,) = [key for key in pair.net._ends if key[0] is pair.here]
    pair.client.leave(ended=True)
    pair.here.clients.clear()
    while not pair.net._ends[first].other.lanes:  # type: ignore[union-attr]
        assert pair.net.step()
    pair.net._link(pair.here, pair.there)
    pair.net._break(first)
    pair.net.settle()
    assert not rows(pair.there, pair.client) and not endings(pair.here)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("crash", [False, True])
def test_s02_a_client_that_was_only_sent_to_ends_and_one_of_its_name_is_sent_to_anew(
    apart: bool, crash: bool
) -> None:
    """Its ear came to the machine by another client. The machine's host froze the channel to the next one."""
    pair = Pair()
    heard, other = pair.client, pair.here.client()
    meet_it, say_it = (
        held(pair.here, other, pair.there, pair.made.names[name]) for name in ("meet", "bulk")
    )
    other.send(meet_it, (heard.ear(),))
    other.send(say_it, (9, 1))
    pair.net.advance(1)
    assert len(rows(pair.there, heard)) == len(rows(pair.here, heard)) == 1
    if apart:
        pair.net.part(pair.here, pair.there)
    heard.leave(ended=True)
    pair.net.settle()
    if crash:
        pair.net.crash(pair.there)
    heard.senders.clear()
    heard.taken.clear()
    heard.connect(pair.here.core)
    pair.net.mend()
    other.send(say_it, (9, 2))
    pair.net.advance(60)
    assert [content for _to, content in heard.inbox] == [("bulk", 1), ("bulk", 2)]
    assert not endings(pair.here)
    assert not any(one.frozen for one in pair.there.core.host.channels.values())


def test_s02_who_only_sent_to_a_client_takes_no_room_from_whom_it_sent_to() -> None:
    pair = Pair(limits=replace(Limits(), endings=1))
    heard, other = pair.client, pair.here.client()
    take, meet_it, say_it = (
        held(pair.here, other, pair.there, pair.made.names[name])
        for name in ("take", "meet", "bulk")
    )
    asks = pair.here.client()
    asks.ask(take, (1, 1))
    other.send(meet_it, (heard.ear(),))
    other.send(say_it, (9, 1))
    pair.net.advance(1)
    assert heard.inbox
    pair.net.part(pair.here, pair.there)
    leave(pair, asks)
    (kept,) = endings(pair.here)
    leave(pair, heard)
    assert endings(pair.here) == [kept] and asks.address.hex() in kept
    assert pair.here.core.host.counts["endings_dropped"] == 1


def test_s02_nobody_is_told_of_a_clients_end_who_only_had_the_hosts_own_word_for_it() -> None:
    pair = Pair()
    drop = held(pair.here, pair.client, pair.there, pair.made.names["drop"])
    ask = pair.client.ask(drop, 1, 2.0)
    pair.net.advance(10)
    assert pair.client.outcomes[ask][0].why == "late"  # type: ignore[attr-defined]
    leave(pair, pair.client)
    pair.net.advance(1)
    assert not endings(pair.here)


def test_s02_a_client_is_sent_to_anew_by_a_machine_that_left_before_the_client_of_before_ended() -> (
    None
):
    town = Town()
    home, heard, other = town.here, town.clients[town.here], town.here.client()
    meet, bulk = (other.hold(sealed(town.wires["pouch"][name])) for name in ("meet", "bulk"))
    other.send(meet, (heard.ear(),))
    other.send(bulk, (9, 1))
    town.net.settle()
    town.move()
    heard.leave(ended=True)
    town.net.advance(10)
    come_again(home, heard)
    heard.taken.clear()
    other.send(bulk, (9, 2))
    town.net.advance(60)
    assert [content for _to, content in heard.inbox] == [("bulk", 1), ("bulk", 2)]
    assert not endings(home)
    assert not any(one.frozen for one in town.there.core.host.channels.values())
