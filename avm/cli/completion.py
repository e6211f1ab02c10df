"""`completion`: what a shell needs to complete verbs and options."""

import argparse

import shtab

from avm.cli.arguments import PROGRAM, fill, load
from avm.cli.errors import Usage
from avm.cli.output import print_text
from avm.cli.verbs import VERBS
from avm.run.directory import Directory

SHELLS = ("bash", "zsh", "tcsh")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    shell_text = (
        'bash, zsh or tcsh; for bash put `eval "$(avm-host completion bash)"` into ~/.bashrc'
    )
    parser.add_argument("shell", metavar="SHELL", help=shell_text)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the script."""
    if args.shell not in SHELLS:
        raise Usage(f"there is none for {args.shell!r}: it is one of {', '.join(SHELLS)}")
    script: str = shtab.complete(whole_parser(), shell=args.shell)
    print_text(script)
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """One parser with every verb and option."""
    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("--version", action="store_true", help="print the version and end")
    parser.add_argument("--dir", help="the host's directory").complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    verbs = parser.add_subparsers(metavar="VERB")
    for verb in VERBS:
        made = verbs.add_parser(verb.name, help=verb.summary, description=verb.summary)
        fill(made, verb, load(verb))
        for action in made._actions:
            if action.metavar == "FILE":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            action.choices = getattr(action, "words", action.choices)
    return parser
