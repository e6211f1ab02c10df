"""What stands in a host's key file: its keys as `caps.hostkeys` has them, in the open or under a passphrase.

Before the journey. Shell only in that it names the file in what it refuses.
"""

from collections.abc import Callable
from pathlib import Path

from avm.host.keys import Keyring
from avm.run.errors import KeysLocked, KeysRefused, PassphraseRefused, RootKeyAlone
from caps.errors import Malformed
from caps.hostkeys import HostKeys, is_root, parse_host_keys_untrusted
from caps.locked import (
    Locked,
    WrongPassphrase,
    is_locked,
    lock,
    parse_locked_untrusted,
    unlock,
)

RESTORE = "put it back from a backup"


def opened(body: bytes, passphrase: Callable[[], bytes] | None, named: Path) -> Keyring:
    """The keys of a key file; KeysRefused, PassphraseRefused."""
    return keyring_of(unlocked(body, passphrase, named), named)


def unlocked(
    body: bytes, passphrase: Callable[[], bytes] | None, named: Path, remedy: str = RESTORE
) -> bytes:
    """The keys as bytes, taken from under their passphrase where they are under one."""
    if not is_locked(body):
        return body
    locked = _parsed(body, named, remedy)
    if passphrase is None:
        raise KeysLocked(f"{named} is under a passphrase, and nobody gave it")
    try:
        keys = unlock(locked, passphrase())
    except WrongPassphrase:
        raise PassphraseRefused(f"the passphrase does not open {named}") from None
    if keyring_of(keys, named).address != locked.address:
        raise PassphraseRefused(f"the passphrase does not open {named}")
    return keys


def locked_under(keys: bytes, passphrase: bytes, entropy: bytes, named: Path) -> bytes:
    """The keys under a passphrase, as bytes for a file."""
    return lock(keys, keyring_of(keys, named).address, passphrase, entropy).to_bytes()


def address_in(body: bytes, named: Path) -> bytes:
    """The address of the host whose keys these are; KeysRefused."""
    return _parsed(body, named).address if is_locked(body) else keyring_of(body, named).address


def keyring_of(keys: bytes, named: Path) -> Keyring:
    """A keyring of keys in the open; KeysRefused where they are none."""
    found = keys_of(keys, named)
    return Keyring(found.seed, found.secret, found.proof)


def keys_of(keys: bytes, named: Path) -> HostKeys:
    """Keys in the open, each by its name; KeysRefused where they are none."""
    if is_root(keys):
        why = "is a root key of `avm-host keys detach`, and has no other key of a host"
        raise RootKeyAlone(f"{named} {why}: `avm-host keys certify` uses it")
    try:
        return parse_host_keys_untrusted(keys)
    except Malformed as error:
        raise KeysRefused(f"{named} is damaged ({error}): {RESTORE}") from None


def _parsed(body: bytes, named: Path, remedy: str = RESTORE) -> Locked:
    try:
        return parse_locked_untrusted(body)
    except Malformed as error:
        raise KeysRefused(f"{named} is damaged ({error}): {remedy}") from None
