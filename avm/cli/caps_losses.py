"""`caps revoke --dry-run`: which holders would lose what, before anything is done."""

import argparse
import re
from collections.abc import Iterator
from typing import Any

from avm.authority.holding import target_of
from avm.authority.reach import Cut, a_generation, losses, one_capability
from avm.cli.caps_forward import ENDED, REVOKE
from avm.cli.caps_read import authority, cap_of, hop_json, hop_line, unseen
from avm.cli.errors import CliError, Usage
from avm.cli.output import counted, print_json, say
from avm.past.authority import Authority
from avm.run.directory import Directory

GENERATION = re.compile(r"0|[1-9][0-9]{0,9}")


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints who would lose what."""
    (word,) = args.words
    with authority(args, directory) as found:
        address, cut = _meant(args, found, directory, word)
        notes = [*_alone(args, found, address), *unseen(found)]
        lost = losses(found.graph, address, cut)
        told = [
            {
                "name": one.party.label,
                "what": one.party.what.value,
                "loses": [hop_json(found, holding) for holding in one.holdings],
                "no_longer_reaches": [party.label for party in one.unreached],
            }
            for one in lost.found
        ]
    if args.json:
        print_json({"would_lose": told, "not_looked_at": lost.left_out})
        return 0
    _show(told, lost.left_out)
    for note in notes:
        say(note)
    return 0


def _meant(
    args: argparse.Namespace, found: Authority, directory: Directory, word: str
) -> tuple[bytes, Cut]:
    if args.generation is not None:
        if not GENERATION.fullmatch(args.generation):
            raise Usage(f"--generation {args.generation}: a generation is a number, 0 the first")
        machine = found.reader.machine(word)
        generation = int(args.generation)
        if generation > machine.generation:
            raise CliError(
                f"{machine.name} is at generation {machine.generation}, not {generation}"
            )
        return machine.address, a_generation(machine.address, generation)
    cap = cap_of(found, directory, word)
    if cap is None:
        raise Usage(f"{word!r} is no capability: write avm:..., or MACHINE.name like counter.add")
    return target_of(cap), one_capability(cap)


def _alone(args: argparse.Namespace, found: Authority, address: bytes) -> Iterator[str]:
    """That a capability which is no forwarder's cannot be ended alone."""
    machine = found.machines.get(address)
    if args.generation is not None or machine is None:
        return
    names = found.reader.names(machine).keys()
    if not any({word, REVOKE} <= names for word in ENDED):
        name = machine.name
        said = f"{name} is no forwarder: this capability cannot be ended alone"
        yield f"{said}, only with its generation, by `avm-host keys revoke {name} --generation G`"


def _show(told: list[dict[str, Any]], left_out: int) -> None:
    if not told:
        say("nobody would lose anything")
    for one in told:
        for holding in one["loses"]:
            say(f"lost: {hop_line(holding)}")
        if one["no_longer_reaches"]:
            say(f"{one['name']} could no longer reach {', '.join(one['no_longer_reaches'])}")
    if left_out:
        say(f"{counted(left_out, 'party', 'parties')} further away not looked at")


__all__ = ["run"]
