"""`status`: the running host in a few lines, or all of it as JSON."""

import argparse
from collections.abc import Mapping
from time import monotonic
from typing import Any

from avm.cli.arguments import add_json, check_seconds
from avm.cli.link import fresh_key, reopen
from avm.cli.output import counted, print_json, say
from avm.cli.times import utc
from avm.host.keylife import RENEW, RENEW_REPLACED
from avm.run.directory import Directory

ANSWER_S = 30.0
UNITS = ("B", "KiB", "MiB", "GiB")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    wait_text = "wait at most so many seconds for the host to be ready"
    parser.add_argument("--wait", metavar="S", type=float, default=0.0, help=wait_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints how the host is."""
    check_seconds("--wait", args.wait)
    link = reopen(directory, fresh_key(), False, "", monotonic() + args.wait)
    try:
        status = link.ask("status", {}, ANSWER_S)
    finally:
        link.end()
    status = {key: _text(value) for key, value in status.items()}
    if args.json:
        print_json(status)
    else:
        show(status)
    return 0


def _show_network(status: Mapping[str, Any]) -> None:
    """Where the host is, and whether others are there."""
    if status["route"]:
        say(f"  route     {status['route']}")
    elif status["reach"]["way"] == "direct":
        unknown = "where others reach it is not known yet: `run --advertise IP:PORT` says it"
        say(f"  listens   {status['listens']}; {unknown}")
    else:
        say(f"  listens   {status['listens']}")
    _show_reach(status["reach"])
    if not status["contacts"]:
        why = (
            "no other host answers lookups now"
            if status["met"]
            else "no other host has answered yet"
        )
        say(f"  network   {why}; who is known is asked again and again")


def _show_reach(reach: Mapping[str, Any]) -> None:
    """How others reach a host that is behind a router or a firewall."""
    if reach["way"] == "introduced":
        by = ", ".join(one.partition("@")[2] for one in reach["introducers"])
        say(f"  reach     introduced by the hosts at {by}; seen at {reach['seen_at']}")
    elif reach["way"] == "hidden":
        say("  reach     behind a router or a firewall, and no host introduces it")


def ending(key: Mapping[str, Any], remedy: str = RENEW) -> str:
    """That the host's key is about to end, or no other host takes anything by it; and what to do."""
    until = utc(key["until_ms"])
    if key["ended"]:
        return f"its certificate ended at {until}, other hosts take nothing from this one: {remedy}"
    return f"its certificate ends at {until}: {remedy}"


def _text(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def show(status: Mapping[str, Any]) -> None:
    """Prints how a host is, for people."""
    uptime = _duration(status["uptime_s"])
    say(f"avm-host {status['version']} in {status['dir']}, pid {status['pid']}, up {uptime}")
    say(f"  address   {status['address']}")
    if status["key"]["replaced"]:
        why = "other hosts know a later key of this one, and take nothing by the one that it uses"
        say(f"  key       {why}: {RENEW_REPLACED}")
    elif status["key"]["ending"]:
        say(f"  key       {ending(status['key'])}")
    if status["draining"]:
        say("  drains    takes no new work until it is started again: `avm-host stop`")
    if status.get("listens"):
        _show_network(status)
    _show_record(status.get("record"))
    store, rates = status["store"], status["rates"]
    turns = counted(store["turns"], "turn")
    full = "; the disk is full, nothing is taken" if status["store_full"] else ""
    say(f"  store     {store['kind']}, {_size(store['bytes'])}, {turns}{full}")
    say(
        f"  rates     {rates['turns_per_s']:,.0f} turns/s, {rates['messages_per_s']:,.0f} messages/s"
    )
    waiting, failed, refused = (_count(status[key]) for key in ("waiting", "failed", "refused"))
    away = status["counts"].get("turned_away", 0)
    said = f"{waiting} waiting, {failed} failed, {refused} refused, {away:,} turned away"
    say(f"  machines  {status['machines']:,}; {said}")
    _show_owed(status.get("owed") or {})
    again = status["reruns"]
    if again["spans"]:
        say(
            f"  run again {counted(again['turns'], 'turn')} in {counted(again['spans'], 'span')}, "
            f"{again['without_verdict']:,} without a verdict; "
            f"{counted(again['nondeterministic'], 'machine')} nondeterministic"
        )
    _show_confined(status.get("confined") or {})
    for worker in status["workers"]:
        size = _size(worker["rss_bytes"])
        turns, restarts = counted(worker["turns"], "turn"), counted(worker["restarts"], "restart")
        say(f"  worker    pid {worker['pid']}, {turns}, {restarts}, {size}")


def _show_confined(confined: Mapping[str, bool]) -> None:
    """What the system does not keep a step from that breaks out of Python."""
    files = "" if confined.get("files", True) else "no files"
    calls = "" if confined.get("calls", True) else "no calls of the system"
    if lacking := " and ".join(filter(None, (files, calls))):
        say(f"  workers   are kept from {lacking} by this system: host only code that you trust")


def _show_record(record: Mapping[str, Any] | None) -> None:
    """Where what the host is told is kept, and whether it still is."""
    if record is None:
        return
    if record["recording"]:
        inputs = f"input {record['inputs']:,}, segment {record['segment']:,}"
        say(f"  record    in {record['dir']}: {inputs}; contents are in it")
    else:
        say(f"  record    in {record['dir']} has ended: the host's log has why")


def _show_owed(owed: Mapping[str, int]) -> None:
    """What waits for other hosts, and channels on which nothing is taken any more."""
    said: list[str] = []
    if owed.get("waiting"):
        verb = "waits" if owed["waiting"] == 1 else "wait"
        get = "gets" if owed["stuck"] == 1 else "get"
        stuck = f" ({owed['stuck']:,} {get} no further)" if owed["stuck"] else ""
        said.append(f"{counted(owed['waiting'], 'batch', 'batches')} {verb}{stuck}")
    if owed.get("frozen"):
        said.append(f"{counted(owed['frozen'], 'channel')} frozen")
    if said:
        say(f"  others    {', '.join(said)}: `avm-host channels` has why")


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(len(value))


def _size(count: float) -> str:
    unit = 0
    while count >= 1024 and unit < len(UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:,.0f} {UNITS[unit]}" if unit == 0 else f"{count:,.1f} {UNITS[unit]}"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
