"""`links`, `channels`, `locate`, `dht`: what the running host knows of others."""

import argparse
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from avm.cli.arguments import add_json
from avm.cli.errors import CliError
from avm.cli.link import Link, fresh_key
from avm.cli.ls import print_table
from avm.cli.output import print_json, say
from avm.run.directory import Directory
from caps.identity import parse_address

ASK_S = 60.0
SHOWN = 12


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of these verbs."""
    if parser.prog.endswith(" locate"):
        parser.add_argument("address", metavar="ADDRESS", help="64 hexadecimal digits")
        parser.add_argument("--trace", action="store_true", help="show each step of the lookup")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks the host and prints what it says."""
    params: dict[str, Any] = {}
    if args.verb == "locate":
        params["address"] = parse_address(args.address)
    link = Link.open(directory, fresh_key())
    try:
        found = link.ask(args.verb, params, ASK_S)
    finally:
        link.end()
    if args.json:
        print_json(found)
    else:
        SHOW[args.verb](found, args)
    if args.verb == "locate" and not found["records"]:
        raise CliError(f"nobody knows where {args.address[:SHOWN]}.. is")
    return 0


def _links(links: list[Mapping[str, Any]], _args: argparse.Namespace) -> None:
    if not links:
        say("no links: they are made when something is sent to a machine of another host")
        return
    rows = [["host", "how", "round trip", "sent", "received", "backlog"]]
    for one in links:
        trip = f"{one['round_trip_ms']:.1f} ms"
        sizes = [str(one[name]) for name in ("sent_bytes", "received_bytes", "backlog_bytes")]
        rows.append([one["host"][:SHOWN], one["how"], trip, *sizes])
    print_table(rows)


def _channels(channels: list[Mapping[str, Any]], _args: argparse.Namespace) -> None:
    if not channels:
        say("no channels to other hosts")
        return
    rows = [["sender", "receiver", "way", "taken", "waiting", "host", "state"]]
    for one in channels:
        state = one["frozen"] or ("open" if one["host"] else "no link")
        ends = [one["sender"][:SHOWN], one["receiver"][:SHOWN], one["way"]]
        counts = [str(one["taken"]), str(one["waiting"])]
        rows.append([*ends, *counts, (one["host"] or "-")[:SHOWN], state])
    print_table(rows)


def _locate(found: Mapping[str, Any], args: argparse.Namespace) -> None:
    if args.trace:
        for step in found["steps"]:
            took = "no answer" if step["took_ms"] is None else f"{step['took_ms']} ms"
            note = f" ({step['note']})" if step["note"] else ""
            head = f"  path {step['path']} hop {step['hop']}: {step['endpoint']}"
            say(f"{head}: {step['outcome']}, {took}, {step['records']} records{note}")
    for record in found["records"]:
        until = datetime.fromtimestamp(record["expiry_ms"] / 1000, UTC).isoformat("T", "seconds")
        where = ", ".join(record.get("endpoints", ())) or f"at host {record['host']}"
        order = f"incarnation {record['incarnation']}, sequence {record['sequence']}"
        say(f"{where}; {order}; signed, until {until}")
    say(f"{found['requests']} requests in {found['took_ms']} ms")


def _dht(found: Mapping[str, Any], _args: argparse.Namespace) -> None:
    for name, value in found.items():
        say(f"{name:<10} {', '.join(value) if isinstance(value, list) else value}")


SHOW: dict[str, Callable[[Any, argparse.Namespace], None]] = {
    "links": _links,
    "channels": _channels,
    "locate": _locate,
    "dht": _dht,
}
