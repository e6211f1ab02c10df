"""`export`, `import`: a suspended machine, whole, in one file from one host to another, or to another day."""

import argparse
import os

from avm.cli.arguments import add_json, add_machine
from avm.cli.errors import Usage
from avm.cli.link import ask
from avm.cli.output import counted, print_json, say
from avm.run.directory import Directory
from avm.run.parts import NAME

FILE_S = 3600.0


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of these verbs."""
    if parser.prog.endswith(" export"):
        add_machine(parser)
        parser.add_argument("file", metavar="FILE", help="a new file; the keys will be in it")
        text = "without the turns before the newest snapshot"
        parser.add_argument("--from-snapshot", action="store_true", help=text)
    else:
        parser.add_argument("file", metavar="FILE", help="what `export` wrote")
        text = "what it is called here (default: as it was called)"
        parser.add_argument("--name", metavar="N", help=text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Has the host write or read the file."""
    path = os.path.abspath(args.file)
    return (
        _export(args, directory, path) if args.verb == "export" else _import(args, directory, path)
    )


def _export(args: argparse.Namespace, directory: Directory, path: str) -> int:
    params = {"machine": args.machine, "path": path, "whole": not args.from_snapshot}
    done = ask(directory, "export", params, FILE_S)
    if args.json:
        print_json(done)
    else:
        say(f"{done['machine']} is in {args.file}, its keys with it, and lives here no more")
    return 0


def _import(args: argparse.Namespace, directory: Directory, path: str) -> int:
    name = args.name or ""
    if name and not NAME.fullmatch(name):
        raise Usage(f"{name} is no name of a machine: letters a-z, digits and -")
    done = ask(directory, "import", {"path": path, "name": name}, FILE_S)
    if args.json:
        print_json(done)
        return 0
    timers = f", {counted(done['timers'], 'timer')} pending" if done["timers"] else ""
    turns = counted(done["turns"], "turn")
    say(f"{done['machine']} lives here, suspended, with {turns}{timers}; `resume` has it go on")
    return 0
