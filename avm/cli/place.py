"""Which directory a command is about."""

import argparse
import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from avm.cli.errors import CliError
from avm.machine.undumped import forbid_dumps
from avm.run.directory import Directory
from avm.run.passphrase import Passphrases

# Most commands are not about a fork, and need not wait for what forks are made of.
FORKS = "avm.past.forks"


def find(args: argparse.Namespace) -> Directory:
    """The directory that is meant by the options, the environment and where we are; a fork's for `--fork`."""
    forbid_dumps()
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise CliError("the folder that you are in is gone: `cd` to another") from None
    found = Directory.find(getattr(args, "dir", None), os.environ, here)
    passphrases = Passphrases(os.environ, getattr(args, "passphrase_fd", None))
    found = replace(found, passphrase=passphrases.present)
    args.passphrases = passphrases
    fork = getattr(args, "fork", None)
    if fork is None:
        return found
    of_fork: Directory = import_module(FORKS).find(found, fork)
    return of_fork
