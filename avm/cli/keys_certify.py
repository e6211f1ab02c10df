"""`keys certify`: certifies a host's key where its root key is, which needs no host and no directory."""

import argparse
import time
from pathlib import Path

from avm.cli.errors import CliError, Usage
from avm.cli.output import print_json, say
from avm.cli.times import parse_duration, utc
from avm.run.directory import Directory
from avm.run.errors import PassphraseRefused, none_at
from avm.store.files import put
from caps.certifying import (
    CertificateRequest,
    answer_bytes,
    certify,
    is_request,
    parse_request_untrusted,
)
from caps.errors import Malformed
from caps.hostkeys import FILE_BYTES_MAX, parse_root_file_untrusted
from caps.identity import Identity, RootKey
from caps.locked import LOCKED_BYTES_MAX, WrongPassphrase, parse_locked_untrusted, unlock

LIFE = "365d"
LIFE_MS_MAX = 3650 * 24 * 60 * 60 * 1000
# With so long a life of its certificate an option goes.
LIVES = ("rotate", "detach", "certify")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the acts about the host's own key."""
    host_text = "rotate: the host's own key, in the place of a machine's generation"
    parser.add_argument("--host", action="store_true", help=host_text)
    life_text = f"rotate --host, detach, certify: how long the certificate holds; {LIFE} without it"
    parser.add_argument("--life", metavar="TIME", help=life_text)
    parser.add_argument(
        "--new", action="store_true", help="request: for another key than the one in use"
    )


def check_options(args: argparse.Namespace) -> None:
    """Refuses options that go with another act; Usage."""
    if args.host and args.act != "rotate":
        raise Usage("--host goes with `avm-host keys rotate --host`")
    if args.new and args.act != "request":
        raise Usage("--new goes with `avm-host keys request FILE --new`")
    if args.life is not None and (
        args.act not in LIVES or (args.act == "rotate" and not args.host)
    ):
        raise Usage("--life goes with `keys rotate --host`, `keys detach` and `keys certify`")


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def life_until(args: argparse.Namespace) -> int:
    """Until when a certificate is to hold; Usage."""
    life_ms = parse_duration(args.life or LIFE)
    if not 0 < life_ms <= LIFE_MS_MAX:
        raise Usage("--life is at most ten years, 3650d, and not nothing")
    return now_ms() + life_ms


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Reads the request and the root key, and writes the certificate."""
    asked_path, root_path, path = (Path.cwd() / word for word in args.words)
    until_ms = life_until(args)
    check_fresh(path)
    asked = _asked(asked_path)
    root, identity = _root(args, root_path)
    proof = certify(asked, root, identity, now_ms(), until_ms)
    put(directory.files, path, answer_bytes(proof))
    key = proof.key.hex()
    if args.json:
        told = {"address": proof.address.hex(), "file": str(path), "key": key, "until_ms": until_ms}
        print_json(told)
    else:
        say(f"{path}: the key {key} is certified until {utc(until_ms)}")
        say(f"  for the host {proof.address.hex()}: there `avm-host keys import {path.name}`")
    return 0


def check_fresh(path: Path) -> None:
    """Refuses a file that is there, or can never be."""
    if path.exists():
        raise CliError(f"{path} exists: name another file")
    if not path.parent.is_dir():
        raise CliError(f"{path.parent} is no directory: make it, or name another file")


def _asked(path: Path) -> CertificateRequest:
    body = read_file(path, FILE_BYTES_MAX)
    if not is_request(body):
        raise Usage(f"{path} is no file of `avm-host keys request`: REQUEST is first, then ROOT")
    try:
        return parse_request_untrusted(body)
    except Malformed as error:
        raise Usage(f"{path} is damaged ({error}): copy it again, or ask again") from None


def read_file(path: Path, most: int) -> bytes:
    """A file, as far as a file of this kind may go and one byte more; Usage where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise Usage(f"{path}: {none_at(path)}") from None


def _root(args: argparse.Namespace, path: Path) -> tuple[RootKey, Identity]:
    try:
        locked = parse_locked_untrusted(read_file(path, LOCKED_BYTES_MAX))
    except Malformed:
        raise Usage(f"{path} is no file of `avm-host keys detach`") from None
    try:
        body = unlock(locked, args.passphrases.present())
    except WrongPassphrase:
        raise PassphraseRefused(f"the passphrase does not open {path}") from None
    try:
        return parse_root_file_untrusted(body)
    except Malformed:
        raise Usage(
            f"{path} has a host's keys, and no root key of `avm-host keys detach`"
        ) from None
