"""Giving work to workers: which machine, which batch, to whom; and taking the answers.

Steps 3 and 4 of the journey. A machine lives in one worker at a time; its turns go there one
behind the other, and come back in that order. What needs the machine for itself (a snapshot, new
code, an edit) waits until nothing of it is in flight.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from avm.host import making
from avm.host.acts import Act, Loading, Needs, Signal, Snapshot
from avm.host.batch import Batch
from avm.host.capability import Local, Reply
from avm.host.effects import ToWorker
from avm.host.fold import fold, place_of
from avm.host.inputs import prepare
from avm.host.judging import counts
from avm.host.outbox import make_ready
from avm.host.placing import forget, kill, list_stranded, make_room, wake, worker_for
from avm.host.state import RUNNING, Flight, Host, Machine, Status, Worker
from avm.machine import frames, pack
from avm.machine.turn import APPLIED, EXHAUSTED

# What a worker appends where it has cut a word or a traceback, and at most what was printed.
CUT_BYTES, PRINTED_CUT_BYTES = 4, 64


def pump(host: Host) -> None:
    """Gives out work until nobody is ready or no worker has room."""
    if host.full:
        return
    if host.making:
        making.begin(host)
    ready = host.ready
    while ready or _wake_all(host):
        machine = ready.popleft()
        machine.listed = False
        if has_work(host, machine):
            _advance(host, machine)


def _wake_all(host: Host) -> bool:
    """Lists machines that wait at workers with room; some that were listed may not have used it."""
    for worker in host.workers.values():
        if worker.waiting and not worker.alone and not worker.killed_for:
            wake(host, worker)
    return bool(host.ready)


def has_work(host: Host, machine: Machine) -> bool:
    """Whether a machine could be given something now."""
    if machine.exclusive:
        return False
    if machine.acts:
        return not machine.flights
    queue = machine.queue
    if queue is None or not queue.size or machine.status is not RUNNING or host.draining:
        return False
    if machine.outbox_bytes > host.limits.outbox_bytes:
        return False
    if machine.want_snapshot or machine.signals:
        return not machine.flights
    return True


def _advance(host: Host, machine: Machine) -> None:
    act = None if machine.flights else _next_act(machine)
    if act is not None and act.needs is not Needs.NOTHING and machine.status is Status.HALTED:
        assert machine.acts is not None
        machine.acts.popleft().abandon(host, machine, "it is halted for good")
        make_ready(host, machine)
        return
    if act is not None and act.needs is Needs.NOTHING:
        _run_at_once(host, machine, act)
        return
    queue = machine.queue if act is None else None
    head = queue.peek() if queue is not None else None
    if queue is not None and head is not None and not head.messages and not machine.flights:
        _dispatch(host, machine, None, queue.pop(), False)
        make_ready(host, machine)
        return
    alone = head is not None and head.suspect
    worker = worker_for(host, machine, alone)
    if worker is None:
        return
    if act is not None and (machine.loaded or act.needs is Needs.WORKER):
        _start(host, machine, worker, act)
        return
    if not machine.loaded:
        _load(host, machine, worker)
        return
    if queue is None or head is None:
        return
    flights = machine.flights
    if flights:
        if len(flights) >= host.limits.flights_machine:
            return
        if worker.flying >= host.limits.flight_messages:
            worker.waiting.append(machine)
            machine.listed = True
            return
        if alone or not _may_pipeline(machine, head):
            return
    _dispatch(host, machine, worker, queue.pop(), alone)
    if queue.size and not machine.listed:
        make_ready(host, machine)


def _next_act(machine: Machine) -> Act | None:
    """What is to be done to an idle machine before its next batch."""
    if machine.acts:
        first: Act = machine.acts[0]
        return first
    if machine.want_snapshot and machine.status is RUNNING:
        machine.want_snapshot = False
        machine.acts = deque((Snapshot(),))
        return _next_act(machine)
    if machine.signals:
        machine.acts = deque((Signal(machine.signals.pop(0)),))
        return _next_act(machine)
    return None


def _run_at_once(host: Host, machine: Machine, act: Act) -> None:
    assert machine.acts is not None
    machine.acts.popleft()
    act.start(host, Flight(machine, 0, act=act))
    make_ready(host, machine)


def _start(host: Host, machine: Machine, worker: Worker, act: Act) -> None:
    assert machine.acts is not None
    machine.acts.popleft()
    flight = _fly(host, machine, worker)
    flight.act = act
    machine.exclusive = True
    for effect in act.start(host, flight):
        host.effects.append(effect)


def _may_pipeline(machine: Machine, batch: Batch) -> bool:
    """Whether a batch may be given out before the one ahead of it is folded.

    Not when it brings capabilities that the one ahead brings too, comes by one whose uses count, or
    answers an ask: what those amount to depends on the fold.
    """
    ahead = machine.flights
    if not ahead:
        return True
    for to, _content, caps, reply in batch.messages:
        if type(to) is not Local or to.caps or caps or (to.caveats and counts(to)):
            return False
        if reply is not None and (
            type(reply) is not Reply or any(reply in flight.fresh_of for flight in ahead)
        ):
            return False
    return not ahead[-1].alone


def _load(host: Host, machine: Machine, worker: Worker) -> None:
    """Brings a machine into a worker; waits until all that was folded of it is committed."""
    if machine.group > host.committed:
        machine.worker = None
        host.unloaded.append(machine)
        machine.listed = True
        return
    make_room(host, worker)
    machine.acts = machine.acts or deque()
    machine.acts.appendleft(Loading())
    _start(host, machine, worker, machine.acts[0])


def _fly(host: Host, machine: Machine, worker: Worker | None) -> Flight:
    flight = Flight(machine, host.next_token)
    host.next_token += 1
    if machine.flights is None:
        machine.flights = deque()
    machine.flights.append(flight)
    if worker is not None:
        board(host, worker, flight)
    return flight


def board(host: Host, worker: Worker, flight: Flight) -> None:
    """Puts a flight behind the others of a worker."""
    if not worker.flights:
        worker.head_since_ms = host.now_ms
    worker.flights.append(flight)
    worker.machines[flight.machine.id] = flight.machine


def _dispatch(
    host: Host, machine: Machine, worker: Worker | None, batch: Batch, alone: bool
) -> None:
    """Gives a batch to the worker; without one, or when it needs none, it is folded here."""
    flight = _fly(host, machine, None)
    flight.batch = batch
    assert machine.flights is not None
    before = machine.flights[-2].now_ms if len(machine.flights) > 1 else 0
    flight.now_ms = max(host.now_ms, machine.now_ms, before)
    if not prepare(host, flight, batch) or worker is None:
        fold_ready(host, machine)
        return
    flight.alone = alone
    worker.alone = alone
    worker.flying += batch.count
    board(host, worker, flight)
    flight.place = pack.place(machine.id, flight.token)
    frame = pack.turn(flight.place, flight.given)
    if alone:
        _come_to(flight, batch, 0)
        frame = frames.pack([frames.ALONE, machine.id, flight.token, frames.MESSAGES, flight.given])
    host.effects.append(ToWorker(worker.id, frame))


def answered(host: Host, worker: Worker, body: bytes) -> None:
    """Takes a worker's answer to its oldest flight; `BadFrame` when it is none."""
    if not worker.flights:
        raise frames.BadFrame("an answer to nothing")
    flight = worker.flights[0]
    output = frames.plain_output(body, flight.place) if flight.place else None
    if output is not None:
        flight.output = output
        answer: list[Any] = [APPLIED, output is frames.CHANGED, []]
    else:
        frame = frames.unpack_untrusted(body)
        if frame[0] == frames.COME:
            _come(flight, frame)
            return
        answer = _answer_of(host, flight, frame)
    if answer[0] == EXHAUSTED and flight.batch is not None and not worker.killed_for:
        _come_to(flight, flight.batch, answer[1])
        kill(host, worker, str(answer[2]) or "broken")
        return
    worker.flights.popleft()
    if flight.batch is not None:
        worker.flying -= flight.batch.count
    worker.head_since_ms = host.now_ms
    worker.slow = False
    worker.alone = worker.alone and not flight.alone
    if not flight.dropped:
        flight.answer = answer
        fold_ready(host, flight.machine)
        make_ready(host, flight.machine)
    if worker.waiting:
        wake(host, worker)
    if host.stranded:
        list_stranded(host)


