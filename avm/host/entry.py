"""Appending to a machine's journal: an entry goes into the next commit and names the one before."""

from typing import Any

from avm.host import journal
from avm.host.state import Host, Machine


def append(host: Host, machine: Machine, form: int, *fields: Any, printed: str = "") -> int:
    """Appends an entry to a machine's journal in the next commit; returns its number."""
    return append_entry(host, machine, journal.encode(form, machine.chain, *fields), printed)


def append_entry(host: Host, machine: Machine, entry: bytes, printed: str) -> int:
    """Appends an entry that names the one before."""
    n, group = machine.head, host.group
    group.journal.append((machine.id, n, entry, printed or None))
    machine.head = n + 1
    machine.chain = journal.hash_of(entry)
    machine.bytes_since += len(entry)
    machine.group = group.number
    group.dirty[("machine", machine.id)] = machine
    return n
