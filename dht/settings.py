"""The limits and times of a node, each by name: nothing here grows or waits without one."""

from dataclasses import dataclass

ID_BITS = 256
ID_BYTES = 32
CLOSEST = 20

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set; times in milliseconds, rates in requests a second."""

    # The table: contacts a bucket and waiting for a seat in it, and how many of one subnet.
    bucket_size: int = CLOSEST
    replacements_max: int = 10
    of_subnet_max: int = 2
    lost_max: int = 128
    failures_max: int = 2
    fresh_ms: int = 15 * MINUTE_MS

    # Lookups.
    paths: int = 4
    put_paths: int = 12
    width: int = CLOSEST
    quorum: int = 2
    candidates_max: int = 200
    endpoints_of_id_max: int = 3
    waiting_max: int = 24
    requests_max: int = 300
    lookups_max: int = 256
    region_paths: int = 8
    region_width: int = 8
    region_starts: int = 24
    region_stores: int = 8
    miss_ms: int = 30 * SECOND_MS
    misses_max: int = 4_096

    # Requests under way.
    pending_max: int = 4_096
    rtt_first_ms: int = 150
    wait_ms_min: int = 100
    wait_ms_max: int = 2_000

    # Answering strangers.
    endpoint_rate: float = 100.0
    endpoint_burst: float = 200.0
    subnet_rate: float = 400.0
    subnet_burst: float = 800.0
    rates_max: int = 8_192
    token_ms: int = 5 * MINUTE_MS
    checks_max: int = 64

    # Records held for others.
    records_max: int = 20_000
    providers_max: int = 16
    providers_of_subnet_max: int = 2
    hold_ms: int = DAY_MS
    proofs_max: int = 4_096
    newest_max: int = 16_384

    # Own records.
    published_max: int = 20_000
    publish_rate: float = 8.0
    publish_burst: int = 64
    republish_ms: int = HOUR_MS
    unkept_ms: int = 5 * SECOND_MS
    location_life_ms: int = DAY_MS
    node_record_life_ms: int = DAY_MS
    refresh_ms: int = HOUR_MS
    lost_retry_ms: int = 10 * MINUTE_MS
    # A contact that fell silent is tried so soon, then each time five times as late, until it is one of the lost.
    lost_soon_ms: int = 10 * SECOND_MS
    # A node that nobody answers tries again so soon, each time twice as late, up to the second.
    alone_retry_ms: int = SECOND_MS
    alone_retry_ms_max: int = 30 * SECOND_MS
