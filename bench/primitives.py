"""What this machine takes for a few primitives, beside the one on which the absolute targets were set."""

import hashlib
import os
import statistics
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import trio
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from nacl.signing import SigningKey

from bench.cost import best_us, calls
from bench.figures import Figure, Section, number
from bench.scale import Scale

BODY = bytes(64)
# What a commit of one turn appends to the log: three pages.
APPENDED = bytes(3 * 8192)
APPENDS = 300
# Microseconds on the machine on which the targets were set.
THERE_US = {
    "Ed25519 signature of 64 bytes": 17.0,
    "Ed25519 verification": 41.0,
    "AES-SIV of 64 bytes": 1.0,
    "keyed BLAKE2b of 64 bytes": 0.5,
    "trio checkpoint": 2.5,
}


def measure(directory: Path, scale: Scale) -> Section:
    """Each primitive many times, by turns."""
    key = SigningKey(bytes(32))
    public, signed = key.verify_key, key.sign(BODY)
    siv = AESSIV(bytes(32))
    works = (
        calls(partial(key.sign, BODY)),
        calls(partial(public.verify, signed)),
        calls(partial(siv.encrypt, BODY, None)),
        calls(_hash),
        lambda times: trio.run(_switches, times),
    )
    here_us = best_us(dict(zip(THERE_US, works, strict=True)), scale.primitives, scale.spread_s)
    figures = [
        Figure(f"{what} ({number(there_us)} us)", here_us[what], "us")
        for what, there_us in THERE_US.items()
    ]
    times = statistics.median(here_us[what] / there_us for what, there_us in THERE_US.items())
    figures.append(Figure("this machine's times over those, the middle one", times, ""))
    appends = f"fdatasync of {len(APPENDED) // 1024} KiB appended, the middle one (50 to 160 us)"
    figures.append(Figure(appends, 1e6 * _append_s(directory / "appended"), "us"))
    text = "Processor time of one core, the best of many short rounds by turns. In brackets what the machine took on which"
    text += " the absolute targets were set: on a slower one, or a busy one, they are as much harder to meet."
    return Section("This machine", text, figures)


def _append_s(path: Path) -> float:
    """How long the disk takes to have what was just appended to a file."""
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(APPENDS):
            file.write(APPENDED)
            begun = perf_counter()
            os.fdatasync(file.fileno())
            times.append(perf_counter() - begun)
    return statistics.median(times)


def _hash() -> None:
    hashlib.blake2b(BODY, key=BODY, digest_size=32).digest()


async def _switches(times: int) -> float:
    begun = process_time()
    for _ in range(times):
        await trio.lowlevel.checkpoint()
    return process_time() - begun
