"""A machine's whole journal executed again, and its state held against what a restart makes. Shell.

Beside the journey, for `replay`.
"""

from avm.host.chain import Fault
from avm.host.journal import digest_of
from avm.host.state import Machine
from avm.past.difference import Difference, between_states
from avm.past.labels import Lens
from avm.past.reading import NoSuchTurn, Reader
from avm.past.rerun import Agreed, CannotRerun, Progress, Rerun
from avm.past.states import check_turn, oldest, pruned, state_at
from avm.run.worker import Worker


def replay(
    reader: Reader,
    machine: Machine,
    worker: Worker,
    *,
    to: int | None = None,
    any_python: bool = False,
    progress: Progress | None = None,
) -> Agreed | Difference | Fault:
    """Executes a machine's journal again up to a turn; raises OtherPython, CannotRerun, NoSuchTurn.

    From `init` on, or from the oldest snapshot where the turns before it have been pruned.
    """
    if to is not None:
        check_turn(reader, machine, to)
    start = oldest(reader, machine)
    if start is not None and to is not None and to < start.n:
        raise NoSuchTurn(pruned(machine, start.n))
    lens = Lens(machine.address, reader.slots(machine), reader.labels())
    generation = reader.generation(machine, -1 if start is None else start.n)
    rerun = Rerun(machine.id, worker, reader.bundle, lens, any_python, progress, generation)
    links = reader.walk(machine, 0, None if to is None else to + 1)
    found = rerun.run(links, start)
    if isinstance(found, Agreed) and rerun.doubt is not None:
        return _as_restarted(reader, machine, rerun, rerun.doubt, to) or found
    return found


def _as_restarted(
    reader: Reader, machine: Machine, rerun: Rerun, doubt: Difference, to: int | None
) -> Difference | None:
    """Whether the last state is that of a restart, for which only turns that changed it count."""
    now = rerun.state()
    try:
        was = state_at(reader, machine, rerun.worker, to)
    except CannotRerun:
        return doubt
    if digest_of(*was) == digest_of(*now):
        return None
    rerun.lens.next_slot, rerun.lens.interned = rerun.slots.next, True
    path, *values = between_states(was, now, rerun.lens)
    return Difference(doubt.turn, None, path, *values)
