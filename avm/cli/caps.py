"""`caps`: who holds which capability, who can reach what, and what a revocation would break.

Each act is in a file of its own, which names the options it takes.
"""

import argparse
from typing import Protocol

from avm.cli import caps_ls, caps_path, caps_revoke, caps_who
from avm.cli.arguments import add_fork, add_json, add_word
from avm.cli.errors import Usage
from avm.run.directory import Directory


class Act(Protocol):
    """What the module of an act has: how it is written, the options of its own, and both functions."""

    USE: str
    OPTIONS: tuple[str, ...]

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options of its own."""
        ...

    def run(self, args: argparse.Namespace, directory: Directory) -> int:
        """Does it; the exit code."""
        ...


ACTS: dict[str, Act] = {
    "ls": caps_ls,
    "who-can": caps_who,
    "path": caps_path,
    "revoke": caps_revoke,
}


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_word(parser, "act", tuple(ACTS), "ls")
    words_text = "; ".join(act.USE for act in ACTS.values())
    parser.add_argument("words", metavar="WORD", nargs="*", help=words_text)
    for act in ACTS.values():
        act.add(parser)
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Does what is asked."""
    act = ACTS.get(args.act)
    if act is None:
        raise Usage(f"`avm-host caps {args.act}`: it is one of {', '.join(ACTS)}")
    for other in ACTS.values():
        for option in other.OPTIONS:
            given = getattr(args, option.strip("-").replace("-", "_"))
            if given not in (None, False) and option not in act.OPTIONS:
                raise Usage(f"{option} does not go with {args.act}: `avm-host caps {act.USE}`")
    return act.run(args, directory)
