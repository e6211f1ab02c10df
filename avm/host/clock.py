"""The host's own time, which a clock gives and never takes back. Pure.

When the clock goes back the host's time goes on from where it was: otherwise no deadline would come,
and no turn be over time, until the clock is there again. It runs slower until the clock has made up
for it.
"""

from avm.host.state import Host

CATCH_UP = 8


def hear(host: Host, now_ms: int) -> None:
    """Takes the time from a clock."""
    passed_ms = now_ms - host.clock_ms
    if passed_ms < 0:
        host.ahead_ms -= passed_ms
        host.clock_ms = now_ms
    elif passed_ms >= CATCH_UP:
        host.ahead_ms -= min(host.ahead_ms, passed_ms // CATCH_UP)
        host.clock_ms = now_ms
    host.now_ms = max(host.now_ms, now_ms + host.ahead_ms)
