"""What `rerun` found, for people and for programs."""

from collections import Counter
from typing import Any

from avm.cli.output import counted, say
from avm.cli.times import utc
from avm.recording.apart import DELIVERY, REQUEST, TURN, VERDICT, WORDS, Apart
from avm.recording.rerun import Found, Rerun
from avm.recording.whatif import WhatIf

HEX_MAX = 8


def difference_of(found: Found) -> str:
    """The first difference, in a line."""
    return f"input {found.n:,} ({found.name}), {utc(found.now_ms)}: {found.difference}"


def tell(rerun: Rerun, cut: bool) -> None:
    """Prints what a rerun found."""
    if rerun.found is not None:
        say(difference_of(rerun.found))
        return
    place = counted(rerun.segments, "segment")
    starts = f" and {counted(rerun.runs, 'start')} of the host" if rerun.runs > 1 else ""
    when = f"{utc(rerun.began_ms)} to {utc(_ended_ms(rerun))}"
    say(f"{counted(rerun.inputs, 'input')} in {place}{starts}, {when}: every answer is the same")
    say(f"{counted(rerun.effects, 'effect')} and {counted(rerun.commits, 'commit')} compared")
    if not rerun.ended and rerun.is_whole:
        how = ", and the one after it is cut short" if cut else ""
        say(f"the host did not end it: what it was told ends with input {rerun.last:,}{how}")


def _ended_ms(rerun: Rerun) -> int:
    return rerun.core.host.now_ms if rerun.core is not None else 0


def as_json(rerun: Rerun, cut: bool) -> dict[str, Any]:
    """What a rerun found."""
    found = rerun.found
    difference = None
    if found is not None:
        difference = {"input": found.n, "name": found.name, "now_ms": found.now_ms}
        one = found.difference
        difference |= {"where": one.where, "was": one.was, "now": one.now}
    return {
        "agrees": found is None,
        "inputs": rerun.inputs,
        "first": rerun.first,
        "last": rerun.last,
        "segments": rerun.segments,
        "starts": rerun.runs,
        "began_ms": rerun.began_ms,
        "ended_ms": _ended_ms(rerun),
        "effects": rerun.effects,
        "commits": rerun.commits,
        "ended": rerun.ended,
        "cut": cut,
        "difference": difference,
    }


# What if.


def tell_what_if(what_if: WhatIf) -> None:
    """Prints where the two lives come apart first, and what is not the same after."""
    lives = what_if.lives
    if what_if.has_more:
        say(f"the host was started again after input {what_if.last:,}: so far this goes")
    if lives.first is None:
        say(f"{counted(what_if.inputs, 'input')}: nothing would have come of it that did not")
        return
    say(_apart(what_if, lives.first))
    rest = ", ".join(_counted(name, what, count) for what, name, count in _counts(what_if))
    say(f"not the same in all: {rest}")
    if what_if.untold:
        untold = counted(what_if.untold, "input")
        say(f"{untold} could not be told: what they speak of is not there now")
    if lives.too_many:
        say(f"they have nothing in common any more: nothing was told after input {what_if.last:,}")


def _apart(what_if: WhatIf, apart: Apart) -> str:
    one = apart.difference
    about = _about(what_if, apart)
    where = f", {one.where}" if one.where else ""
    return f"input {apart.n:,}, {about}{where}: recorded {one.was}, now {one.now}"


def _about(what_if: WhatIf, apart: Apart) -> str:
    match apart.subject:
        case (kind, int(machine), n) if kind == TURN:
            return f"{_name(what_if, machine)}, turn {n}"
        case (kind, bytes(client), bytes(receiver), seq) if kind == VERDICT:
            return f"verdict on batch {seq} of {_short(client)} to {_short(receiver)}"
        case (kind, bytes(client), bytes(sender), seq) if kind == DELIVERY:
            return f"delivery {seq} of {_short(sender)} to {_short(client)}"
        case (kind, request) if kind == REQUEST:
            return f"the operator's request {request}"
        case (_, link, n):
            return f"frame {n} on link {link}"
    return str(apart.subject)


def _short(address: bytes) -> str:
    return address.hex()[:HEX_MAX]


def _name(what_if: WhatIf, number: int) -> str:
    core = what_if.core
    machine = None if core is None else core.host.by_id.get(number)
    return f"machine {number}" if machine is None else machine.name


def _counts(what_if: WhatIf) -> list[tuple[str, str, int]]:
    """Kind, machine (of turns only) and how many are not the same."""
    counts: Counter[tuple[str, Any]] = what_if.lives.counts
    return [
        (kind, _name(what_if, about) if kind == TURN else "", count)
        for (kind, about), count in sorted(counts.items(), key=str)
    ]


def _counted(name: str, kind: str, count: int) -> str:
    word = WORDS[kind]
    several = "deliveries" if kind == DELIVERY else word.replace("answer", "answers", 1)
    if kind in (TURN, VERDICT):
        several = f"{word}s"
    if kind not in (TURN, VERDICT, DELIVERY, REQUEST):
        several = word.replace("frame", "frames", 1)
    of = f" of {name}" if name else ""
    return counted(count, word, several) + of


def what_if_as_json(what_if: WhatIf) -> dict[str, Any]:
    """Where the two lives come apart first, and what is not the same after."""
    first = what_if.lives.first
    apart = None
    if first is not None:
        one = first.difference
        apart = {"input": first.n, "kind": first.subject[0], "about": _about(what_if, first)}
        apart |= {"where": one.where, "was": one.was, "now": one.now}
    counts = [
        {"kind": kind, "machine": name or None, "count": count}
        for kind, name, count in _counts(what_if)
    ]
    return {
        "agrees": first is None,
        "inputs": what_if.inputs,
        "last": what_if.last,
        "untold": what_if.untold,
        "has_more": what_if.has_more,
        "given_up": what_if.lives.too_many,
        "difference": apart,
        "not_the_same": counts,
    }
