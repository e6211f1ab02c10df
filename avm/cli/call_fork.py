"""`call --fork NAME`: asks a machine of a fork, which takes its turns there and nowhere else."""

import argparse

from avm.cli import values
from avm.cli.errors import NoAnswer
from avm.cli.held import StoreHolder
from avm.cli.link import fresh_key
from avm.cli.outcomes import fail
from avm.cli.output import print_text
from avm.cli.show import keys_of
from avm.cli.taken import turn_in
from avm.past.forkworld import opened
from avm.past.reading import Reader
from avm.run.config import Config
from avm.run.directory import Directory
from caps.value import Failed

LATE = "late: it was applied, without an answer by the deadline"


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks, lets the fork go on until there is an outcome, and prints the answer as JSON."""
    limits = Config.read(directory.config_file).limits
    with opened(directory, limits) as fork:
        reader = Reader(fork.store)
        holder = StoreHolder(directory, reader, keys_of(reader, directory))
        machine, to = holder.target(args.cap)
        content, caps = holder.opened_content(holder.encode(values.content_of(args, holder)))
        milliseconds = max(1, round(args.timeout * 1000))
        key = fresh_key()
        outcome = fork.ask(key, to, content, caps, milliseconds)
        if outcome.why:
            fail(outcome.why, outcome.word)
        wires = [fork.core.seal(cap) for cap in outcome.caps]
        client, _tag = fork.core.host.keys.client(key)
        turn = turn_in(reader, machine.address, client, 1)
    answer = holder.decode(outcome.content, wires)
    if isinstance(answer, Failed):
        if answer.why == "late":
            raise NoAnswer(f"{LATE}: {turn}" if turn else LATE)
        fail(answer.why, answer.detail)
    print_text(holder.to_json(answer))
    return 0
