"""`show`: all there is to know of one machine, whether or not a host runs."""

import argparse
from typing import Any

from avm.cli.arguments import add_fork, add_json, add_machine, add_passphrase
from avm.cli.output import json_text, print_json, say
from avm.cli.times import utc
from avm.host.capability import Cap, to_wire
from avm.host.keys import Keyring
from avm.host.state import Machine, Mode, Status
from avm.past.labels import Labels
from avm.past.reading import Reader
from avm.run.directory import Directory
from avm.run.errors import KeysRefused
from caps.capability import parse_wire_untrusted, to_text
from caps.errors import Malformed
from caps.identity import identity_at_untrusted


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    add_machine(parser)
    add_fork(parser)
    add_passphrase(parser)
    add_json(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Prints the machine; capability texts only as JSON."""
    with Reader.open(directory) as reader, reader.reading():
        machine = reader.machine(args.machine)
        shown = _shown(reader, machine, labels_of(reader, directory))
        names = reader.names(machine)
        if args.json:
            keys = keys_of(reader, directory)
            shown["names"] = {name: {"$cap": text_of(cap, keys)} for name, cap in names.items()}
            print_json(shown)
            return 0
    shown["names"] = sorted(f"{machine.name}.{name}" for name in names)
    _print(shown)
    return 0


def keys_of(reader: Reader, directory: Directory) -> Keyring:
    """The keys of the directory, with those of the machines and clients in its store."""
    keys = directory.read_keyring()
    for machine in reader.machines():
        keys.add_machine(machine.address, machine.sealed_keys)
    for address in reader.clients():
        keys.add_client(address)
    return keys


def host_of(directory: Directory) -> bytes:
    """The host's own address; none where its keys cannot be read."""
    try:
        return directory.host_address()
    except KeysRefused:
        return b""


def origin_of(directory: Directory) -> bytes:
    """The address of the host that a fork is of; none where the directory is no fork's."""
    if not directory.fork_file.exists():
        return b""
    return host_of(Directory(directory.path.parent.parent))


def labels_of(reader: Reader, directory: Directory) -> Labels:
    """What capabilities and addresses are called in a host's store, or in a fork's."""
    return reader.labels(host_of(directory), origin_of(directory))


def text_of(cap: Cap, keys: Keyring) -> str:
    """The text of a capability, also of one to a client that has ended."""
    return to_text(parse_wire_untrusted(to_wire(cap, keys.to_seal)))


def _shown(reader: Reader, machine: Machine, labels: Labels) -> dict[str, Any]:
    status = machine.status.name.lower()
    if machine.status is Status.SUSPENDED and machine.mode is Mode.FAIL:
        status = "suspended, failing what comes"
    return {
        "name": machine.name,
        "address": machine.address.hex(),
        "identity": machine.identity.hex(),
        "about": _about(machine),
        "status": status,
        "why": machine.why,
        "code": machine.code.hex(),
        "python": machine.python,
        "version": machine.version,
        "turns": machine.head,
        "incarnation": machine.incarnation,
        "generation": machine.generation,
        "slots": len(reader.slots(machine)),
        "names": [],
        "asks": _asks(reader, machine),
        "timers": [
            {"to": labels.of_cap(timer.to), "due": utc(timer.due_ms)}
            for timer in reader.timers(machine)
        ],
        "waiting": reader.waiting().get(machine.address, 0),
        "channels": _channels(reader, machine, labels),
        "snapshot": machine.snapshot_at if machine.snapshot_at >= 0 else None,
        "state_bytes": machine.state_bytes or None,  # known from the first snapshot on
        "journal_from": reader.first(machine),
        "failed": machine.failed,
        "refused": machine.refused,
    }


def _about(machine: Machine) -> dict[str, str] | None:
    """What its identity says about it; nothing where that is not its own."""
    try:
        return dict(identity_at_untrusted(machine.address, machine.identity).metadata)
    except Malformed:
        return None


def _asks(reader: Reader, machine: Machine) -> list[dict[str, object]]:
    asks = reader.asks(machine).items()
    return [{"number": number, "deadline": utc(deadline)} for number, deadline in asks]


def _channels(reader: Reader, machine: Machine, labels: Labels) -> list[dict[str, object]]:
    return [
        {
            "from": labels.of_address(channel.sender),
            "to": labels.of_address(channel.receiver),
            "sent": channel.sent,
            "applied": channel.taken,
        }
        for channel in reader.channels(machine)
    ]


def _print(shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        label = name.replace("_", " ")
        if isinstance(value, list) and value:
            say(f"{label}:")
            for one in value:
                say(f"  {_line(one)}")
        elif isinstance(value, list):
            say(f"{label}: none")
        elif isinstance(value, dict):
            say(f"{label}: {json_text(value)}")
        elif value not in ("", None):
            say(f"{label}: {value}")


def _line(one: Any) -> str:
    if isinstance(one, dict):
        return ", ".join(f"{name} {value}" for name, value in one.items())
    return str(one)
