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
from avm.cli.given import add_given, create, environment
from avm.cli.output import print_json, say
from avm.cli.values import Holder, json_of
from avm.run.directory import Directory
from avm.run.files import bundle_of
from avm.run.parts import NAME
from caps import jsonform
from caps.map import Map
from caps.slots import Common
from caps.value import Capability, Value


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.add_argument("file", metavar="FILE", help="the machine's Python file")
    parser.add_argument("--name", metavar="N", help="its name (default: the file's)")
    add_given(parser)
    add_about(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Creates the machine."""
    bundle = bundle_of(args.file).encode()
    name = _name(args)
    about = about_of(args.about, name)
    holder = Holder(directory)
    body, caps = holder.encode(environment(args, holder.handle))
    params = {"name": name, "bundle": bundle, "content": body, "caps": caps, "about": about}
    made = create(directory, params, args)
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
