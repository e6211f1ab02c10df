"""`fork`: copies of machines as they were, for questions that have no effects; lists and removes them."""

import argparse
import time
from typing import Any

from avm.cli.arguments import add_json
from avm.cli.errors import CliError, Usage
from avm.cli.ls import print_table
from avm.cli.output import print_json, say, warn
from avm.cli.times import parse_since, utc
from avm.host.state import Machine
from avm.past import forks
from avm.past.forking import turns_at
from avm.past.forks import Fork
from avm.past.moments import time_of
from avm.past.reading import Reader
from avm.past.states import check_turn
from avm.run.directory import Directory

LS, RM = "ls", "rm"
COLUMNS = ("fork", "of", "machines", "bytes")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    word_text = "a machine; with --all the fork's name; or `ls`, or `rm`"
    word = parser.add_argument("word", metavar="N", nargs="?", default=LS, help=word_text)
    word.words = (LS, RM)  # type: ignore[attr-defined]
    parser.add_argument("which", metavar="NAME", nargs="?", help="for rm: the fork's name")
    at_text = "of after this turn; with --all, of this time: 10m, 2h, 7d or ISO 8601"
    parser.add_argument("--at", metavar="TURN", help=at_text)
    parser.add_argument("--all", dest="whole", action="store_true", help="all machines together")
    parser.add_argument("--name", metavar="NAME", help="the fork's name (default: N-TURN)")
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Does what is asked."""
    if args.whole:
        return _fork_all(args, directory)
    if args.word == RM:
        _check_bare(args)
        return _rm(args, directory)
    if args.word == LS:
        _check_bare(args)
    if args.which is not None:
        raise Usage(f"{args.which!r} is one argument too many: a fork's name goes with --name")
    if args.word == LS:
        return _ls(args, directory)
    return _fork_one(args, directory)


def _check_bare(args: argparse.Namespace) -> None:
    """`ls` and `rm` are told no turn and no name."""
    if args.at is not None or args.name is not None:
        raise Usage(
            f"`fork {args.word}` takes no --at and no --name: these make a fork of a machine"
        )


def _ls(args: argparse.Namespace, directory: Directory) -> int:
    listed = [_json(fork) for fork in forks.listed(directory)]
    if args.json:
        print_json(listed)
    elif listed:
        rows = [
            [str(one["fork"]), one["at"], _named(one["machines"]), str(one["bytes"])]
            for one in listed
        ]
        print_table([list(COLUMNS), *rows])
    else:
        say("no forks: `avm-host fork N --at TURN` makes one")
    return 0


def _named(machines: dict[str, int]) -> str:
    shown = [f"{name}@{turn}" for name, turn in sorted(machines.items())]
    return " ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _rm(args: argparse.Namespace, directory: Directory) -> int:
    if args.which is None:
        raise Usage("which fork? `avm-host fork ls` lists them: `avm-host fork rm NAME`")
    forks.remove(directory, args.which)
    if args.json:
        print_json({"fork": args.which, "removed": True})
    else:
        say(f"the fork {args.which} is gone")
    return 0


def _fork_one(args: argparse.Namespace, directory: Directory) -> int:
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.word)
        newest = reader.head(machine) - 1
        turn = newest if args.at is None else _turn(args.at)
        check_turn(reader, machine, turn)
        name = args.name if args.name is not None else f"{machine.name}-{turn}"
        at_ms = time_of(reader, machine, turn)
        waiting = args.at is None
        made = _make(directory, reader, name, {machine.id: turn}, waiting, at_ms)
    return _tell(args, made)


def _turn(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise Usage(f"--at {text}: a turn, like --at 3; a time goes with --all")


def _fork_all(args: argparse.Namespace, directory: Directory) -> int:
    name = args.name if args.name is not None else args.word
    if args.which is not None or (args.name is not None and args.word != LS) or name == LS:
        raise Usage("`avm-host fork --all NAME [--at TIME]`: it has one name, and is no `ls`")
    now_ms = time.time_ns() // 1_000_000
    at_ms = now_ms if args.at is None else parse_since(args.at, now_ms)
    if at_ms > now_ms:
        raise Usage(
            f"--at {args.at}: that time has not come yet; without --at it is as they are now"
        )
    with Reader.open(directory) as reader, reader.reading():
        machines = reader.machines()
        if args.at is None:
            chosen = {one.id: reader.head(one) - 1 for one in machines}
        else:
            chosen = turns_at(reader, at_ms)
        if not chosen:
            raise CliError(f"there was no machine at {utc(at_ms)}: `ls` shows those there are")
        made = _make(directory, reader, name, chosen, args.at is None, at_ms)
        _tell_pruned(reader, [one for one in machines if one.id not in chosen])
    return _tell(args, made)


def _make(
    directory: Directory,
    reader: Reader,
    name: str,
    chosen: dict[int, int],
    waiting: bool,
    at_ms: int,
) -> Fork:
    if not forks.NAME.fullmatch(name):
        raise Usage(f"{name!r} cannot be a fork's name: a-z, 0-9 and -, a letter first, up to 64")
    return forks.make(directory, reader, name, chosen, waiting, at_ms)


def _tell_pruned(reader: Reader, machines: list[Machine]) -> None:
    """Names the machines that are left out though they may have been there."""
    for machine in machines:
        first = reader.first(machine)
        if first:
            warn(f"{machine.name} is not in it: its journal was pruned before turn {first}")


def _tell(args: argparse.Namespace, made: Fork) -> int:
    if args.json:
        print_json(_json(made))
        return 0
    say(f"{made.name}: {_named(dict(made.machines))}, as of {utc(made.at_ms)}")
    some = next(iter(sorted(made.machines)), "N")
    say(f"ask it with `avm-host call {some}.NAME --fork {made.name}`")
    return 0


def _json(fork: Fork) -> dict[str, Any]:
    at = utc(fork.at_ms)
    return {"fork": fork.name, "at": at, "machines": dict(fork.machines), "bytes": fork.size}
