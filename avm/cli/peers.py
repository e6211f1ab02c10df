"""`peers`: the hosts that the running host knows; dials, drops, bans and trusts them."""

import argparse
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from avm.cli.arguments import add_json, add_word
from avm.cli.errors import REFUSED, CliError, Usage
from avm.cli.link import ask
from avm.cli.ls import print_table
from avm.cli.output import counted, print_json, say, shown_while
from avm.run.directory import Directory
from caps.identity import parse_route

ACTS = ("ls", "dial", "drop", "ban", "unban", "trust", "distrust")
ASK_S = 60.0
SHOWN = 12
HEXADECIMAL = re.compile("[0-9a-f]{1,64}")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_word(parser, "act", ACTS, "ls")
    text = "an address or its start, or a route, ADDRESS@IP:PORT"
    parser.add_argument("host", metavar="HOST", nargs="?", help=text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Does what is asked."""
    if args.act not in ACTS:
        raise Usage(f"`avm-host peers {args.act}`: it is one of {', '.join(ACTS)}")
    if (args.act == "ls") != (args.host is None):
        what = "ROUTE" if args.act == "dial" else "HOST"
        hint = "`avm-host peers` lists them" if args.act != "ls" else "there is no HOST with ls"
        raise Usage(f"`avm-host peers {args.act} {what}`: {hint}")
    if args.host is not None and _is_route(args):
        parse_route(args.host)
    params: dict[str, Any] = {"act": args.act}
    if args.host is not None:
        params["host"] = args.host
    if args.act == "dial":
        found = _dial(directory, params)
    else:
        found = ask(directory, "peers", params, ASK_S)
    if args.json:
        print_json(found)
    elif args.act == "ls":
        _show(found)
    else:
        say(_done(args.act, found))
    return 0


def _is_route(args: argparse.Namespace) -> bool:
    """Whether HOST is to be a route: where it looks like one, and where `dial` has no address."""
    return "@" in args.host or (args.act == "dial" and not HEXADECIMAL.fullmatch(args.host))


def _dial(directory: Directory, params: Mapping[str, Any]) -> Any:
    """Has a host dialed; where that is in vain, the error says also why."""
    try:
        with shown_while(f"host {params['host'][:SHOWN]} is dialed"):
            return ask(directory, "peers", dict(params), ASK_S)
    except CliError as error:
        if error.code != REFUSED:
            raise
        wanted, _, at = params["host"].partition("@")
        rows = ask(directory, "peers", {"act": "ls"}, ASK_S)
        row: Mapping[str, Any] = next((one for one in rows if one["host"].startswith(wanted)), {})
        why = _failure(row, at)
        raise CliError(f"{error}: {why}" if why else str(error)) from None


def _failure(row: Mapping[str, Any], at: str = "") -> str:
    """Why no link was made, at an endpoint or where that was tried last."""
    failed: Mapping[str, str] = row.get("failed_at") or {}
    return failed.get(at) or next(iter([*failed.values()][::-1]), "")


def _done(act: str, done: Mapping[str, Any]) -> str:
    host = f"{done['host'][:SHOWN]}.."
    closed = f", {counted(done.get('closed', 0), 'link')} closed"
    said = {
        "dial": f"{host} is linked",
        "drop": f"{host} is dropped{closed}",
        "ban": f"{host} is banned{closed}",
        "unban": f"{host} is banned no more",
        "trust": f"machines of {host} may move here",
        "distrust": f"machines of {host} may not move here",
    }
    return said[act]


def _show(peers: list[Mapping[str, Any]]) -> None:
    if not peers:
        say("no other hosts are known: `avm-host peers dial ADDRESS@IP:PORT` links one")
        return
    rows = [["host", "endpoint", "state", "how", "score", "round trip", "reached"]]
    for one in peers:
        how = "-" if one["how"] is None else f"{one['how']['way']}, {one['how']['by']}"
        trip = "-" if one["round_trip_ms"] is None else f"{one['round_trip_ms']:.1f} ms"
        state = f"{one['state']}, trusted" if one["trusted"] else one["state"]
        place = [one["host"][:SHOWN], (one["endpoints"] or ["-"])[0], state, how]
        rows.append([*place, f"{one['score']:.2f}", trip, _when(one["reached_ms"])])
    print_table(rows)
    for one in peers:
        why = _failure(one, (one["endpoints"] or [""])[0])
        if why and one["state"] != "linked":
            say(f"{one['host'][:SHOWN]}: {why}")


def _when(reached_ms: int | None) -> str:
    if reached_ms is None:
        return "never"
    return datetime.fromtimestamp(reached_ms / 1000, UTC).isoformat("T", "seconds")
