"""Every limit of a host, by name, with its unit last; each is a key of the configuration."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
DAY_S = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Limits:
    """What a host allows; the defaults are those of the reference, `config` prints what holds."""

    turn_s: float = 10.0
    turn_tries: int = 3
    slow_turn_s: float = 0.1
    worker_bytes: int = 512 * MIB
    worker_machines: int = 20_000
    batch_messages: int = 10_000
    batch_bytes: int = MIB
    turn_bytes: int = 8 * MIB
    turn_sends: int = 100_000
    content_bytes: int = 256 * KIB
    state_bytes: int = 64 * MIB
    depth: int = 64
    context_bytes: int = KIB
    caveats: int = 16
    ask_s: float = 60.0
    send_s: float = 7.0 * DAY_S
    inbox_batches: int = 1_000
    outbox_bytes: int = 64 * MIB
    failed_batches: int = 10_000
    timers: int = 10_000
    uses: int = 100_000
    asks: int = 100_000
    traceback_bytes: int = 8 * KIB
    printed_bytes: int = 64 * KIB
    word_bytes: int = KIB
    flights_worker: int = 256
    flights_machine: int = 128
    flight_messages: int = 1_000
    snapshot_bytes: int = 256 * KIB
    snapshot_turns: int = 20_000
    rerun_share: int = 16
    rerun_s: float = 120.0
    client_idle_s: float = 600.0
    clients: int = 100_000
    withdraw_s: float = 5.0
    channel_batches: int = 64
    link_channels: int = 10_000
    link_bytes: int = 64 * MIB
    arrival_bytes: int = 16 * MIB
    hints: int = 10_000
    links: int = 256
    peers: int = 1_000
    peers_dialed: int = 8
    peers_told: int = 64
    bans: int = 1_000
    introduced: int = 256
    relays: int = 16
    relay_bytes_s: int = 128 * KIB
    upgrade_s: float = 10.0
    cases: int = 100
    audit_entries: int = 100_000
    endings: int = 10_000
    landing_s: float = 60.0
    landing_bytes: int = 64 * 1024 * MIB
    unsealed_cache: int = 10_000
