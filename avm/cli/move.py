"""`move`: carries a machine to another host, with its state, its journal and all that waits."""

import argparse

from avm.cli.arguments import add_json, add_machine
from avm.cli.errors import NoAnswer, Usage
from avm.cli.link import ask
from avm.cli.output import print_json, say, shown_while
from avm.run.directory import Directory
from avm.run.parts import NAME
from caps.identity import parse_address, parse_route

MOVE_S = 600.0
DIGITS = 64
SHOWN = 12


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    text = "a route, ADDRESS@IP:PORT, an address, or the start of a known host's"
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", metavar="HOST", help=text)
    back_text = "take it back from a move to a host that is gone for good"
    where.add_argument("--back", action="store_true", help=back_text)
    name_text = "what it is called there (default: as here)"
    parser.add_argument("--as", dest="name", metavar="N", help=name_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Has it moved, and waits until it is there; or has it taken back."""
    if args.back:
        return _back(args, directory)
    if "@" in args.to:
        parse_route(args.to)
    elif len(args.to) == DIGITS:
        parse_address(args.to)
    if args.name is not None and not NAME.fullmatch(args.name):
        raise Usage(f"{args.name} is no name of a machine: letters a-z, digits and -")
    params = {"machine": args.machine, "to": args.to, "name": args.name or ""}
    try:
        with shown_while(f"{args.machine} is on its way to host {args.to[:SHOWN]}"):
            done = ask(directory, "move", params, MOVE_S)
    except NoAnswer as error:
        raise NoAnswer(f"{error}; while it is on its way `avm-host ls` shows it so") from None
    if args.json:
        print_json(done)
    else:
        renamed = f" as {done['name']}" if done["name"] != done["machine"] else ""
        where = f"{done['host'][:SHOWN]}.."
        say(f"{done['machine']} lives at host {where}{renamed}; capabilities to it stay good")
    return 0


def _back(args: argparse.Namespace, directory: Directory) -> int:
    if args.name is not None:
        raise Usage("--as goes with --to")
    done = ask(directory, "move", {"machine": args.machine, "back": True}, MOVE_S)
    if args.json:
        print_json(done)
    else:
        say(f"{done['name']} lives here again, under incarnation {done['incarnation']}")
    return 0
