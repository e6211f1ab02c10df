"""Workers come, take too long, and die: nothing that was given to them is lost.

Every unanswered batch of a dead worker is tried again alone in a fresh one; only dying alone
counts against it, and after a few such tries its failure is journaled. Machines behind a slow turn
move to another worker.
"""

from avm.host.acts import Act, Loading, Signal, Snapshot
from avm.host.dispatch import pump, take_back
from avm.host.fold import suspend
from avm.host.outbox import make_ready
from avm.host.placing import forget, kill, list_stranded
from avm.host.state import Flight, Host, Machine, Mode, Status, Worker

LOADING_S = 600.0
DEATHS = {
    "died": "every worker that tried it died",
    "timed out": "it does not end in time",
    "memory": "it needs more memory than a worker has",
}


def worker_up(host: Host, number: int) -> None:
    """A worker is ready for frames."""
    host.workers[number] = Worker(number)
    list_stranded(host)
    for worker in host.workers.values():
        _list_again(host, worker)
    pump(host)


def _list_again(host: Host, worker: Worker) -> None:
    """Has all that waited for a worker looked at again."""
    waiting = list(worker.waiting)
    worker.waiting.clear()
    for machine in waiting:
        machine.listed = False
        make_ready(host, machine)


def worker_down(host: Host, number: int, why: str) -> None:
    """A worker is dead; its sockets are closed and nothing more will come from it."""
    worker = host.workers.pop(number, None)
    if worker is None:
        return
    host.counts["worker_deaths"] += 1
    reason = worker.killed_for or why
    unanswered = [flight for flight in worker.flights if not flight.dropped]
    alone = len(unanswered) == 1
    head = worker.flights[0] if worker.flights and not worker.flights[0].dropped else None

    def mark(flight: Flight) -> None:
        batch = flight.batch
        if batch is None or flight.judged is not None:
            return
        batch.suspect = True
        batch.deaths += 1
        batch.tries += alone
        tries = host.limits.turn_tries
        if batch.deaths >= tries and batch.tries >= tries - 1:
            batch.died_of = reason

    for machine in list(worker.machines.values()):
        if machine.worker is worker:
            take_back(host, machine, mark)
            machine.worker = None
            machine.loaded = False
            make_ready(host, machine)
    _list_again(host, worker)
    list_stranded(host)
    if head is not None and head.act is not None:
        _act_died(host, head.machine, head.act, reason)
    pump(host)


def _act_died(host: Host, machine: Machine, dead: Act, reason: str) -> None:
    """Gives up what kills every worker that tries it: a load, a creation, an upgrade.

    What the operator asked for is refused, and the machine goes on without it.
    """
    machine.act_deaths += 1
    if machine.act_deaths < host.limits.turn_tries:
        return
    machine.act_deaths = 0
    if machine.acts and not isinstance(dead, Loading | Signal | Snapshot):
        machine.acts.popleft().abandon(host, machine, DEATHS.get(reason, reason))
        return
    acts, machine.acts = machine.acts, None
    for act in acts or ():
        act.abandon(host, machine, DEATHS.get(reason, reason))
    if machine.status is Status.RUNNING:
        suspend(host, machine, Mode.HOLD, reason)


def watch(host: Host) -> None:
    """Kills workers whose turn is over time, and moves machines away from slow ones."""
    for worker in host.workers.values():
        if not worker.flights or worker.killed_for:
            continue
        age_s = (host.now_ms - worker.head_since_ms) / 1000
        if worker.slow and age_s >= _limit_s(host, worker):
            kill(host, worker, "timed out")
        elif age_s >= host.limits.slow_turn_s and not worker.slow:
            _look(host, worker)


def _look(host: Host, worker: Worker) -> None:
    """Takes a worker for slow at the second look at one turn: its answers were read in between."""
    token = worker.flights[0].token
    if worker.looked != token:
        worker.looked = token
        worker.look_again_ms = host.now_ms + round(host.limits.slow_turn_s * 500)
    elif host.now_ms >= worker.look_again_ms:
        worker.slow = True
        _move_away(host, worker)


def _limit_s(host: Host, worker: Worker) -> float:
    head = worker.flights[0]
    loading = head.act is not None and not head.act.again
    return LOADING_S if loading else host.limits.turn_s


def _move_away(host: Host, worker: Worker) -> None:
    if not any(not one.slow and not one.killed_for for one in host.workers.values()):
        return
    stuck = worker.flights[0].machine
    for machine in list(worker.machines.values()):
        if machine is not stuck and machine.flights:
            take_back(host, machine)
            forget(host, machine)
            make_ready(host, machine)
    _list_again(host, worker)
    pump(host)


def next_watch_ms(host: Host) -> int | None:
    """When `watch` has to look again."""
    soonest = None
    for worker in host.workers.values():
        if worker.flights and not worker.killed_for:
            look_ms = _next_look_ms(host, worker)
            soonest = look_ms if soonest is None else min(soonest, look_ms)
    return soonest


def _next_look_ms(host: Host, worker: Worker) -> int:
    if worker.slow:
        return worker.head_since_ms + round(_limit_s(host, worker) * 1000)
    if worker.looked == worker.flights[0].token:
        return worker.look_again_ms
    return worker.head_since_ms + round(host.limits.slow_turn_s * 1000)
