"""`keys host`: whose keys the host's are, and whether they are under a passphrase."""

import argparse
from typing import Any

from avm.cli.keys_certify import now_ms
from avm.cli.output import print_json, say
from avm.cli.status import ending
from avm.cli.times import utc
from avm.host.keylife import REQUEST, ROTATE, key_life
from avm.host.keys import Keyring
from avm.run import keyfile
from avm.run.directory import Directory
from caps.hostkeys import HostKeys
from caps.locked import is_locked


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints it; nothing secret is in it."""
    body = directory.key_body()
    locked = is_locked(body)
    about: dict[str, Any] = {
        "address": directory.host_address().hex(),
        "locked": locked,
        "file": str(directory.key_file),
    }
    if args.passphrase_fd is not None:
        body = keyfile.unlocked(body, directory.passphrase, directory.key_file)
    shown = args.passphrase_fd is not None or not locked
    own = _own_key(keyfile.keys_of(body, directory.key_file)) if shown else {}
    if args.json:
        print_json({**about, **own})
        return 0
    opened = "in the open: `avm-host keys lock` puts them under a passphrase"
    how = "under a passphrase" if locked else opened
    say(f"the keys of {about['address']} are {how}")
    if own:
        _show(own)
    return 0


def _own_key(keys: HostKeys) -> dict[str, Any]:
    """What is known of keys that are open: where the root key is, and how long the key in use holds."""
    root = "in use" if keys.proof is None else "here" if keys.root_seed else "away"
    proof = Keyring(keys.seed, keys.secret, keys.proof).proof
    return {"root": root, **key_life(proof, now_ms()).told()}


def _show(own: dict[str, Any]) -> None:
    if own["root"] == "in use":
        say("  the root key is in use: `avm-host keys detach FILE` takes it elsewhere")
        return
    where = "here too: `avm-host keys detach FILE`" if own["root"] == "here" else "away"
    say(f"  the key in use is {own['key']} until {utc(own['until_ms'])}; the root key is {where}")
    if own["ending"]:
        say(f"  {ending(own, ROTATE if own['root'] == 'here' else REQUEST)}")
