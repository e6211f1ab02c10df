"""`replay --code`: what new code would have done with a machine's journal, printed."""

import argparse
from functools import partial
from typing import Any

from avm.cli.errors import DAMAGED, REFUSED
from avm.cli.ls import print_sides, print_table
from avm.cli.output import counted, print_json, say
from avm.cli.state import progress_of
from avm.host.state import Machine
from avm.limits import Limits
from avm.past.contexts import NotTaken
from avm.past.reading import Reader
from avm.past.shadow import NewCode
from avm.past.shadowing import Compared, Shadowing
from avm.run.files import bundle_of
from avm.run.spawn import OTHER_HASH_SEED
from avm.run.worker import forked

# New code may take longer than a turn has; what ends it is that it may never end.
NEW_CODE_TURNS = 3
KINDS_SHOWN = 5


def new_code(file: str) -> NewCode:
    """The code of a file, with the modules beside it; Usage where it cannot be had."""
    bundle = bundle_of(file)
    return NewCode(bundle.hash, bundle.encode())


def compare(args: argparse.Namespace, reader: Reader, machine: Machine, limits: Limits) -> int:
    """Prints what would be otherwise under the new code; the exit code says whether anything is."""
    start = partial(forked, OTHER_HASH_SEED, limits, limits.turn_s * NEW_CODE_TURNS)
    new = new_code(args.code)
    with progress_of(machine) as told:
        found = Shadowing(reader, machine, new, start, args.to, told, args.first or 0).run()
    if args.json:
        print_json(_json(machine, found))
    else:
        show(machine.name, found)
    if found.fault is not None:
        return DAMAGED
    return 0 if found.agrees else REFUSED


def show(name: str, found: Compared) -> None:
    """Prints what was found for people."""
    since = f", from the state of turn {found.first} on" if found.first else ""
    some = f"; {found.trusted} taken from the record" if found.trusted else ""
    if found.difference is None:
        same = "every answer is the same"
        if not found.fault and not found.stopped:
            say(f"{name}: {counted(found.turns, 'turn')}, {same}{since}{some}")
    else:
        say(f"{name}: {found.difference}")
        print_sides("recorded", "now", found.fields)
        differ = counted(found.turns_differing, "differs", "differ")
        where = f"{differ}, in {counted(found.messages_differing, 'message')}"
        say(f"{name}: of {counted(found.turns, 'turn')}{since} {where}{some}")
    if found.fault is not None:
        say(f"{name}, turn {found.fault.n}: {found.fault.why}; restore a backup")
    if found.stopped:
        say(f"{name}: the new code does not go on: {found.stopped}")
    if found.state is not None:
        path, was, now = found.state
        say(f"{name}: {path} is {was}; it would be {now} under this code from the start on")
    _show_contexts(name, found)
    if found.upgrade:
        say(f"{name} would keep its code: {found.upgrade}")


def _show_contexts(name: str, found: Compared) -> None:
    if found.not_taken:
        kinds = counted(len(found.not_taken), "kind of context is", "kinds of contexts are")
        say(f"{name}: {kinds} not taken any more")
        print_table([[f"  {one.shape}", _where(one), one.why] for one in found.not_taken])
    if found.untold or found.passed_over:
        shown = found.untold[:KINDS_SHOWN]
        more = len(found.untold) - len(shown) + found.passed_over
        which = ", ".join([*shown, *([f"{more:,} more"] if more else [])])
        say(f"{name}: no message is known to {which}: whether it would be taken is not known")


def _where(one: NotTaken) -> str:
    if not one.messages:
        return one.where
    first = "" if one.messages == 1 else f"{one.messages:,} messages, the first "
    return f"{first}{one.where}"


def _json(machine: Machine, found: Compared) -> dict[str, Any]:
    shown: dict[str, Any] = {"machine": machine.name, "agrees": found.agrees}
    shown |= {"turns": found.turns, "first": found.first, "trusted": found.trusted}
    one = found.difference
    if one is not None:
        shown |= {"turn": one.turn, "message": one.message, "path": one.path}
        shown |= {"was": one.was, "now": one.now}
        fields = [{"path": path, "was": was, "now": now} for path, was, now in found.fields]
        shown |= {"fields": fields}
    shown |= {"turns_differing": found.turns_differing}
    shown |= {"messages_differing": found.messages_differing}
    shown["not_taken"] = [
        {"context": one.shape, "where": one.where, "why": one.why, "messages": one.messages}
        for one in found.not_taken
    ]
    shown["not_known"] = found.untold
    if found.state is not None:
        shown["state"] = dict(zip(("path", "was", "now"), found.state, strict=True))
    if found.fault is not None:
        shown |= {"turn": found.fault.n, "damage": found.fault.why}
    if found.stopped:
        shown["stopped"] = found.stopped
    return shown | ({"upgrade": found.upgrade} if found.upgrade else {})


__all__ = ["compare", "new_code", "show"]
