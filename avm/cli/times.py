"""Times as people write and read them."""

import re
from datetime import UTC, datetime

from avm.cli.errors import Usage

AGO = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
UNTIL_MS_MAX = 1 << 50
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def utc(milliseconds: int) -> str:
    """A time in milliseconds since 1970 as ISO 8601 in UTC."""
    try:
        when = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"
    return f"{when:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def parse_duration(text: str) -> int:
    """A length of time in milliseconds, like 10m."""
    found = AGO.fullmatch(text)
    if found is None:
        raise Usage(f"{text!r} is no length of time: write 90s, 10m, 2h, 7d or 4w")
    return round(float(found[1]) * UNITS_MS[found[2]])


def parse_until(text: str, now_ms: int) -> int:
    """A time to come, in milliseconds: ISO 8601 (UTC unless it says otherwise), or how long from now."""
    until_ms = now_ms + parse_duration(text) if AGO.fullmatch(text) else parse_since(text, now_ms)
    if not now_ms < until_ms <= UNTIL_MS_MAX:
        raise Usage(f"{text!r} is not a time to come")
    return until_ms


def parse_since(text: str, now_ms: int) -> int:
    """A time in milliseconds: ISO 8601 (UTC unless it says otherwise), or how long ago, like 10m."""
    ago = AGO.fullmatch(text)
    if ago:
        return now_ms - round(float(ago[1]) * UNITS_MS[ago[2]])
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        why = f"{text!r} is no time"
        raise Usage(f"{why}: write 10m, 2h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1000)