def _answer_of(host: Host, flight: Flight, frame: list[Any]) -> list[Any]:
    """What a frame answers to a flight: the output of a turn, any other as it is."""
    frames.check_answer(frame, flight.act.kind if flight.act is not None else frames.TURN)
    if frame[1] != flight.machine.id or frame[2] != flight.token:
        raise frames.BadFrame("an answer out of order")
    limits = host.limits
    if frame[0] != frames.TURN:
        if len(frame[3]) > limits.state_bytes:
            raise frames.BadFrame("a state that is too large")
        return frame
    if len(frame[4]) > limits.printed_bytes + PRINTED_CUT_BYTES:
        raise frames.BadFrame("more printed than is allowed")
    flight.output, flight.printed = frame[3], frame[4]
    answer = frames.unpack_output_untrusted(frame[3])
    if answer[0]:
        _check_verdict(host, flight, answer)
    if frame[5] is not None:
        answer.append(frame[5])
    flight.held = frames.held_in(frame)
    return answer


def _check_verdict(host: Host, flight: Flight, answer: list[Any]) -> None:
    """Whether a worker says no to a message that there is, in no more words than are allowed.

    Other hosts are told of both, and hear out none who says more.
    """
    batch, limits = flight.batch, host.limits
    messages = 1 if batch is None else len(batch.messages)
    if not 0 <= answer[1] < messages:
        raise frames.BadFrame("a verdict on no message")
    word, detail = (len(text.encode()) for text in answer[2:4])
    if word > limits.word_bytes + CUT_BYTES or detail > limits.traceback_bytes + CUT_BYTES:
        raise frames.BadFrame("a word that is too long")


