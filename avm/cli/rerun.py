"""`rerun`: tells a recording to the cores again, as it was or with something changed, and compares."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from avm.cli import rerun_told
from avm.cli.arguments import add_json
from avm.cli.errors import REFUSED, Usage
from avm.cli.output import STANDARD_OUTPUT, counted, print_json, say, warn, writing_to
from avm.cli.times import parse_since, utc
from avm.machine.bundle import BundleRefused
from avm.past.hands import Forks
from avm.past.unconnected import block_sockets
from avm.recording.crew import Swap
from avm.recording.log import BadRecording, Segment, Told
from avm.recording.rerun import NO_STATE, Rerun, limits_of
from avm.recording.text import NUMBER, patch_untrusted
from avm.recording.whatif import WhatIf
from avm.run.errors import none_at
from avm.run.files import bundle_of
from avm.run.recordings import from_text, recording_in, write_text
from avm.version import VERSION

# A step of other code may take so many times as long as a turn may.
NEW_CODE_TURNS = 3
STANDARD = "-"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("recording", metavar="DIR", help="what `run --record DIR` made")
    parser.add_argument("--until", metavar="N|TIME", help="no further than this input or time")
    parser.add_argument("--patch", metavar="FILE", help="with these inputs in the place of theirs")
    parser.add_argument("--code", metavar="FILE", help="with this code for a machine")
    parser.add_argument("--machine", metavar="NAME", help="the machine that --code is for")
    parser.add_argument(
        "--text", metavar="FILE", nargs="?", const=STANDARD, help="write it as text instead"
    )
    parser.add_argument("--from-text", metavar="FILE", help="make DIR of a text instead")
    parser.add_argument("--force", action="store_true", help="though another version recorded it")
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Prints that all agrees, or the first that differs; the exit code says which."""
    place = Path.cwd() / args.recording
    changed = args.patch is not None or args.code is not None
    if (args.text is not None) + (args.from_text is not None) + changed > 1:
        raise Usage("one at a time: --text, --from-text, or what is to be changed")
    if args.until is not None and (args.text is not None or args.from_text is not None):
        raise Usage("--until goes with what is told again: a text has all of a recording")
    if args.machine is not None and args.code is None:
        raise Usage("--machine says whose --code is: name the file too")
    try:
        if args.text is not None:
            return _text(args, place)
        if args.from_text is not None:
            return _from_text(args, place)
        return _what_if(args, place) if changed else _rerun(args, place)
    except (BadRecording, BundleRefused) as error:
        raise Usage(str(error)) from None


def _rerun(args: argparse.Namespace, place: Path) -> int:
    block_sockets()
    rerun = Rerun(version=None if args.force else VERSION, **_until(args.until))
    cut = False
    for segment in recording_in(place):
        goes_on = _tell(rerun, segment)
        cut = segment.cut
        if not goes_on:
            break
    _check_begun(args.until, rerun)
    if args.json:
        print_json(rerun_told.as_json(rerun, cut))
    else:
        rerun_told.tell(rerun, cut)
    return REFUSED if rerun.found else 0


def _tell(rerun: Rerun, segment: Segment) -> bool:
    """Tells a segment; where it is damaged, what can be read of that is told too, to name more."""
    try:
        return rerun.take(segment.items_untrusted())
    except BadRecording as error:
        item = segment.damaged_untrusted()
        if not isinstance(item, Told) or rerun.core is None or rerun.found:
            raise
        try:
            rerun.tell(item)
        except BadRecording:
            raise error from None
        if rerun.found is None:
            raise
        raise BadRecording(f"{error}; {rerun_told.difference_of(rerun.found)}") from None


def _check_begun(until: str | None, rerun: Rerun) -> None:
    """That of nothing nothing differs would be no answer; BadRecording, Usage."""
    if rerun.core is None or rerun.header is None:
        raise BadRecording(f"{NO_STATE}: it was cut short before the first input")
    if not rerun.inputs and not rerun.is_whole:
        begins = f"with input {rerun.header.first:,}, {utc(rerun.began_ms)}"
        raise Usage(f"--until {until}: nothing was told by then: the recording begins {begins}")


def _until(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    if NUMBER.fullmatch(text):
        return {"until": int(text)}
    try:
        return {"until_ms": parse_since(text, time.time_ns() // 1_000_000)}
    except Usage as error:
        raise Usage(f"--until: {error}, or the number of an input") from None


# What if.


def _what_if(args: argparse.Namespace, place: Path) -> int:
    patch = {} if args.patch is None else _patch(args.patch)
    swap = None if args.code is None else _swap(args.code, args.machine)
    limits = limits_of(next(recording_in(place)))
    hands = Forks(limits, NEW_CODE_TURNS * limits.turn_s)
    try:
        block_sockets(local=True)
        what_if = WhatIf(hands, patch, swap, **_until(args.until))
        if not args.force:
            what_if.version, what_if.python = VERSION, PYTHON
        for segment in recording_in(place):
            if not what_if.take(segment.items_untrusted()):
                break
        what_if.end()
    finally:
        hands.close()
    if args.json:
        print_json(rerun_told.what_if_as_json(what_if))
    else:
        rerun_told.tell_what_if(what_if)
    return REFUSED if what_if.lives.first else 0


def _patch(file: str) -> dict[int, Told | None]:
    try:
        found = patch_untrusted(_lines(file))
    except BadRecording as error:
        raise BadRecording(f"{file}: {error}") from None
    if not found:
        raise BadRecording(f"{file}: there is no input in it: NUMBER TIME NAME {{arguments}}")
    return found


def _swap(file: str, machine: str | None) -> Swap:
    bundle = bundle_of(file)
    return Swap(bundle.hash, bundle.encode(), machine or Path(file).stem)


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except UnicodeDecodeError:
        raise BadRecording("it is no text") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise BadRecording(none_at(file)) from None


# As text.


def _text(args: argparse.Namespace, place: Path) -> int:
    if args.text == STANDARD:
        with writing_to(STANDARD_OUTPUT):
            write_text(place, None)
        return 0
    to = Path.cwd() / args.text
    with writing_to(to):
        lines = write_text(place, to)
    warn(f"{counted(lines, 'line')} in {to}: keys and all that was said are in it")
    return 0


def _from_text(args: argparse.Namespace, place: Path) -> int:
    try:
        lines = _lines(args.from_text)
        with writing_to(place):
            segments, items = from_text(lines, place)
    except BadRecording as error:
        raise BadRecording(f"{args.from_text}: {error}") from None
    if args.json:
        print_json({"segments": segments, "items": items})
    else:
        say(f"{counted(items, 'item')} in {counted(segments, 'segment')}: {place}")
    return 0
