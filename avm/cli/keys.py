"""`keys`: the keys of the host and of its machines; each act is a module of its own."""

import argparse
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from avm.cli import keys_certify, keys_generations
from avm.cli.arguments import add_json, add_passphrase, add_word
from avm.cli.errors import Usage

# An act, where it is, and what stands behind it.
ACTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ls": ("avm.cli.keys_generations", "N"),
        "rotate": ("avm.cli.keys_generations", "N"),
        "revoke": ("avm.cli.keys_generations", "N"),
        "host": ("avm.cli.keys_host", ""),
        "lock": ("avm.cli.keys_lock", ""),
        "unlock": ("avm.cli.keys_lock", ""),
        "export": ("avm.cli.keys_carry", "FILE"),
        "import": ("avm.cli.keys_carry", "FILE"),
        "detach": ("avm.cli.keys_root", "FILE"),
        "request": ("avm.cli.keys_root", "FILE"),
        "certify": ("avm.cli.keys_certify", "REQUEST ROOT FILE"),
    }
)
OF_THE_HOST = ("avm.cli.keys_root", "--host")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    behind = {act: wanted for act, (_module, wanted) in ACTS.items()}
    add_word(parser, "act", tuple(ACTS), "host", behind)
    parser.add_argument("words", metavar="ARGUMENT", nargs="*", help="a machine N, or a FILE")
    keys_generations.add_options(parser)
    keys_certify.add_options(parser)
    add_passphrase(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: object) -> int:
    """Does what is asked."""
    if args.act not in ACTS:
        raise Usage(f"`avm-host keys {args.act}`: it is one of {', '.join(ACTS)}")
    is_hosts = args.host and args.act == "rotate"
    module, wanted = OF_THE_HOST if is_hosts else ACTS[args.act]
    for option, act in keys_generations.OPTIONS:
        if getattr(args, option) is not None and (args.act != act or is_hosts):
            raise Usage(f"--{option} goes with `avm-host keys {act} N`")
    keys_certify.check_options(args)
    words = [*args.words, "--host"] if is_hosts else args.words
    if len(words) != len(wanted.split()):
        other = f", or `avm-host keys rotate {OF_THE_HOST[1]}`" if args.act == "rotate" else ""
        raise Usage(f"it is `{f'avm-host keys {args.act} {ACTS[args.act][1]}'.strip()}`{other}")
    code: int = import_module(module).run(args, directory)
    return code
