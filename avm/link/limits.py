"""Every limit of a link, by name, with its unit last.

The first group is part of the protocol and the same for all hosts; the rest is each host's own.
"""

from dataclasses import dataclass

KIB = 1024

# A frame's window is twice its size: one can come whole while the one before is being consumed.
FRAME_BYTES_MAX = 256 * KIB
STREAM_WINDOW_BYTES = 512 * KIB
CONTROL_BYTES_MAX = 2 * KIB
DATAGRAM_BYTES_MAX = KIB
CONTROL = 0
DATA_STREAMS = 4
STREAMS = 1 + DATA_STREAMS
NONCE_BYTES = 32
CONNECTION_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What a host allows on its links."""

    links: int = 1_024
    half_open: int = 64
    half_open_ip: int = 16
    retry_half_open: int = 16
    handshake_s: float = 10.0
    idle_s: float = 30.0
    keep_alive_s: float = 10.0
    stall_s: float = 60.0
    send_bytes: int = 1024 * KIB
    datagrams: int = 64
    machines: int = 10_000
    refused_machines: int = 16
    packet_bytes: int = 1_452
