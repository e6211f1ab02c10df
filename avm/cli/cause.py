"""`cause`: the line of turns and batches that led to a turn, back to where it began."""

import argparse
import re
from collections.abc import Iterator
from typing import Any

from avm.cli.arguments import add_fork, add_json
from avm.cli.errors import CliError, Usage
from avm.cli.log import lines_of
from avm.cli.output import print_json, say
from avm.cli.show import host_of, labels_of, origin_of
from avm.cli.telling import tell_entry
from avm.host.state import Machine
from avm.past.causes import STEPS_MAX, Causes, Step
from avm.past.causes import Trail as Found
from avm.past.labels import Labels
from avm.past.reading import NoSuchMachine, Reader
from avm.past.senders import Way
from avm.past.trails import Trail, TrailRefused, joined, trail_untrusted
from avm.run.directory import Directory
from avm.run.errors import none_at
from avm.run.files import read

DEPTH = 100
NUMBER = re.compile(r"[1-9][0-9]{0,14}")
ENDS = {
    "client": "sent by {sender}, a client: it began there",
    "host": "the host's own word: it began there",
    "operator": "the operator's own act: it began there",
    "elsewhere": "sent from another host: there run `avm-host cause --channel {whole}`",
    "gone": "sent by {sender}, a client that has ended, or a machine that is not here any more",
    "pruned": "sent by {sender} before its journal says what it sent: it was pruned, or is of an older version",
    "depth": "sent by {sender}, and so on: --depth goes further back",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("machine", metavar="N", nargs="?", help="a name, or a start of an address")
    parser.add_argument("turn", metavar="TURN", nargs="?", type=int, help="the turn")
    depth_text = f"how many turns back at most (default {DEPTH}, at most {STEPS_MAX:,})"
    parser.add_argument("--depth", metavar="TURNS", type=int, default=DEPTH, help=depth_text)
    channel_text = "of a batch that a machine here sent to another host, by its number"
    ends = ("SENDER", "RECEIVER", "SEQ")
    parser.add_argument("--channel", nargs=3, metavar=ends, help=channel_text)
    json_text = "join what --json printed at several hosts, one FILE each"
    parser.add_argument(
        "--from-json", dest="files", nargs="+", metavar="FILE", default=None, help=json_text
    )
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the line, the turn itself first."""
    named = args.machine is not None
    if sum((named, args.channel is not None, args.files is not None)) != 1:
        raise Usage("one of these: `cause N TURN`, --channel SENDER RECEIVER SEQ, --from-json FILE")
    if named and args.turn is None:
        raise Usage(f"which turn? `avm-host log {args.machine}` shows them")
    if not 1 <= args.depth <= STEPS_MAX:
        raise Usage(f"--depth is a number of turns, from 1 to {STEPS_MAX:,}")
    if args.files is not None:
        trail = _joined(args.files)
    else:
        with Reader.open(directory) as reader, reader.reading():
            trail = _found(args, reader, directory)
    if args.json:
        print_json(trail)
        return 0
    for line in _lines(trail):
        say(line)
    return 0


def _joined(files: list[str]) -> Trail:
    trails: list[Trail] = []
    for file in files:
        body = read(file)
        if body is None:
            raise Usage(f"{file}: {none_at(file)}")
        try:
            trails.append(_readable(trail_untrusted(body)))
        except TrailRefused as error:
            raise Usage(f"{file}: {error}") from None
    try:
        return joined(trails)
    except TrailRefused as error:
        raise CliError(f"{error}: give those of one line, each once") from None


def _readable(trail: Trail) -> Trail:
    """The line of a file, if its entries are such as `log` shows; TrailRefused."""
    try:
        list(_lines(trail))
    except (LookupError, TypeError, ValueError, AttributeError):
        raise TrailRefused("it is not what `cause --json` prints: an entry is none") from None
    return trail


def _found(args: argparse.Namespace, reader: Reader, directory: Directory) -> Trail:
    host = host_of(directory)
    causes = Causes(reader, host, origin_of(directory))
    labels = labels_of(reader, directory)
    if args.channel is not None:
        return trail_json(reader, labels, causes.of_batch(_way(args.channel, reader), args.depth))
    machine = reader.machine(args.machine)
    return trail_json(reader, labels, causes.of_turn(machine, args.turn, args.depth))


def _way(words: list[str], reader: Reader) -> Way:
    sender, receiver, seq = words
    if not NUMBER.fullmatch(seq):
        raise Usage(f"--channel: {seq!r} is no number of a batch")
    return Way(reader.machine(sender).address, _address(receiver, reader), int(seq))


def _address(text: str, reader: Reader) -> bytes:
    """A whole address, or a machine's of here by its name."""
    try:
        return reader.machine(text).address
    except NoSuchMachine:
        whole = (
            bytes.fromhex(text) if len(text) == 64 and not text.strip("0123456789abcdef") else b""
        )
        if not whole:
            raise Usage(f"--channel: {text!r} is no address: 64 hexadecimal digits") from None
        return whole


def trail_json(reader: Reader, labels: Labels, found: Found) -> Trail:
    """A line of causes as JSON, its entries as `log --json` has them."""
    steps = [_step(reader, labels, one) for one in found.steps]
    end: dict[str, Any] = {"why": found.end.why}
    if found.end.way is not None:
        end |= {"channel": _json(found.end.way), "sender": labels.of_address(found.end.way.sender)}
    begins = None if found.begins is None else _json(found.begins)
    return {"begins": begins, "steps": steps, "end": end}


def _step(reader: Reader, labels: Labels, step: Step) -> dict[str, Any]:
    machine: Machine = step.machine
    place = {"machine": machine.name, "address": machine.address.hex(), "turn": step.turn}
    took = None if step.took is None else _json(step.took)
    entry = tell_entry(reader, machine, labels, step.turn)
    return {**place, "channel": took, "timer": step.timer, "entry": entry}


def _json(way: Way) -> dict[str, Any]:
    return {"sender": way.sender.hex(), "receiver": way.receiver.hex(), "seq": way.seq}


def _lines(trail: Trail) -> Iterator[str]:
    for at, step in enumerate(trail["steps"]):
        how = "" if not at else "by a timer of " if step["timer"] else "by "
        yield f"{how}{step['machine']}, turn {step['turn']}"
        yield from (f"  {line}" for line in lines_of(step["entry"]))
    yield _end(trail["end"])


def _end(end: dict[str, Any]) -> str:
    way = end.get("channel") or {}
    whole = " ".join(str(way.get(name, "")) for name in ("sender", "receiver", "seq"))
    if end["why"] not in ENDS:  # of a later version
        return str(end["why"])
    return ENDS[end["why"]].format(sender=str(end.get("sender", "")), whole=whole)
