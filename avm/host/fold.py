"""Folding a turn: its answer gets its place in the host's order, and all that follows from it.

Step 5 of the journey. The answer is checked whole before anything changes; then the journal
entry, the mark, the sends, asks, timers and slots go into the next commit together.
"""

from dataclasses import dataclass, field
from typing import Any

import cbor2

from avm.host import journal
from avm.host.batch import Batch, Said, to_bytes
from avm.host.capability import Cap, Local, Named, Reply, Sealed, address_of, reply_until_ms
from avm.host.capability import to_bytes as cap_bytes
from avm.host.clients import open_ask as open_client_ask
from avm.host.outbox import hold, make_ready, outcome, outcomes, send, size_of, take_mark, tell
from avm.host.refer import BadReference, ContextTooLarge, from_reference, intern, wire_bytes
from avm.host.state import Ask, Flight, Host, Machine, Mode, Status, Timer
from avm.machine import pack
from avm.machine.turn import APPLIED, REFUSED


class BadAnswer(Exception):
    """A worker's answer is none; the worker is broken."""


class Unfit(Exception):
    """What a turn sends cannot be sent; the turn is rejected with this text."""


@dataclass(slots=True)
class Plan:
    """What a turn's sends amount to, checked, before anything has changed."""

    batches: dict[bytes, list[Said]] = field(default_factory=dict)
    deadlines: dict[bytes, int] = field(default_factory=dict)
    apart: list[tuple[bytes, Said, int]] = field(default_factory=list)
    timers: dict[bytes, Timer | None] = field(default_factory=dict)
    asks: list[tuple[Ask, Said]] = field(default_factory=list)
    own: list[Said] = field(default_factory=list)


def append(host: Host, machine: Machine, form: int, *fields: Any, printed: str = "") -> int:
    """Appends an entry to a machine's journal in the next commit; returns its number."""
    return append_entry(host, machine, journal.encode(form, machine.chain, *fields), printed)


def append_entry(host: Host, machine: Machine, entry: bytes, printed: str) -> int:
    """Appends an entry that names the one before."""
    n = machine.head
    host.group.journal.append((machine.id, n, entry, printed or None))
    machine.head = n + 1
    machine.chain = journal.hash_of(entry)
    machine.bytes_since += len(entry)
    machine.group = host.group.number
    host.touch(machine)
    return n


def fold(host: Host, flight: Flight) -> bool:
    """Folds a turn or a signal; False when the worker's state of the machine is not what holds."""
    host.folded += 1
    machine = flight.machine
    batch = flight.batch
    if batch is not None and not batch.messages:
        fold_void(host, machine, batch)
        return True
    if flight.judged is not None:
        reason, index = flight.judged
        _fold_failed(host, flight, reason, index, "")
        return True
    answer = flight.answer
    assert answer is not None, "only an answered flight is folded"
    verdict = answer[0]
    if verdict == APPLIED:
        try:
            plan = plan_sends(host, flight, answer[2]) if answer[2] else None
        except (Unfit, ContextTooLarge, BadReference) as error:
            why = str(error) or "a context is too large: 1 KiB with the capabilities in it"
            _fold_failed(host, flight, "exception", 0, why)
            return not answer[1]
        _fold_applied(host, flight, plan)
    elif verdict == REFUSED:
        _fold_refused(host, flight, place_of(flight, answer[1]), str(answer[2]))
    else:
        detail = str(answer[3]) or str(answer[2])
        _fold_failed(host, flight, "exception", place_of(flight, answer[1]), detail)
    return True


def place_of(flight: Flight, index: int) -> int:
    """The place in the batch of the message at `index` of what the worker saw."""
    if flight.places is None:
        return index
    return flight.places[index] if index < len(flight.places) else len(flight.places)


