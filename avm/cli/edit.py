"""`edit`: puts another state in the place of a machine's; the journal keeps it whole."""

import argparse
import sys

from avm.cli.arguments import add_json, add_machine
from avm.cli.errors import USAGE, CliError, Usage
from avm.cli.link import TooLarge, ask
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


def _stdin() -> str:
    if sys.stdin is None:
        raise Usage("- is standard input, and that is closed")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise Usage("standard input is not UTF-8 text") from None


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Edits the state."""
    holder = Holder(directory)
    text = _stdin() if args.value == "-" else args.value
    try:
        body, caps = holder.encode_state(holder.from_json(text))
    except CapsError as error:
        form = f"`avm-host state {args.machine} --json` prints the form"
        raise Usage(f"the state: {error}; {form}") from None
    params = {"machine": args.machine, "body": body, "caps": caps}
    try:
        done = ask(directory, "edit", params)
    except TooLarge as error:
        instead = f"have a `migrate` change it by `avm-host upgrade {args.machine} FILE`"
        raise Usage(f"the state: {error}; {instead}") from None
    except CliError as error:
        if error.code != USAGE or isinstance(error, Usage):
            raise  # not the host's word about the state
        raise Usage(f"{error}; `avm-host state {args.machine} --json` prints the form") from None
    if args.json:
        print_json(done)
    else:
        say(f"the state of {done['machine']} is another from turn {done['turn']} on")
    return 0
