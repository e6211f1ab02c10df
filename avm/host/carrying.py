"""A machine that is carried in a file: its end at one host, its beginning at the next.

Beside the journey. Its end is committed before the file is written, and the file has its name only
after what was left of the machine is gone: at every moment it is either here or in the file. Where
the file cannot be written, or the host dies before, the machine is taken up here again.
"""

from avm.host.adopt import adopt, remember, why_not_adopted
from avm.host.audited import note
from avm.host.auditlog import cut
from avm.host.away import wake
from avm.host.effects import Discard, Exported
from avm.host.machine_file import Unpacked
from avm.host.moves import CARRIED, LEAVING, Carried, carried_bytes, key_of
from avm.host.moving import let_open, live_again
from avm.host.operate import REMOVE_ALL, act_on, done, refuse
from avm.host.parcel import from_bytes_untrusted
from avm.host.parting import Leave, why_not
from avm.host.passage import NAME
from avm.host.state import Host, Machine

SHOWN = 40
FILE = b""


def export(host: Host, request: int, machine: Machine, file: str, whole: bool) -> None:
    """An operator has a suspended machine go into a file, which does not exist yet."""
    why = why_not(host, machine, FILE)
    if machine.address in host.moves.asked:
        why = why or "it is about to move to another host"
    if why:
        refuse(host, request, f"{machine.name} cannot be exported: {why}")
    else:
        act_on(host, machine, Leave(request, FILE, file, whole))


def begin(host: Host) -> None:
    """The host has started: what was on its way into a file lives here, what was written gets its name."""
    for left in list(host.moves.leaving.values()):
        if not left.to:
            host.effects.append(Discard(left.name_there, left.address, left.incarnation))
            live_again(host, left, from_bytes_untrusted(left.parcel), "the host ended meanwhile")
    for one in host.moves.carried.values():
        if one.file:
            host.effects.append(Exported(one.address, 0))


def written(host: Host, address: bytes) -> None:
    """All of a machine is in its file, which has no name yet: what there is of it here goes."""
    left = host.moves.leaving.pop(address)
    host.group.dirty[key_of(LEAVING, address)] = None
    host.group.cuts.append((left.number, REMOVE_ALL))
    host.counts["exported"] += 1
    about = {"machine": cut(left.name), "address": address, "incarnation": left.incarnation}
    note(host, "exported", None, **about)
    remember(
        host, Carried(address, left.name, left.incarnation, True, host.now_ms, left.name_there)
    )
    let_open(host, address)
    for outgoing in [one for one in host.outgoing.values() if one.receiver == address]:
        wake(host, outgoing)  # It waited to hear where the machine went: it may be found anywhere.
    host.group.after.append(Exported(address, left.request))


def named(host: Host, address: bytes, request: int) -> None:
    """The file has its name: the operator hears that it is done."""
    one = host.moves.carried.get(address)
    if one is None:
        return
    file, one.file = one.file, ""
    host.group.dirty[key_of(CARRIED, address)] = carried_bytes(one)
    if request:
        value = {"machine": one.name, "address": address.hex(), "file": file}
        done(host, request, value | {"incarnation": one.incarnation})


def unwritten(host: Host, address: bytes, why: str) -> None:
    """The file could not be written: the machine is here again."""
    left = host.moves.leaving[address]
    live_again(host, left, from_bytes_untrusted(left.parcel), why)


def number_for(host: Host) -> int:
    """A number for a machine that is to come out of a file."""
    return host.new_id()


def take_up(host: Host, request: int, unpacked: Unpacked, name: str = "") -> None:
    """Has a machine out of a file live here, suspended as it was; all of it in one commit.

    Its name is the one that it had, where no other is said.
    """
    name = name or unpacked.name
    parcel, address = unpacked.parcel, unpacked.landing.address
    problem = _why_not(host, unpacked, name)
    if problem:
        refuse(host, request, f"{name} cannot be imported: {problem}")
        return
    group, took = host.group, unpacked.group
    group.journal.extend(took.journal)
    group.snapshots.extend(took.snapshots)
    group.dirty.update(took.dirty)
    machine = adopt(host, address, unpacked.landing.number, parcel, unpacked.landing.keys, name)
    remember(host, Carried(address, name, machine.incarnation, False, host.now_ms))
    host.counts["imported"] += 1
    note(host, "imported", machine, incarnation=machine.incarnation)
    value = {"machine": name, "address": address.hex(), "incarnation": machine.incarnation}
    done(host, request, value | {"turns": parcel.head, "timers": len(parcel.timers)})


def _why_not(host: Host, unpacked: Unpacked, name: str) -> str:
    address, incarnation = unpacked.landing.address, unpacked.parcel.incarnation
    if host.draining:
        return "the host is about to stop"
    if not NAME.fullmatch(name):
        return f"{name[:SHOWN]!r} is no name of a machine: letters a-z, digits and -"
    if name in host.names:
        return f"there is a machine {name} already: `--name` gives it another"
    here = host.machines.get(address)
    if here is not None:
        return f"it lives here already, as {here.name}"
    if address in host.moves.landing or address in host.moves.leaving:
        return "it is on its way: `avm-host ls`"
    return _why_old(host, address, incarnation) or why_not_adopted(host, address, unpacked.parcel)


def _why_old(host: Host, address: bytes, incarnation: int) -> str:
    """Whether the machine has lived on since the file was written, as far as this host knows."""
    before = host.moves.carried.get(address)
    if before is not None and incarnation < before.incarnation + (not before.is_out):
        return "it has been imported here before, and has lived on since"
    gone = host.moves.redirects.get(address)
    if gone is not None and gone.incarnation >= incarnation:
        return f"it lives at host {gone.host.hex()}, where it moved after that"
    place = host.places.get(address)
    if place is not None and place.host and place.incarnation >= incarnation:
        return f"it lives at host {place.host.hex()}"
    return ""


__all__ = ["begin", "export", "named", "take_up", "unwritten", "written"]