def _come(flight: Flight, frame: list[Any]) -> None:
    """Notes which message a turn that is tried alone has come to; `BadFrame` when it is not."""
    frames.check_answer(frame, frames.COME)
    place = (frame[1], frame[2])
    if place != (flight.machine.id, flight.token) or not flight.alone or flight.batch is None:
        raise frames.BadFrame("no such turn is tried alone")
    _come_to(flight, flight.batch, frame[3])


def _come_to(flight: Flight, batch: Batch, index: int) -> None:
    last = max(len(batch.messages) - 1, 0)
    batch.come_to = min(place_of(flight, max(index, 0)), last)


def fold_ready(host: Host, machine: Machine) -> None:
    """Folds the answered flights of a machine, in the order they were given out."""
    flights = machine.flights
    while flights and (flights[0].answer is not None or flights[0].judged is not None):
        flight = flights.popleft()
        if machine.claimed is not None:
            machine.claimed.difference_update(flight.claimed)
        if flight.act is not None:
            machine.exclusive = False
            if type(flight.act) is not Loading:
                machine.act_deaths = 0
            holds = flight.act.finish(host, flight)
        else:
            holds = fold(host, flight)
        if not holds:
            reset(host, machine)
            return
    if not flights and machine.flights is flights:
        machine.flights = None


def reset(host: Host, machine: Machine) -> None:
    """Takes back what is in flight of a machine, and forgets its state in the worker."""
    take_back(host, machine)
    forget(host, machine)
    make_ready(host, machine)


def take_back(host: Host, machine: Machine, mark: Callable[[Flight], None] | None = None) -> None:
    """Puts what is in flight of a machine back where it was; late answers will be ignored.

    A deadline that came meanwhile is noticed now.
    """
    flights = machine.flights
    machine.flights = None
    machine.exclusive = False
    machine.claimed = None
    while flights:
        flight = flights.pop()
        flight.dropped = True
        if mark is not None:
            mark(flight)
        if flight.batch is not None and machine.queue is not None:
            batch = flight.batch
            machine.queue.push_front(batch)
            if batch.deadline_ms <= host.now_ms:
                place = ("batch", batch.sender, batch.receiver, batch.seq)
                host.deadlines.put(place, batch.deadline_ms)
        elif flight.act is not None and flight.act.again:
            machine.acts = machine.acts or deque()
            machine.acts.appendleft(flight.act)
