"""`caps graph`: who holds what, as a picture, as JSON, or a line for each pair."""

import argparse
from pathlib import Path
from typing import Any

from avm.authority.holding import Graph, Holding, Party, terms_of
from avm.authority.layout import PARTIES_MAX, laid_out, shown
from avm.authority.svg import drawn
from avm.cli.caps_read import authority, party_of
from avm.cli.errors import CliError
from avm.cli.output import counted, print_json, say, writing_to
from avm.past.authority import Authority
from avm.run.directory import Directory


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints or draws the graph, of all parties, or of these and their neighbours."""
    with authority(args, directory) as found:
        count = 0
        asked = [party_of(found, word) for word in args.words]
        parties = [one for one in found.graph.everyone() if _wanted(found.graph, one, asked)]
        if args.svg is not None:
            count = _draw(found, parties, args.svg)
        told = _json(found, parties) if args.json else {}
        lines = [] if args.json else _lines(found, parties)
    if args.json:
        print_json(told)
        return 0
    if args.svg is not None:
        say(f"{args.svg}: {counted(count, 'party', 'parties')}")
        return 0
    for line in lines or ["nobody holds anything yet"]:
        say(line)
    return 0


def _wanted(graph: Graph, party: Party, asked: list[bytes]) -> bool:
    if not asked or party.address in asked:
        return True
    beside = [one.target for one in graph.held.get(party.address, ())]
    beside += [one.holder for one in graph.to.get(party.address, ())]
    return any(one in asked for one in beside)


def _draw(found: Authority, parties: list[Party], file: str) -> int:
    if len(parties) > PARTIES_MAX:
        why = f"{len(parties):,} parties are more than a picture can show ({PARTIES_MAX})"
        raise CliError(f"{why}: name some, `avm-host caps graph N.. --svg {file}`")
    layout = laid_out(found.graph, [one for one in parties if _drawn(found.graph, one)])
    picture = drawn(layout, lambda one: found.called(one.cap))
    path = Path(file)
    if path.is_dir():
        raise CliError(f"{file} is a directory: name a file")
    if not path.parent.is_dir():
        raise CliError(f"{path.parent} is no directory: make it, or name another file")
    with writing_to(file):
        path.write_text(picture, encoding="utf-8")
    return len(layout.spots)


def _drawn(graph: Graph, party: Party) -> bool:
    """Whether a party stands in the picture: a machine always, others where they have to do with one."""
    beside = (*graph.held.get(party.address, ()), *graph.to.get(party.address, ()))
    return party.machine is not None or any(map(shown, beside))


def _holdings(found: Authority, parties: list[Party]) -> list[Holding]:
    wanted = {one.address for one in parties}
    held = (one for party in parties for one in found.graph.held.get(party.address, ()))
    return [one for one in held if one.target in wanted and found.graph.counts(one)]


def _json(found: Authority, parties: list[Party]) -> dict[str, Any]:
    return {
        "parties": [
            {
                "name": one.label,
                "what": one.what.value,
                "address": one.address.hex() if found.is_address(one.address) else None,
                "generation": one.machine.generation if one.machine is not None else None,
                "ended": one.ended,
            }
            for one in parties
        ],
        "holdings": [
            {"holder": found.label(one.holder), **found.json(one)}
            for one in _holdings(found, parties)
        ],
    }


def _lines(found: Authority, parties: list[Party]) -> list[str]:
    alike: dict[tuple[str, str], list[Holding]] = {}
    for one in _holdings(found, parties):
        alike.setdefault((found.label(one.holder), found.label(one.target)), []).append(one)
    return [_line(found, *pair, held) for pair, held in sorted(alike.items())]


def _line(found: Authority, holder: str, target: str, held: list[Holding]) -> str:
    dead = sum(bool(found.graph.dead(one)) for one in held)
    generations = sorted({terms_of(one.cap).generation for one in held})
    said = [counted(len(held), "capability", "capabilities")]
    said += [f"generation {', '.join(map(str, generations))}"] if generations != [0] else []
    said += [f"{dead} dead"] if dead else []
    return f"{holder} -> {target}: {'; '.join(said)}"


__all__ = ["run"]
