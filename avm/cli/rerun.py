"""`rerun`: tells a recording to the cores again, and compares what they answer."""

import argparse
import time
from pathlib import Path
from typing import Any

from avm.cli.arguments import add_json
from avm.cli.errors import REFUSED, Usage
from avm.cli.output import counted, print_json, say
from avm.cli.times import parse_since, utc
from avm.recording.log import BadRecording, Segment, Told
from avm.recording.rerun import Rerun
from avm.run.recordings import recording_in
from avm.run.unconnected import block_sockets
from avm.version import VERSION


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("recording", metavar="DIR", help="what `run --record DIR` made")
    parser.add_argument("--until", metavar="N|TIME", help="no further than this input or time")
    parser.add_argument(
        "--force", action="store_true", help="though another version of avm-host recorded it"
    )
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Prints that all agrees, or the first that differs; the exit code says which."""
    block_sockets()
    place = Path.cwd() / args.recording
    rerun = Rerun(version=None if args.force else VERSION, **_until(args.until))
    cut = False
    try:
        for segment in recording_in(place):
            goes_on = _tell(rerun, segment)
            cut = segment.cut
            if not goes_on:
                break
    except BadRecording as error:
        raise Usage(str(error)) from None
    if args.json:
        print_json(_json(rerun, cut))
    else:
        _say(rerun, cut)
    return REFUSED if rerun.found else 0


def _until(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    if text.isdecimal():
        return {"until": int(text)}
    return {"until_ms": parse_since(text, time.time_ns() // 1_000_000)}


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
        raise BadRecording(f"{error}; {_difference(rerun)}") from None


def _difference(rerun: Rerun) -> str:
    found = rerun.found
    assert found is not None
    return f"input {found.n:,} ({found.name}), {utc(found.now_ms)}: {found.difference}"


def _say(rerun: Rerun, cut: bool) -> None:
    if rerun.found is not None:
        say(_difference(rerun))
        return
    place = counted(rerun.segments, "segment")
    starts = f" and {counted(rerun.runs, 'start')} of the host" if rerun.runs > 1 else ""
    ended_ms = rerun.core.host.now_ms if rerun.core is not None else 0
    when = f"{utc(rerun.began_ms)} to {utc(ended_ms)}"
    say(f"{counted(rerun.inputs, 'input')} in {place}{starts}, {when}: every answer is the same")
    say(f"{counted(rerun.effects, 'effect')} and {counted(rerun.commits, 'commit')} compared")
    if not rerun.ended and rerun.is_whole:
        how = ", its last one cut short" if cut else ""
        say(f"the host was killed: the recording goes up to input {rerun.last:,}{how}")


def _json(rerun: Rerun, cut: bool) -> dict[str, Any]:
    found = rerun.found
    return {
        "agrees": found is None,
        "inputs": rerun.inputs,
        "first": rerun.first,
        "last": rerun.last,
        "segments": rerun.segments,
        "starts": rerun.runs,
        "began_ms": rerun.began_ms,
        "ended_ms": rerun.core.host.now_ms if rerun.core is not None else None,
        "effects": rerun.effects,
        "commits": rerun.commits,
        "ended": rerun.ended,
        "cut": cut,
        "difference": None
        if found is None
        else {
            "input": found.n,
            "name": found.name,
            "now_ms": found.now_ms,
            "where": found.difference.where,
            "was": found.difference.was,
            "now": found.difference.now,
        },
    }