def _fold_applied(host: Host, flight: Flight, plan: Plan | None) -> None:
    machine, batch, answer = flight.machine, flight.batch, flight.answer
    assert answer is not None
    changed = bool(answer[1])
    output = flight.output
    if batch is None:
        append(host, machine, journal.SIGNAL, changed, flight.given, output, printed=flight.printed)
    else:
        place = (machine.chain, batch.sender, batch.seq, changed)
        entry = pack.turn_entry(*place, flight.given, output)
        append_entry(host, machine, entry, flight.printed)
        host.messages += len(batch.messages)
        _open_client_asks(host, batch)
    machine.turns_since += 1
    machine.now_ms = flight.now_ms
    if changed and flight.fresh:
        intern(host, machine, flight)
    _close_claimed(host, flight)
    if plan is not None:
        carry_out(host, machine, plan, flight.now_ms)
    if batch is None:
        return
    take_mark(host, batch)
    tell(host, batch, ["applied"])
    if flight.replies:
        _late_or_dropped(host, flight, batch, changed)
    limits = host.limits
    if machine.bytes_since > max(limits.snapshot_bytes, machine.state_bytes) or (
        machine.turns_since >= limits.snapshot_turns
    ):
        machine.want_snapshot = True


def carry_out(host: Host, machine: Machine, plan: Plan, now_ms: int) -> None:
    """Opens asks, sets timers and sends batches; nothing here can be refused any more."""
    for ask, _said in plan.asks:
        if machine.asks is None:
            machine.asks = {}
        machine.asks[ask.number] = ask
        machine.next_ask = ask.number + 1
        host.group.dirty[("ask", machine.id, ask.number)] = ask
        host.deadlines.put(("ask", machine.id, ask.number), ask.deadline_ms)
    for key, timer in plan.timers.items():
        set_timer(host, machine, key, timer)
    opened = {id(said): ask for ask, said in plan.asks}
    for receiver, messages in plan.batches.items():
        batch = send(host, machine.address, receiver, messages, plan.deadlines[receiver])
        _place_asks(opened, messages, batch)
    for receiver, said, deadline_ms in plan.apart:
        batch = send(host, machine.address, receiver, [said], deadline_ms)
        _place_asks(opened, [said], batch)


def _place_asks(opened: dict[int, Ask], messages: list[Said], batch: Batch) -> None:
    if opened:
        for said in messages:
            ask = opened.get(id(said))
            if ask is not None:
                ask.seq = batch.seq


def set_timer(host: Host, machine: Machine, key: bytes, timer: Timer | None) -> None:
    """Sets, renews or drops the timer of a machine for one capability."""
    if machine.timers is None:
        machine.timers = {}
    row = ("timer", machine.id, key)
    if timer is None:
        if machine.timers.pop(key, None) is not None:
            host.group.dirty[row] = None
            host.deadlines.drop(row)
        return
    machine.timers[key] = timer
    host.group.dirty[row] = timer
    host.deadlines.put(row, timer.due_ms)


def _open_client_asks(host: Host, batch: Batch) -> None:
    """A client's asks are opened by the turn that took them: before it nothing is durable."""
    client = host.clients.get(batch.sender)
    if client is None:
        return
    for _index, reply in batch.own_replies():
        open_client_ask(host, client, batch, reply)


def _close_claimed(host: Host, flight: Flight) -> None:
    """The asks that this turn's messages answered are over."""
    machine = flight.machine
    for number in flight.claimed:
        if machine.asks is not None and machine.asks.pop(number, None) is not None:
            host.group.dirty[("ask", machine.id, number)] = None
            host.deadlines.drop(("ask", machine.id, number))


def _release_claimed(host: Host, flight: Flight) -> None:
    """A failed turn leaves its asks open, but for those whose outcome it was told by the host."""
    batch = flight.batch
    if batch is not None and batch.sender == host.address:
        flight.claimed = [said.to.ask for said in batch.messages if type(said.to) is Reply]
        _close_claimed(host, flight)


def _late_or_dropped(host: Host, flight: Flight, batch: Batch, changed: bool) -> None:
    """Outcomes of applied asks that get no answer any more, as far as the host can tell now."""
    used: set[int] | None = None
    for said in batch.messages:
        reply = said.reply
        if type(reply) is not Reply:
            continue
        owner = host.owner(reply.address)
        if owner is None or reply.ask not in (owner.asks or ()):
            continue
        if reply.deadline_ms <= host.now_ms:
            outcome(host, owner, reply.ask, "late", "applied, without an answer by the deadline")
        elif not changed and reply in flight.fresh_of and reply.address == batch.sender:
            if used is None:
                used = set()
                assert flight.answer is not None
                _fresh_used(flight.answer[2], used)
            if flight.fresh_of[reply] not in used:
                outcome(host, owner, reply.ask, "dropped", "applied, and no answer will come")


