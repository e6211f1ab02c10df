"""A bench on one host in memory: both places are that host. Pure, but for the files it has read."""

from collections.abc import Mapping

from avm import testing
from avm.host.about import NOTHING
from avm.kit.stage import NoAnswer
from caps.value import Capability, Value

TIMEOUT_S = 60.0


class Process:
    """One world of the test kit and a client in it."""

    unit_s = 600.0

    def __init__(self, seed: int = 0) -> None:
        self.world = testing.World(seed)
        self._client = self.world.client()

    def machine(
        self, source: str, place: str, environment: Value, about: Mapping[str, str] = NOTHING
    ) -> Value:
        """Creates a machine; see `Bench`."""
        try:
            return self.world.machine(source, params=environment, about=about).answer
        except testing.NotCreated as error:
            raise NoAnswer("refused", str(error)) from None

    def call(self, to: Capability, content: Value, place: str) -> Value:
        """Asks; see `Bench`."""
        try:
            return self._client.call(to, content, timeout_s=TIMEOUT_S)
        except testing.NoAnswer as error:
            raise NoAnswer(error.why, error.detail) from None

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.world.advance(seconds)
