"""What a turn sends, as a plan: checked whole before anything changes, then carried out.

Step 5 of the journey, its second half. Asks open, timers are set, and batches go on their way.
"""

from typing import Any

from avm.host import commons
from avm.host.batch import Batch, Said
from avm.host.capability import (
    Cap,
    Local,
    Named,
    Reply,
    Sealed,
    address_of,
    may_be_reply,
    reply_until_ms,
)
from avm.host.capability import to_bytes as cap_bytes
from avm.host.outbox import make_ready, send, size_of
from avm.host.refer import from_reference, wire_bytes
from avm.host.state import Ask, Flight, Host, Machine, Timer
from caps.light import dataclass, field


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
    commons: list[Said] = field(default_factory=list)


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
    _pass_on(host, machine, plan)
    return plan


def _pass_on(host: Host, machine: Machine, plan: Plan) -> None:
    """Answers what was asked of commons for others: each answer goes like a send of the machine."""
    if not plan.commons:
        return
    own = {id(said) for _ask, said in plan.asks}
    asked, plan.commons = plan.commons, []
    for said in asked:
        if id(said) in own:
            plan.commons.append(said)
            continue
        answer = commons.answer_passed(host, machine.address, said)
        until_ms = reply_until_ms(answer.to) or host.now_ms + round(host.limits.ask_s * 1000)
        _sort(plan, answer.to, answer, until_ms, False)


def _plan_send(host: Host, flight: Flight, plan: Plan, row: list[Any]) -> int:
    machine = flight.machine
    to = from_reference(host, machine, flight, row[0])
    if len(row) > 1 and len(row[1]) > host.limits.content_bytes:
        raise Unfit(f"too large: a send may say {host.limits.content_bytes} bytes")
    if len(row) == 1:
        plan.timers[cap_bytes(to)] = None
        return 64
    if type(to) is Named and to.name != "null~" and (len(row) < 4 or row[3] is None):
        raise Unfit(f"{to.name} answers who asks: give the send a reply")
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
    said = commons.placed(host, Said(to, content, caps, reply))
    if type(reply) is Local:
        said = open_ask(machine, plan, said, deadline_ms)
    return _sort(plan, said.to, said, deadline_ms, apart)


def _may_reply(machine: Machine, reply: Cap) -> bool:
    if type(reply) is Local:
        return reply.address == machine.address and not reply.caveats
    return may_be_reply(reply)


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
        if said.reply is not None and type(said.reply) is not Named:
            plan.commons.append(said)
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
    said = commons.placed(host, Said(timer.to, timer.content, timer.caps, timer.reply))
    if type(timer.reply) is Local:
        said = open_ask(machine, plan, said, deadline_ms)
    _sort(plan, said.to, said, deadline_ms, timer.apart)
    _pass_on(host, machine, plan)
    machine.group = host.group.number
    host.touch(machine)
    carry_out(host, machine, plan, host.now_ms)
    make_ready(host, machine)


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
    for said in plan.commons:
        commons.answer_own(host, machine, opened[id(said)], said)


def sent_by(host: Host, machine: Machine, plan: Plan) -> list[list[Any]]:
    """The batches of a plan that go to others than clients, before they are sent.

    For each receiver its address, the number of the first in the channel, and how many they are.
    """
    counts = dict.fromkeys(plan.batches, 1)
    for receiver, _said, _deadline_ms in plan.apart:
        counts[receiver] = counts.get(receiver, 0) + 1
    found: list[list[Any]] = []
    for receiver, count in counts.items():
        if receiver not in host.clients:
            channel = host.channels.get((machine.address, receiver))
            found.append([receiver, (channel.sent if channel is not None else 0) + 1, count])
    return found


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