def _fresh_used(part: Any, used: set[int]) -> None:
    """Gathers the fresh references anywhere in a turn's sends."""
    if type(part) is int:
        if part < 0:
            used.add(part)
    elif type(part) is list:
        for one in part:
            _fresh_used(one, used)


def _fold_refused(host: Host, flight: Flight, index: int, word: str) -> None:
    machine, batch = flight.machine, flight.batch
    machine.refused += 1
    machine.now_ms = flight.now_ms
    sender, seq = (batch.sender, batch.seq) if batch is not None else (host.address, 0)
    fields = (sender, seq, flight.given, index, word)
    append(host, machine, journal.REFUSED, *fields, printed=flight.printed)
    _release_claimed(host, flight)
    host.counts["refused"] += 1
    if batch is not None:
        take_mark(host, batch)
        outcomes(host, batch, "refused", word, index)
        tell(host, batch, ["refused", index, word])


def _fold_failed(host: Host, flight: Flight, reason: str, index: int, detail: str) -> None:
    """Journals a failure; the failed batch is set aside for the operator."""
    machine, batch = flight.machine, flight.batch
    machine.now_ms = max(machine.now_ms, flight.now_ms)
    sender, seq, count = host.address, 0, 1
    if batch is not None:
        sender, seq, count = batch.sender, batch.seq, batch.count
    fields = (sender, seq, flight.given, reason, index, detail, count)
    n = append(host, machine, journal.FAILED, *fields, printed=flight.printed)
    _release_claimed(host, flight)
    if batch is None:
        return
    take_mark(host, batch)
    outcomes(host, batch, "rejected", "")
    tell(host, batch, ["rejected", index])
    if reason == "capability":
        host.counts["invalid"] += 1
        return
    host.counts["failed"] += 1
    if batch.splits and len(batch.messages) > 1:
        return
    row = cbor2.dumps([batch.sender, reason, index, detail, host.now_ms, to_bytes(batch)])
    host.group.dirty[("failed", machine.id, n)] = row
    machine.failed += 1
    if machine.failed >= host.limits.failed_batches and machine.status is Status.RUNNING:
        suspend(host, machine, Mode.HOLD, f"{machine.failed} failed batches; look at `failed ls`")


def suspend(host: Host, machine: Machine, mode: Mode, why: str) -> None:
    """Suspends a machine in the next commit; what clients offered it is made durable."""
    machine.status, machine.mode, machine.why = Status.SUSPENDED, mode, why
    append(host, machine, journal.SUSPEND, host.now_ms, mode.name.lower(), why)
    if mode is Mode.HOLD:
        flying = [flight.batch for flight in machine.flights or () if flight.batch is not None]
        for batch in (*flying, *(machine.queue or ())):
            if batch.sender in host.clients or batch.digest:
                hold(host, batch)


def fold_void(host: Host, machine: Machine, batch: Batch, why: str = "") -> None:
    """Journals that a withdrawn batch was not taken; the mark goes on over it."""
    fields = (batch.sender, batch.seq, host.now_ms, why or "deadline", batch.count)
    append(host, machine, journal.VOID, *fields)
    host.counts["void"] += 1
    take_mark(host, batch)
    tell(host, batch, ["undelivered", why] if why else ["undelivered"])


def plan_sends(host: Host, flight: Flight, sends: Any) -> Plan:
    """Checks a turn's sends, and sorts them by receiver; raises before anything has changed."""
    plan = Plan()
    limits = host.limits
    machine = flight.machine
    size = 0
    for said in sends:
        for row in said:
            size += _plan_send(host, flight, plan, row)
    if size > limits.turn_bytes:
        raise Unfit(f"too large: a turn may send {limits.turn_bytes} bytes")
    if len(plan.timers) + len(machine.timers or ()) > limits.timers:
        raise Unfit(f"too many timers: a machine may have {limits.timers}")
    if len(plan.asks) + len(machine.asks or ()) > limits.asks:
        raise Unfit(f"too many asks: a machine may have {limits.asks} open")
    return plan


