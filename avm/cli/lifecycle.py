"""`suspend`, `resume`, `halt`, `rm`: a machine's life, done as a whole or refused as a whole."""

import argparse

from avm.cli.arguments import add_json, add_machine
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.run.directory import Directory

DONE = {
    "suspend": "suspended",
    "resume": "running",
    "halt": "halted",
    "rm": "removed",
}
# What is said where there was nothing to do.
ALREADY = {
    "suspend": "already suspended",
    "resume": "not suspended",
    "halt": "already halted",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verbs."""
    add_machine(parser)
    if parser.prog.endswith(" suspend"):
        modes = parser.add_mutually_exclusive_group()
        modes.add_argument("--hold", action="store_true", help="what comes waits (the default)")
        modes.add_argument("--fail", action="store_true", help="what comes is undelivered")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Does it."""
    params = {"machine": args.machine}
    if args.verb == "suspend":
        params["mode"] = "fail" if args.fail else "hold"
    done = ask(directory, args.verb, params)
    status = DONE[args.verb]
    if args.json:
        print_json({"machine": done["machine"], "status": status, "already": done["already"]})
    elif done["already"]:
        say(f"machine {done['machine']} is {ALREADY[args.verb]}")
    else:
        say(f"{done['machine']} is {status}")
    return 0
