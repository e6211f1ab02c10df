"""The machine and the turn that took a command's message, looked up, for the sentence that says so.

After the journey: a verdict does not carry them, and whoever gets no answer wants to look there.
"""

from contextlib import suppress

from avm.errors import AvmError
from avm.host.chain import Link
from avm.past.reading import Reader
from avm.run.directory import Directory

# As many of the newest entries are looked through; behind more, the sentence does without.
ENTRIES_MAX = 100_000


def turn_of(directory: Directory, receiver: bytes, sender: bytes, seq: int) -> str:
    """`turn 7 of counter`; an empty text where it cannot be found."""
    with suppress(AvmError), Reader.open(directory) as reader, reader.reading():
        return turn_in(reader, receiver, sender, seq)
    return ""


def turn_in(reader: Reader, receiver: bytes, sender: bytes, seq: int) -> str:
    """The same of a store that is open."""
    machine = next((one for one in reader.machines() if one.address == receiver), None)
    if machine is None:
        return ""
    for entry in reader.walk(machine, max(0, machine.head - ENTRIES_MAX)):
        if isinstance(entry, Link) and _took(entry, sender, seq):
            return f"turn {entry.entry.n} of {machine.name}"
    return ""


def machine_at(directory: Directory, address: bytes) -> str:
    """The name of the machine of this host at an address; an empty text where there is none."""
    with suppress(AvmError), Reader.open(directory) as reader, reader.reading():
        return next((one.name for one in reader.machines() if one.address == address), "")
    return ""


def _took(link: Link, sender: bytes, seq: int) -> bool:
    fields = link.entry.fields
    return link.entry.name == "turn" and fields["seq"] == seq and fields["sender"] == sender
