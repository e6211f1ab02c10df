"""Which directory a command is about."""

import argparse
import os
from pathlib import Path

from avm.cli.errors import CliError
from avm.run import forks
from avm.run.directory import Directory


def find(args: argparse.Namespace) -> Directory:
    """The directory that is meant by the options, the environment and where we are; a fork's for `--fork`."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise CliError("the folder that you are in is gone: `cd` to another") from None
    found = Directory.find(getattr(args, "dir", None), os.environ, here)
    fork = getattr(args, "fork", None)
    return found if fork is None else forks.find(found, fork)
