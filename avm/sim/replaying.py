"""A machine of a simulated host from its journal once more: it must come to what it lives with. Pure."""

from avm.host.effects import Load
from avm.host.recover import recovery
from avm.host.state import Machine
from avm.machine import frames
from avm.machine.inside import Inside
from avm.sim.host import SimHost


def replay(host: SimHost, machine: Machine) -> str:
    """Why the replay of a machine differs from how it lived; empty when it does not.

    Every turn since the newest entry that its store has from the start is taken again and its
    output's digest compared; the state at the end is compared with the one in a worker, if it is in one.
    """
    inside, why = lived(host, machine)
    if why or machine.worker is None or not machine.loaded:
        return why
    live = host.workers[machine.worker.id].inside.state_of(machine.id)
    again = inside.state_of(machine.id)
    return "" if live == again else f"it comes to {again!r}, and lives with {live!r}"


def lived(host: SimHost, machine: Machine) -> tuple[Inside, str]:
    """An inside in which a machine has lived as its journal says; or why it does not come to that."""
    inside = Inside(host.limits, host.codes.__getitem__)
    first = next((n for n, _body, _printed in host.store.entries(machine.id)), 0)
    snapshot = host.store.snapshot(machine.id) if first else None
    start = 0 if snapshot is None else snapshot[0] + 1
    generation = 0 if snapshot is None else machine.generation
    load = Load(0, machine.id, machine.code, True, machine.next_slot, generation, 1)
    bundle = host.store.get(("code", machine.code))
    answers: list[bytes] = []
    for frame in recovery(load, bundle, snapshot, host.store.entries(machine.id, start)):
        answers += inside.receive(frame)
    kind, _machine, _token, why, _printed = frames.unpack(answers[-1])
    return inside, str(why) if kind == frames.LOADED else "it is not loaded"
