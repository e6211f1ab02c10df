"""`reprocess`: a machine's state made anew of its recorded inputs by new code, and put in place or dropped."""

import argparse
import fcntl
import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from avm.cli.arguments import add_json, add_machine
from avm.cli.errors import DAMAGED, REFUSED, CliError, Usage
from avm.cli.link import TooLarge, ask
from avm.cli.ls import print_sides, print_table
from avm.cli.output import counted, print_json, say, writing_to
from avm.cli.shadow import NEW_CODE_TURNS, new_code
from avm.cli.show import host_of
from avm.cli.state import progress_of
from avm.cli.times import parse_since
from avm.host.rebuild import WENT_ON
from avm.host.state import Machine
from avm.past.candidate import BYTES_MAX, Candidate, from_bytes_untrusted, to_bytes
from avm.past.reading import Reader
from avm.past.rebuilding import Rebuilding, Rebuilt
from avm.past.shadow import NewCodeStops
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.spawn import OTHER_HASH_SEED
from avm.run.worker import WorkerLost, forked
from caps.errors import Malformed

SWITCHES_MAX = 5
ADDRESS_DIGITS = 64


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    parser.add_argument("--code", metavar="FILE", help="the code that makes the state anew")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--from", dest="first", metavar="TURN", type=int, help="by this turn and those after it"
    )
    where.add_argument(
        "--since", metavar="TIME", help="by the turns since then: 10m, 2h, 7d or ISO 8601"
    )
    who = parser.add_mutually_exclusive_group()
    text = "by what this sender said, and nobody else; may be repeated"
    who.add_argument("--sender", metavar="S", action="append", default=[], help=text)
    who.add_argument(
        "--without", metavar="S", action="append", default=[], help="by what all others said"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the state, and keep nothing")
    parser.add_argument(
        "--switch", action="store_true", help="put the state that is kept and its code in place"
    )
    parser.add_argument("--drop", action="store_true", help="forget the state that is kept")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Makes a state anew, shows the one that is kept, puts it in place or forgets it."""
    acts = [args.code is not None, args.switch, args.drop]
    chosen = args.first is not None or args.since or args.sender or args.without or args.dry_run
    if sum(acts) > 1 or (chosen and args.code is None):
        raise Usage("say `--code FILE` with what it is made by, or `--switch`, or `--drop`")
    if args.switch:
        return _switch(args, directory)
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        path = _path(directory, machine)
        if args.drop:
            return _drop(args, machine, path)
        with progress_of(machine) as told:
            one = _rebuilding(directory, reader, machine, told)
            if args.code is None:
                found = Rebuilt(_kept(path, machine))
                assert found.candidate is not None, "it was read"
                found.fields = one.differing(found.candidate)
            else:
                try:
                    found = _made(args, one)
                except (NewCodeStops, WorkerLost) as error:
                    why = f"the new code does not go on: {error}"
                    raise CliError(f"{machine.name}: {why}; nothing is kept") from None
    if args.code is not None and not args.dry_run and not found.not_kept:
        assert found.candidate is not None, "there is a state"
        keep(path, found.candidate)
    _tell(args, machine, found)
    return REFUSED if found.not_kept else 0


def _rebuilding(directory: Directory, reader: Reader, machine: Machine, told: Any) -> Rebuilding:
    limits = Config.read(directory.config_file).limits
    start = partial(forked, OTHER_HASH_SEED, limits, limits.turn_s * NEW_CODE_TURNS)
    return Rebuilding(reader, machine, start, host_of(directory), told)


def _made(args: argparse.Namespace, one: Rebuilding) -> Rebuilt:
    first = args.first or 0
    if args.since is not None:
        first = one.first_since(parse_since(args.since, time.time_ns() // 1_000_000))
    named = args.sender or args.without
    senders = tuple(_sender(one, name) for name in named)
    return one.run(new_code(args.code), first, senders, bool(args.without))


def _sender(one: Rebuilding, name: str) -> bytes:
    """The address of a sender, by its name, `host`, or a start of its address; CliError."""
    labels = one.reader.labels(one.host)
    known = {address: text for address, text in (*labels.machines.items(), *labels.clients.items())}
    found = {address for address, text in known.items() if text == name}
    if name == "host" and not found:
        found = {one.host}
    if not found:
        found = {address for address in one.senders() if address.hex().startswith(name)}
    if len(found) != 1:
        why = "several senders" if found else "no sender"
        raise CliError(f"{why} {name} in the journal of {one.machine.name}: `log` shows them")
    return found.pop()


# What is kept aside.


def _path(directory: Directory, machine: Machine) -> Path:
    return directory.path / "reprocess" / machine.address.hex()


def keep(path: Path, one: Candidate) -> None:
    """Keeps a state, whole: of two that are made at once the later one stays."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_suffix(".new")
    lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with writing_to(fresh), os.fdopen(fd, "wb") as file:
            file.write(to_bytes(one))
        os.replace(fresh, path)
    finally:
        os.close(lock)


def _kept(path: Path, machine: Machine) -> Candidate:
    try:
        with path.open("rb") as file:
            return from_bytes_untrusted(file.read(BYTES_MAX + 1))
    except FileNotFoundError:
        why = f"no state of {machine.name} is kept aside"
        raise CliError(
            f"{why}: `avm-host reprocess {machine.name} --code FILE` makes one"
        ) from None
    except Malformed as error:
        again = f"`avm-host reprocess {machine.name} --drop` forgets it"
        raise CliError(f"{path} is damaged: {error}; {again}", DAMAGED) from None


def _drop(args: argparse.Namespace, machine: Machine, path: Path) -> int:
    there = path.exists()
    if not there:
        raise CliError(f"no state of {machine.name} is kept aside")
    path.unlink()
    if args.json:
        print_json({"machine": machine.name, "dropped": True})
    else:
        say(f"{machine.name}: the state that was kept aside is forgotten; nothing else has changed")
    return 0


def _switch(args: argparse.Namespace, directory: Directory) -> int:
    """Catches up with the turns since, and has the host put it in place while there are no more."""
    turns = 0
    for attempt in range(1, SWITCHES_MAX + 1):
        with Reader.open(directory) as reader, reader.reading():
            machine = reader.machine(args.machine)
            path = _path(directory, machine)
            with progress_of(machine) as told:
                one = _kept(path, machine)
                found = _rebuilding(directory, reader, machine, told).catch_up(one)
        turns += found.turns
        if found.not_kept:
            raise CliError(f"{machine.name} keeps its code and state: {found.not_kept}")
        assert found.candidate is not None, "there is a state"
        keep(path, found.candidate)
        try:
            done = _put(directory, found.candidate)
            break
        except CliError as error:
            if WENT_ON not in str(error) or attempt == SWITCHES_MAX:
                raise
    with suppress(FileNotFoundError):
        path.unlink()
    if args.json:
        print_json({**done, "caught_up": turns})
        return 0
    since = f", {counted(turns, 'turn')} since caught up" if turns else ""
    where = f"with the rebuilt state from turn {done['turn']} on"
    say(f"{done['machine']} runs the new code {where}{since}")
    return 0


def _put(directory: Directory, one: Candidate) -> dict[str, Any]:
    params: dict[str, Any] = {"machine": one.address.hex(), "bundle": one.bundle}
    params |= {"body": one.body, "references": one.references, "head": one.head, "chain": one.chain}
    try:
        done: dict[str, Any] = ask(directory, "rebuild", params)
    except TooLarge as error:
        raise CliError(f"the rebuilt state is too large to be put in place: {error}") from None
    return done


# What is said.


def _tell(args: argparse.Namespace, machine: Machine, found: Rebuilt) -> None:
    if args.json:
        print_json(_json(args, machine, found))
        return
    name, one = machine.name, found.candidate
    assert one is not None, "there is a state"
    if args.code is not None:
        out = f", {found.left_out:,} left out" if found.left_out else ""
        some = f"; {found.trusted} taken from the record" if found.trusted else ""
        say(
            f"{name}: {counted(found.turns, 'turn')} from turn {one.first} on taken by the new code{out}{some}"
        )
        _tell_turns(name, found)
    else:
        since = machine.head - one.head
        more = f", {counted(since, 'turn')} behind" if since > 0 else ""
        say(
            f"{name}: a state by code {one.code.hex()[:8]} from turn {one.first} on is kept aside{more}"
        )
    if found.fields:
        print_sides("present", "rebuilt", found.fields)
    else:
        say(f"{name}: the state is the same")
    if found.not_kept:
        say(f"{name}: it cannot be put in place: {found.not_kept}")
    elif not args.dry_run:
        say(
            f"{name}: kept aside; `avm-host reprocess {name} --switch` puts it in place, `--drop` forgets it"
        )


def _tell_turns(name: str, found: Rebuilt) -> None:
    if found.not_applied:
        say(
            f"{name}: {counted(found.not_applied_count, 'turn is', 'turns are')} not applied any more"
        )
        print_table([[f"  turn {turn}, message {at}", why] for turn, at, why in found.not_applied])
    if found.applied:
        say(f"{name}: {counted(found.applied, 'turn is', 'turns are')} applied that had failed")
    if found.otherwise:
        say(
            f"{name}: {counted(found.otherwise, 'turn', 'turns')} would have sent something else; nothing was sent"
        )


def _json(args: argparse.Namespace, machine: Machine, found: Rebuilt) -> dict[str, Any]:
    one = found.candidate
    assert one is not None, "there is a state"
    shown: dict[str, Any] = {"machine": machine.name, "code": one.code.hex()}
    shown |= {"first": one.first, "behind": machine.head - one.head}
    if args.code is not None:
        shown |= {"turns": found.turns, "left_out": found.left_out, "trusted": found.trusted}
        shown |= {"applied": found.applied, "otherwise": found.otherwise}
        turns = [{"turn": n, "message": at, "why": why} for n, at, why in found.not_applied]
        shown |= {"not_applied": found.not_applied_count, "not_applied_turns": turns}
    fields = [{"path": path, "present": was, "rebuilt": now} for path, was, now in found.fields]
    shown |= {"fields": fields, "kept": not (found.not_kept or args.dry_run)}
    return shown | ({"why": found.not_kept} if found.not_kept else {})
