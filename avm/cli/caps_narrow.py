"""`caps narrow`: a capability good for less, made here and now, without a host and without its issuer."""

import argparse
import os
import re
import shlex
import time

from avm.cli.errors import Usage
from avm.cli.held import StoreHolder
from avm.cli.output import print_json, print_text
from avm.cli.show import keys_of
from avm.cli.times import parse_until
from avm.host.passage import NAME
from avm.past.reading import Reader
from avm.run.directory import Directory
from caps import caveats, jsonform
from caps.capability import (
    CommonName,
    WireCapability,
    narrow,
    parse_text,
    parse_wire_untrusted,
    to_text,
)
from caps.caveats import HOLDER_BYTES, Caveat
from caps.errors import CapsError
from caps.pattern import unfit
from caps.value import Capability

OPTIONS = tuple((option, ("narrow",)) for option in ("until", "uses", "only", "holder"))
NONCE_BYTES = 8
ADDRESS = re.compile(f"[0-9a-f]{{{2 * HOLDER_BYTES}}}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this act."""
    until_text = "narrow: until then, like 7d from now or ISO 8601"
    parser.add_argument("--until", metavar="TIME", help=until_text)
    uses_text = "narrow: for so many messages that are applied; with --until"
    parser.add_argument("--uses", metavar="N", type=int, help=uses_text)
    only_text = "narrow: for contents that fit a pattern, like '[\"int\", 0, 10]'"
    parser.add_argument("--only", metavar="PATTERN", help=only_text)
    holder_text = "narrow: from this sender alone; a machine of this host also by its name"
    parser.add_argument("--holder", metavar="ADDRESS", help=holder_text)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the text of the narrowed capability."""
    (text,) = args.words
    found = _caveats(args, text, directory)
    capability = _found(text, directory)
    if isinstance(capability, CommonName):
        raise Usage(f"{capability.name} is everybody's: there is nothing to narrow")
    for caveat in found:
        capability = narrow(capability, caveat)
    narrowed = to_text(capability)
    if args.json:
        print_json({"$cap": narrowed})
    else:
        print_text(narrowed)
    return 0


def _found(text: str, directory: Directory) -> WireCapability:
    text = text.strip()
    if text.startswith("avm:") or text.endswith("~"):
        return parse_text(text)
    with Reader.open(directory) as reader, reader.reading():
        holder = StoreHolder(directory, reader, keys_of(reader, directory))
        return parse_wire_untrusted(holder.resolve(text))


def _caveats(args: argparse.Namespace, text: str, directory: Directory) -> list[Caveat]:
    found: list[Caveat] = []
    until_ms = None if args.until is None else parse_until(args.until, time.time_ns() // 1_000_000)
    if args.uses is not None:
        if until_ms is None:
            words = ["avm-host", "caps", "narrow", text, "--uses", str(args.uses), "--until", "7d"]
            raise Usage(f"uses are counted until a time: `{shlex.join(words)}`")
        if not 0 < args.uses <= caveats.USES_MAX:
            raise Usage(f"--uses is from 1 to {caveats.USES_MAX:,}")
        found.append(caveats.uses(args.uses, os.urandom(NONCE_BYTES), until_ms))
    elif until_ms is not None:
        found.append(caveats.until(until_ms))
    if args.only is not None:
        found.append(_only(args.only))
    if args.holder is not None:
        found.append(caveats.holder(_address(args.holder, directory)))
    if not found:
        raise Usage("narrow it by something: --until, --uses, --only or --holder")
    return found


def _only(text: str) -> Caveat:
    try:
        caveat = caveats.only(jsonform.loads(text, resolve=_no_capability))
    except CapsError as error:
        raise Usage(f"--only {text!r}: {error}; a pattern is like '[\"int\", 0, 10]'") from None
    part = unfit(caveat.value)
    if part is not None:
        low, high = part[1:]
        raise Usage(f"--only {text!r}: nothing fits it, as no number is from {low} to {high}")
    return caveat


def _no_capability(_text: str) -> Capability:
    raise Usage('--only: in a pattern a capability is ["cap"]')


def _address(text: str, directory: Directory) -> bytes:
    """An address as it stands, so that nothing else is needed; else a machine's by its name."""
    if ADDRESS.fullmatch(text):
        return bytes.fromhex(text)
    if not NAME.fullmatch(text) or not directory.store.exists():
        why = "--holder is an address, 64 lower-case hexadecimal digits"
        raise Usage(f"{why}, or the name of a machine of this host: `avm-host ls` lists them")
    with Reader.open(directory) as reader, reader.reading():
        return reader.machine(text).address
