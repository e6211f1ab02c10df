"""`failed ls` and `failed show`: the batches that broke a machine, whether or not a host runs."""

import argparse
from collections.abc import Callable
from typing import Any

from avm.cli.log import cut
from avm.cli.ls import print_table
from avm.cli.output import TRACEBACK, print_json, say
from avm.cli.show import host_of, keys_of, text_of
from avm.cli.times import utc
from avm.host.capability import Cap, Sealed
from avm.host.keys import Keyring
from avm.past.labels import BodyLens, Labels
from avm.past.reading import FailedBatch, Reader
from avm.run.directory import Directory
from caps.errors import InvalidCapability
from caps.jsonform import Json

COLUMNS = ("machine", "turn", "time", "sender", "messages", "reason", "why")
WHY_CHARS_MAX = 60


def ls(directory: Directory, args: argparse.Namespace) -> int:
    """Prints a line for each failed batch, of one machine or of all."""
    with Reader.open(directory) as reader, reader.reading():
        labels = reader.labels(host_of(directory))
        machines = [reader.machine(args.machine)] if args.machine else reader.machines()
        rows = [
            _listed(machine.name, batch, labels)
            for machine in machines
            for batch in reader.failed(machine)
        ]
    if args.json:
        print_json(rows)
    elif rows:
        print_table([list(COLUMNS), *map(_columns, rows)])
    else:
        say("no failed batches")
    return 0


def show(directory: Directory, args: argparse.Namespace) -> int:
    """Prints one failed batch: why, the traceback, and its contents."""
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        batch = reader.failed_at(machine, args.turn)
        labels = reader.labels(host_of(directory))
        row = _listed(machine.name, batch, labels)
        row["index"], row["detail"] = batch.index, batch.detail
        keys = keys_of(reader, directory)
        if args.json:
            row["contents"] = contents(batch, labels, lambda cap: text_of(cap, keys))
            print_json(row)
            return 0
        row["contents"] = contents(batch, labels, lambda cap: labels.of_cap(_opened(cap, keys)))
    _print(row)
    return 0


def _columns(row: dict[str, Any]) -> list[str]:
    why = row["why"]
    short = why if len(why) <= WHY_CHARS_MAX else why[:WHY_CHARS_MAX] + ".."
    return [str((row | {"why": short})[name]) for name in COLUMNS]


def why_of(detail: str) -> str:
    """The line of a traceback that names the exception; frames are indented."""
    lines = (line for line in detail.splitlines() if line.strip() and line != TRACEBACK)
    return next((line for line in lines if not line.startswith(" ")), "")


def _listed(machine: str, batch: FailedBatch, labels: Labels) -> dict[str, Any]:
    return {
        "machine": machine,
        "turn": batch.n,
        "time": utc(batch.now_ms),
        "sender": labels.of_address(batch.sender),
        "messages": batch.batch.count,
        "reason": batch.reason,
        "why": why_of(batch.detail),
    }


def contents(batch: FailedBatch, labels: Labels, text: Callable[[Cap], str]) -> list[Json]:
    """The contents of the messages as JSON, in order."""
    return [
        BodyLens(labels, said.caps).content_json(said.content, text)
        for said in batch.batch.messages
    ]


def _opened(cap: Cap, keys: Keyring) -> Cap:
    """A capability that was set aside sealed, as the host sees it."""
    if not isinstance(cap, Sealed):
        return cap
    try:
        return keys.open_untrusted(cap.wire)
    except InvalidCapability:
        return cap


def _print(row: dict[str, Any]) -> None:
    say(f"{row['machine']}, turn {row['turn']}, {row['time']}, from {row['sender']}")
    say(f"message {row['index']} of {row['messages']}: {row['reason']}")
    for line in row["detail"].splitlines():
        say(f"    {line}")
    for index, content in enumerate(row["contents"]):
        say(f"{index:>4}  {cut(content)}")
