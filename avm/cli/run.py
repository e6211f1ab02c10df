"""`run`: the host, in the foreground."""

import argparse
from pathlib import Path

from avm.cli.arguments import add_passphrase, add_settings
from avm.cli.errors import Usage
from avm.run.config import LIKE, Config
from avm.run.directory import Directory
from avm.run.starting import run as run_host


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("--listen", metavar="IP:PORT", help="join the network, from this UDP port")
    parser.add_argument(
        "--advertise", metavar="IP:PORT", help="where others reach it, when that is elsewhere"
    )
    parser.add_argument(
        "--bootstrap",
        metavar="ROUTE",
        action="append",
        default=[],
        help="a host to join through, ADDRESS@IP:PORT; may be given again",
    )
    parser.add_argument(
        "--record", metavar="DIR", help="keep there what the host is told, keys and contents too"
    )
    add_passphrase(parser)
    add_settings(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Runs until it is told to stop."""
    options = _network(args)
    record = None if args.record is None else Path.cwd() / args.record
    return run_host(directory, Config.read(directory.config_file, args.settings, options), record)


def _network(args: argparse.Namespace) -> dict[str, object]:
    """The options about the network, by the settings that they are."""
    given = {name: getattr(args, name) for name in ("listen", "advertise", "bootstrap")}
    for name, value in given.items():
        if value == "":
            raise Usage(f"--{name}: nothing is given; {LIKE[name]}")
    return {f"network.{name}": value for name, value in given.items() if value}
