"""What comes in parts, from a file or from another host, is recorded and saved like everything else."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from avm.graph import ATOMS, BadGraph, Form
from avm.host import carrying, landing, moving, passage
from avm.host.keys import Keyring
from avm.host.machine_file import Unpacked
from avm.host.saved import (
    BUFFER,
    CLASSES,
    DEADLINES,
    IDENTITY,
    KEYRING,
    dump_host,
    load_core_untrusted,
)
from avm.sim.host import SimHost
from tests.sim.code import replayed
from tests.sim.taped import Taped, rerun
from tests.sim.test_carrying import export
from tests.sim.test_moving import Town

CONTAINERS = {list, dict, set, tuple, frozenset, deque, OrderedDict, Counter}
# Verdicts are plain values; what is not told by a class alone.
OPEN = {object, Any, Union, UnionType}


def test_p04_a_machine_that_comes_out_of_a_file_is_recorded_and_told_again() -> None:
    town = Town()
    town.give(town.here, 1)
    town.net.settle()
    octets = export(town.here)
    home = SimHost(9)
    home.codes = town.here.codes
    taped = Taped(home)
    unpacked = home.files.read(octets, home.core.do(carrying.number_for))
    home.ask(lambda request: home.core.do(carrying.take_up, request, unpacked, ""))
    home.resume("pouch")
    found = rerun(taped.end())
    assert found.found is None and found.ended and found.commits > 0
    assert replayed(home, "pouch").tokens == (1,)


def test_p02_a_host_is_saved_while_a_machine_comes_to_it_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (moving, landing, passage):
        monkeypatch.setattr(module, "PIECE_BYTES", 64)
    town = Town()
    town.give(town.here, 1)
    town.net.settle()
    town.begin()
    under_way = 0
    while "pouch" not in town.there.core.host.names:
        town.net.step()
        for world in town.net.worlds:
            body = dump_host(world.core.host)
            core = load_core_untrusted(body, Keyring.of(*world.keyring_seeds))
            assert dump_host(core.host) == body
            under_way += any(one.body for one in world.core.host.moves.landing.values())
    assert under_way > 3


def test_p02_all_that_a_hosts_state_may_hold_is_known_to_its_form() -> None:
    made = {one.of for one in (BUFFER, DEADLINES, IDENTITY, KEYRING)}
    known = {*CLASSES, *ATOMS, *made, *CONTAINERS, *OPEN, Unpacked}
    found = {
        (cls.__qualname__, name, held)
        for cls in (*CLASSES, Unpacked)
        if not issubclass(cls, Enum)
        for name, hint in get_type_hints(cls).items()
        for held in held_by(hint)
        if held not in known
    }
    assert not found


def held_by(hint: Any) -> Iterator[Any]:
    """The classes that an annotation speaks of."""
    origin = get_origin(hint) or hint
    if isinstance(origin, type) and not getattr(origin, "_is_protocol", False):
        yield origin
    for one in get_args(hint):
        yield from held_by(one)


@pytest.mark.parametrize("body", [10**15, "text", None, (1,)])
def test_bytes_that_are_none_are_refused(body: object) -> None:
    form = Form((), [BUFFER])
    octets = form.dumps([bytearray(b"some"), body])
    assert form.loads_untrusted(octets) == [bytearray(b"some"), body]
    forged = Form((), [BUFFER._replace(parts=lambda _one: (body,))]).dumps([bytearray(b"some")])
    with pytest.raises(BadGraph, match="bytes that are none"):
        form.loads_untrusted(forged)
