"""`create`: a machine from a file; prints what its `init` answered."""

import argparse
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avm.cli.about import about_of, add_about
from avm.cli.arguments import add_json
from avm.cli.errors import Usage
from avm.cli.link import ask
from avm.cli.output import print_json, say
from avm.cli.values import Holder, json_of
from avm.run.directory import Directory
from avm.run.files import bundle_of
from avm.run.parts import NAME
from caps import jsonform
from caps.errors import CapsError
from caps.map import Map
from caps.slots import Common
from caps.value import Capability, Value


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("file", metavar="FILE", help="the machine's Python file")
    parser.add_argument("--name", metavar="N", help="its name (default: the file's)")
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
    add_about(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Creates the machine."""
    bundle = bundle_of(args.file).encode()
    name = _name(args)
    about = about_of(args.about, name)
    holder = Holder(directory)
    body, caps = holder.encode(_environment(args, holder))
    params = {"name": name, "bundle": bundle, "content": body, "caps": caps, "about": about}
    made = ask(directory, "create", params)
    answer = None
    if made["content"] is not None:
        answer = holder.decode(made["content"], made["caps"])
    if args.json:
        print_json(json_of(holder.to_json(answer)))
    else:
        _show(name, made, answer, holder)
    return 0


def _name(args: argparse.Namespace) -> str:
    stem = Path(args.file).name.removesuffix(".py")
    name: str = stem if args.name is None else args.name
    if NAME.fullmatch(name):
        return name
    near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    near = near if NAME.fullmatch(near) else "m" + near
    command = shlex.join(["avm-host", "create", args.file, "--name", near])
    raise Usage(f"{name!r} cannot be a name (a-z, 0-9 and -, a letter first): `{command}`")


def _environment(args: argparse.Namespace, holder: Holder) -> Value:
    params: Value = None
    if args.params is not None:
        try:
            params = holder.from_json(args.params)
        except CapsError as error:
            raise Usage(f"--params {args.params!r}: {error}") from None
    if not args.grants:
        return params
    if params is None:
        params = Map[str, Value]()
    if not isinstance(params, Map):
        raise Usage("--params is an object when there are grants, like --params '{\"size\": 3}'")
    granted = _grants(args.grants, holder)
    clash = next((name for name in granted if name in params), None)
    if clash is not None:
        raise Usage(f"{clash!r} is both in --params and a --grant: rename one")
    return {**params, **granted}


def _grants(grants: list[str], holder: Holder) -> Mapping[str, Capability]:
    held: dict[str, Capability] = {}
    for grant in grants:
        name, equals, text = grant.partition("=")
        if not equals or not name:
            raise Usage(f"--grant {grant}: write it as --grant NAME=CAP, like bank=bank.deposit")
        if name in held:
            raise Usage(f"--grant {name} is given twice")
        held[name] = holder.handle(text)
    return held


def _show(name: str, made: Mapping[str, Any], answer: Value, holder: Holder) -> None:
    say(f"{name} is created at {made['address'].hex()[:8]}")
    named = {wire: f"{name}.{bound}" for bound, wire in made["names"].items()}
    for text in named.values():
        say(f"  {text}")
    if answer is None or (isinstance(answer, Map) and len(answer) == len(named)):
        return

    def name_of(cap: Capability) -> str:
        if isinstance(cap, Common):
            return cap._name
        return named.get(holder.wire_of(cap)) or holder.text_of(cap)

    say("  it answered " + jsonform.dumps(answer, name_of=name_of))
