"""Folding a turn: its answer gets its place in the host's order, and all that follows from it.

Step 5 of the journey. The answer is checked whole before anything changes; then the journal
entry, the mark, the sends, asks, timers and slots go into the next commit together.
"""

from typing import Any

import cbor2

from avm.host import audited, journal, kinds
from avm.host.batch import Batch, set_aside
from avm.host.capability import Reply
from avm.host.clients import open_ask as open_client_ask
from avm.host.entry import append, append_entry
from avm.host.judging import note_uses
from avm.host.outbox import hold, outcome, outcomes, take_mark, tell, void
from avm.host.plan import Plan, Unfit, carry_out, plan_sends, sent_by
from avm.host.refer import BadReference, ContextTooLarge, intern
from avm.host.state import Flight, Host, Machine, Mode, Status
from avm.machine import pack
from avm.machine.turn import APPLIED, BARRED, REFUSED


class BadAnswer(Exception):
    """A worker's answer is none; the worker is broken."""


def fold(host: Host, flight: Flight) -> bool:
    """Folds a turn or a signal; False when the worker's state of the machine is not what holds."""
    host.folded += 1
    machine = flight.machine
    batch = flight.batch
    if batch is not None and not batch.messages:
        void(host, machine, batch)
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
            if flight.came or flight.held:  # all references are resolved in the plan by now
                kinds.check(flight, answer[2])
        except (Unfit, ContextTooLarge, BadReference) as error:
            why = str(error) or "a context is too large: 1 KiB with the capabilities in it"
            _fold_failed(host, flight, "exception", 0, why)
            return not answer[1]
        _fold_applied(host, flight, plan)
    elif verdict == REFUSED:
        _fold_refused(host, flight, place_of(flight, answer[1]), str(answer[2]))
    elif verdict == BARRED:
        _fold_failed(host, flight, "capability", place_of(flight, answer[1]), "")
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
    sent = sent_by(host, machine, plan) if plan is not None else []
    if batch is None:
        fields = (changed, flight.given, output, *([sent] if sent else []))
        append(host, machine, journal.SIGNAL, *fields, printed=flight.printed)
    else:
        place = (machine.chain, batch.sender, batch.seq, changed)
        told = cbor2.dumps(sent) if sent else b""
        entry = pack.turn_entry(*place, flight.given, output, told)
        append_entry(host, machine, entry, flight.printed)
        host.messages += len(batch.messages)
        _open_client_asks(host, batch)
    machine.turns_since += 1
    machine.now_ms = flight.now_ms
    if changed and flight.fresh:
        intern(host, machine, flight)
    if flight.claimed:
        _close_claimed(host, flight)
    if flight.uses:
        note_uses(host, flight)
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


def _open_client_asks(host: Host, batch: Batch) -> None:
    """A client's asks are opened by the turn that took them: before it nothing is durable."""
    client = host.clients.get(batch.sender)
    if client is None:
        return
    for said in batch.messages:
        if type(said.reply) is Reply and said.reply.address == batch.sender:
            open_client_ask(host, client, batch, said.reply)


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
    fields = (sender, seq, flight.given, reason, index, detail, count, flight.now_ms)
    n = append(host, machine, journal.FAILED, *fields, printed=flight.printed)
    _release_claimed(host, flight)
    if batch is None:
        return
    take_mark(host, batch)
    outcomes(host, batch, "rejected", "")
    tell(host, batch, ["rejected", index])
    if reason == "capability":
        host.counts["invalid"] += 1
        audited.refused_capability(host, flight, batch.messages[index])
        return
    host.counts["failed"] += 1
    if batch.splits and len(batch.messages) > 1:
        return
    aside = set_aside(batch, host.keys.to_seal)
    row = cbor2.dumps([batch.sender, reason, index, detail, host.now_ms, aside])
    host.group.dirty[("failed", machine.id, n)] = row
    machine.failed += 1
    if machine.failed >= host.limits.failed_batches and machine.status is Status.RUNNING:
        suspend(host, machine, Mode.HOLD, f"{machine.failed} failed batches; look at `failed ls`")


def suspend(host: Host, machine: Machine, mode: Mode, why: str) -> None:
    """Suspends a machine in the next commit; what clients offered it is made durable."""
    machine.status, machine.mode, machine.why = Status.SUSPENDED, mode, why
    append(host, machine, journal.SUSPEND, host.now_ms, mode.name.lower(), why)
    audited.note(host, "suspended", machine, by="the host" if why else "the operator")
    if mode is Mode.HOLD:
        flying = [flight.batch for flight in machine.flights or () if flight.batch is not None]
        for batch in (*flying, *(machine.queue or ())):
            if batch.sender in host.clients or batch.digest:
                hold(host, batch)
