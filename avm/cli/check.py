"""`check`: what would go wrong with a machine's file, told before a machine is made of it."""

import argparse
import re
from pathlib import Path

from avm.cli.arguments import add_json
from avm.cli.errors import REFUSED, Usage
from avm.cli.output import print_json, say
from avm.limits import Limits
from avm.machine.bundle import Bundle, BundleRefused, absent
from avm.run.entrance import entrance
from avm.run.errors import none_at
from avm.run.files import bundle_of
from avm.run.findings import Finding, findings
from avm.run.probe import Found, probe

PLACE = re.compile(r"(?P<file>.+?\.py):(?:(?P<line>\d+):)? (?P<why>.*)", re.DOTALL)


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    parser.add_argument("file", metavar="FILE", help="the machine's file")
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Prints a line for each finding; 1 when one is an error."""
    file = str(args.file)
    if not Path(file).is_file():
        raise Usage(f"{file}: {none_at(file)}")
    found = check(file)
    failed = any(one.finding.error for one in found)
    if args.json:
        print_json({"file": file, "ok": not failed, "findings": [_json(one) for one in found]})
    elif not found:
        say(f"{file}: nothing found")
    else:
        for one in found:
            mark = "" if one.finding.error else "warning: "
            say(f"{one.file}:{one.finding.line}: {mark}{one.finding.text}")
    return REFUSED if failed else 0


def check(file: str) -> list[Found]:
    """What is found in a machine's file and those it imports, by file and line."""
    try:
        bundle = bundle_of(file)
    except BundleRefused as error:
        return [_refused(file, str(error))]
    beside = file[: len(file) - len(Path(file).name)]
    written = [Found(source.path, one) for source in bundle.files for one in findings(source.text)]
    written += [Found(path, Finding(line, True, why)) for path, line, why in absent(bundle)]
    main = next(source for source in bundle.files if source.name == bundle.entry)
    called = [Found(main.path, one) for one in entrance(main.text)]
    # What cannot be called would only break each message, and say less about it.
    probed = [] if any(one.finding.error for one in called) else _probed(bundle)
    found = {Found(beside + one.file, one.finding) for one in (*written, *called, *probed)}
    return sorted(found, key=lambda one: (one.file, one.finding))


def _probed(bundle: Bundle) -> list[Found]:
    return probe(bundle, Limits())


def _refused(file: str, said: str) -> Found:
    place = PLACE.fullmatch(said)
    if place is None:
        return Found(file, Finding(1, True, said.removeprefix(f"{file}: ")))
    return Found(place["file"], Finding(int(place["line"] or 1), True, place["why"]))


def _json(one: Found) -> dict[str, object]:
    level = "error" if one.finding.error else "warning"
    return {"file": one.file, "line": one.finding.line, "level": level, "text": one.finding.text}
