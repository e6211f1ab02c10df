"""What a campaign keeps of each seed as it ends, so that it can go on where it was stopped.

A file of lines of JSON, one a seed. A line names the code that it ran on, by a hash over the sources
whatever commit they are of: what another code came to says nothing of this one.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, fields
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tests.sim.campaign.scenario import Outcome

ROOT = Path(__file__).resolve().parents[3]
# All that a world is made of.
SOURCES = ("avm", "caps", "dht", "tests/sim")
FIELDS = {
    "seed": int,
    "messages": int,
    "batches": int,
    "virtual_s": float,
    "digest": str,
    "counts": dict,
    "why": str,
    "core_s": float,
    "said": int,
    "code": str,
}


class BadLedger(Exception):
    """The file is no ledger of this campaign; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a seed came to, and how many seconds of a core it took."""

    outcome: Outcome
    core_s: float


def hash_of_code() -> str:
    """A hash over the sources that a campaign runs, by their paths and bytes."""
    whole = blake2b(digest_size=16)
    for folder in SOURCES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            body = file.read_bytes()
            whole.update(f"{file.relative_to(ROOT).as_posix()} {len(body)}\n".encode())
            whole.update(body)
    return whole.hexdigest()


class Ledger:
    """The seeds that have ended, of one code and one number of messages said."""

    def __init__(self, file: Path, said: int, code: str) -> None:
        """Reads what is there; raises `BadLedger` and OSError. A line that was not written whole is cut."""
        self.ended: dict[int, Ended] = {}
        self._said = said
        self._code = code
        self._file = file.open("a+b")
        try:
            flock(self._file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BadLedger(f"{file}: another campaign goes on with it: wait for its end") from None
        self._file.seek(0)
        whole = self._file.read()
        kept = whole.rfind(b"\n") + 1
        try:
            for number, line in enumerate(whole[:kept].splitlines(), 1):
                self._take(_row_untrusted(line, f"{file}, line {number}"), f"{file}, line {number}")
        except BadLedger:
            self._file.close()
            raise
        if kept < len(whole):
            self._file.truncate(kept)

    def _take(self, row: dict[str, Any], where: str) -> None:
        code, said = row.pop("code"), row.pop("said")
        if code != self._code:
            raise BadLedger(
                f"{where}: it is of other code ({code[:8]}, not {self._code[:8]}): begin another"
            )
        if said != self._said:
            raise BadLedger(
                f"{where}: it is of {said} messages a seed, not {self._said}: say so again"
            )
        if row["seed"] in self.ended:
            raise BadLedger(f"{where}: seed {row['seed']} is there twice: begin another")
        core_s = row.pop("core_s")
        row["counts"] = Counter(row["counts"])
        self.ended[row["seed"]] = Ended(Outcome(**row), core_s)

    def note(self, ended: Ended) -> None:
        """Keeps what a seed came to, through the end of this process and of the machine."""
        outcome = ended.outcome
        row = {
            **{one.name: getattr(outcome, one.name) for one in fields(outcome)},
            "core_s": ended.core_s,
            "said": self._said,
            "code": self._code,
        }
        self._file.write(json.dumps(row, sort_keys=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.ended[ended.outcome.seed] = ended

    def close(self) -> None:
        """Gives the file back."""
        self._file.close()


def _row_untrusted(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if type(row) is not dict or {name: type(value) for name, value in row.items()} != FIELDS:
        raise BadLedger(f"{where}: no line of a ledger: begin another")
    if not all(type(count) is int for count in row["counts"].values()):
        raise BadLedger(f"{where}: no line of a ledger: begin another")
    return row
