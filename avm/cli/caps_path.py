"""`caps path`: the shortest chain of who holds whom from one party to another, and who gave each part."""

import argparse

from avm.authority.reach import path
from avm.cli.caps_read import authority, chain_json, gone_text, hop_line, meant_by, party_of
from avm.cli.errors import CliError
from avm.cli.output import print_json, say
from avm.run.directory import Directory


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the chain; 1 where there is none."""
    start, end = args.words
    with authority(args, directory) as found:
        address, meant = meant_by(found, directory, end)
        chain = path(found.graph, party_of(found, start), address, meant)
        told = None if chain is None else chain_json(found, chain)
        gone = gone_text(found, address)
    if told is None:
        why = f"no path: nothing that {start} holds leads to {end}"
        raise CliError(f"{why}; {gone}" if gone else why)
    if args.json:
        print_json(told)
        return 0
    for hop in told:
        say(hop_line(hop))
    return 0


__all__ = ["run"]
