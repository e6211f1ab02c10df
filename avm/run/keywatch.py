"""Tells each day that the certificate of the host's key is about to end, or has. Shell."""

import time
from collections.abc import Callable

import trio

from avm.host.keylife import RENEW, key_life
from caps.hostproof import HostProof

DAY_S = 24 * 60 * 60.0


async def watch_key(proof: HostProof, note: Callable[..., None]) -> None:
    """Notes it at the start and each day, while it is so."""
    while True:
        life = key_life(proof, time.time_ns() // 1_000_000)
        if life.ending:
            event = "key.ended" if life.ended else "key.ending"
            note(event, key=life.key.hex(), until_ms=life.until_ms, remedy=RENEW)
        await trio.sleep(DAY_S)
