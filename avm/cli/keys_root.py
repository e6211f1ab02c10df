"""`keys rotate --host`, `keys detach`, `keys request`: the host's operational key, and its root key away.

All of it is done while no host runs on the keys; the host uses what is there when it starts.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from avm.cli.errors import CliError, Usage
from avm.cli.keys_certify import check_fresh, life_until, now_ms
from avm.cli.output import print_json, say
from avm.cli.times import utc
from avm.host.keylife import key_life
from avm.host.keys import Keyring
from avm.run import keyfile
from avm.run.auditing import check_store, note_keys
from avm.run.directory import Directory
from avm.store.files import put
from caps.certifying import parse_answer_untrusted, request
from caps.errors import Malformed
from caps.hostkeys import HostKeys, root_file
from caps.hostproof import HostProof, certify_host
from caps.identity import SEED_BYTES, RootKey
from caps.locked import ENTROPY_BYTES, is_locked, lock

ROTATED = "given a new key"
DETACHED = "parted from their root key"
CERTIFIED = "given a certificate"
ASKED = "asked to be certified"


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Does what is asked, and prints what the keys are then."""
    held = directory.acquire_lock()
    try:
        check_store(directory)
        keys = _keys(directory)
        if args.act == "rotate":
            told, said = _rotate(args, directory, keys)
        elif args.act == "detach":
            told, said = _detach(args, directory, keys)
        else:
            told, said = _request(args, directory, keys)
    finally:
        held.close()
    if args.json:
        print_json({"address": directory.host_address().hex(), **told})
    else:
        say(said)
    return 0


def _keys(directory: Directory) -> HostKeys:
    named = directory.key_file
    body = keyfile.unlocked(directory.key_body(), directory.passphrase, named)
    return keyfile.keys_of(body, named)


def _write(directory: Directory, keys: HostKeys, act: str) -> None:
    """Puts the keys in the place of those that are there, under the same passphrase if they were."""
    body, locked = keys.to_bytes(), is_locked(directory.key_body())
    if locked:
        assert directory.passphrase is not None
        entropy, named = os.urandom(ENTROPY_BYTES), directory.key_file
        body = keyfile.locked_under(body, directory.passphrase(), entropy, named)
    directory.replace_keys(body)
    note_keys(directory, "locked" if locked else "open", act)


def _proof_of(keys: HostKeys) -> HostProof:
    return Keyring(keys.seed, keys.secret, keys.proof).proof


def _with_new_key(keys: HostKeys, until_ms: int) -> HostKeys:
    """The keys with another operational key, certified by the root key that is here."""
    root = keys.root
    if root is None:
        away = "the host's root key is away, and it alone certifies another key"
        raise CliError(f"{away}: `avm-host keys request FILE --new`, and certify that where it is")
    proof, seed = _proof_of(keys), os.urandom(SEED_BYTES)
    key = RootKey(seed).public_key
    certified = certify_host(root, proof.identity, key, now_ms(), until_ms, proof.certificate)
    root_seed = keys.seed if keys.proof is None else keys.root_seed
    return HostKeys(seed, keys.secret, certified, root_seed)


def _rotate(
    args: argparse.Namespace, directory: Directory, keys: HostKeys
) -> tuple[dict[str, object], str]:
    until_ms = life_until(args)
    rotated = _with_new_key(keys, until_ms)
    _write(directory, rotated, ROTATED)
    key = _proof_of(rotated).key.hex()
    said = f"the host proves itself by the key {key[:12]}.. until {utc(until_ms)}: start it"
    return {"key": key, "until_ms": until_ms}, said


def _detach(
    args: argparse.Namespace, directory: Directory, keys: HostKeys
) -> tuple[dict[str, object], str]:
    """Writes the root key into a file that lasts, and only then takes it away from here."""
    path = _fresh_path(args.words[0])
    if path.resolve().is_relative_to(directory.path.resolve()):
        raise CliError(f"{path} is in the host's own directory: the root key goes elsewhere")
    if keys.root is None:
        raise CliError("the host's root key is away already: nothing was changed")
    # A certificate that ends soon, or has ended, would leave the host with nothing to go on by.
    is_good = keys.proof is not None and not key_life(keys.proof, now_ms()).ending
    kept = keys if is_good and args.life is None else _with_new_key(keys, life_until(args))
    assert kept.proof is not None
    body = root_file(kept.root_seed, kept.proof.identity)
    fresh = args.passphrases.fresh()
    entropy = os.urandom(ENTROPY_BYTES)
    put(directory.files, path, lock(body, kept.proof.address, fresh, entropy).to_bytes())
    _write(directory, replace(kept, root_seed=b""), DETACHED)
    until_ms = kept.proof.expiry_ms
    assert until_ms is not None
    away = f"{path}: the root key, under its passphrase, and here no more; keep it elsewhere"
    said = f"{away}; the host goes on without it until {utc(until_ms)}"
    return {"file": str(path), "key": kept.proof.key.hex(), "until_ms": until_ms}, said


def _request(
    args: argparse.Namespace, directory: Directory, keys: HostKeys
) -> tuple[dict[str, object], str]:
    """Writes what is to be certified where the root key is: the key in use, or another."""
    path = _fresh_path(args.words[0])
    if keys.proof is None or keys.root is not None:
        raise CliError(
            "the host's root key is here: `avm-host keys rotate --host` needs no request"
        )
    key = keys.proof.key
    if args.new:
        # Another each time: one that was asked for before may have been stolen with the rest.
        keys = replace(keys, next_seed=os.urandom(SEED_BYTES))
        key = RootKey(keys.next_seed).public_key
        _write(directory, keys, ASKED)
    assert keys.proof is not None
    put(directory.files, path, request(key, keys.proof, RootKey(keys.seed)).to_bytes())
    said = (
        f"{path} asks for a certificate of the key {key.hex()}: `avm-host keys certify` makes one"
    )
    return {"file": str(path), "key": key.hex()}, said


def _fresh_path(word: str) -> Path:
    path = Path.cwd() / word
    check_fresh(path)
    return path


def take_certificate(directory: Directory, path: Path, body: bytes) -> HostProof:
    """Has the host use a certificate that came from where its root key is, and returns it."""
    try:
        proof = parse_answer_untrusted(body)
    except Malformed as error:
        raise Usage(f"{path} is damaged ({error}): copy it again, or certify again") from None
    held = directory.acquire_lock()
    try:
        check_store(directory)
        keys = _keys(directory)
        _check(keys, proof, path)
        _write(directory, keys.certified(proof), CERTIFIED)
    finally:
        held.close()
    return proof


def _check(keys: HostKeys, proof: HostProof, path: Path) -> None:
    """Refuses a certificate that would be of no use here."""
    here, later = keys.proof, proof.certificate
    if here is None or here.certificate is None or here.identity != proof.identity:
        raise CliError(f"{path} is a certificate of another host's key: nothing was changed")
    assert later is not None
    next_key = RootKey(keys.next_seed).public_key if keys.next_seed else here.key
    if proof.key not in (here.key, next_key):
        raise CliError(f"{path} certifies a key that is not here: nothing was changed")
    if not later.newer_than(here.certificate):
        raise CliError(f"{path} is not newer than the certificate here: nothing was changed")
    if later.expiry_ms <= now_ms():
        raise CliError(f"{path} ended at {utc(later.expiry_ms)}: ask for another")
    if later.terms.not_before_ms > now_ms():
        begins = f"{path} does not begin before {utc(later.terms.not_before_ms)}"
        raise CliError(f"{begins}: set the clock here, or there and ask for another")
