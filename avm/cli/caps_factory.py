"""`caps factory`: the power to have machines made of one file, as a capability that can be given away."""

import argparse
import re
from pathlib import Path

from avm.cli.about import about_of
from avm.cli.caps_forward import check_name, free_name
from avm.cli.check import check
from avm.cli.errors import CliError, Usage
from avm.cli.link import ask
from avm.cli.output import print_json, warn
from avm.cli.values import wire_text
from avm.host.making import AT_MOST, AT_MOST_MAX, STEM_CHARS_MAX, longest_name
from avm.run.directory import Directory
from avm.run.files import bundle_of
from caps.patterns import maker

MAKE = "make"


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Creates the machine that has others made, and prints the text of its capability."""
    (file,) = args.words
    at_most = _number(args.at_most)
    check_name(args.name)
    makes = bundle_of(file).encode()
    _check(file)
    stem = re.sub(r"[^a-z0-9]+", "-", Path(file).stem.lower()).strip("-")
    stem = stem if re.match("[a-z]", stem) else f"m{stem}"
    about = about_of(args.about, longest_name(stem[:STEM_CHARS_MAX]))
    name = free_name(args.name, f"{stem}-factory", directory)
    params = {"name": name, "bundle": bundle_of(maker.__file__).encode(), "makes": makes}
    made = ask(directory, "factory", {**params, "stem": stem, "at_most": at_most, "about": about})
    told = wire_text(made["names"][MAKE])
    if args.json:
        print_json({"machine": name, "capability": {"$cap": told}})
    else:
        print(told, flush=True)
        ends = f"`avm-host caps revoke {name}.{MAKE}` ends it"
        warn(f"{name} makes machines of {file}, at most {at_most:,}; {ends}")
    return 0


def _number(text: str | None) -> int:
    if text is None:
        return AT_MOST
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= AT_MOST_MAX:
        raise Usage(f"--at-most {text}: it is a number from 1 to {AT_MOST_MAX:,}")
    return int(text)


def _check(file: str) -> None:
    """No code is granted that could not become a machine."""
    wrong = next((one for one in check(file) if one.finding.error), None)
    if wrong is not None:
        text = wrong.finding.text
        raise CliError(f"{wrong.file}:{wrong.finding.line}: {text}; `avm-host check {file}`")
