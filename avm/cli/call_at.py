"""`call --at TURN`: what a machine would have answered then; nothing is kept, and nothing is sent."""

import argparse
from typing import Any

from avm.cli import values
from avm.cli.errors import NO_ANSWER, REFUSED, CliError
from avm.cli.failed_read import why_of
from avm.cli.held import StoreHolder
from avm.cli.log import as_text, sent_text
from avm.cli.output import one_line, print_json, say
from avm.cli.show import host_of, keys_of
from avm.cli.shown import change_json, say_changes, taken
from avm.past.asking import ASKER, YOU, Answered, Question, ask_at
from avm.past.labels import Labels, Lens
from avm.past.moments import lens_at, moment_at
from avm.past.reading import Reader
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.spawn import HASH_SEED
from avm.run.worker import forked

NOT_YET = "no answer in that turn: it would have come by a later one, if at all"


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the answer, then the sends and the changes of the state that there would have been."""
    limits = Config.read(directory.config_file).limits
    with Reader.open(directory) as reader, reader.reading():
        holder = StoreHolder(directory, reader, keys_of(reader, directory))
        machine, to = holder.target(args.cap)
        content, caps = holder.opened_content(holder.encode(values.content_of(args, holder)))
        moment = moment_at(reader, machine, args.at)
        if (
            "avm:" not in args.cap
        ):  # A name is sealed anew with each generation, and meant as it was.
            to = to._replace(generation=min(to.generation, moment.generation))
        known = reader.labels(host_of(directory))
        labels = Labels({**known.machines, ASKER: YOU}, known.clients, known.named, known.host)
        lens = lens_at(reader, machine, labels, moment)
        question = Question(to, content, caps)
        with forked(HASH_SEED, limits) as worker:
            answered = ask_at(reader, machine, worker, lens, moment, question, limits)
    if args.json:
        print_json({"machine": machine.name, "turn": moment.turn, **_json(answered, lens)})
    else:
        _print(answered, lens)
    return _judged(answered)


def _json(answered: Answered, lens: Lens) -> dict[str, Any]:
    shown: dict[str, Any] = {"outcome": answered.outcome}
    if answered.outcome != "applied":
        shown["why"] = answered.why
    if answered.answers:
        shown["answer"] = answered.answers[0]
    found, more = taken(answered.changed)
    shown["sends"] = answered.sends
    shown["differences"] = [change_json(one, lens) for one in found]
    return {**shown, "more": more, "printed": answered.printed}


def _print(answered: Answered, lens: Lens) -> None:
    for line in answered.printed.splitlines():
        say(f"    {line}")
    for answer in answered.answers[:1]:
        say(as_text(answer))
    for send in answered.sends:
        say(sent_text(send))
    found, more = taken(answered.changed)
    say_changes(found, lens, more)


def _judged(answered: Answered) -> int:
    """The exit code of the outcome, with its one line."""
    if answered.outcome != "applied":
        why = one_line(f"{why_of(answered.why)}\n{answered.why}")
        raise CliError(f"{answered.outcome}: {why}" if why else answered.outcome, REFUSED)
    if not answered.answers:
        raise CliError(NOT_YET, NO_ANSWER)
    return 0
