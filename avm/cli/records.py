"""`dht`, `publish`: the running host's node, the records it holds, and those it announces."""

import argparse
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import time
from typing import Any

from avm.cli.arguments import add_json, add_word, check_seconds
from avm.cli.errors import CliError, NoAnswer, Usage
from avm.cli.link import ask
from avm.cli.ls import print_table
from avm.cli.output import counted, print_json, say
from avm.run.directory import Directory

PARTS = ("table", "records", "stats")
ASK_S = 60.0
SHOWN = 12
TIMEOUT_TEXT = "seconds to wait for the holders (default 60)"


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of these verbs."""
    if parser.prog.endswith(" dht"):
        add_word(parser, "part", PARTS, "stats")
    else:
        text = "a machine's name, or a start of an address"
        parser.add_argument("which", metavar="ADDRESS", nargs="?", default="", help=text)
        parser.add_argument("--now", action="store_true", help="announce at once, and wait")
        parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help=TIMEOUT_TEXT)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks the host and prints what it says."""
    return _dht(args, directory) if args.verb == "dht" else _publish(args, directory)


def _dht(args: argparse.Namespace, directory: Directory) -> int:
    if args.part not in PARTS:
        raise Usage(f"`avm-host dht {args.part}`: it is one of {', '.join(PARTS)}")
    found = ask(directory, "dht", {"part": args.part}, ASK_S)
    if args.json:
        print_json(found)
    else:
        SHOW[args.part](found)
    return 0


def _publish(args: argparse.Namespace, directory: Directory) -> int:
    check_seconds("--timeout", args.timeout)
    params = {"which": args.which, "now": args.now, "timeout_ms": round(args.timeout * 1000)}
    found = ask(directory, "publish", params, args.timeout + ASK_S)
    if args.json:
        print_json(found)
    else:
        _show_announced(found)
    if args.now:
        _check_put(found)
    return 0


def _check_put(found: list[Mapping[str, Any]]) -> None:
    waiting = sum(not one["answered"] for one in found)
    if waiting:
        raise NoAnswer(
            f"{counted(waiting, 'record')} of {len(found):,} not put in time; they follow"
        )
    alone = sum(not one["kept"] for one in found)
    if alone:
        raise CliError(
            f"nobody keeps {counted(alone, 'record')}: `avm-host dht table` has the hosts"
        )


def _show_table(seats: list[Mapping[str, Any]]) -> None:
    if not seats:
        say("no contacts: `avm-host peers dial ADDRESS@IP:PORT` links a host")
        return
    rows = [["bucket", "node", "endpoint", "heard", "round trip", "unanswered"]]
    for one in seats:
        heard, trip = "not yet", "-"
        if one["age_s"] is not None:
            heard, trip = f"{_span(one['age_s'])} ago", f"{one['round_trip_ms']} ms"
        place = [str(one["bucket"]), one["id"][:SHOWN], one["endpoint"]]
        rows.append([*place, heard, trip, str(one["unanswered"])])
    print_table(rows)


def _show_records(held: list[Mapping[str, Any]]) -> None:
    if not held:
        say("nothing is held for others")
        return
    rows = [["kind", "address", "incarnation", "sequence", "expires", "held until", "bytes"]]
    for one in held:
        order = [str(one["incarnation"]), str(one["sequence"])]
        times = [_when(one["expiry_ms"]), _when(one["until_ms"])]
        rows.append([one["kind"], one["address"][:SHOWN], *order, *times, str(one["bytes"])])
    print_table(rows)


def _show_stats(found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        if name != "counts":
            say(f"{name:<24} {', '.join(value) if isinstance(value, list) else value}")
    for name, value in found["counts"].items():
        say(f"{name:<24} {value}")


def _show_announced(announced: list[Mapping[str, Any]]) -> None:
    if not announced:
        say("nothing is announced yet")
        return
    now_ms = time() * 1000
    rows = [["name", "kind", "address", "incarnation", "sequence", "expires", "holders", "next"]]
    for one in announced:
        holders = "-" if one["kept"] is None else f"{one['kept']} of {one['asked']}"
        order = [str(one["incarnation"]), str(one["sequence"]), _when(one["expiry_ms"])]
        wait_s = max(0.0, one["next_ms"] - now_ms) / 1000
        soon = f"in {_span(wait_s)}" if wait_s >= 1 else "now"
        place = [one["name"] or "-", one["kind"], one["address"][:SHOWN]]
        rows.append([*place, *order, holders, soon])
    print_table(rows)


SHOW: dict[str, Callable[[Any], None]] = {
    "table": _show_table,
    "records": _show_records,
    "stats": _show_stats,
}


def _span(seconds: float) -> str:
    """A length of time in its largest unit that fits."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _when(time_ms: int | None) -> str:
    if time_ms is None:
        return "never"
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat("T", "seconds")
