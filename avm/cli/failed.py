"""`failed`: the batches that broke a machine; looks at them, tries them again, or drops them."""

import argparse
from typing import Any

from avm.cli.arguments import add_json, add_passphrase, add_word
from avm.cli.errors import Usage
from avm.cli.failed_read import ls, show
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.cli.values import Holder
from avm.run.directory import Directory
from caps.errors import CapsError

ACTS = ("ls", "show", "retry", "edit", "drop")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_word(parser, "act", ACTS, "ls")
    parser.add_argument("machine", metavar="N", nargs="?", help="a name, or a start of an address")
    parser.add_argument("turn", metavar="TURN", nargs="?", type=int, help="the turn that failed")
    value_text = "for edit: a list of contents, one for each message"
    parser.add_argument("value", metavar="JSON", nargs="?", help=value_text)
    add_passphrase(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Does what is asked."""
    if args.act not in ACTS:
        raise Usage(f"`avm-host failed {args.act}`: it is one of {', '.join(ACTS)}")
    if args.act == "ls":
        return ls(directory, args)
    if args.machine is None or args.turn is None:
        raise Usage(f"`avm-host failed {args.act} N TURN`: `avm-host failed` lists them")
    if (args.act == "edit") != (args.value is not None):
        raise Usage("the contents go with edit: `avm-host failed edit N TURN '[5]'`")
    if args.act == "show":
        return show(directory, args)
    return _act(args, directory)


def _act(args: argparse.Namespace, directory: Directory) -> int:
    params: dict[str, Any] = {"machine": args.machine, "turn": args.turn}
    if args.act != "drop":
        params["contents"] = None if args.act == "retry" else _contents(args, Holder(directory))
    done = ask(directory, "drop" if args.act == "drop" else "retry", params)
    if args.json:
        print_json(done)
    elif args.act == "drop":
        say(f"the failed batch of turn {args.turn} is dropped")
    else:
        say(f"the failed batch of turn {args.turn} is sent again; nobody hears its answers")
    return 0


def _contents(args: argparse.Namespace, holder: Holder) -> list[list[Any]]:
    try:
        contents = holder.from_json(args.value)
    except CapsError as error:
        raise Usage(f"{args.value!r}: {error}") from None
    if not isinstance(contents, tuple):
        raise Usage("the contents are a list, one for each message of the batch: '[5]'")
    return [list(holder.encode(one)) for one in contents]
