"""`prune`: forgets a machine's oldest turns, never past its newest snapshot."""

import argparse
import re

from avm.cli.arguments import add_json, add_machine
from avm.cli.errors import Usage
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.past.reading import Reader
from avm.run.directory import Directory

COUNT = re.compile(r"[0-9]{1,15}")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    keep_text = "how many of the newest turns stay"
    parser.add_argument("--keep", metavar="TURNS", required=True, help=keep_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prunes the journal."""
    if not COUNT.fullmatch(args.keep):
        raise Usage(f"--keep {args.keep}: a number of turns, like --keep 1000")
    with Reader.open(directory) as reader:
        turns = reader.head(reader.machine(args.machine))
    keep_from = max(0, turns - int(args.keep))
    done = ask(directory, "prune", {"machine": args.machine, "keep_from": keep_from})
    if args.json:
        print_json(done)
    else:
        why = ": what its newest snapshot needs stays" if done["kept_from"] < keep_from else ""
        say(f"{done['machine']} keeps its turns from {done['kept_from']} on{why}")
    return 0
