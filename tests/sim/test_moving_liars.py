"""A trusted host that says of a machine what does not fit: it keeps it, and the other host is whole."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest

from avm.host import history, soundness
from avm.host.capability import Local, Sealed, to_row
from avm.host.parcel import Parcel, from_bytes_untrusted
from avm.host.passage import FAILED, JOURNAL, SNAPSHOT
from avm.limits import Limits
from avm.sim.host import Refusal
from tests.sim import apple
from tests.sim.code import ModuleCode, replayed
from tests.sim.orchard import sealed
from tests.sim.test_moving import Town

CYCLE = bytes.fromhex("d81cd99c40d81d00")


def laden() -> Town:
    """The pouch has slots, a timer, an open ask, and batches under way to the host it goes to."""
    town = Town()
    client = town.clients[town.here]
    made = town.there.create("sink", ModuleCode(apple), ())
    town.wires["sink"] = {one: town.there.core.seal(cap) for one, cap in made.names.items()}
    client.send(town.cap(town.here, "meet"), (client.hold(sealed(town.wires["sink"]["take"])),))
    client.send(town.cap(town.here, "alarm"), 500.0)
    for token in (5, 6, 7):
        town.give(town.here, token)
    client.send(town.cap(town.here, "go"), ("0", 1, 0, 3))
    town.net.settle()
    town.there.suspend("sink")
    for number in (2, 3):
        client.send(town.cap(town.here, "go"), ("0", number, 0, 3))
        town.net.settle()
    return town


def stays(town: Town, why: str) -> None:
    """The pouch is refused for this reason, goes on where it was, and can move in truth."""
    there = town.there.core.host
    before = set(there.machines)
    with pytest.raises(Refusal, match=why):
        town.move()
    assert set(there.machines) == before and not there.moves.landing
    assert town.home() is town.here


# The parcel.


def put(row: tuple[Any, ...], place: int, value: object) -> Any:
    return (*row[:place], value, *row[place + 1 :])


def other_slot(town: Town, parcel: Parcel) -> Parcel:
    number, wire = parcel.slots[0]
    return replace(parcel, slots=[(number, b"\xff" + wire)])


def other_ask(town: Town, parcel: Parcel) -> Parcel:
    (ask,) = parcel.asks[:1]
    return replace(parcel, asks=[put(ask, 1, town.wires["sink"]["take"])])


def forged_ask(town: Town, parcel: Parcel) -> Parcel:
    to = parcel.asks[0][1]
    assert to is not None
    return replace(parcel, asks=[put(parcel.asks[0], 1, to[:-1] + bytes([to[-1] ^ 1]))])


def less_sent(town: Town, parcel: Parcel) -> Parcel:
    return replace(parcel, outbox=parcel.outbox[1:])


def other_number(town: Town, parcel: Parcel) -> Parcel:
    first = parcel.outbox[0]
    return replace(parcel, outbox=[put(first, 2, first[2] + 1), *parcel.outbox[1:]])


def other_body(town: Town, parcel: Parcel) -> Parcel:
    first = parcel.outbox[0]
    return replace(parcel, outbox=[put(first, 7, first[7] + b"\x00"), *parcel.outbox[1:]])


def other_channel(town: Town, parcel: Parcel) -> Parcel:
    sink = sealed(town.wires["sink"]["take"]).address
    return replace(parcel, channels=[*parcel.channels, (sink, sink, *parcel.channels[0][2:])])


def channel_twice(town: Town, parcel: Parcel) -> Parcel:
    return replace(parcel, channels=[*parcel.channels, parcel.channels[0]])


PARCELS = {
    "a slot that is none": (other_slot, "malformed"),
    "an ask for another": (other_ask, "an ask"),
    "an ask that is forged": (forged_ask, "an ask"),
    "a batch missing": (less_sent, "batches left out"),
    "another number": (other_number, "a header of another batch"),
    "another body": (other_body, "a body that is not its header's"),
    "others' channel": (other_channel, "a channel of others"),
    "a channel twice": (channel_twice, "a channel twice"),
}


@pytest.mark.parametrize("lie", PARCELS)
def test_p08_a_parcel_that_does_not_fit_is_refused_whole(
    lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = laden()
    change, why = PARCELS[lie]
    read = from_bytes_untrusted
    monkeypatch.setattr(soundness, "from_bytes_untrusted", lambda body: change(town, read(body)))
    stays(town, why)
    monkeypatch.undo()
    town.move()
    town.there.resume("sink")
    town.net.advance(5)
    assert replayed(town.there, "sink").tokens == (5, 6, 7)


def test_a_timer_that_would_ask_with_anothers_capability_keeps_it_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = laden()
    read = from_bytes_untrusted

    def changed(body: bytes) -> Parcel:
        parcel = read(body)
        return replace(parcel, timers=[put(parcel.timers[0], 3, town.wires["sink"]["take"])])

    monkeypatch.setattr(soundness, "from_bytes_untrusted", changed)
    town.move()
    (timer,) = (town.there.machine("pouch").timers or {}).values()
    assert isinstance(timer.reply, Sealed)


# The history.


def said(kind: int, item: Callable[[Any], tuple[bytes, int]]) -> Callable[..., tuple[bytes, int]]:
    pack = history.pack

    def packed(store: Any, machine: int, what: int, n: int, digest: bytes) -> tuple[bytes, int]:
        return item(n) if what == kind else pack(store, machine, what, n, digest)

    return packed


def circle(n: int) -> tuple[bytes, int]:
    parts = [cbor2.dumps(bytes(32)), cbor2.dumps(b"state"), b"\x81" + CYCLE, b"\x00"]
    row = b"\x85" + b"".join(parts) + cbor2.dumps(bytes(32))
    return cbor2.dumps([n - 1, row]), 0


def failed_batch(caps: list[Any], count: int) -> tuple[bytes, int]:
    to = to_row(Sealed(bytes(32), b"wire"))
    messages = [[to, b"\xf6", caps, None], [to, b"\xf6", [], None]]
    batch = cbor2.dumps([0, 0, 0, count, b"", False, messages])
    return cbor2.dumps([0, cbor2.dumps([bytes(32), "exception", 0, "", 0, batch])]), 0


FORGED = to_row(Local(bytes(32), 0, 0, 0, None, b"dtake", ()))
HISTORIES: dict[str, tuple[int, Callable[[int], tuple[bytes, int]], str]] = {
    "a circle": (SNAPSHOT, circle, "not CBOR of our kind"),
    "a batch of no messages": (FAILED, lambda _n: failed_batch([], 0), "history"),
    "an open capability": (FAILED, lambda _n: failed_batch([FORGED], 2), "not sealed"),
    "nothing for ever": (JOURNAL, lambda n: (cbor2.dumps([]), n + 1), "no entries"),
    "no failed batch for ever": (FAILED, lambda n: (b"", n + 1), "more after it"),
}


@pytest.mark.parametrize("lie", HISTORIES)
def test_p08_a_history_of_what_ours_never_hold_is_refused(
    lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = laden()
    kind, item, why = HISTORIES[lie]
    monkeypatch.setattr(history, "pack", said(kind, item))
    stays(town, why)


def test_a_journal_that_goes_on_behind_the_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = laden()
    read = from_bytes_untrusted
    monkeypatch.setattr(
        soundness,
        "from_bytes_untrusted",
        lambda body: replace(read(body), head=read(body).head - 1),
    )
    stays(town, "an entry out of order")


def test_p08_what_comes_of_a_machine_has_a_limit() -> None:
    town = laden()
    town.there.core.host.limits = replace(Limits(), landing_bytes=2_000)
    stays(town, "limits.landing_bytes")
    assert not any(list(town.there.store.entries(number)) for number in range(10, 30))


def test_a_name_that_is_none_is_not_taken() -> None:
    town = laden()
    request = town.begin(name="\x1b[2J")
    town.net.settle()
    assert "is no name of a machine" in town.here.answers.pop(request).error
