"""Which worker a machine lives in, and the lines of machines that wait for one.

Step 3 of the journey, its second half: every machine that has work is listed somewhere, as ready,
at a worker without room, as stranded, or as waiting for a commit; none is listed twice.
"""

from avm.host.effects import Kill, ToWorker
from avm.host.outbox import make_ready
from avm.host.state import Host, Machine, Worker
from avm.machine import frames


def worker_for(host: Host, machine: Machine, alone: bool) -> Worker | None:
    """The worker that a machine lives in, or may move to; None when it has to wait for room."""
    worker = machine.worker
    if worker is not None and worker.slow and not machine.flights and _has_quick(host):
        forget(host, machine)
        worker = None
    if worker is not None and not alone:
        if worker.killed_for:
            return None
        if len(worker.flights) >= host.limits.flights_worker or worker.alone:
            worker.waiting.append(machine)
            machine.listed = True
            return None
        return worker
    if worker is not None:
        if machine.flights:
            return None
        if not worker.flights and not worker.killed_for:
            return worker
        forget(host, machine)
    return _choose(host, machine, alone)


def _choose(host: Host, machine: Machine, alone: bool) -> Worker | None:
    """A worker for a machine that lives in none, the least laden; None puts it in a line."""
    quick = [
        one
        for one in host.workers.values()
        if not one.killed_for and not one.slow and not one.alone
    ]
    room = 1 if alone else host.limits.flights_worker
    free = [one for one in quick if len(one.flights) < room]
    if free:
        chosen = min(free, key=lambda one: (len(one.flights), len(one.machines), one.id))
        machine.worker = chosen
        return chosen
    machine.listed = True
    if quick and not alone:
        min(quick, key=lambda one: (len(one.waiting), one.id)).waiting.append(machine)
    else:
        host.stranded.append(machine)
    return None


def list_stranded(host: Host) -> None:
    """Has the machines looked at again that found no worker fit for them."""
    stranded, host.stranded = host.stranded, []
    for machine in stranded:
        machine.listed = False
        make_ready(host, machine)


def _has_quick(host: Host) -> bool:
    return any(not one.slow and not one.killed_for for one in host.workers.values())


def forget(host: Host, machine: Machine) -> None:
    """Takes a machine out of its worker; its state comes back from the store."""
    worker = machine.worker
    if worker is not None and worker.machines.pop(machine.id, None) is not None:
        host.effects.append(ToWorker(worker.id, frames.pack([frames.FORGET, machine.id])))
    machine.worker = None
    machine.loaded = False


def make_room(host: Host, worker: Worker) -> None:
    """Forgets the machine that was loaded first and is idle when a worker holds too many."""
    if len(worker.machines) < host.limits.worker_machines:
        return
    for machine in list(worker.machines.values()):
        if not machine.flights and not machine.exclusive and machine.loaded:
            forget(host, machine)
            return


def kill(host: Host, worker: Worker, why: str) -> None:
    """Has a worker killed; what it was given comes back when its death is reported."""
    worker.killed_for = why
    host.effects.append(Kill(worker.id, why))


def wake(host: Host, worker: Worker) -> None:
    """Lists the machines again that waited for room at a worker."""
    room = host.limits.flights_worker - len(worker.flights)
    if worker.flying >= host.limits.flight_messages:
        room = 0
    waiting = worker.waiting
    while waiting and room > 0:
        machine = waiting.popleft()
        machine.listed = False
        make_ready(host, machine)
        room -= 1
