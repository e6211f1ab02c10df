"""`upgrade`: new code for a machine, its state kept or migrated in the same commit."""

import argparse

from avm.cli.arguments import add_json, add_machine
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.run.directory import Directory
from avm.run.files import bundle_of


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    parser.add_argument("file", metavar="FILE", help="the new Python file")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Upgrades the machine, or changes nothing."""
    bundle = bundle_of(args.file).encode()
    done = ask(directory, "upgrade", {"machine": args.machine, "bundle": bundle})
    if args.json:
        print_json(done)
    else:
        say(f"{done['machine']} runs the new code from turn {done['turn']} on")
    return 0
