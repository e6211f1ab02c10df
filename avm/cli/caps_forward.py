"""`caps forward`: a capability that can be taken back: a machine of its own, which passes on what comes."""

import argparse
import re

from avm.cli.errors import CliError, Usage
from avm.cli.link import ask
from avm.cli.output import print_json, print_text, warn
from avm.cli.values import Holder, wire_text
from avm.host.passage import NAME
from avm.past.reading import Reader
from avm.run.directory import Directory
from avm.run.files import bundle_of
from caps.patterns import caretaker

OPTIONS = (("name", ("forward", "factory")),)
ACCESS, REVOKE = "access", "revoke"
STEM = "forward"
# What a `revoke` ends, by the name beside it, and what is so afterwards.
ENDED = {ACCESS: "passes on nothing any more", "make": "makes nothing any more"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this act."""
    name_text = (
        "forward, factory: what the machine is called (default: forward-1, FILE-factory-1, ..)"
    )
    parser.add_argument("--name", metavar="X", help=name_text)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Creates the machine, and prints the text of its capability."""
    (text,) = args.words
    check_name(args.name)
    holder = Holder(directory)
    body, caps = holder.encode({"target": holder.handle(text)})
    name = free_name(args.name, STEM, directory)
    bundle = bundle_of(caretaker.__file__).encode()
    made = ask(directory, "create", {"name": name, "bundle": bundle, "content": body, "caps": caps})
    told = wire_text(made["names"][ACCESS])
    if args.json:
        print_json({"machine": name, "capability": {"$cap": told}})
    else:
        print_text(told)
        warn(f"{name} passes on what comes to it; `avm-host caps revoke {name}.{ACCESS}` ends it")
    return 0


def check_name(wanted: str | None) -> None:
    """Whether a name that is wanted can be one; Usage."""
    if wanted is not None and not NAME.fullmatch(wanted):
        raise Usage(f"{wanted!r} cannot be a name: a-z, 0-9 and -, a letter first")


def free_name(wanted: str | None, stem: str, directory: Directory) -> str:
    """The name that is wanted, or STEM-1 and on, above all that there are; CliError where it is taken."""
    with Reader.open(directory) as reader, reader.reading():
        names = [machine.name for machine in reader.machines()]
    if wanted is not None:
        if wanted in names:
            raise CliError(f"{wanted} exists: choose another --name, or leave it away")
        return wanted
    numbered = re.compile(rf"{re.escape(stem)}-(\d{{1,9}})")
    taken = [numbered.fullmatch(name) for name in names]
    numbers = [int(found[1]) for found in taken if found is not None]
    return f"{stem}-{max(numbers, default=0) + 1}"
