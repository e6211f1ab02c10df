"""Why what a command has sent to another host is not taken yet: asked of the host, and told.

Step 1 of the journey, for whoever waits at its other end.
"""

from dataclasses import dataclass
from time import monotonic

from avm.cli.errors import CliError
from avm.cli.link import Link
from avm.cli.output import warn

# After so long without a word the host is asked, and then again as often.
QUIET_S = 2.0
EACH_S = 5.0
ASK_S = 5.0
WHERE = "`avm-host channels` shows when that changes"


@dataclass(slots=True)
class Delay:
    """What a command was told of why it waits; `quiet_since` is when it heard anything last."""

    receiver: bytes
    quiet_since: float
    why: str = ""
    is_stuck: bool = False
    _told: str = ""
    _asked_at: float = 0.0

    def heard(self) -> None:
        """There was a word of the host: it goes on."""
        self.quiet_since, self.why, self.is_stuck = monotonic(), "", False

    @property
    def quiet_s(self) -> float:
        """For how long there was none."""
        return monotonic() - self.quiet_since

    def look(self, link: Link, is_last: bool = False) -> None:
        """Asks why, where it is time or the last one, and tells what is new."""
        now = monotonic()
        if not is_last and (self.quiet_s < QUIET_S or now - self._asked_at < EACH_S):
            return
        self._asked_at = now
        try:
            ends = {"sender": link.address, "receiver": self.receiver}
            found = link.ask("channels", {"act": "why", **ends}, ASK_S)
        except CliError:  # one without a network, or who is gone: that is told elsewhere
            return
        self.why, self.is_stuck = str(found["why"]), bool(found["stuck"])
        if self.why and self.why != self._told and not is_last:
            self._told = self.why
            warn(f"avm-host: waiting: {self.why}; {WHERE}")
