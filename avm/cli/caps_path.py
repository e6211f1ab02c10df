"""`caps path`: the shortest chain of who holds whom from one party to another, and who gave each part."""

import argparse

from avm.authority.holding import target_of
from avm.authority.reach import path
from avm.cli.caps_read import authority, cap_of, chain_json, hop_line, party_of
from avm.cli.errors import CliError
from avm.cli.output import print_json, say
from avm.run.directory import Directory


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the chain; 1 where there is none."""
    start, end = args.words
    with authority(args, directory) as found:
        cap = cap_of(found, directory, end)
        address = party_of(found, end) if cap is None else target_of(cap)
        chain = path(found.graph, party_of(found, start), address, cap)
        told = None if chain is None else chain_json(found, chain)
    if told is None:
        raise CliError(f"no path: nothing that {start} holds leads to {end}")
    if args.json:
        print_json(told)
        return 0
    for hop in told:
        say(hop_line(hop))
    return 0


__all__ = ["run"]
