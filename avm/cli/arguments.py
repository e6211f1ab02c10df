"""Arguments: the parsers, and errors of usage that show the command as it should be.

The verb's own parser is made after the verb is known, so that only its module is loaded.
"""

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from itertools import pairwise
from types import MappingProxyType
from typing import NoReturn, Protocol, cast

from avm.cli.errors import Usage
from avm.cli.verbs import GROUPS, VERBS, Verb, verb_named

PROGRAM = "avm-host"
KEY_MAX = 200
SECONDS_MAX = 365 * 24 * 3600
# So near a word must be to be offered for it: `halt` is not what one meant by `help`.
# Verbs that have effects elsewhere, or look like what one may mean to do and there is no verb for
# (pause): a word that begins otherwise does not mean them.
FINAL = ("move", "cause")
NEAR = 0.7
# As `argparse` says it of an argument.
NO_NUMBER = re.compile(r"^argument (\S+): invalid (?:int|float) value: (.*)$")
NEGATIVE = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


class VerbModule(Protocol):
    """What the module of a verb has."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Adds the verb's arguments."""
        ...

    def run(self, args: argparse.Namespace, directory: object) -> int:
        """Does it; the exit code."""
        ...


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `Usage`, and to which a negative number is a value."""

    def __init__(self, prog: str, **settings: object) -> None:
        super().__init__(
            prog=prog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **settings,  # type: ignore[arg-type]
        )
        self._negative_number_matcher = NEGATIVE

    def error(self, message: str) -> NoReturn:
        """One line with the remedy, instead of the usage on many."""
        message = NO_NUMBER.sub(r"\1: \2 is no number", message)
        raise Usage(f"{message}; `{self.prog} --help` shows how it is used")


def frame_parser() -> Parser:
    """The parser of what stands before the verb."""
    parser = Parser(PROGRAM, usage=f"{PROGRAM} [--dir DIR] VERB ...", epilog=_table())
    parser.description = "A host for durable machines with capabilities."
    parser.add_argument("--version", action="store_true", help="print the version and end")
    parser.add_argument("--dir", help="the host's directory (else AVM_HOST_DIR, else a .avm here)")
    parser.add_argument("verb", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _table() -> str:
    lines: list[str] = []
    for group in GROUPS:
        lines.append(f"{group}:")
        lines += [f"  {verb.name:<12}{verb.summary}" for verb in VERBS if verb.group == group]
        lines.append("")
    lines.append(f"`{PROGRAM} VERB --help` shows a verb with examples.")
    return "\n".join(lines)


def load(verb: Verb) -> VerbModule:
    """The module of a verb."""
    return cast(VerbModule, import_module(verb.module))


def find_verb(name: str, words: Sequence[str]) -> Verb:
    """The verb that is meant; Usage with the nearest when there is none."""
    verb = verb_named(name)
    if verb is not None:
        return verb
    near = get_close_matches(name, [one.name for one in VERBS], 1, NEAR)
    if not near or (near[0] in FINAL and name[:1] != near[0][:1]):
        raise Usage(f"there is no verb {name!r}; `{PROGRAM} --help` lists them")
    raise Usage(f"there is no verb {name!r}; did you mean `{_mended(words, name, near[0])}`?")


def verb_parser(verb: Verb, module: VerbModule) -> Parser:
    """The parser of one verb."""
    parser = Parser(f"{PROGRAM} {verb.name}", description=verb.summary, epilog=_examples(verb))
    fill(parser, verb, module)
    return parser


def fill(parser: argparse.ArgumentParser, verb: Verb, module: VerbModule) -> None:
    """Gives a parser the arguments of a verb."""
    module.add(parser)
    help_text = "the host's directory"
    parser.add_argument("--dir", default=argparse.SUPPRESS, help=help_text)
    parser.set_defaults(verb=verb.name)


def _examples(verb: Verb) -> str:
    return "\n".join(["examples:", *(f"  {PROGRAM} {one}" for one in verb.examples)])


def parse_verb(parser: Parser, rest: Sequence[str], words: Sequence[str]) -> argparse.Namespace:
    """Reads what stands after the verb; Usage with the corrected command where it can be had."""
    try:
        args, extra = parser.parse_known_intermixed_args(list(rest))
    except Usage as error:
        raise Usage(_with_correction(str(error), parser, rest, words)) from None
    if not extra:
        return args
    wrong = extra[0]
    if not wrong.startswith("-"):
        why = f"{wrong!r} is one argument too many"
        raise Usage(f"{why}: quote what belongs together, or see `{parser.prog} --help`")
    near = get_close_matches(wrong.partition("=")[0], options_of(parser), 1, NEAR)
    if near:
        mended = _mended(words, wrong, near[0] + wrong[len(wrong.partition("=")[0]) :])
        raise Usage(f"there is no option {wrong}; did you mean `{mended}`?")
    raise Usage(f"there is no option {wrong}; `{parser.prog} --help` lists them")


def _with_correction(said: str, parser: Parser, rest: Sequence[str], words: Sequence[str]) -> str:
    """An option whose value begins with a dash needs an equals sign."""
    for option, value in pairwise(rest):
        if f"{option}: expected one argument" in said and value not in options_of(parser):
            mended = [*words]
            at = len(words) - len(rest) + list(rest).index(option)
            mended[at : at + 2] = [f"{option}={value}"]
            return f"{option} needs its value with `=`: `{shlex.join([PROGRAM, *mended])}`"
    return said


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a parser."""
    return [text for action in parser._actions for text in action.option_strings]


