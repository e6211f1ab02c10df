"""Every limit of the ways round routers, by name, with its unit last.

Those of `NatLimits` are the operator's own, and come from the configuration.
"""

from dataclasses import dataclass

NONCE_BYTES = 16
# A relayed packet is one of QUIC's with 17 bytes before it; by default they are of 1,200 bytes.
PACKET_BYTES_MAX = 1_452
FRAME_BYTES_MAX = 128

# When an end of a meeting sends its pings, after it has heard of it; and when it has failed.
PINGS_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
PUNCH_S = 1.2
PACKETS_MAX = 24
# How long each step of a meeting may take: a link to the introducer, its answer, a relay.
SEEK_S = 8.0
ASK_S = 3.0
# So long an introduction holds: at its introducer, and at the host that is met.
MEETING_S = 15.0
MEETINGS_MAX = 256

# A link may ask for so many introductions at once, and for so many a second on end.
MEET_BURST = 8.0
MEET_RATE_S = 1.0
# A host that is asked for takes so many from one introducer.
ASKED_BURST = 64.0
ASKED_RATE_S = 4.0
# What others say of where they see a host makes it announce that, and meet others anew, so often.
ANNOUNCE_BURST = 4.0
ANNOUNCE_RATE_S = 0.2
MOVE_BURST = 3.0
MOVE_RATE_S = 0.1

# A tunnel or a relayed session on which nothing came for so long is forgotten.
TUNNEL_IDLE_S = 60.0
TUNNELS_MAX = 256
SESSIONS_A_HOST = 4

# A relayed link is tried to be made a direct one at distances that double up to this.
UPGRADE_S_MAX = 320.0

# How often, and how far apart, a host has itself tried by one that it dialed.
TRIES = 3
TRY_S = 1.0
# A try is so many datagrams.
PROBES = 2

INTRODUCERS = 2
# How often those that might introduce a host are dialed while it has too few.
LOOK_S = 10.0
VOTES_MAX = 16
# Where an accepted link comes from is looked at so often.
WATCH_S = 1.0


@dataclass(frozen=True, slots=True)
class NatLimits:
    """What this host does for others, 0 of a thing being none of it, and when it tries for a better way."""

    introduced: int = 256
    relays: int = 16
    relay_bytes_s: int = 128 * 1024
    upgrade_s: float = 10.0
