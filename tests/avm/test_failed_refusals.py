"""What an operator hears who asks for a failed batch that is not there, or with too many contents."""

import pytest

from avm.sim.host import Refusal
from avm.testing import NotApplied, World
from tests.avm.test_kinds import Taker
from tests.sim.code import sim_of


def test_what_cannot_be_done_with_a_failed_batch_is_told_with_the_remedy() -> None:
    world = World()
    taker, sim = world.machine(Taker), sim_of(world)
    with pytest.raises(NotApplied):
        world.client().send(taker.cap("rejected"), 1)
    machine = sim.machine("taker")
    ((key, row),) = sim.store.rows_of("failed", machine.id)
    n = int(key[-1])
    several = "the batch has 1 message, not 2: a list has one content for each"
    with pytest.raises(Refusal, match=f"^{several}$"):
        sim.ask(lambda request: sim.core.retry(request, machine, n, row, [(b"", ()), (b"", ())]))
    sim.ask(lambda request: sim.core.drop_failed(request, machine, n))
    gone = f"taker has no failed batch at turn {n}: `failed ls taker` shows those there are"
    with pytest.raises(Refusal, match=f"^{gone}$"):
        sim.ask(lambda request: sim.core.retry(request, machine, n, None))
