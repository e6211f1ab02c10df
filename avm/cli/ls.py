"""`ls`: lists the machines, whether or not a host runs."""

import argparse
from collections.abc import Sequence

from avm.cli.arguments import add_fork, add_json
from avm.cli.output import print_json, say
from avm.host.moves import Leaving
from avm.host.parcel import from_bytes_untrusted
from avm.past.reading import Reader
from avm.run.directory import Directory

SHOWN = 8
# A value that is longer stands below the other one, not beside it.
SIDE_CHARS = 60
HOST_SHOWN = 12
COLUMNS = ("name", "address", "status", "turns", "waiting", "failed", "code")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints a line a machine."""
    with Reader.open(directory) as reader, reader.reading():
        listed = _listed(reader)
    if args.json:
        print_json(listed)
        return 0
    if not listed:
        say("no machines yet: `avm-host create FILE` makes one")
        return 0
    print_table([list(COLUMNS), *(_row(one) for one in listed)])
    return 0


def _listed(reader: Reader) -> list[dict[str, object]]:
    waiting = reader.waiting()
    return [
        {
            "name": machine.name,
            "address": machine.address.hex(),
            "status": machine.status.name.lower(),
            "turns": machine.head,
            "waiting": waiting.get(machine.address, 0),
            "failed": machine.failed,
            "code": machine.code.hex(),
        }
        for machine in reader.machines()
    ] + [_leaving(one, waiting) for one in reader.leaving()]


def _leaving(one: Leaving, waiting: dict[bytes, int]) -> dict[str, object]:
    """A machine that is on its way to another host, or into a file."""
    parcel = from_bytes_untrusted(one.parcel)
    return {
        "name": one.name,
        "address": one.address.hex(),
        "status": "moving" if one.to else "exporting",
        "turns": parcel.head,
        "waiting": waiting.get(one.address, 0),
        "failed": parcel.failed,
        "code": parcel.code.hex(),
        "to": one.to.hex(),
    }


def _row(one: dict[str, object]) -> list[str]:
    cut = {"address", "code"}
    if one.get("to"):
        one = {**one, "status": f"{one['status']} to {str(one['to'])[:HOST_SHOWN]}"}
    return [str(one[name])[:SHOWN] if name in cut else str(one[name]) for name in COLUMNS]


def print_table(rows: list[list[str]]) -> None:
    """Prints rows in columns as wide as they need; numbers stand to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [all(cell.isdigit() for cell in column[1:]) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        say("  ".join(cells).rstrip())


def print_sides(left: str, right: str, fields: Sequence[tuple[str, str, str]]) -> None:
    """Prints two values of each field side by side; one below the other where they are long."""
    if all(len(value) <= SIDE_CHARS for _path, *values in fields for value in values):
        print_table([["", left, right], *([f"  {path}", was, now] for path, was, now in fields)])
        return
    width = max(len(left), len(right))
    for path, was, now in fields:
        say(f"  {path}")
        for side, value in ((left, was), (right, now)):
            say(f"    {side.ljust(width)}  {value}")
