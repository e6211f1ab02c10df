"""`caps`: what a capability is good for; each act is a module of its own."""

import argparse
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from avm.cli import caps_forward, caps_narrow
from avm.cli.arguments import add_json, add_word
from avm.cli.errors import Usage

# An act, where it is, and what stands behind it.
ACTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "narrow": ("avm.cli.caps_narrow", "CAP"),
        "forward": ("avm.cli.caps_forward", "CAP"),
        "revoke": ("avm.cli.caps_revoke", "CAP"),
    }
)


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_word(parser, "act", tuple(ACTS), "")
    parser.add_argument("words", metavar="CAP", nargs="*", help="avm:..., or MACHINE.name")
    caps_narrow.add_options(parser)
    caps_forward.add_options(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Does what is asked."""
    if args.act not in ACTS:
        raise Usage(f"`avm-host caps {args.act}`: it is one of {', '.join(ACTS)}")
    module, wanted = ACTS[args.act]
    if len(args.words) != len(wanted.split()):
        raise Usage(f"it is `{' '.join(f'avm-host caps {args.act} {wanted}'.split())}`")
    for option, acts in (*caps_narrow.OPTIONS, *caps_forward.OPTIONS):
        if getattr(args, option) is not None and args.act not in acts:
            raise Usage(f"--{option} goes with `avm-host caps {acts[0]} CAP`")
    code: int = import_module(module).run(args, directory)
    return code
