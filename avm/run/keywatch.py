"""Tells each day that the certificate of the host's key is about to end, and when it has. Shell."""

import time
from collections.abc import Callable

import trio

from avm.host.keylife import RENEW, key_life
from caps.hostproof import HostProof

DAY_S = 24 * 60 * 60.0
TICK_S = 0.01


async def watch_key(proof: HostProof, note: Callable[..., None]) -> None:
    """Notes it at the start, each day while it is so, and at the end."""
    while True:
        now_ms, wait_s = time.time_ns() // 1_000_000, DAY_S
        life = key_life(proof, now_ms)
        if life.until_ms is not None and not life.ended:
            wait_s = min(DAY_S, (life.until_ms - now_ms) / 1000 + TICK_S)
        if life.ending:
            event = "key.ended" if life.ended else "key.ending"
            note(event, key=life.key.hex(), until_ms=life.until_ms, remedy=RENEW)
        await trio.sleep(wait_s)
