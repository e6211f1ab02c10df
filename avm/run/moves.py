"""A machine's move as the operator asks for it, and its history read out of the store. The shell.

Beside the journey. The core decides what is said to the other host and when.
"""

from collections.abc import Callable
from typing import Any

from avm.host import history
from avm.host.acquaintance import learn
from avm.host.core import Core
from avm.host.effects import Carry
from avm.host.moves import leaving_by
from avm.host.passage import PIECE_BYTES
from avm.run.operator import NotDone
from avm.run.parts import NAME, text_in
from avm.store.interface import Store
from caps.errors import Malformed
from caps.identity import Endpoint, parse_route

SHOWN = 40
# As many machines as may be on their way to one host at once.
ITEMS_KEPT = 4


class Moves:
    """Has machines moved, and reads what is to go along."""

    def __init__(self, core: Core, store: Store, address_of: Callable[[str], bytes]) -> None:
        """`address_of` makes an address of its text or the start of a known one."""
        self._core = core
        self._store = store
        self._address_of = address_of
        self._items: dict[int, tuple[tuple[Any, ...], bytes, int]] = {}

    def act(self, params: dict[str, Any], request: Callable[[], int]) -> None:
        """Has the core move a machine, or take one back; it answers the request when that is done."""
        if params.get("back"):
            named = text_in(params["machine"])
            left = leaving_by(self._core.host.moves, named) if named else None
            if left is None:
                raise NotDone(f"no machine {named} is on its way to another host")
            self._core.take_back(request(), left)
            self._core.pump()
            return
        machine = self._core.host.names[text_in(params["machine"])]
        name = text_in(params.get("name") or machine.name)
        if not NAME.fullmatch(name):
            raise NotDone(f"{name[:SHOWN]!r} is no name of a machine: letters a-z, digits and -", 2)
        where, endpoint = self._host(text_in(params["to"]))
        self._core.move(request(), machine, where, name, endpoint)
        self._core.pump()

    def _host(self, text: str) -> tuple[bytes, Endpoint | None]:
        if "@" not in text:
            return self._address_of(text), None
        try:
            route = parse_route(text)
        except Malformed as error:
            raise NotDone(str(error), 2) from None
        if route.address != self._core.host.address:
            self._core.do(learn, route.address, route.endpoint)
        return route.address, route.endpoint

    def carry(self, effect: Carry) -> None:
        """Reads an item for another host; the last of a few machines are kept, for they go in parts."""
        fetch, number = effect.fetch, effect.machine
        place = (fetch.kind, fetch.n, fetch.hash)
        key = (fetch.incarnation, *place)
        known = self._items.pop(number, None)
        if known is None or known[0] != key:
            with self._store.reading():
                known = (key, *history.pack(self._store, number, *place))
        _key, item, following = known
        if fetch.at + PIECE_BYTES < len(item):
            self._items[number] = known
            while len(self._items) > ITEMS_KEPT:
                del self._items[next(iter(self._items))]
        self._core.carried(effect.link, fetch, item, following)
