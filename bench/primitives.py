"""What this machine takes for a few primitives, beside the one on which the absolute targets were set."""

import hashlib
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import trio
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from nacl.signing import SigningKey

from bench.figures import Figure, Section, number
from bench.scale import Scale

BODY = bytes(64)
ROUNDS = 40
# Microseconds on the machine on which the targets were set.
SIGN_US, VERIFY_US, SEAL_US, HASH_US, SWITCH_US = 17.0, 41.0, 1.0, 0.5, 2.5


def measure(_directory: Path, scale: Scale) -> Section:
    """Each primitive many times; the best of many short rounds."""
    key = SigningKey(bytes(32))
    public, signed = key.verify_key, key.sign(BODY)
    siv = AESSIV(bytes(32))
    figures, times = [], []
    for what, once, there_us in (
        ("Ed25519 signature of 64 bytes", lambda: key.sign(BODY), SIGN_US),
        ("Ed25519 verification", lambda: public.verify(signed), VERIFY_US),
        ("AES-SIV of 64 bytes", lambda: siv.encrypt(BODY, None), SEAL_US),
        ("keyed BLAKE2b of 64 bytes", _hash, HASH_US),
    ):
        here_us = _best_us(once, scale.primitives)
        times.append(here_us / there_us)
        figures.append(_figure(what, here_us, there_us))
    here_us = trio.run(_switch_us, scale.primitives)
    times.append(here_us / SWITCH_US)
    figures.append(_figure("trio checkpoint", here_us, SWITCH_US))
    figures.append(Figure("this machine's times over those, the middle one", _middle(times), ""))
    text = "The best of many short rounds, of one core. In brackets what the machine took on which the absolute targets were"
    text += " set: on a slower one, or a busy one, they are as much harder to meet."
    return Section("This machine", text, figures)


def _figure(what: str, here_us: float, there_us: float) -> Figure:
    return Figure(f"{what} ({number(there_us)} us)", here_us, "us")


def _middle(times: list[float]) -> float:
    return statistics.median(times)


def _hash() -> None:
    hashlib.blake2b(BODY, key=BODY, digest_size=32).digest()


def _best_us(once: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = perf_counter()
        for _ in range(times):
            once()
        best = min(best, perf_counter() - begun)
    return best / times * 1e6


async def _switch_us(times: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = perf_counter()
        for _ in range(times):
            await trio.lowlevel.checkpoint()
        best = min(best, perf_counter() - begun)
    return best / times * 1e6
