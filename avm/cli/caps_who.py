"""`caps who-can`: everyone who can reach a machine or use a capability, each by a shortest chain."""

import argparse
from typing import Any

from avm.authority.reach import who_can
from avm.cli.caps_read import authority, chain_json, gone_text, hop_line, meant_by, unseen
from avm.cli.output import print_json, say
from avm.run.directory import Directory


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints a holder and its chain each."""
    (word,) = args.words
    with authority(args, directory) as found:
        address, meant = meant_by(found, directory, word)
        told = [
            {"name": party.label, "what": party.what.value, "chain": chain_json(found, chain)}
            for party, chain in who_can(found.graph, address, meant)
        ]
        left_out, gone = list(unseen(found)), gone_text(found, address)
    if args.json:
        print_json(told)
        return 0
    _show(told, word, gone)
    for line in left_out:
        say(line)
    return 0


def _show(told: list[dict[str, Any]], word: str, gone: str) -> None:
    if not told:
        say(f"nobody can reach {word}" + (f"; {gone}" if gone else ""))
    for one in told:
        if len(one["chain"]) == 1:
            say(hop_line(one["chain"][0]))
            continue
        through = " -> ".join(hop["machine"] for hop in one["chain"][:-1])
        say(f"{one['name']} through {through}")
        for hop in one["chain"]:
            say(f"  {hop_line(hop)}")


__all__ = ["run"]
