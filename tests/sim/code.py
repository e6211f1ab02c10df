"""A module of a test as a machine's code, and the journal of a simulated machine."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from avm.host import journal
from avm.host.effects import Load
from avm.host.recover import recovery
from avm.limits import Limits
from avm.machine import frames
from avm.machine.inside import Inside
from avm.message import Event, Message
from avm.sim.host import SimHost
from avm.testing import World
from avm.testing.onehost import OneHost

VERDICTS = (journal.TURN, journal.FAILED, journal.REFUSED, journal.VOID)


def sim_of(world: World) -> SimHost:
    """The simulated host under a world of one host in memory."""
    assert isinstance(world.ground, OneHost)
    return world.ground.sim


class ModuleCode:
    """What the loader makes of a bundle, made of an imported module."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module.__name__
        self.step: Callable[[Message, Any], Any] = module.step
        self.init: Callable[[Message, Any], Any] = module.init
        self.signal: Callable[[Event, Any], Any] | None = getattr(module, "signal", None)
        self.migrate: Callable[[Any], Any] | None = getattr(module, "migrate", None)
        self.records: dict[str, type] = {
            thing.__record_name__: thing
            for thing in vars(module).values()
            if isinstance(thing, type) and hasattr(thing, "__record_name__")
        }

    def printed(self) -> str:
        return ""

    def __reduce__(self) -> tuple[Callable[[str], "ModuleCode"], tuple[str]]:
        return code_of, (self.module,)


def code_of(name: str) -> ModuleCode:
    """The code of an imported module, by its name."""
    return ModuleCode(sys.modules[name])


def entries(world: SimHost, name: str) -> list[journal.Entry]:
    """A machine's journal, its chain checked."""
    machine = world.machine(name)
    found: list[journal.Entry] = []
    before = b""
    for n, body, _printed in world.store.entries(machine.id):
        entry = journal.decode(n, body)
        assert entry.before == before and n == len(found), f"the chain breaks at {n}"
        before = entry.hash
        found.append(entry)
    return found


def gap_free(world: SimHost, name: str, anew: bool = False) -> None:
    """Each verdict has an entry, with the numbers of each sender in order, up to the mark.

    With `anew` a sender whose channel was forgotten may begin with 1 again.
    """
    taken: dict[bytes, int] = {}
    for entry in entries(world, name):
        if entry.form in VERDICTS and entry["seq"]:  # A signal of the host has no number.
            sender, seq = entry["sender"], entry["seq"]
            next_ = taken.get(sender, 0) + 1
            assert seq == next_ or (anew and seq == 1), "no gap, double or inversion"
            taken[sender] = seq
    for (sender, receiver), channel in world.core.host.channels.items():
        if receiver == world.machine(name).address:
            assert channel.taken == taken.get(sender, 0), "the mark is the last entry's number"


def replayed(world: SimHost, name: str, from_start: bool = True) -> Any:
    """The state of a machine by re-execution; fails where an output differs."""
    machine = world.machine(name)
    inside = Inside(Limits(), lambda bundle: world.codes[bundle])
    load = Load(0, machine.id, machine.code, True, machine.next_slot, 0, 1)
    bundle = world.store.get(("code", machine.code))
    snapshot = None if from_start else world.store.snapshot(machine.id)
    start = 0 if snapshot is None else snapshot[0] + 1
    stored = world.store.entries(machine.id, start)
    answers: list[bytes] = []
    for frame in recovery(load, bundle, snapshot, stored):
        answers += inside.receive(frame)
    kind, _id, _token, why_not, _printed = frames.unpack(answers[-1])
    assert kind == frames.LOADED and not why_not, why_not
    return inside.state_of(machine.id)
