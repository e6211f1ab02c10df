"""The door of the command line: finds the verb, runs it, and tells in one line what went wrong."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from traceback import extract_tb

from avm.cli.arguments import find_verb, frame_parser, load, parse_verb, verb_parser
from avm.cli.errors import DAMAGED, REFUSED, USAGE, CliError, Usage
from avm.cli.output import STANDARD_OUTPUT, one_line, writing_to
from avm.errors import AvmError
from avm.run.errors import ConfigRefused
from avm.store.errors import StoreDamaged, StoreNewer
from avm.store.rights import refusal
from avm.version import VERSION
from caps.errors import CapsError

INTERRUPTED = 130
BROKEN_PIPE = 141
PLACE = "avm.cli.place"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        code = _run(words)
        with writing_to(STANDARD_OUTPUT):
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001
        print(f"avm-host: {_told(error)}", file=sys.stderr)
        _give_up_output()
        return _code(error)


def _give_up_output() -> None:
    """What is still in the buffer goes nowhere, where its reader or its disk has no room for it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """What was closed before we began takes what is printed, and shows it to nobody."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _run(words: Sequence[str]) -> int:
    frame = frame_parser()
    before = frame.parse_args(words)
    if before.version:
        print(f"avm-host {VERSION}")
        return 0
    if before.verb is None:
        if words:
            raise Usage("which verb? `avm-host --help` lists them")
        frame.print_help()
        return 0
    verb = find_verb(before.verb, words)
    module = load(verb)
    args = parse_verb(verb_parser(verb, module), before.rest, words)
    if not hasattr(args, "dir"):
        args.dir = before.dir
    return module.run(args, _directory(args))


def _directory(args: argparse.Namespace) -> object:
    # Not imported above: it brings the cryptography, which the help does without.
    found: object = import_module(PLACE).find(args)
    return found


def _code(error: Exception) -> int:
    match error:
        case CliError():
            return error.code
        case StoreDamaged() | StoreNewer():
            return DAMAGED
        case ConfigRefused() | CapsError():
            return USAGE
    return USAGE if type(error).__name__ == "BundleRefused" else REFUSED


def _told(error: Exception) -> str:
    if isinstance(error, AvmError | CapsError):
        return one_line(str(error) or type(error).__doc__ or type(error).__name__)
    if isinstance(error, OSError) and error.filename:
        return one_line(refusal(Path(os.fsdecode(error.filename)), error))
    if isinstance(error, OSError) and error.strerror:
        return one_line(f"{error.strerror}: the system refused it")
    where = extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    return one_line(f"a defect of avm-host at {place}: {type(error).__name__}: {error}; report it")


if __name__ == "__main__":
    sys.exit(main())
