"""What a setting may be: the bounds of each key, and those that depend on one another.

Before the journey. Where a format has a bound, a key can only be stricter; where a value would have
the host do harm to others or to itself, it is refused before anything starts.
"""

from collections.abc import Mapping
from typing import NamedTuple

from avm.link.limits import LinkLimits
from dht.settings import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Settings

Number = int | float
MIB = 1024 * 1024

# A host that ended without a word is noticed after `idle_s`; what was not found is asked for again
# after `miss_ms` by those who still wait for it.
LINKS = LinkLimits(idle_s=12.0, keep_alive_s=3.0, handshake_s=5.0)
NODE = Settings(miss_ms=3_000)

# What the operator may set of a node; the rest is how lookups work, on which their promises rest.
NODE_KEYS = (
    *("of_subnet_max", "lost_max", "fresh_ms", "refresh_ms", "lost_retry_ms", "lost_soon_ms"),
    *("paths", "put_paths", "quorum", "requests_max", "lookups_max", "miss_ms", "misses_max"),
    *("pending_max", "rtt_first_ms", "wait_ms_min", "wait_ms_max"),
    *("endpoint_rate", "endpoint_burst", "subnet_rate", "subnet_burst", "rates_max", "checks_max"),
    *("records_max", "providers_max", "providers_of_subnet_max", "hold_ms"),
    *("proofs_max", "newest_max"),
    *("published_max", "publish_rate", "publish_burst", "republish_ms", "unkept_ms"),
)
LINK_KEYS = (
    *("links", "half_open", "half_open_ip", "retry_half_open"),
    *("handshake_s", "idle_s", "keep_alive_s", "stall_s", "send_bytes", "packet_bytes"),
)


class Range(NamedTuple):
    """The least and the greatest value; None where there is no greatest."""

    least: Number
    most: Number | None = None


RANGES: Mapping[str, Range] = {
    "host.workers": Range(0, 1024),
    "limits.rerun_share": Range(0),
    "limits.introduced": Range(0),
    "limits.relays": Range(0),
    "limits.upgrade_s": Range(0.1, 320.0),
    "limits.batch_bytes": Range(1, 8 * MIB),
    "limits.content_bytes": Range(1, 8 * MIB),
    "limits.depth": Range(1, 64),
    "limits.context_bytes": Range(1, 1024),
    "limits.caveats": Range(1, 16),
    "limits.word_bytes": Range(1, 1024),
    "links.links": Range(1, 65_536),
    "links.half_open": Range(1, 65_536),
    "links.half_open_ip": Range(1, 65_536),
    "links.retry_half_open": Range(0, 65_536),
    "links.handshake_s": Range(0.5, 60.0),
    "links.idle_s": Range(1.0, 600.0),
    "links.keep_alive_s": Range(0.1, 300.0),
    "links.stall_s": Range(1.0, 3_600.0),
    "links.send_bytes": Range(512 * 1024, 64 * MIB),
    "links.packet_bytes": Range(1_200, 1_452),
    "record.bytes_max": Range(MIB),
    "record.segment_bytes": Range(64 * 1024, 512 * MIB),
    "record.waiting_bytes": Range(MIB),
    "record.machines_bytes": Range(0),
    "dht.of_subnet_max": Range(1, 20),
    "dht.lost_max": Range(0, 4_096),
    "dht.fresh_ms": Range(SECOND_MS, DAY_MS),
    "dht.refresh_ms": Range(MINUTE_MS, DAY_MS),
    "dht.lost_retry_ms": Range(SECOND_MS, DAY_MS),
    "dht.lost_soon_ms": Range(SECOND_MS, DAY_MS),
    "dht.paths": Range(1, 16),
    "dht.put_paths": Range(1, 20),
    "dht.quorum": Range(1, 8),
    "dht.requests_max": Range(120, 2_000),
    "dht.lookups_max": Range(16, 4_096),
    "dht.miss_ms": Range(0, HOUR_MS),
    "dht.misses_max": Range(1, 1_000_000),
    "dht.pending_max": Range(64, 65_536),
    "dht.rtt_first_ms": Range(1, 10_000),
    "dht.wait_ms_min": Range(1, 10_000),
    "dht.wait_ms_max": Range(10, 30_000),
    "dht.endpoint_rate": Range(1.0, 1e6),
    "dht.endpoint_burst": Range(1.0, 1e6),
    "dht.subnet_rate": Range(1.0, 1e6),
    "dht.subnet_burst": Range(1.0, 1e6),
    "dht.rates_max": Range(64, 1_000_000),
    "dht.checks_max": Range(1, 4_096),
    "dht.records_max": Range(0, 1_000_000),
    "dht.providers_max": Range(1, 20),
    "dht.providers_of_subnet_max": Range(1, 20),
    "dht.hold_ms": Range(MINUTE_MS, 7 * DAY_MS),
    "dht.proofs_max": Range(64, 1_000_000),
    "dht.newest_max": Range(64, 1_000_000),
    "dht.published_max": Range(1, 20_000),
    "dht.publish_rate": Range(0.1, 100.0),
    "dht.publish_burst": Range(1, 1_000),
    "dht.republish_ms": Range(MINUTE_MS, 12 * HOUR_MS),
    "dht.unkept_ms": Range(SECOND_MS, HOUR_MS),
}


class Relation(NamedTuple):
    """The lesser setting is at most a part of the greater one."""

    lesser: str
    greater: str
    part: float
    words: str


RELATIONS = (
    Relation("links.keep_alive_s", "links.idle_s", 0.5, "half of"),
    Relation("links.half_open_ip", "links.half_open", 1.0, ""),
    Relation("links.half_open", "links.links", 1.0, ""),
    Relation("record.segment_bytes", "record.bytes_max", 0.5, "half of"),
    Relation("dht.wait_ms_min", "dht.wait_ms_max", 1.0, ""),
    Relation("dht.providers_of_subnet_max", "dht.providers_max", 1.0, ""),
    Relation("dht.republish_ms", "dht.hold_ms", 0.5, "half of"),
)


def range_of(key: str, whole: bool) -> Range:
    """What a key's value may be."""
    return RANGES.get(key, Range(1 if whole else 0.001))


def contradiction(held: Mapping[str, object]) -> str:
    """Why these settings do not go together, in a line; empty when they do."""
    for lesser, greater, part, words in RELATIONS:
        low, high = held[lesser], held[greater]
        assert isinstance(low, int | float) and isinstance(high, int | float)
        if low > part * high:
            most = f"{words} {greater}".strip()
            return f"{lesser} is {low}, and at most {most}, which is {high}: set both"
    return ""
