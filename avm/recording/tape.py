"""A recording in memory: an ear that writes what it hears into segments. Pure.

Beside the journey. Where the bytes go, and when a segment has become long enough, is its owner's affair.
"""

from typing import Any

from avm.host.core import Core
from avm.host.saved import dump_host
from avm.recording.ear import attend, leave
from avm.recording.log import End, Header, State, Stored, pack, pack_told


class Tape:
    """Hears a core, and keeps the bytes until they are taken."""

    def __init__(self, core: Core, run: int, *, segment: int = 1, last: int = 0) -> None:
        """`run` tells one start of the host from another; numbers go on after `segment - 1` and `last`."""
        self.core = core
        self.run = run
        self.segment = segment - 1
        self.last = last
        self.waiting: list[bytes] = []
        self.size = 0

    def begin(self) -> None:
        """Begins to listen, with a segment."""
        self.begin_segment()
        attend(self.core, self)

    def begin_segment(self) -> None:
        """Begins a segment: its header, and what the core knows."""
        host = self.core.host
        self.segment += 1
        place = (self.run, self.segment, self.last + 1, host.now_ms)
        self._add(pack(Header(host.version, host.python, *place, host.address)))
        self._add(pack(State(*host.keys.secrets, dump_host(host))))

    def hear(self, name: str, fresh: bool, arguments: list[Any], output: list[Any]) -> None:
        """Writes an input down; see `Ear`."""
        self.last += 1
        self._add(pack_told(self.last, name, fresh, arguments, output))

    def keep(self, stored: Stored) -> None:
        """Writes down what a machine is loaded from."""
        self._add(pack(stored))

    def end(self, whole: bool = True) -> None:
        """Listens no more; `whole`: the host stops by itself."""
        leave(self.core)
        if whole:
            self._add(pack(End(self.last)))

    def take(self) -> bytes:
        """What was written since."""
        taken = b"".join(self.waiting)
        self.waiting.clear()
        self.size = 0
        return taken

    def _add(self, packed: bytes) -> None:
        self.waiting.append(packed)
        self.size += len(packed)
