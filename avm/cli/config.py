"""`config`: prints every setting that holds, as a configuration file or as JSON."""

import argparse

from avm.cli.arguments import add_json, add_settings
from avm.cli.output import print_json, print_text
from avm.run.config import Config
from avm.run.directory import Directory


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_json(parser)
    add_settings(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints what holds."""
    config = Config.read(directory.config_file, args.settings)
    if args.json:
        print_json(dict(config.items()))
    else:
        print_text(f"# {directory.config_file}\n{config.to_toml()}".removesuffix("\n"))
    return 0
