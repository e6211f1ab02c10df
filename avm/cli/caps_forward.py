"""`caps forward`: a capability that can be taken back: a machine of its own, which passes on what comes."""

import argparse
import re

from avm.cli.errors import CliError, Usage
from avm.cli.link import ask
from avm.cli.output import print_json, print_text, warn
from avm.cli.values import Holder, wire_text
from avm.host.passage import NAME
from avm.run.directory import Directory
from avm.run.files import bundle_of
from avm.run.reading import Reader
from caps.patterns import caretaker

OPTIONS = (("name", ("forward",)),)
ACCESS, REVOKE = "access", "revoke"
NUMBERED = re.compile(r"forward-(\d{1,9})")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this act."""
    name_text = "forward: what the machine is called (default: forward-1, forward-2, ..)"
    parser.add_argument("--name", metavar="X", help=name_text)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Creates the machine, and prints the text of its capability."""
    (text,) = args.words
    if args.name is not None and not NAME.fullmatch(args.name):
        raise Usage(f"{args.name!r} cannot be a name: a-z, 0-9 and -, a letter first")
    holder = Holder(directory)
    body, caps = holder.encode({"target": holder.handle(text)})
    name = _free(args.name, directory)
    bundle = bundle_of(caretaker.__file__).encode()
    made = ask(directory, "create", {"name": name, "bundle": bundle, "content": body, "caps": caps})
    told = wire_text(made["names"][ACCESS])
    if args.json:
        print_json({"machine": name, "capability": {"$cap": told}})
    else:
        print_text(told)
        warn(f"{name} passes on what comes to it; `avm-host caps revoke {name}.{ACCESS}` ends it")
    return 0


def _free(wanted: str | None, directory: Directory) -> str:
    """The name that is wanted, or the first that no machine has had; CliError where it is taken."""
    with Reader.open(directory) as reader, reader.reading():
        names = [machine.name for machine in reader.machines()]
    if wanted is not None:
        if wanted in names:
            raise CliError(f"{wanted} exists: choose another --name, or leave it away")
        return wanted
    taken = [NUMBERED.fullmatch(name) for name in names]
    numbers = [int(found[1]) for found in taken if found is not None]
    return f"forward-{max(numbers, default=0) + 1}"
