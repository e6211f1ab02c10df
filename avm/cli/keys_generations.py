"""`keys ls`, `keys rotate`, `keys revoke`: which of a machine's capabilities still work."""

import argparse
import time
from typing import Any

from avm.cli.errors import Usage
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.cli.times import parse_duration, utc
from avm.host.generations import GRACE_MS_MAX, shown
from avm.past.reading import Reader
from avm.run.directory import Directory

OPTIONS = (("grace", "rotate"), ("generation", "revoke"))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of these acts."""
    grace_text = "rotate: how long older capabilities still work, like 7d; without it until revoked"
    parser.add_argument("--grace", metavar="TIME", help=grace_text)
    generation_text = "revoke: this generation and all older ones"
    parser.add_argument("--generation", metavar="G", type=int, help=generation_text)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Does what is asked, and prints the generations as they are then."""
    (name,) = args.words
    if args.act == "ls":
        with Reader.open(directory) as reader, reader.reading():
            found = shown(reader.machine(name), time.time_ns() // 1_000_000)
    elif args.act == "rotate":
        params = {"machine": name, "grace_ms": _grace(args.grace)}
        found = ask(directory, "rotate", params)
    else:
        if args.generation is None:
            raise Usage(f"which one? `avm-host keys ls {name}` lists them: --generation G")
        if args.generation < 0:
            raise Usage(f"--generation is a number from 0 up: `avm-host keys ls {name}` lists them")
        params = {"machine": name, "generation": args.generation}
        found = ask(directory, "revoke", params)
    if args.json:
        print_json(found)
    else:
        _show(found)
    return 0


def _grace(text: str | None) -> int | None:
    if text is None:
        return None
    grace_ms = parse_duration(text)
    if grace_ms > GRACE_MS_MAX:
        raise Usage("--grace is at most ten years, 3650d; without it older ones work until revoked")
    return grace_ms


def _show(found: dict[str, Any]) -> None:
    """The newest first."""
    say(f"{found['machine']} seals under generation {found['generation']}")
    first = found["revoked"] + 1
    since = first
    lines: list[str] = []
    for end in sorted(found["ends"], key=lambda one: int(one["generation"])):
        lines.append(f"{_span(since, end['generation'])} until {utc(end['from_ms'])}")
        since = end["generation"] + 1
    if since < found["generation"]:
        lines.append(f"{_span(since, found['generation'] - 1)} until revoked")
    for line in reversed(lines):
        say(f"  {line}")
    if first:
        say(f"  {_span(0, found['revoked'])} refused")


def _span(first: int, last: int) -> str:
    return f"generation {first}" if first == last else f"generations {first} to {last}"
