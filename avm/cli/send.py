"""`send`: one message, or one a line of a file or stream, each taken exactly once."""

import argparse
from collections.abc import Callable
from typing import Any

from avm.cli import delivery, values
from avm.cli.arguments import add_json, check_key, check_seconds
from avm.cli.delivery import Delivery, Parse
from avm.cli.errors import NO_ANSWER, REFUSED, USAGE, CliError, NoAnswer, Usage
from avm.cli.lines import Source
from avm.cli.outcomes import fail
from avm.cli.output import Progress, counted, print_json, say, warn
from avm.cli.sending import BATCH_LINES, WINDOW, Bad, Line, Sending, Start
from avm.cli.taken import machine_at
from avm.cli.values import Holder
from avm.run.directory import Directory
from caps.errors import CapsError

BATCH_LINES_MAX = 10_000
WINDOW_MAX = 64


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    values.add_content(parser)
    parser.add_argument("--jsonl", metavar="FILE", help="a JSON value a line; - for standard input")
    parser.add_argument("--lines", metavar="FILE", help="a text a line; - for standard input")
    size_text = f"messages a batch, at most {BATCH_LINES_MAX:,} (default {BATCH_LINES})"
    parser.add_argument("--batch-size", metavar="N", type=int, help=size_text)
    window_text = f"batches on their way at once; 1 keeps strict order (default {WINDOW})"
    parser.add_argument("--window", metavar="N", type=int, help=window_text)
    resume_text = "remember what was taken, so that the same command goes on where it stopped"
    parser.add_argument("--resume", metavar="KEY", help=resume_text)
    timeout_text = "seconds to wait for a host that has gone or does not answer (default 60)"
    parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help=timeout_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Sends; the exit code says whether all of it was taken."""
    _check(args)
    holder = Holder(directory)
    path = args.jsonl or args.lines
    route = _route(args, directory, holder)
    if path is None:
        return _send_one(args, route, holder)
    source = Source.open(path)
    try:
        return _send_lines(args, route, source, _parser(args, holder))
    finally:
        source.close()


def _check(args: argparse.Namespace) -> None:
    if args.jsonl is not None and args.lines is not None:
        raise Usage("--jsonl and --lines are two inputs: give one of them")
    if (args.jsonl or args.lines) and (args.value is not None or args.text is not None):
        raise Usage("a file of lines and a content of its own: give one of them")
    for option in () if args.jsonl or args.lines else ("batch_size", "window", "resume"):
        if getattr(args, option) is not None:
            raise Usage(f"--{option.replace('_', '-')} is for --jsonl and --lines")
    if not 1 <= _size(args) <= BATCH_LINES_MAX:
        raise Usage(f"--batch-size is from 1 to {BATCH_LINES_MAX:,}")
    if not 1 <= _window(args) <= WINDOW_MAX:
        raise Usage(f"--window is from 1 to {WINDOW_MAX}")
    check_seconds("--timeout", args.timeout)
    if args.resume is not None:
        check_key("--resume", args.resume)


def _size(args: argparse.Namespace) -> int:
    return BATCH_LINES if args.batch_size is None else args.batch_size


def _window(args: argparse.Namespace) -> int:
    return WINDOW if args.window is None else args.window


def _route(args: argparse.Namespace, directory: Directory, holder: Holder) -> delivery.Route:
    wire = holder.resolve(args.cap)
    route = delivery.Route(directory, wire, values.receiver_of(wire))
    if args.resume is not None:
        route.key, route.durable, route.name = f"resume:{args.resume}", True, args.resume
    return route


def _send_one(args: argparse.Namespace, route: delivery.Route, holder: Holder) -> int:
    body, caps = holder.encode(values.content_of(args, holder))
    sending = Sending()
    bad: list[Bad] = []
    carried = Delivery(route, route.connect(), sending, args.timeout, bad.append, _nothing)
    sending.add(Line(1, 1, body, tuple(caps)))
    try:
        carried.run(None, _no_lines)
    finally:
        if args.json:
            print_json(_summary(sending))
    if bad and bad[0].why == "too large":
        raise CliError(bad[0].reason, USAGE)
    if bad:
        own = bad[0].why == "rejected" and values.is_named(args.cap)
        fail(bad[0].why, bad[0].word, machine_at(route.directory, route.receiver) if own else "")
    if sending.all_held:
        raise NoAnswer(
            "the message is kept by the host; its machine is suspended and takes it after a resume"
        )
    return 0


def _nothing(sending: Sending) -> None:
    return None


def _no_lines(place: int, number: int, text: bytes) -> Line:
    raise AssertionError("there is no file of lines")


def _parser(args: argparse.Namespace, holder: Holder) -> Parse:
    def parse_text(text: str) -> object:
        return text

    read: Callable[[str], Any] = holder.from_json if args.jsonl is not None else parse_text

    def parse(place: int, number: int, text: bytes) -> Line:
        try:
            body, caps = holder.encode(read(text.decode()))
        except UnicodeDecodeError:
            raise Usage(f"line {number} is not UTF-8 text") from None
        except CapsError as error:
            raise Usage(f"line {number}: {error}") from None
        except CliError as error:
            raise CliError(f"line {number}: {error}", error.code) from None
        return Line(place, number, body, tuple(caps))

    return parse


def _send_lines(
    args: argparse.Namespace, route: delivery.Route, source: Source, parse: Parse
) -> int:
    link = route.connect()
    start = delivery.mark_of(route, link, args.timeout) if route.durable else Start()
    sending = Sending(start, batch_lines=_size(args), window=_window(args))
    progress = Progress.on_stderr()

    def on_bad(bad: Bad) -> None:
        progress.clear()
        warn(f"avm-host: {bad}")

    def on_step(now: Sending) -> None:
        tally = now.tally
        progress.show(f"{tally.skipped + tally.settled:,} of {tally.lines:,} lines")

    carried = Delivery(route, link, sending, args.timeout, on_bad, on_step)
    stopped: CliError | None = None
    try:
        carried.run(source, parse)
    except CliError as error:
        stopped = error
    except KeyboardInterrupt:
        progress.clear()
        warn(f"avm-host: interrupted: {_committed(sending)}")
        raise
    progress.clear()
    _report(args, sending, carried.malformed)
    if carried.malformed is not None:
        known = _committed(sending, " before it")
        raise CliError(f"{carried.malformed}; {known}", carried.malformed.code)
    if stopped is not None:
        raise CliError(str(stopped), stopped.code)
    return _code(sending)


def _committed(sending: Sending, where: str = "") -> str:
    tally = sending.tally
    were = "was" if tally.committed == 1 else "were"
    earlier = f", {tally.skipped:,} by an earlier run" if tally.skipped else ""
    return f"{counted(tally.committed, 'line')}{where} {were} committed{earlier}"


def _code(sending: Sending) -> int:
    tally = sending.tally
    if tally.refused + tally.rejected + tally.undelivered:
        return REFUSED
    return NO_ANSWER if sending.unknown else 0


def _report(args: argparse.Namespace, sending: Sending, malformed: CliError | None) -> None:
    if args.json:
        print_json(_summary(sending, malformed))
        return
    parts = [f"{count:,} {what}" for what, count in _counts(sending).items() if count]
    tally = sending.tally
    rest = ", ".join(parts) or "nothing to do"
    batches = counted(tally.batches, "batch", "batches")
    say(f"{counted(tally.lines, 'line')} in {batches}: {rest}")


def _counts(sending: Sending) -> dict[str, int]:
    tally = sending.tally
    counts = {name: getattr(tally, name) for name in ("committed", "refused", "rejected")}
    counts["undelivered"] = tally.undelivered
    held = sending.unknown if sending.all_held else 0
    counts["unknown"] = sending.unknown - held
    return {**counts, "skipped": tally.skipped, "held": held, "unsent": sending.unsent}


def _summary(sending: Sending, malformed: CliError | None = None) -> dict[str, Any]:
    tally = sending.tally
    head = {"lines": tally.lines, "batches": tally.batches}
    first = str(tally.first or malformed or "") or None
    return {**head, **_counts(sending), "first_error": first}
