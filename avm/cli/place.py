"""Which directory a command is about."""

import argparse
import os
from pathlib import Path

from avm.run.directory import Directory


def find(args: argparse.Namespace) -> Directory:
    """The directory that is meant by the options, the environment and where we are."""
    return Directory.find(getattr(args, "dir", None), os.environ, Path.cwd())
