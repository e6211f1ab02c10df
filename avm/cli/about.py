"""`--about WORD=TEXT`: what a new machine's identity says about it, for good."""

import argparse

from avm.cli.errors import Usage
from avm.host.about import Unspeakable, metadata_of


def add_about(parser: argparse.ArgumentParser, act: str = "") -> None:
    """The argument of what creates machines; `act` says of which of a verb's acts."""
    text = f"{act}what its identity says about a machine, for good and for all to see"
    parser.add_argument("--about", metavar="K=V", action="append", help=text)


def about_of(said: list[str] | None, name: str) -> dict[str, str]:
    """What was said about a machine of this name, which must be fit for its identity."""
    about: dict[str, str] = {}
    for one in said or ():
        word, equals, text = one.partition("=")
        if not equals or not word:
            raise Usage(f"--about {one}: write it as --about K=V, like region=north")
        if word in about:
            raise Usage(f"--about {word} is given twice")
        about[word] = text
    if not about:
        return about
    try:
        metadata_of(name, about)
    except Unspeakable as error:
        raise Usage(f"--about: {error}") from None
    return about
