"""`call --fork NAME`: asks a machine of a fork, which takes its turns there and nowhere else."""

import argparse

from avm.cli import values
from avm.cli.errors import NoAnswer
from avm.cli.held import StoreHolder
from avm.cli.outcomes import fail
from avm.cli.output import safe
from avm.cli.show import keys_of
from avm.cli.values import wire_text
from avm.host.batch import Said
from avm.host.capability import Reply
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.forkworld import opened
from avm.run.reading import Reader
from avm.sim.client import Client
from avm.sim.world import World
from caps import jsonform
from caps.value import Capability, Failed, Value

ASK = 1
LATE = "late: it was applied, without an answer by the deadline"


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Asks, lets the fork go on until there is an outcome, and prints the answer as JSON."""
    limits = Config.read(directory.config_file).limits
    with opened(directory, limits) as world:
        reader = Reader(world.store)
        holder = StoreHolder(directory, reader, keys_of(reader, directory))
        _machine, to = holder.target(args.cap)
        content, caps = holder.opened_content(holder.encode(values.content_of(args, holder)))
        client = world.client()
        until_ms = world.now_ms + max(1, round(args.timeout * 1000))
        said = Said(to, content, caps, Reply(client.address, ASK, until_ms))
        client.offer(to.address, [said])
        answer = _outcome(world, client, until_ms)
        shown = _shown(world, answer)
        client.leave(ended=True)
        world.settle()
    if isinstance(answer, Failed):
        if answer.why == "late":
            raise NoAnswer(LATE)
        fail(answer.why, answer.detail)
    print(shown, flush=True)
    return 0


def _outcome(world: World, client: Client, until_ms: int) -> Value:
    """The answer, or the `Failed` that came instead; time passes up to the deadline."""
    world.settle()
    while not client.outcomes.get(ASK) and world.now_ms <= until_ms:
        due_ms = world.next_wake_ms()
        next_ms = until_ms + 1 if due_ms is None else min(due_ms, until_ms + 1)
        world.advance(max(next_ms - world.now_ms, 1) / 1000)
    found = client.outcomes.get(ASK)
    return found[0] if found else Failed("unknown", "no outcome came by the deadline")


def _shown(world: World, answer: Value) -> str:
    def text(handle: Capability) -> str:
        return wire_text(world.core.seal(world.handles.held_as(handle)))

    return safe(jsonform.dumps(answer, name_of=text))
