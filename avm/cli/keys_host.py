"""`keys host`: whose keys the host's are, and whether they are under a passphrase."""

import argparse

from avm.cli.output import print_json, say
from avm.run.directory import Directory
from caps.locked import is_locked


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints it; nothing secret is in it."""
    locked = is_locked(directory.key_body())
    told = {
        "address": directory.host_address().hex(),
        "locked": locked,
        "file": str(directory.key_file),
    }
    if args.json:
        print_json(told)
    else:
        opened = "in the open: `avm-host keys lock` puts them under a passphrase"
        how = "under a passphrase" if locked else opened
        say(f"the keys of {told['address']} are {how}")
    return 0
