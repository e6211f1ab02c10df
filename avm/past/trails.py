"""Lines of causes as JSON, and those of several hosts joined to one. Pure.

Beside the journey, for `cause`. Where a line ends at another host, that host's line of the same batch
goes on; what the files say is the word of who made them.
"""

from collections.abc import Sequence
from typing import Any

from avm.errors import AvmError
from caps.errors import Malformed
from caps.jsonform import parse

FILE_BYTES_MAX = 64 * 1024 * 1024
TRAILS_MAX = 1_000

Trail = dict[str, Any]


class TrailRefused(AvmError):
    """A file is no line of causes, or the lines do not join; the text says why."""


def trail_untrusted(body: bytes) -> Trail:
    """The line of causes that `cause --json` printed; raises TrailRefused."""
    if len(body) > FILE_BYTES_MAX:
        raise TrailRefused(f"it has more than {FILE_BYTES_MAX:,} bytes")
    try:
        found: Any = parse(body.decode())
    except (UnicodeDecodeError, Malformed) as error:
        raise TrailRefused(f"it is not what `cause --json` prints: {error}") from None
    match found:
        case {"begins": begins, "steps": [*steps], "end": {"why": str(), **more}}:
            if all(map(_is_step, steps)) and all(map(_is_way, (begins, more.get("channel")))):
                trail: Trail = found
                return trail
    raise TrailRefused("it is not what `cause --json` prints")


def _is_way(way: object) -> bool:
    match way:
        case None:
            return True
        case {"sender": str(), "receiver": str(), "seq": int()}:
            return True
    return False


def _is_step(step: object) -> bool:
    match step:
        case {"machine": str(), "turn": int(), "timer": bool(), "entry": dict() as entry}:
            return {"now_ms", "form", "turn"} <= entry.keys() and type(entry["now_ms"]) is int
    return False


def joined(trails: Sequence[Trail]) -> Trail:
    """One line of them all, from the one that none goes on to; raises TrailRefused."""
    if len(trails) > TRAILS_MAX:
        raise TrailRefused(f"more than {TRAILS_MAX:,} lines")
    begun = {_key(one["begins"]): one for one in trails if one["begins"] is not None}
    wanted = {_key(one["end"]["channel"]) for one in trails if one["end"].get("channel")}
    firsts = [one for one in trails if one["begins"] is None or _key(one["begins"]) not in wanted]
    if len(firsts) != 1:
        raise TrailRefused(
            f"{len(firsts)} of the {len(trails)} lines begin with nothing before them"
        )
    whole = dict(firsts[0])
    whole["steps"] = list(whole["steps"])
    used = 1
    while (way := whole["end"].get("channel")) is not None and _key(way) in begun:
        following = begun.pop(_key(way))
        whole["steps"] += following["steps"]
        whole["end"] = following["end"]
        used += 1
    if used < len(trails):
        raise TrailRefused(f"{len(trails) - used} of the {len(trails)} lines follow no other's end")
    return whole


def _key(way: Any) -> tuple[str, str, int]:
    return way["sender"], way["receiver"], way["seq"]


__all__ = ["Trail", "TrailRefused", "joined", "trail_untrusted"]