def _plan_send(host: Host, flight: Flight, plan: Plan, row: list[Any]) -> int:
    machine = flight.machine
    to = from_reference(host, machine, flight, row[0])
    if len(row) == 1:
        plan.timers[cap_bytes(to)] = None
        return 64
    if len(row) == 2:
        said = Said(to, row[1], (), None)
        deadline_ms = flight.now_ms + round(host.limits.send_s * 1000)
        return _sort(plan, to, said, deadline_ms, False)
    _to, content, references, reply_reference, deadline_in, after_ms, apart = row
    caps = tuple(from_reference(host, machine, flight, one) for one in references)
    reply: Cap | None = None
    if reply_reference is not None:
        reply = from_reference(host, machine, flight, reply_reference)
        if not _may_reply(machine, reply):
            raise Unfit("reply must be an own capability or a received reply capability")
    fallback = host.limits.send_s if reply is None else host.limits.ask_s
    allowed_ms = round(fallback * 1000) if deadline_in is None else deadline_in
    if after_ms is not None:
        due_ms = flight.now_ms + after_ms
        key = cap_bytes(to)
        plan.timers[key] = Timer(to, content, caps, reply, due_ms, allowed_ms, apart)
        return size_of(content, caps)
    deadline_ms = flight.now_ms + allowed_ms
    until_ms = None if reply is None else reply_until_ms(reply)
    if until_ms is not None:
        deadline_ms = min(deadline_ms, until_ms) if deadline_in else until_ms
    said = Said(to, content, caps, reply)
    if type(reply) is Local:
        said = open_ask(machine, plan, said, deadline_ms)
    return _sort(plan, to, said, deadline_ms, apart)


def _may_reply(machine: Machine, reply: Cap) -> bool:
    if type(reply) is Local:
        return reply.address == machine.address
    return type(reply) is Named or reply_until_ms(reply) is not None


def open_ask(machine: Machine, plan: Plan, said: Said, deadline_ms: int) -> Said:
    """Makes a send's reply unique for this ask."""
    assert type(said.reply) is Local
    number = machine.next_ask + len(plan.asks)
    ask = Ask(number, said.reply, deadline_ms, address_of(said.to), 0)
    asking = Said(said.to, said.content, said.caps, Reply(machine.address, number, deadline_ms))
    plan.asks.append((ask, asking))
    return asking


def _sort(plan: Plan, to: Cap, said: Said, deadline_ms: int, apart: bool) -> int:
    receiver = address_of(to)
    if type(to) is Named:
        return 0
    if apart:
        plan.apart.append((receiver, said, deadline_ms))
    else:
        messages = plan.batches.get(receiver)
        if messages is None:
            plan.batches[receiver] = [said]
            plan.deadlines[receiver] = deadline_ms
        else:
            messages.append(said)
            plan.deadlines[receiver] = min(plan.deadlines[receiver], deadline_ms)
    if type(to) is Sealed:
        return len(said.content) + sum(map(wire_bytes, (to, *said.caps)))
    return size_of(said.content, said.caps)


def fire_timer(host: Host, machine: Machine, key: bytes) -> None:
    """Sends what a timer waited to send; its deadline counts from now."""
    timer = (machine.timers or {}).get(key)
    if timer is None:
        return
    set_timer(host, machine, key, None)
    plan = Plan()
    deadline_ms = host.now_ms + timer.deadline_ms
    said = Said(timer.to, timer.content, timer.caps, timer.reply)
    if type(timer.reply) is Local:
        said = open_ask(machine, plan, said, deadline_ms)
    _sort(plan, timer.to, said, deadline_ms, timer.apart)
    machine.group = host.group.number
    host.touch(machine)
    carry_out(host, machine, plan, host.now_ms)
    make_ready(host, machine)


__all__ = [
    "BadAnswer",
    "Plan",
    "Unfit",
    "append",
    "fire_timer",
    "fold",
    "fold_void",
    "place_of",
    "plan_sends",
    "suspend",
]
