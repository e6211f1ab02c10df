"""`links`, `locate`, `drain`: the running host and others."""

import argparse
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from avm.cli.arguments import add_json, check_seconds
from avm.cli.errors import CliError, NoAnswer
from avm.cli.link import Link, fresh_key
from avm.cli.ls import print_table
from avm.cli.output import counted, print_json, say, shown_while
from avm.run.directory import Directory
from caps.identity import parse_address

ASK_S = 60.0
SHOWN = 12
DIGITS = 64
DRAIN_TEXT = "seconds to wait for other hosts (default 60)"


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of these verbs."""
    if parser.prog.endswith(" drain"):
        parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help=DRAIN_TEXT)
    if parser.prog.endswith(" locate"):
        parser.add_argument(
            "address", metavar="ADDRESS", help="an address, its start, or a machine's name"
        )
        parser.add_argument("--trace", action="store_true", help="show each step of the lookup")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks the host and prints what it says."""
    verb, params, wait_s = _request(args)
    link = Link.open(directory, fresh_key())
    try:
        with shown_while(WAITS[verb]):
            found = link.ask(verb, params, wait_s)
    finally:
        link.end()
    if args.json:
        print_json(found)
    else:
        SHOW[args.verb](found, args)
    if args.verb == "locate" and not found["records"]:
        lonely = "" if found["requests"] else ", for nobody could be asked: `avm-host dht table`"
        raise CliError(f"nobody knows where {found['address'][:SHOWN]}.. is{lonely}")
    if args.verb == "drain" and found["owes"]:
        raise NoAnswer(_still_owed(found["owes"]))
    if args.verb == "drain" and found["moving"]:
        moving = counted(found["moving"], "machine")
        raise NoAnswer(f"{moving} still on the way to another host: `avm-host ls`")
    return 0


def _still_owed(count: int) -> str:
    """What a host that is stopped now keeps for others."""
    batches = counted(count, "batch", "batches")
    still = "still waits" if count == 1 else "still wait"
    why = "`avm-host channels` has why; `avm-host stop` keeps what waits in the store"
    return f"{batches} {still} for other hosts: {why}"


def _request(args: argparse.Namespace) -> tuple[str, dict[str, Any], float]:
    """What the host is asked, and how long it may take."""
    if args.verb == "locate":
        wanted: bytes | str = args.address
        if len(args.address) == DIGITS:
            wanted = parse_address(args.address)
        return "locate", {"address": wanted}, ASK_S
    if args.verb == "drain":
        check_seconds("--timeout", args.timeout)
        return "drain", {"timeout_ms": round(args.timeout * 1000)}, args.timeout + ASK_S
    return args.verb, {}, ASK_S


def _links(links: list[Mapping[str, Any]], _args: argparse.Namespace) -> None:
    if not links:
        say("no links: they are made when something is sent to a machine of another host")
        return
    rows = [["host", "how", "round trip", "sent", "received", "backlog"]]
    for one in links:
        trip = f"{one['round_trip_ms']:.1f} ms"
        sizes = [str(one[name]) for name in ("sent_bytes", "received_bytes", "backlog_bytes")]
        rows.append([one["host"][:SHOWN], f"{one['way']}, {one['how']}", trip, *sizes])
    print_table(rows)


def _locate(found: Mapping[str, Any], args: argparse.Namespace) -> None:
    if args.trace:
        for step in found["steps"]:
            say(_step(step))
    for record in found["records"]:
        until = datetime.fromtimestamp(record["expiry_ms"] / 1000, UTC).isoformat("T", "seconds")
        where = ", ".join(record.get("endpoints", ())) or f"at host {record['host']}"
        order = f"incarnation {record['incarnation']}, sequence {record['sequence']}"
        say(f"{where}; {order}; signed, until {until}")
    say(f"{counted(found['requests'], 'request')} in {found['took_ms']} ms")


def _step(step: Mapping[str, Any]) -> str:
    head = f"  path {step['path']} hop {step['hop']}: {step['endpoint']}: {step['outcome']}"
    took = "" if step["took_ms"] is None else f", {step['took_ms']} ms"
    came = f", {counted(step['records'], 'record')}" if step["took_ms"] is not None else ""
    return f"{head}{took}{came}" + (f": {step['note']}" if step["note"] else "")


def _drain(found: Mapping[str, Any], _args: argparse.Namespace) -> None:
    if not found["owes"] and not found["moving"]:
        say("nothing is under way or owed to other hosts: `avm-host stop`")


WAITS = {
    "links": "the host is asked",
    "locate": "the network is asked",
    "drain": "what is owed to other hosts is delivered",
}
SHOW: dict[str, Callable[[Any, argparse.Namespace], None]] = {
    "links": _links,
    "locate": _locate,
    "drain": _drain,
}
