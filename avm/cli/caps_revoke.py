"""`caps revoke`: ends what a forwarder passes on, or a factory makes, whoever holds its capability."""

import argparse

from avm.cli import caps_losses
from avm.cli.call import Call
from avm.cli.caps_forward import ENDED, REVOKE
from avm.cli.errors import CliError, Usage
from avm.cli.outcomes import fail
from avm.cli.output import print_json, say
from avm.cli.values import Holder, receiver_of
from avm.past.reading import Reader
from avm.run.directory import Directory
from caps.value import Failed

TIMEOUT_S = 60.0


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks the forwarder, or the factory, to let go of what it is there for."""
    if args.dry_run:
        return caps_losses.run(args, directory)
    (text,) = args.words
    if args.generation is not None:
        ends = f"`avm-host keys revoke {text} --generation {args.generation}` ends it"
        raise Usage(f"--generation goes with --dry-run; {ends}")
    holder = Holder(directory)
    name, ended = _ended(directory, receiver_of(holder.resolve(text)))
    revoke = holder.resolve(f"{name}.{REVOKE}")
    body, wires = Call(directory, revoke, holder.encode(None), TIMEOUT_S).run()
    answer = holder.decode(body, wires)
    if isinstance(answer, Failed):
        fail(answer.why, answer.detail)
    if args.json:
        print_json({"machine": name, "revoked": True})
    else:
        say(f"{name} {ended}; `avm-host halt {name}` and `rm {name}` remove it")
    return 0


def _ended(directory: Directory, address: bytes) -> tuple[str, str]:
    """The name of the forwarder or factory that a capability goes to, and what is so afterwards."""
    with Reader.open(directory) as reader, reader.reading():
        for machine in reader.machines():
            if machine.address != address:
                continue
            names = reader.names(machine).keys()
            for word, ended in ENDED.items():
                if {word, REVOKE} <= names:
                    return machine.name, ended
            ends = f"`avm-host keys rotate {machine.name}` and `keys revoke {machine.name}` end all"
            raise CliError(
                f"that goes to {machine.name} itself, which is no forwarder: {ends} "
                "of its older ones; `caps forward CAP` makes one that can be ended by itself"
            )
    raise CliError(
        "the forwarder of this capability is not here: `ls` shows the machines there are"
    )
