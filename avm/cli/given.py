"""What a new machine's `init` is given, `--params` and `--grant`: for `create` and `dev`."""

import argparse
import re
from collections.abc import Callable, Mapping
from typing import Any

from avm.cli.errors import CliError, Usage
from avm.cli.link import ask
from avm.cli.output import one_line
from avm.run.directory import Directory
from caps import jsonform
from caps.errors import CapsError
from caps.map import Map
from caps.slots import Common
from caps.value import Capability, Value

# What `init` itself said no to, or broke at; a name that is taken is no matter of what it was given.
NOT_BEGUN = re.compile(r"\S+ (refused to be created|failed to be created: \w+Error\b)")
Handle = Callable[[str], Capability]


def add_given(parser: argparse.ArgumentParser) -> None:
    """`[--params JSON] [--grant NAME=CAP]...`."""
    params_text = "what `init` is given; an object when there are grants"
    parser.add_argument("--params", metavar="JSON", help=params_text)
    parser.add_argument(
        "--grant",
        dest="grants",
        metavar="NAME=CAP",
        action="append",
        default=[],
        help="a capability it is given under that name",
    )


def environment(args: argparse.Namespace, handle: Handle) -> Value:
    """What `init` is given; `handle` finds what a capability's text means. Usage."""
    params: Value = None
    if args.params is not None:
        try:
            params = jsonform.loads(args.params, resolve=handle)
        except CapsError as error:
            raise Usage(f"--params {args.params!r}: {error}") from None
    if not args.grants:
        return params
    if params is None:
        params = Map[str, Value]()
    if not isinstance(params, Map):
        raise Usage("--params is an object when there are grants, like --params '{\"size\": 3}'")
    granted = _grants(args.grants, handle)
    clash = next((name for name in granted if name in params), None)
    if clash is not None:
        raise Usage(f"{clash!r} is both in --params and a --grant: rename one")
    return {**params, **granted}


def check_given(args: argparse.Namespace) -> None:
    """Refuses what is malformed without asking anybody for a capability; Usage."""
    environment(args, lambda _text: Common("null~"))


def options_given(args: argparse.Namespace) -> str:
    """The options that say what `init` is given, in words; empty where none does."""
    used = {"--params": args.params is not None, "--grant": bool(args.grants)}
    return " and ".join(option for option, is_used in used.items() if is_used)


def create(directory: Directory, params: dict[str, Any], args: argparse.Namespace) -> Any:
    """Has the host create a machine; where `init` did not take what it was given, says what that was."""
    try:
        return ask(directory, "create", params)
    except CliError as error:
        said = one_line(str(error))
        if NOT_BEGUN.match(said) is None:
            raise
        options = options_given(args)
        hint = f"init was given {options}: give it what it takes, or nothing"
        if not options:
            hint = "init was given null: `--params JSON` gives it a value"
        raise CliError(f"{said}; {hint}", error.code) from None


def _grants(grants: list[str], handle: Handle) -> Mapping[str, Capability]:
    held: dict[str, Capability] = {}
    for grant in grants:
        name, equals, text = grant.partition("=")
        if not equals or not name:
            raise Usage(f"--grant {grant}: write it as --grant NAME=CAP, like bank=bank.deposit")
        if name in held:
            raise Usage(f"--grant {name} is given twice")
        held[name] = handle(text)
    return held
