"""`caps`: who holds which capability, who can reach what; and capabilities made good for less.

Each act is a module of its own, which is loaded when it is meant.
"""

import argparse
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from avm.cli import caps_forward, caps_narrow
from avm.cli.about import add_about
from avm.cli.arguments import add_fork, add_json, add_word
from avm.cli.errors import Usage

# An act, where it is, and what stands behind it: what is in brackets may be left out.
ACTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ls": ("avm.cli.caps_ls", "[N]"),
        "who-can": ("avm.cli.caps_who", "CAP"),
        "path": ("avm.cli.caps_path", "A B"),
        "graph": ("avm.cli.caps_graph", "[N..]"),
        "narrow": ("avm.cli.caps_narrow", "CAP"),
        "forward": ("avm.cli.caps_forward", "CAP"),
        "factory": ("avm.cli.caps_factory", "FILE"),
        "revoke": ("avm.cli.caps_revoke", "CAP"),
    }
)
# The options of the acts that look; those that make something name their own.
LOOKING = (
    ("check", ("ls",)),
    ("at_most", ("factory",)),
    ("about", ("factory",)),
    ("dry_run", ("revoke",)),
    ("generation", ("revoke",)),
    ("svg", ("graph",)),
    ("fork", ("ls", "who-can", "path", "graph", "revoke")),
)
OPTIONS = (*caps_narrow.OPTIONS, *caps_forward.OPTIONS, *LOOKING)


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    behind = {act: wanted for act, (_module, wanted) in ACTS.items()}
    add_word(parser, "act", tuple(ACTS), "ls", behind)
    text = "avm:..., or MACHINE.name; a machine or another party by its name; factory: a file"
    parser.add_argument("words", metavar="CAP", nargs="*", help=text)
    check_text = "ls: look at the state itself for what it still refers to"
    parser.add_argument("--check", action="store_true", help=check_text)
    caps_narrow.add_options(parser)
    caps_forward.add_options(parser)
    most_text = "factory: it makes so many machines and no more (default: 100)"
    parser.add_argument("--at-most", metavar="N", help=most_text)
    add_about(parser, "factory: ")
    dry_text = "revoke: only show who would lose what"
    parser.add_argument("--dry-run", action="store_true", help=dry_text)
    generation_text = "revoke --dry-run: of machine N this key generation and those before"
    parser.add_argument("--generation", metavar="G", help=generation_text)
    svg_text = "graph: draw it into this file"
    parser.add_argument("--svg", metavar="FILE", help=svg_text)
    add_fork(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Does what is asked."""
    if args.act not in ACTS:
        raise Usage(f"`avm-host caps {args.act}`: it is one of {', '.join(ACTS)}")
    module, wanted = ACTS[args.act]
    words = wanted.split()
    least = sum(not word.startswith("[") for word in words)
    many = wanted.endswith("..]")
    if len(args.words) < least or (len(args.words) > len(words) and not many):
        raise Usage(f"it is `{' '.join(f'avm-host caps {args.act} {wanted}'.split())}`")
    for option, acts in OPTIONS:
        if getattr(args, option) not in (None, False) and args.act not in acts:
            written = option.replace("_", "-")
            said = f"--{written} goes with `avm-host caps {acts[0]} {ACTS[acts[0]][1]}`"
            raise Usage(said if len(acts) == 1 else f"--{written} goes with {', '.join(acts)}")
    code: int = import_module(module).run(args, directory)
    return code
