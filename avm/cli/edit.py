"""`edit`: puts another state in the place of a machine's; the journal keeps it whole."""

import argparse
import sys

from avm.cli.arguments import add_json, add_machine
from avm.cli.errors import Usage
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.cli.values import Holder
from avm.run.directory import Directory
from caps.errors import CapsError


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    value_text = "the whole state, in the form `state` prints; - for standard input"
    parser.add_argument("value", metavar="JSON", help=value_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Edits the state."""
    holder = Holder(directory)
    text = sys.stdin.read() if args.value == "-" else args.value
    try:
        body, caps = holder.encode_state(holder.from_json(text))
    except CapsError as error:
        form = f"`avm-host state {args.machine} --json` prints the form"
        raise Usage(f"the state: {error}; {form}") from None
    done = ask(directory, "edit", {"machine": args.machine, "body": body, "caps": caps})
    if args.json:
        print_json(done)
    else:
        say(f"the state of {done['machine']} is another from turn {done['turn']} on")
    return 0
