"""What a crash of a host leaves alone: its clients, its operator's plan, the clock; and that as bytes.

The bytes are what makes two worlds equal: whoever goes on from them finds the same, object by object.
"""

import pickle
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from avm.sim.client import Client, Handles
from avm.sim.code import Codes
from avm.sim.entropy import Entropy
from avm.sim.host import START_MS
from tests.crashes.equal import digest


@dataclass(slots=True)
class Outside:
    """The world around one host, which changes with each step of it."""

    seed: int = 1
    at: int = 0
    now_ms: int = START_MS
    entropy: Entropy = field(default_factory=lambda: Entropy(0))
    handles: Handles = field(default_factory=Handles)
    clients: dict[bytes, Client] = field(default_factory=dict)
    codes: Codes = field(default_factory=Codes)
    ledger: dict[Any, Any] = field(default_factory=dict)
    backups: dict[str, bytes] = field(default_factory=dict)

    def still(self) -> "Still":
        """This world as it stands; the host is not in it."""
        cores = [(client, client.core) for client in self.clients.values()]
        for client, _core in cores:
            client.core = None
        try:
            body = pickle.dumps(self, pickle.HIGHEST_PROTOCOL)
        finally:
            for client, core in cores:
                client.core = core
        puts = {key[1]: held for key, held in self.ledger.items() if key[0] == "put"}
        return Still(body, self.at, dict(self.backups), puts)


@dataclass(frozen=True)
class Still:
    """A world at one moment: `at` in the plan, with these backups, some of them put somewhere."""

    body: bytes
    at: int
    backups: dict[str, bytes]
    puts: dict[str, bytes]

    def copy(self) -> Outside:
        """A world to go on from here."""
        world = pickle.loads(self.body)
        assert isinstance(world, Outside)
        return world

    @cached_property
    def digest(self) -> bytes:
        """Equal for equal worlds only."""
        return digest(self.body)


NOTHING = Outside().still()
"""Before the first client."""
