"""`stop`: the running host finishes its turns and ends."""

import argparse
from time import monotonic, sleep

from avm.cli.arguments import add_json, check_seconds
from avm.cli.errors import Lost, NoAnswer
from avm.cli.link import Link
from avm.cli.output import print_json, say
from avm.run.directory import Directory
from avm.run.errors import DirectoryInUse

POLL_S = 0.02


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    timeout_text = "seconds to wait for its end (default 60)"
    parser.add_argument("--timeout", metavar="S", type=float, default=60.0, help=timeout_text)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Stops the host and waits until the directory is free."""
    check_seconds("--timeout", args.timeout)
    until = monotonic() + args.timeout
    link = Link.open(directory)
    try:
        link.ask("stop", {}, args.timeout)
        while monotonic() < until:
            link.pump(until - monotonic())
            link.came.clear()
    except (Lost, NoAnswer):
        pass
    finally:
        link.end()  # and with it what was not written yet
    _wait_until_free(directory, until)
    if args.json:
        print_json({"dir": str(directory.path), "stopped": True})
    else:
        say(f"the host in {directory.path} has stopped")
    return 0


def _wait_until_free(directory: Directory, until: float) -> None:
    while True:
        try:
            directory.acquire_lock().close()
            return
        except DirectoryInUse:
            if monotonic() > until:
                told = f"the host in {directory.path} is told to stop and finishes its turns"
                raise NoAnswer(f"{told}: it ends without being told again") from None
        sleep(POLL_S)