def _mended(words: Sequence[str], wrong: str, right: str) -> str:
    return shlex.join([PROGRAM, *(right if word == wrong else word for word in words)])


def check_key(what: str, key: str) -> None:
    """The name by which the host remembers a client; Usage where it cannot be one."""
    if not 0 < len(key) <= KEY_MAX:
        raise Usage(f"{what} is a name of your choice, of 1 to {KEY_MAX} characters")


def check_seconds(option: str, seconds: float) -> None:
    """How long to wait; Usage where it is no such time."""
    if not 0 <= seconds <= SECONDS_MAX:
        raise Usage(f"{option} is a number of seconds, at most {SECONDS_MAX:,} (a year)")


def check_turns(first: int | None, last: int | None) -> None:
    """The turns of --from and --to; Usage where they end before they begin."""
    if first is not None and last is not None and first > last:
        raise Usage(f"--from {first} is after --to {last}: the earlier turn goes with --from")


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`, the same at every verb that prints."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """`--passphrase-fd`, the same at every verb that opens keys; `place` finds who asks."""
    text = "read the passphrase of the keys from this open descriptor, a line each"
    parser.add_argument("--passphrase-fd", metavar="N", type=int, help=text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """`--set KEY=VALUE`, over the configuration file."""
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting over the configuration file, like limits.turn_s=1",
    )


def add_word(
    parser: argparse.ArgumentParser,
    name: str,
    words: Sequence[str],
    default: str,
    behind: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """An argument that is one of a few words; the verb checks it, the shell completes it.

    `behind` is what stands behind a word, where anything does.
    """
    said = ", ".join(f"{word} {behind.get(word, '')}".strip() for word in words)
    text, metavar = f"{said} (default: {default})", name.upper()
    action = parser.add_argument(name, metavar=metavar, nargs="?", default=default, help=text)
    action.words = tuple(words)  # type: ignore[attr-defined]


def add_machine(parser: argparse.ArgumentParser) -> None:
    """The machine that is meant."""
    parser.add_argument("machine", metavar="N", help="a name, or a unique start of an address")


def add_fork(parser: argparse.ArgumentParser) -> None:
    """`--fork`, the same at every verb that a fork can be asked with; `place` finds it."""
    parser.add_argument("--fork", metavar="NAME", help="of this fork, see `fork ls`")
