"""The authority graph of a store's rows: what is held now. Pure.

Beside the journey. Slots, names, timers, open asks and the batches that are not taken yet; capabilities
inside a context count as the sealing machine's, which gets them back when the context is used.
"""

from collections.abc import Callable, Iterable, Iterator

import cbor2

from avm.authority.holding import OPERATOR, Graph, Holding, How, Party, What, target_of
from avm.host import capability
from avm.host.batch import Batch, from_bytes
from avm.host.capability import Cap, Local, Named, Reply, Sealed
from avm.host.rows import Rows, decode_ask, decode_machine, decode_timer
from avm.host.state import Status

# Of what leads to one address that no table has, so many seals are tried.
TRIED_MAX = 16
IsOwn = Callable[[Sealed], bool]


def nobodys(_cap: Sealed) -> bool:
    """Where it is not known what this host sealed."""
    return False


def graph_of(rows: Rows, now_ms: int = 0, host: bytes = b"", is_own: IsOwn = nobodys) -> Graph:
    """The graph of what is held, as the tables say it; `host` is the host's own address.

    `is_own` says of what is sealed to an address that no table has whether this host sealed it.
    """
    graph = Graph(now_ms)
    if host:
        graph.parties[host] = Party(host, "host", What.HOST)
    owners = _parties(graph, rows)
    found = list(_direct(rows, graph, owners))
    graph.add(found)
    graph.add(in_contexts(found))
    _find_gone(graph, is_own)
    return graph


def _find_gone(graph: Graph, is_own: IsOwn) -> None:
    """Finds who lived here once: what leads to another host is sealed, and not by this one."""
    for target, holdings in graph.to.items():
        if target in graph.parties:
            continue
        sealed = [one.cap for one in holdings if type(one.cap) is Sealed]
        lived_here = any(isinstance(one.cap, Local | Reply) for one in holdings)
        if lived_here or any(map(is_own, sealed[:TRIED_MAX])):
            graph.parties[target] = Party(target, f"{target.hex()[:8]}..", What.GONE, ended=True)


def _parties(graph: Graph, rows: Rows) -> dict[int, bytes]:
    """Fills in the machines and clients; the addresses of both by number."""
    owners: dict[int, bytes] = {}
    for (number,), body in rows("machine"):
        machine = decode_machine(number, body)
        ended = machine.status is Status.HALTED
        known = Party(machine.address, machine.name, What.MACHINE, machine, ended)
        graph.parties[machine.address] = known
        owners[number] = machine.address
    for (address,), body in rows("client"):
        number, _durable, name, _tag = cbor2.loads(body)
        label = str(name) or f"client {address.hex()[:8]}.."
        graph.parties[address] = Party(address, label, What.CLIENT)
        owners[number] = address
    return owners


def _direct(rows: Rows, graph: Graph, owners: dict[int, bytes]) -> Iterator[Holding]:
    for (number, slot), body in rows("slot"):
        cap = capability.from_bytes(body)
        yield Holding(owners[number], target_of(cap), cap, How.SLOT, slot)
    for (_number, name), body in rows("name"):
        cap = capability.from_bytes(body)
        yield Holding(OPERATOR, target_of(cap), cap, How.NAME, name=str(name))
    for (number, _key), body in rows("timer"):
        timer = decode_timer(body)
        more = () if timer.reply is None else (timer.reply,)
        for cap in (timer.to, *timer.caps, *more):
            yield from _foreign(owners[number], cap, How.TIMER, timer.due_ms)
    for (number, ask_number), body in rows("ask"):
        ask = decode_ask(ask_number, body)
        owner, receiver = owners[number], graph.parties.get(ask.receiver)
        graph.open_asks.add((owner, ask_number))
        if ask.to is not None:
            yield from _foreign(owner, ask.to, How.CONTEXT, ask_number)
        if not ask.closing and (receiver is None or receiver.what is What.CLIENT):
            cap = Reply(owner, ask_number, ask.deadline_ms)
            yield Holding(ask.receiver, owner, cap, How.ASK, ask_number, owner)
    yield from _in_batches(rows, owners)


def _in_batches(rows: Rows, owners: dict[int, bytes]) -> Iterator[Holding]:
    for (sender, receiver, seq), body in rows("outbox"):
        yield from _of_batch(from_bytes(sender, receiver, seq, body))
    for (receiver, sender, seq), body in rows("inbox"):
        yield from _of_batch(from_bytes(sender, receiver, seq, body))
    for (number, n), body in rows("failed"):
        sender, *_why, aside = cbor2.loads(body)
        for said in from_bytes(sender, owners[number], 0, aside).messages:
            for cap in (said.to, *said.caps, *(() if said.reply is None else (said.reply,))):
                if not isinstance(cap, Named):
                    yield Holding(OPERATOR, target_of(cap), cap, How.FAILED, n, sender)


def _of_batch(batch: Batch) -> Iterator[Holding]:
    place = (How.COMING, batch.seq, batch.sender)
    for said in batch.messages:
        for cap in (*said.caps, *(() if said.reply is None else (said.reply,))):
            if target_of(cap) != batch.receiver:
                yield Holding(batch.receiver, target_of(cap), cap, *place)
            elif type(cap) is Local and cap.caps:
                yield from _inner(batch.receiver, cap, batch.seq)


def _foreign(holder: bytes, cap: Cap, how: How, place: int) -> Iterator[Holding]:
    """A capability that a machine keeps; of its own only what is in the context."""
    if target_of(cap) != holder:
        yield Holding(holder, target_of(cap), cap, how, place)
    elif type(cap) is Local:
        yield from _inner(holder, cap, place)


def in_contexts(holdings: Iterable[Holding]) -> Iterator[Holding]:
    """What those who sealed the held capabilities have in the contexts, each once."""
    seen: set[Cap] = set()
    for one in holdings:
        cap = one.cap
        if type(cap) is Local and cap.caps and cap not in seen:
            seen.add(cap)
            yield from _inner(cap.address, cap, one.place)


def _inner(sealer: bytes, cap: Local, place: int) -> Iterator[Holding]:
    for inner in cap.caps:
        if target_of(inner) != sealer:
            yield Holding(sealer, target_of(inner), inner, How.CONTEXT, place)
        if type(inner) is Local and inner.caps:
            yield from _inner(inner.address, inner, place)


__all__ = ["IsOwn", "graph_of", "in_contexts", "nobodys"]
