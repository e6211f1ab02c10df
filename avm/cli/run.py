"""`run`: the host, in the foreground."""

import argparse

from avm.cli.arguments import add_settings
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.runtime import run as run_host


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_settings(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Runs until it is told to stop."""
    return run_host(directory, Config.read(directory.config_file, args.settings))
