"""Why what a command has sent to another host is not taken yet: asked of the host, and told.

Step 1 of the journey, for whoever waits at its other end.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from avm.cli.output import warn
from avm.errors import AvmError

# After so long without a word the host is asked, and then again as often.
QUIET_S = 2.0
EACH_S = 5.0
ASK_S = 5.0
WHERE = "`avm-host channels` shows when that changes"


class Asked(Protocol):
    """The connection to the host."""

    @property
    def address(self) -> bytes:
        """The command's own address there."""

    def ask(self, verb: str, params: dict[str, Any], wait_s: float) -> Any:
        """What the host answers its operator; AvmError."""


@dataclass(slots=True)
class Delay:
    """What a command was told of why it waits; `quiet_since` is when it heard anything last."""

    receiver: bytes
    quiet_since: float
    why: str = ""
    is_stuck: bool = False
    _told: str = ""
    _again_at: float = 0.0

    def heard(self, now_s: float) -> None:
        """There was a word of the host: it goes on."""
        self.quiet_since, self.why, self.is_stuck = now_s, "", False

    def quiet_s(self, now_s: float) -> float:
        """For how long there was none."""
        return now_s - self.quiet_since

    def look(self, link: Asked, now_s: float) -> None:
        """Asks why, where it is time, and tells what is new."""
        if self.quiet_s(now_s) < QUIET_S or now_s < self._again_at:
            return
        self._again_at = now_s + EACH_S
        try:
            ends = {"sender": link.address, "receiver": self.receiver}
            found = link.ask("channels", {"act": "why", **ends}, ASK_S)
        except AvmError:  # no network, a host that is gone, nobody who may ask: told elsewhere
            return
        self.why, self.is_stuck = str(found["why"]), bool(found["stuck"])
        if self.why and self.why != self._told:
            self._told = self.why
            warn(f"avm-host: waiting: {self.why}; {WHERE}")
