"""The limits of a recording, by name; each is a key of the configuration."""

from dataclasses import dataclass

from avm.limits import MIB


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """What a recording may take of the disk and of the host's memory."""

    bytes_max: int = 1024 * MIB
    segment_bytes: int = 64 * MIB
    waiting_bytes: int = 64 * MIB
    machines_bytes: int = 32 * MIB
