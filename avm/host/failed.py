"""A machine's failed batches: offered again by the operator, or dropped from its list."""

import cbor2

from avm.host.audited import granted, note
from avm.host.batch import Said, from_bytes
from avm.host.capability import Cap, Sealed, kind_of
from avm.host.clients import OPERATOR, open_client
from avm.host.operate import done, refuse
from avm.host.outbox import send
from avm.host.recast import opened
from avm.host.state import Host, Machine, Mode, Status
from caps.capability import LINEAR
from caps.frozen import LINEAR as LINEAR_TAG
from caps.heads import has_tag


def no_failed(name: str, n: int) -> str:
    """What is said where no failed batch is at a turn."""
    return f"{name} has no failed batch at turn {n}: `failed ls {name}` shows those there are"


def retry(
    host: Host,
    request: int,
    machine: Machine,
    n: int,
    row: bytes | None,
    edited: list[tuple[bytes, tuple[Cap, ...]]] | None = None,
) -> None:
    """Offers a failed batch again from the operator's own channel, without its old asks.

    `row` is that of the store; `edited` holds other contents for its messages, one each.
    """
    if row is None or _is_dropped(host, machine, n):
        refuse(host, request, no_failed(machine.name, n))
        return
    why = _why_not_offered(machine)
    if why:
        refuse(host, request, why)
        return
    old = from_bytes(b"", machine.address, 0, cbor2.loads(row)[5])
    if edited is None and any(map(_is_linear, old.messages)):
        why = "its sender may have back what is linear in it; `failed edit` offers other contents"
        refuse(host, request, f"the batch cannot be retried: {why}")
        return
    if edited is not None and len(edited) != len(old.messages):
        count = f"{len(old.messages):,} message{'s' if len(old.messages) != 1 else ''}"
        why = f"the batch has {count}, not {len(edited):,}: a list has one content for each"
        refuse(host, request, why, 2)
        return
    address, tag = host.keys.client(OPERATOR)
    host.keys.add_client(address, tag)
    client = open_client(host, address, True, tag=tag)
    messages = [
        Said(_here(host, said.to), said.content, tuple(_here(host, cap) for cap in said.caps), None)
        for said in old.messages
    ]
    if edited is not None:
        pairs = zip(messages, edited, strict=True)
        messages = [Said(said.to, body, caps, None) for said, (body, caps) in pairs]
    given = granted(cap for said in messages for cap in said.caps) if edited is not None else []
    note(host, "retried", machine, turn=n, edited=edited is not None, granted=given)
    deadline_ms = host.now_ms + round(host.limits.send_s * 1000)
    send(host, client.address, machine.address, messages, deadline_ms)
    _drop(host, request, machine, n)


def _is_linear(said: Said) -> bool:
    kinds = map(kind_of, said.caps)
    return LINEAR in kinds or has_tag(said.content, (LINEAR_TAG,))


def _here(host: Host, cap: Cap) -> Cap:
    """A capability that was set aside, as this host holds it now."""
    return opened(host, cap.wire) if isinstance(cap, Sealed) else cap


def drop_failed(host: Host, request: int, machine: Machine, n: int) -> None:
    """Takes a failed batch off the list; the journal keeps what became of it."""
    if _is_dropped(host, machine, n):
        refuse(host, request, no_failed(machine.name, n))
        return
    note(host, "failed-dropped", machine, turn=n)
    _drop(host, request, machine, n)


def _drop(host: Host, request: int, machine: Machine, n: int) -> None:
    host.group.dirty[("failed", machine.id, n)] = None
    machine.failed = max(0, machine.failed - 1)
    host.touch(machine)
    done(host, request, {"machine": machine.name, "turn": n})


def _is_dropped(host: Host, machine: Machine, n: int) -> bool:
    """Whether a failed batch that the store may still show is taken off its list already."""
    key = ("failed", machine.id, n)
    groups = [host.group, *([host.committing] if host.committing is not None else [])]
    return any(key in group.dirty and group.dirty[key] is None for group in groups)


def _why_not_offered(machine: Machine) -> str:
    """Why a batch cannot be offered to a machine again now, or nothing."""
    if machine.status is Status.HALTED:
        return f"{machine.name} is halted for good"
    if machine.status is Status.SUSPENDED and machine.mode is Mode.FAIL:
        return f"{machine.name} fails what comes: `resume {machine.name}` first"
    return ""
