"""Machines that pass things on, in a simulated world: their journals are what causes are found in."""

from avm.host.capability import Cap
from avm.past.reading import Reader
from avm.run.directory import Directory
from avm.sim.client import Client
from avm.sim.host import SimHost
from tests.avm.journals import copy_into, make, tell

RELAY = """
from dataclasses import replace
from avm import Me, Message, Refused, Send, Step, record

@record
class Relay:
    me: Me
    name: str
    next: tuple = ()
    seen: int = 0

def init(message, me):
    names = ("pass", "join", "later", "read")
    return message.answer({name: me(name) for name in names}), Relay(me, "")

def step(message, state):
    match message.context, message.content:
        case "join", {"name": name, "to": to}:
            return [], replace(state, name=name, next=(*state.next, to))
        case "pass", {"hops": hops, "path": path}:
            seen = replace(state, seen=state.seen + 1)
            if not hops:
                return [], seen
            send = {"hops": hops[1:], "path": (*path, state.name)}
            return [Send(state.next[hops[0] % len(state.next)], send)], seen
        case "later", {"hops": hops, "path": path, "after": after}:
            send = {"hops": hops[1:], "path": (*path, state.name)}
            return [Send(state.next[hops[0] % len(state.next)], send, after_s=after)], state
        case "read", None:
            return message.answer(state.seen), state
    raise Refused("no such thing")
"""


def relays(world: SimHost, *names: str) -> tuple[Client, dict[str, dict[str, Cap]]]:
    """Machines that know each other, in this order, and a client that can reach them."""
    made = {name: dict(make(world, name, RELAY).names) for name in names}
    client = world.client()
    for name in names:
        join = client.hold(made[name]["join"])
        for other in names:
            to = client.hold(made[other]["pass"])
            tell(client, world, join, {"name": name, "to": to})
    return client, made


def directory_of(world: SimHost, path: object) -> Directory:
    """A host's directory with what the world's store holds, and no host running."""
    directory = Directory(path)  # type: ignore[arg-type]
    directory.write_keys(b"".join(world.keyring_seeds))
    copy_into(world.store, directory.store)
    return directory


def reader_of(world: SimHost) -> Reader:
    return Reader(world.store)
