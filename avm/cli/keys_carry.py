"""`keys export`, `keys import`: the host's keys into a file under a passphrase, and out of it.

`import` takes a certificate of the host's key too; that is done in `keys_root`.
"""

import argparse
import os
from pathlib import Path

from nacl.exceptions import CryptoError

from avm.cli.errors import CliError, Usage
from avm.cli.keys_certify import check_fresh, read_file
from avm.cli.keys_root import take_certificate
from avm.cli.output import print_json, say, writing_to
from avm.cli.times import utc
from avm.host.keys import Keyring
from avm.past.reading import Reader
from avm.run import keyfile
from avm.run.auditing import check_store, note_keys
from avm.run.directory import Directory
from avm.run.errors import RootKeyAlone
from avm.store.files import put
from caps.certifying import is_answer
from caps.hostproof import HostProof
from caps.locked import ENTROPY_BYTES, LOCKED_BYTES_MAX, is_locked

AGAIN = "export the keys again, or take another copy"


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Writes or reads the file."""
    path = Path.cwd() / args.words[0]
    body = b"" if args.act == "export" else read_file(path, LOCKED_BYTES_MAX)
    if is_answer(body):
        _told(args, path, take_certificate(directory, path, body))
        return 0
    is_export = args.act == "export"
    address = _export(args, directory, path) if is_export else _import(directory, path, body)
    if args.json:
        print_json({"address": address.hex(), "file": str(path)})
    elif is_export:
        say(f"{path}: the keys of {address.hex()}, under their passphrase")
    else:
        say(f"the keys of {address.hex()} are in {directory.keys}, under their passphrase")
    return 0


def _told(args: argparse.Namespace, path: Path, proof: HostProof) -> None:
    key, until_ms = proof.key.hex(), proof.expiry_ms
    assert until_ms is not None
    if args.json:
        named = {"address": proof.address.hex(), "file": str(path)}
        print_json({**named, "key": key, "until_ms": until_ms})
    else:
        say(f"the host proves itself by the key {key[:12]}.. until {utc(until_ms)}: start it")


def _export(args: argparse.Namespace, directory: Directory, path: Path) -> bytes:
    check_fresh(path)
    named = directory.key_file
    lock = directory.acquire_lock()
    try:
        check_store(directory)
        body = directory.key_body()
        keys = keyfile.unlocked(body, directory.passphrase, named)
        fresh = args.passphrases.fresh()
        copy = keyfile.locked_under(keys, fresh, os.urandom(ENTROPY_BYTES), named)
        with writing_to(path):
            put(directory.files, path, copy)
        note_keys(directory, "locked" if is_locked(body) else "open", "exported")
    finally:
        lock.close()
    return directory.host_address()


def _import(directory: Directory, path: Path, body: bytes) -> bytes:
    """Puts the keys where there are none; the store that is there must be of this host."""
    if not is_locked(body):
        raise Usage(f"{path} is no file of `avm-host keys export` or `avm-host keys certify`")
    try:
        keys = keyfile.unlocked(body, directory.passphrase, path, AGAIN)
    except RootKeyAlone as error:
        raise Usage(str(error)) from None
    keyring = keyfile.keyring_of(keys, path)
    directory.create()
    lock = directory.acquire_lock()
    try:
        _check_place(directory, keyring)
        directory.write_keys(body)
        note_keys(directory, "locked", "imported")
    finally:
        lock.close()
    return keyring.address


def _check_place(directory: Directory, keyring: Keyring) -> None:
    """Refuses a directory that has keys, or a store of another host."""
    if directory.key_file.exists():
        same = directory.host_address() == keyring.address
        whose = "these keys already" if same else "the keys of another host"
        raise CliError(f"{directory.path} has {whose}: nothing was changed")
    if not directory.store.exists():
        return
    check_store(directory)
    with Reader.open(directory) as reader:
        machines = reader.machines()
    try:
        for machine in machines[:1]:
            keyring.open_machine(machine.sealed_keys)
    except CryptoError:
        raise CliError(f"{directory.store} is of another host than these keys") from None
