"""`log`: a machine's journal, an entry a line, whether or not a host runs; it can follow on."""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from avm.cli.arguments import add_fork, add_json, add_machine
from avm.cli.errors import DAMAGED
from avm.cli.output import counted, print_json, say, warn
from avm.cli.show import labels_of
from avm.cli.times import parse_since, utc
from avm.host.capability import Cap
from avm.host.chain import Fault, Link, Slots
from avm.host.state import Machine
from avm.past.entries import Narrator, hashes
from avm.past.labels import Lens
from avm.past.reading import Reader
from avm.run.directory import Directory
from caps.jsonform import Json

POLL_S = 0.1
JSON_CHARS_MAX = 100
MESSAGES_SHOWN = 5
HASH_CHARS = 16


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what comes")
    parser.add_argument("--since", metavar="TIME", help="from then on: 10m, 2h, 7d or ISO 8601")
    parser.add_argument("--hashes", action="store_true", help="with each entry's hash")
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the entries, the oldest first."""
    since_ms = 0
    if args.since is not None:
        since_ms = parse_since(args.since, time.time_ns() // 1_000_000)
    with Reader.open(directory) as reader:
        with reader.reading():
            machine = reader.machine(args.machine)
            narrator = _narrator(reader, machine, directory)
            code = _print_all(args, narrator, reader.walk(machine), since_ms)
        if args.follow and not code:
            return _follow(args, narrator, reader, machine, directory, since_ms)
    return code


def _narrator(reader: Reader, machine: Machine, directory: Directory) -> Narrator:
    labels = labels_of(reader, directory)
    lens = Lens(machine.address, reader.slots(machine), labels)
    first = reader.first(machine)
    slots = Slots()
    if first:
        kept = list(reader.snapshots(machine))
        slots.next = kept[-1].next_slot if kept else machine.next_slot
    narrator = Narrator(lens, slots)
    if first:
        # What is left begins with a snapshot, which has no time of its own.
        told = (narrator.time_of(one) for one in reader.walk(machine) if isinstance(one, Link))
        narrator.now_ms = next(filter(None, told), 0)
    return narrator


def _print_all(
    args: argparse.Namespace, narrator: Narrator, links: Iterator[Link | Fault], since_ms: int
) -> int:
    for link in links:
        if isinstance(link, Fault):
            warn(f"turn {link.n}: {link.why}; `verify` looks at all of it")
            return DAMAGED
        if narrator.time_of(link) < since_ms:
            narrator.skip(link)
            continue
        _print(args, narrator.tell(link) | (hashes(link) if args.hashes else {}))
    return 0


def _follow(
    args: argparse.Namespace,
    narrator: Narrator,
    reader: Reader,
    machine: Machine,
    directory: Directory,
    since_ms: int,
) -> int:
    """Waits for what is committed next; ends when the machine is removed or at an interrupt."""
    at = machine.head
    while True:
        with reader.reading():
            now = reader.machine_now(machine.id)
            if now is None:
                warn(_gone(reader, machine))
                return 0
            if now.head > at:
                fresh: dict[int, Cap] = reader.slots(now)
                narrator.lens.slots = fresh
                narrator.lens.labels = labels_of(reader, directory)
                if _print_all(args, narrator, reader.walk(now, at, now.head), since_ms):
                    return DAMAGED
                at = now.head
                continue
        time.sleep(POLL_S)


def _gone(reader: Reader, machine: Machine) -> str:
    """Why there is nothing more to follow: it was removed, or has moved to another host."""
    moved = reader.gone(machine.address.hex())
    return moved or f"{machine.name} was removed"


def _print(args: argparse.Namespace, told: dict[str, Any]) -> None:
    if args.json:
        print_json({**told, "time": utc(told["now_ms"])})
        return
    for line in lines_of(told, args.hashes):
        say(line)


def lines_of(told: dict[str, Any], with_hashes: bool = False) -> Iterator[str]:
    """An entry for people: its line, then what was printed and why it failed."""
    yield _line(told, with_hashes)
    for line in str(told.get("printed", "")).splitlines():
        yield f"    {line}"
    for line in str(told.get("detail", "")).splitlines():
        yield f"    | {line}"


def _line(told: dict[str, Any], with_hashes: bool) -> str:
    """One line: turn, time, form unless it is a turn, sender, what was said, what was sent."""
    words = [f"{told['turn']:>6} {utc(told['now_ms'])}"]
    if with_hashes:
        words.append(told["hash"][:HASH_CHARS])
    if told["form"] != "turn":
        words.append(told["form"])
    if "sender" in told:
        words.append(f"{told['sender']}:")
    words += _said(told)
    words += _became(told)
    return " ".join(words)


def _said(told: dict[str, Any]) -> list[str]:
    if "signal" in told:
        return [str(told["signal"]), *_sent(told.get("sends", []), 0)]
    words: list[str] = []
    messages = told.get("messages", [])
    sends = told.get("sends", [])
    for index, message in enumerate(messages[:MESSAGES_SHOWN]):
        if message.get("inert"):
            words.append("(to a reply that is over)")
        else:
            words.append(f"{cut(message['context'])} {cut(message['content'])}")
        words += _sent(sends, index)
        if index + 1 < min(len(messages), MESSAGES_SHOWN):
            words[-1] += ";"
    more = len(messages) - MESSAGES_SHOWN
    return [*words, f"; and {more} more"] if more > 0 else words


def _sent(sends: list[list[dict[str, Any]]], index: int) -> list[str]:
    words: list[str] = []
    for send in sends[index] if index < len(sends) else []:
        words.append(sent_text(send))
    return words


def sent_text(send: dict[str, Any]) -> str:
    """A send in a few words."""
    if "cancel" in send:
        return f"-> cancels <{send['cancel']}>"
    later = f" after {send['after_s']:g} s" if "after_s" in send else ""
    return f"-> <{send['to']}> {cut(send['content'])}{later}"


def _became(told: dict[str, Any]) -> list[str]:
    match told["form"]:
        case "refused":
            word = f": {told['word']}" if "word" in told else ""
            return [f"-- message {told['index']} refused{word}"]
        case "failed":
            return [f"-- message {told['index']} rejected: {told['reason']}"]
        case "void":
            return [f"not taken: {told.get('why', '')}"]
        case "suspend":
            return [told["mode"], *([f"({told['why']})"] if "why" in told else [])]
        case "code" | "init":
            rebuilt = ", its state rebuilt" if "rebuilt" in told else ""
            return [f"(code {told['code'][:8]}{rebuilt})"]
        case "snapshot" | "edit":
            return [f"digest {told['digest'][:HASH_CHARS]}"]
        case "collect":
            return [counted(len(told["slots"]), "slot")]
        case "incarnation" | "generation":
            return [str(told[told["form"]])]
        case "revoke":
            return [f"{told['generation']} and older, from {utc(told['from_ms'])} on"]
        case "runtime":
            return [f"Python {told['python']}, version {told['version']}"]
    return []


def cut(value: Json) -> str:
    """JSON on one line, its capabilities as <names>, no longer than a line."""
    text = as_text(value)
    return text if len(text) <= JSON_CHARS_MAX else text[:JSON_CHARS_MAX] + ".."


def as_text(value: Json) -> str:
    """JSON on one line, its capabilities as <names>."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_text, value))}]"
    if isinstance(value, dict):
        if value.keys() == {"$cap"}:
            return f"<{value['$cap']}>"
        return (
            "{" + ", ".join(f"{json.dumps(k)}: {as_text(part)}" for k, part in value.items()) + "}"
        )
    return json.dumps(value, ensure_ascii=False)
