"""`caps ls`: what a machine holds, what it dropped, and what it has handed out; or a line a party."""

import argparse
from typing import Any

from avm.authority.holding import WHO_IS_GONE, Holding, How, What
from avm.cli.caps_read import authority, given_text, place_text, terms_text
from avm.cli.errors import Usage
from avm.cli.ls import print_table
from avm.cli.output import counted, print_json, say
from avm.cli.state import progress_of
from avm.host.refer import slots_in
from avm.host.state import Machine
from avm.past.authority import Authority
from avm.past.states import state_at
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.spawn import HASH_SEED
from avm.run.worker import forked

HANDED_MAX = 1_000


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints one machine's capabilities, or everyone's in a line each."""
    if args.check and not args.words:
        raise Usage("--check goes with a machine: `avm-host caps ls N --check`")
    with authority(args, directory) as found:
        if args.words:
            machine = found.reader.machine(args.words[0])
            checked = _checked(args, found, machine, directory) if args.check else None
            told = of_machine(found, machine, checked)
            rows: list[dict[str, Any]] = []
        else:
            told, rows = {}, everyone(found)
    if args.json:
        print_json(told or rows)
    elif told:
        _show(told)
    else:
        _show_everyone(rows)
    return 0


def _checked(
    args: argparse.Namespace, found: Authority, machine: Machine, directory: Directory
) -> set[int]:
    """The slots that the state refers to now."""
    limits = Config.read(directory.config_file).limits
    with forked(HASH_SEED, limits) as worker, progress_of(machine) as progress:
        _body, references = state_at(found.reader, machine, worker, None, progress)
    return slots_in(references)


def of_machine(found: Authority, machine: Machine, checked: set[int] | None) -> dict[str, Any]:
    """All there is to say of one machine's capabilities."""
    past = found.past(machine.address)
    looked = found.looked_at(machine)
    held = sorted(
        found.graph.held.get(machine.address, ()), key=lambda one: (one.how.value, one.place)
    )
    dropped = [
        {"slot": slot, "turn": turn, "given": _arrival(found, machine, slot)}
        for slot, turn in sorted(past.dropped.items())
    ]
    return {
        "name": machine.name,
        "address": machine.address.hex(),
        "holds": [_held(found, one, looked, checked) for one in held],
        "dropped": dropped,
        "handed_out": [found.handed_json(one) for one in past.handed[:HANDED_MAX]],
        "handed_out_more": max(0, len(past.handed) - HANDED_MAX),
        "looked_at": None if looked is None else looked[0],
    }


def _held(
    found: Authority, one: Holding, looked: tuple[int, set[int]] | None, checked: set[int] | None
) -> dict[str, Any]:
    given = found.given(one)
    told = {**found.json(one), "given": found.given_json(given), "retained": None}
    if one.how is How.SLOT:
        if checked is not None:
            told["retained"] = one.place in checked
        elif looked is not None and one.place in looked[1]:
            told["retained"] = True
    return told


def _arrival(found: Authority, machine: Machine, slot: int) -> dict[str, Any] | None:
    arrival = found.past(machine.address).arrivals.get(slot)
    return None if arrival is None else found.given_json(found.arrived(machine.address, arrival))


def everyone(found: Authority) -> list[dict[str, Any]]:
    """A row a party: what it is, how much it holds, dropped and handed out, and who holds it."""
    rows: list[dict[str, Any]] = []
    for party in found.graph.everyone():
        past = found.past(party.address) if party.address in found.machines else None
        holders = {one.holder for one in found.graph.to.get(party.address, ())}
        rows.append(
            {
                "name": party.label,
                "what": party.what.value,
                "address": party.address.hex() if found.is_address(party.address) else None,
                "holds": sum(map(found.graph.counts, found.graph.held.get(party.address, ()))),
                "dropped": 0 if past is None else len(past.dropped),
                "handed_out": 0 if past is None else len(past.handed),
                "holders": len(holders - {party.address}),
            }
        )
    return rows


def _show(told: dict[str, Any]) -> None:
    over = sum(one["reply"] and one["dead"] is not None for one in told["holds"])
    count = len(told["holds"]) - over
    say(f"{told['name']} holds {counted(count, 'capability', 'capabilities')}")
    for one in told["holds"]:
        if one["reply"] and one["dead"]:
            continue
        said = [place_text(one), given_text(one["given"]), terms_text(one), _retained(one, told)]
        say(f"  {one['to']}: {'; '.join(part for part in said if part)}")
    if over:
        words = counted(over, "reply that is over", "replies that are over")
        say(f"  and {words}, until {'it is' if over == 1 else 'they are'} collected")
    if told["dropped"]:
        say("dropped")
        for one in told["dropped"]:
            came = given_text(one["given"]) or "before the journal begins"
            say(f"  slot {one['slot']}: came {came}, collected in turn {one['turn']}")
    if told["handed_out"]:
        say("handed out")
        for one in told["handed_out"]:
            whose = "" if one["own"] else f" (its slot {one['slot']})"
            say(f"  turn {one['turn']}: {one['what']}{whose} to {one['to'] or 'nobody known'}")
    if told["handed_out_more"]:
        say(f"  and {told['handed_out_more']:,} more, later")


def _retained(one: dict[str, Any], told: dict[str, Any]) -> str:
    if one["how"] != How.SLOT.value:
        return ""
    if one["retained"] is None:
        return "not looked at since it came"
    return "retained" if one["retained"] else "dropped, not collected yet"


def _show_everyone(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("nobody holds anything yet: `avm-host create FILE` makes a machine")
        return
    columns = ("name", "what", "address", "holds", "dropped", "handed_out", "holders")
    heads = [name.replace("_", " ") for name in columns]
    told = [one | {"what": WHO_IS_GONE} if one["what"] == What.GONE.value else one for one in rows]
    print_table([heads, *([_cell(row[name]) for name in columns] for row in told)])


def _cell(value: object) -> str:
    return "-" if value is None else str(value)[:12] if len(str(value)) == 64 else str(value)


__all__ = ["everyone", "of_machine", "run"]
