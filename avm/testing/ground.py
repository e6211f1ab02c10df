"""What a world of tests stands on: one host in memory, a simulated network of them, or hosts that run. Pure.

All are equals behind this interface; `World` is the one face that a test sees.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from avm.errors import AvmError
from avm.host.capability import Cap
from avm.store.interface import Store
from caps.value import Capability, Value

# What the identity of a machine says about it, beside its name and type.
About = Mapping[str, str]


class NotCreated(AvmError):
    """The machine was not created."""


class NotHere(AvmError):
    """What the test asks for is not to be had on this ground; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is looked at of one host: its store, and its eyes for what its machines have sealed.

    `kept` gives the slots that the state of a machine still names.
    """

    host: str
    store: Store
    open_untrusted: Callable[[bytes], Cap]
    kept: Callable[[str], set[int]]


class Sitting(Protocol):
    """A client's connection to its host."""

    address: bytes

    def ear(self, name: object) -> Capability:
        """A capability to this client, which it knows by the name."""

    def offer(self, to: Capability, contents: Sequence[Value]) -> int:
        """Offers a batch; its number."""

    def verdict(self, to: Capability, batch: int) -> list[Any] | None:
        """What became of a batch, if that is known."""

    def ask(self, to: Capability, content: Value, timeout_s: float) -> int:
        """Offers a message that asks; its number."""

    def outcomes(self, ask: int) -> list[Value]:
        """What came of an ask so far."""

    def take_inbox(self) -> list[tuple[Value, Value]]:
        """What came, with the names of the client's own capabilities it came to."""


class Ground(Protocol):
    """Hosts with machines and clients; `on` is a host's name, or nothing where the test does not care."""

    @property
    def now_ms(self) -> int:
        """The time in milliseconds since 1970."""

    def names(self) -> set[str]:
        """The machines' names."""

    def create(
        self, source: object, name: str, environment: Value, about: About, on: str | None
    ) -> Value:
        """Creates a machine; what its `init` answered. Raises `NotCreated`."""

    def sit(self, on: str | None) -> Sitting:
        """A new client."""

    def check(self, handle: Capability) -> None:
        """Raises ValueError for a capability that is not of this world."""

    def settle(self) -> None:
        """Goes on until nothing is left to do now."""

    def step(self) -> bool:
        """Does one thing that could happen next; False when nothing is left to do."""

    def advance(self, seconds: float) -> None:
        """Lets time pass."""

    def wait(self, done: Callable[[], bool], until_ms: int) -> None:
        """Lets time pass until something is so, or that time has come."""

    def crash(self, on: str | None) -> None:
        """A host, or each, dies at once and starts again."""

    def state(self, name: str) -> Any:
        """A machine's committed state."""

    def failures(self, name: str) -> list[str]:
        """The tracebacks of the batches that broke a machine, the oldest first."""

    def printed(self, name: str) -> str:
        """What a machine has printed."""

    def upgrade(self, name: str, source: object) -> None:
        """Switches a machine to other code; raises `NotCreated` when that is refused."""

    def failures_at(self, to: Capability) -> list[str]:
        """The tracebacks of the machine that a capability leads to."""

    def address_of(self, name: str) -> bytes:
        """A machine's address."""

    def sights(self) -> list[Sight]:
        """What there is to look at for who holds what."""

    def cap_of(self, handle: Capability) -> Cap:
        """What a handle of the test stands for."""
