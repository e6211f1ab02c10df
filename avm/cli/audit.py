"""`audit`: who was given what, what was taken back, who was refused; and whether the log holds."""

import argparse
import time
from collections.abc import Iterator
from typing import Any

from avm.cli.arguments import add_json, add_word
from avm.cli.errors import REFUSED, Usage
from avm.cli.output import counted, print_json, say, warn
from avm.cli.times import parse_since, utc
from avm.host.auditlog import HOUR_MS, AuditLog, Broken, Entry
from avm.past.reading import Reader
from avm.run import auditing
from avm.run.directory import Directory

ACTS = ("ls", "verify")
SHOWN = 12
# Of what an entry is about, what comes first where people read it.
FIRST = {"machine": 0, "address": 1, "host": 2, "turn": 3}
ADDRESS_DIGITS = 64
POLL_S = 0.2


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_word(parser, "act", ACTS, "ls")
    since_text = "only entries from then on: 10m, 2h, 7d or ISO 8601"
    parser.add_argument("--since", metavar="TIME", help=since_text)
    parser.add_argument("--follow", action="store_true", help="print new entries as they come")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Reads the log out of the store, whether or not a host runs."""
    if args.act not in ACTS:
        raise Usage(f"`avm-host audit {args.act}`: it is one of {', '.join(ACTS)}")
    if args.act == "verify" and (args.since is not None or args.follow):
        raise Usage("the whole log is verified: `avm-host audit verify`")
    since_ms = 0
    if args.since is not None:
        since_ms = parse_since(args.since, time.time_ns() // 1_000_000)
    with Reader.open(directory) as reader:
        with reader.reading():
            log = auditing.log_of(reader.store)
            if args.act == "verify":
                return _verify(args, reader, log)
            found = auditing.walk(reader.store, log)
            code = _print_all(args, found, since_ms)
            if not code and not args.follow:
                _print_counts(args, log, since_ms)
        while args.follow and not code:
            time.sleep(POLL_S)
            with reader.reading():
                now = auditing.log_of(reader.store)
                code = _print_all(args, auditing.after(reader.store, now, log), since_ms)
                log = now
    return code


def _print_all(args: argparse.Namespace, found: Iterator[Entry | Broken], since_ms: int) -> int:
    """Prints an entry a line; 1 where one does not hold."""
    for one in found:
        if isinstance(one, Broken):
            return _tell_broken(one)
        if one.at_ms >= since_ms:
            _print(args, one.n, one.at_ms, one.what, one.about)
    return 0


def _print_counts(args: argparse.Namespace, log: AuditLog, since_ms: int) -> None:
    """Prints what is counted of the hour under way, unless all of that was before a time.

    It has no other time than that of its hour: where a part of it may be later, it is shown.
    """
    if log.since_ms + HOUR_MS <= since_ms:
        return
    for what, counts in (("refused", log.refused), ("handed-out", log.handed)):
        if counts:
            about = {"since_ms": log.since_ms, "counts": counts}
            _print(args, None, log.since_ms, what, about)


def _verify(args: argparse.Namespace, reader: Reader, log: AuditLog) -> int:
    broken: Broken | None = None
    entries = 0
    for one in auditing.walk(reader.store, log):
        if isinstance(one, Broken):
            broken = one
        else:
            entries += 1
    if args.json:
        why = None if broken is None else {"n": broken.n, "why": broken.why}
        place = {"entries": entries, "first": log.first, "head": log.head}
        print_json({**place, "hash": log.chain.hex(), "broken": why})
    if broken is not None:
        return _tell_broken(broken)
    if not args.json:
        end = f"entry {log.head - 1} hashes to {log.chain.hex()}" if log.head else "it is empty"
        say(f"{counted(entries, 'entry', 'entries')}: the audit log holds; {end}")
    return 0


def _tell_broken(broken: Broken) -> int:
    why = f"entry {broken.n} of the audit log does not hold: {broken.why}"
    warn(f"avm-host: {why}; compare with a backup")
    return REFUSED


def _print(
    args: argparse.Namespace, n: int | None, at_ms: int, what: str, about: dict[str, Any]
) -> None:
    if args.json:
        print_json({"n": n, "time": utc(at_ms), "what": what, "about": _plain(about)})
        return
    shown = sorted(about.items(), key=lambda one: FIRST.get(one[0], len(FIRST)))
    told = ", ".join(f"{one.removesuffix('_ms')} {_shown(one, value)}" for one, value in shown)
    say(f"{utc(at_ms)}  {'-' if n is None else n}  {what:<12}  {told}")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _shown(name: str, value: Any) -> str:
    match value:
        case bytes():
            return f"{value.hex()[:SHOWN]}.."
        case str() if len(value) == ADDRESS_DIGITS:
            return f"{value[:SHOWN]}.."
        case int() if name.endswith("_ms"):
            return utc(value)
        case dict():
            return ", ".join(f"{one}: {count:,}" for one, count in value.items())
        case list():
            return " ".join(_shown("", one) for one in value) or "nothing"
        case _:
            return str(value)
