"""`channels`: the channels to and from other hosts, and the operator's decisions on frozen ones."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from avm.cli.arguments import add_json, add_word
from avm.cli.errors import Usage
from avm.cli.link import ask
from avm.cli.ls import print_table
from avm.cli.output import counted, print_json, say
from avm.run.directory import Directory

ACTS = ("ls", "accept", "restart", "cases")
DECISIONS = ("accept", "restart")
DONE = {
    "restart": "the channel begins anew from this end",
    "accept": "the channel goes on from where its other end stands",
}
ASK_S = 60.0
SHOWN = 12


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_word(parser, "act", ACTS, "ls")
    parser.add_argument("sender", metavar="SENDER", nargs="?", help="a start of its address")
    parser.add_argument("receiver", metavar="RECEIVER", nargs="?", help="likewise")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks the host and prints what it says."""
    if args.act not in ACTS:
        raise Usage(f"`avm-host channels {args.act}`: it is one of {', '.join(ACTS)}")
    decides = args.act in DECISIONS
    if decides != (args.receiver is not None) or decides != (args.sender is not None):
        words = f"{args.act} SENDER RECEIVER" if decides else args.act
        raise Usage(f"`avm-host channels {words}`: `avm-host channels` lists them")
    params = {"act": args.act}
    if decides:
        params |= {"sender": args.sender, "receiver": args.receiver}
    found = ask(directory, "channels", params, ASK_S)
    if decides:
        found = {name: _text(value) for name, value in found.items()}
    if args.json:
        print_json(found)
    elif decides:
        say(DONE[args.act] + (f"; it was frozen: {found['was']}" if found["was"] else ""))
    elif args.act == "cases":
        _show_cases(found)
    else:
        _show(found)
    return 0


def _text(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _show(channels: list[Mapping[str, Any]]) -> None:
    if not channels:
        say("no channels to other hosts")
        return
    rows = [["sender", "receiver", "way", "machine", "taken", "waiting", "host", "state"]]
    cases = 0
    for one in channels:
        state = one["why"] or one["frozen"] or ("open" if one["host"] else "not open")
        ends = [one["sender"][:SHOWN], one["receiver"][:SHOWN], one["way"], one["machine"] or "-"]
        counts = [str(one["taken"]), str(one["waiting"])]
        rows.append([*ends, *counts, (one["at"] or "-")[:SHOWN], state])
        cases += len(one["decisions"]) + len(one["contradicted"])
    print_table(rows)
    for one in channels:
        if one["frozen"]:
            say(_remedy(one))
    if cases:
        say(f"{counted(cases, 'decision or contradiction', 'decisions and contradictions')}"
            " of them: `avm-host channels cases`")  # fmt: skip


def _remedy(channel: Mapping[str, Any]) -> str:
    """What may be decided on a frozen channel."""
    ends = f"{channel['sender'][:SHOWN]} {channel['receiver'][:SHOWN]}"
    if "accept" in channel["acts"]:
        return f"frozen: `avm-host channels accept {ends}` goes on from where its other end stands"
    return f"frozen: `avm-host channels restart {ends}` at both hosts begins it anew"


def _show_cases(cases: list[Mapping[str, Any]]) -> None:
    if not cases:
        say("nothing was decided, and no two hosts claim one address")
        return
    for one in cases:
        when = datetime.fromtimestamp(one["at_ms"] / 1000, UTC).isoformat("T", "seconds")
        if one["what"] == "contradicted":
            hosts = " and ".join(f"{claim['host'][:SHOWN]}.." for claim in one["claims"])
            address = f"{one['address'][:SHOWN]}.."
            say(f"{when}  {address} is claimed by {hosts} under incarnation {one['incarnation']}")
        else:
            ends = f"{one['sender'][:SHOWN]}.. to {one['receiver'][:SHOWN]}.."
            if one["what"] == "back":
                ends = ends.replace(" to ", " from ")
            was = f"; it was frozen: {one['was']}" if one["was"] else ""
            say(f"{when}  {one['what']} of {ends}{was}")
