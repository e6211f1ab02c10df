"""Why links to other hosts were not made, the last time each, in words with a remedy.

Beside step 7 of the journey: for the operator only, and in memory.
"""

from avm.link.interface import Why

FAILURES_MAX = 1_024
CLOCKS = "compare the clocks of the two hosts"
WORDS = {
    Why.NO_HANDSHAKE: "nobody answers at {}: is that host running there, and does UDP get through?",
    Why.TIMED_OUT: "nobody answers at {}: is that host running there, and does UDP get through?",
    Why.WRONG_ADDRESS: "another host answers at {}: compare the route with that host's `status`",
    Why.REFUSED: "the host at {} refuses: it may have banned this one; else " + CLOCKS,
    Why.LEFT: "the host at {} ends the link: it may have banned this one, or has no room",
    Why.EXPIRED: "the host at {} has a certificate that does not hold now: " + CLOCKS,
}


class Failures:
    """What became of the last try with each host at each place, where it was in vain."""

    def __init__(self) -> None:
        self._last: dict[tuple[bytes, str], str] = {}

    def note(self, host: bytes, where: str, why: Why) -> None:
        """A link to a host was not made; the oldest of too many are forgotten."""
        self._last.pop((host, where), None)
        self._last[host, where] = WORDS.get(why, f"at {{}}: {why.value}").format(where)
        while len(self._last) > FAILURES_MAX:
            del self._last[next(iter(self._last))]

    def reached(self, host: bytes) -> None:
        """One is up."""
        for one in [one for one in self._last if one[0] == host]:
            del self._last[one]

    def of(self, host: bytes) -> dict[str, str]:
        """Why none was made since one was up, by where that was tried, the last place last."""
        return {where: why for (one, where), why in self._last.items() if one == host}
