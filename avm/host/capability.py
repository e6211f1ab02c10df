"""Capabilities as the host holds them: unsealed while they stay on this host.

A capability to a machine here is a plain record; it is sealed when it first leaves the host.
That is why local batches need no cryptography.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import cbor2

from caps.capability import (
    AFFINE,
    NONE,
    CommonName,
    SealedCapability,
    kind_of_wire,
    narrow,
    parse_wire_untrusted,
)
from caps.caveats import CAVEATS_MAX, KNOWN, Caveat, check_caveat_untrusted, parse_caveat_untrusted
from caps.errors import InvalidCapability, Malformed
from caps.sealing import (
    MachineKeys,
    is_reply,
    pack_context,
    pack_reply,
    unpack_context,
    unpack_reply,
)

ADDRESS_BYTES = 32
DEPTH_MAX = 64


class NotNarrowed(Exception):
    """A capability that cannot be narrowed; the text says why."""


class Local(NamedTuple):
    """A capability to a machine on this host: what its sealed form would hold.

    `caveats` are those that a holder added, each encoded, in their order.
    """

    address: bytes
    generation: int
    priority: int
    kind: int
    expires_ms: int | None
    context: bytes
    caps: "tuple[Cap, ...]"
    caveats: tuple[bytes, ...] = ()


class Reply(NamedTuple):
    """The reply capability of one ask: whose, which and until when."""

    address: bytes
    ask: int
    deadline_ms: int


class Sealed(NamedTuple):
    """A capability to a machine that is not on this host, in wire form."""

    address: bytes
    wire: bytes


class Named(NamedTuple):
    """A common capability."""

    name: str


Cap = Local | Reply | Sealed | Named
NULL = Named("null~")
# Stands where a capability was presented that is not valid.
INVALID = Named("invalid")
Keys = Callable[[bytes], MachineKeys | None]


def address_of(cap: Cap) -> bytes:
    """The address part; the common capabilities have none."""
    return b"" if isinstance(cap, Named) else cap.address


def reply_until_ms(cap: Cap) -> int | None:
    """The deadline inside a reply capability; None of one that is none.

    Of one from another host only its attributes are seen: a reply is affine and expires.
    """
    if isinstance(cap, Reply):
        return cap.deadline_ms
    if isinstance(cap, Sealed):
        parsed = parse_wire_untrusted(cap.wire)
        if isinstance(parsed, SealedCapability) and parsed.kind == AFFINE:
            return parsed.expires_ms
    return None


def may_be_reply(cap: Cap) -> bool:
    """Whether it is a reply of an ask, as far as that is seen here, or `NULL`: nobody has asked.

    The bytes of a sealed one were read before.
    """
    if type(cap) is Sealed:
        return kind_of_wire(cap.wire) == (AFFINE, True)
    return type(cap) is Reply or cap == NULL


def kind_of(cap: Cap) -> int:
    """The kind of a capability, as its place in `KINDS`, wherever its machine is.

    A reply capability has none here: its ask takes one answer, whoever gives it. So has what looks
    like one to another host, being affine and expiring.
    """
    if type(cap) is Local:
        kind, expires = cap.kind, cap.expires_ms is not None
    elif type(cap) is Sealed:
        kind, expires = kind_of_wire(cap.wire)
    else:
        return NONE
    return NONE if kind == AFFINE and expires else kind


def to_row(cap: Cap) -> list[Any]:
    """A capability as the store keeps it."""
    match cap:
        case Local():
            row = [0, *cap[:6], [to_row(inner) for inner in cap.caps]]
            return [*row, list(cap.caveats)] if cap.caveats else row
        case Reply():
            return [1, *cap]
        case Sealed():
            return [2, *cap]
        case Named():
            return [3, *cap]


def from_row(row: list[Any]) -> Cap:
    """The capability that `to_row` made."""
    form = row[0]
    if form == 0:
        _form, address, generation, priority, kind, expires_ms, context, inner, *more = row
        caps = tuple(map(from_row, inner)) if inner else ()
        caveats = tuple(more[0]) if more else ()
        return Local(address, generation, priority, kind, expires_ms, context, caps, caveats)
    if form == 1:
        return Reply(*row[1:])
    return Sealed(*row[1:]) if form == 2 else Named(*row[1:])


def to_bytes(cap: Cap) -> bytes:
    """A capability as one key or value of the store."""
    return cbor2.dumps(to_row(cap))


def from_bytes(body: bytes) -> Cap:
    """The capability that `to_bytes` made."""
    return from_row(cbor2.loads(body))


def to_wire(cap: Cap, keys: Keys) -> bytes:
    """Seals a capability for the outside; the same capability gives the same bytes."""
    match cap:
        case Local():
            sealed = seal(cap, keys)
            for encoded in cap.caveats:
                sealed = narrow(sealed, parse_caveat_untrusted(encoded))
            return sealed.wire()
        case Reply():
            plain = pack_reply(cap.ask, cap.deadline_ms)
            owner = _keys(keys, cap.address)
            sealed = owner.seal(
                plain, generation=owner.latest, priority=0, kind=2, expires_ms=cap.deadline_ms
            )
            return sealed.wire()
        case Sealed():
            return cap.wire
        case Named():
            return CommonName(cap.name).wire()


def seal(cap: Local, keys: Keys) -> SealedCapability:
    """A local capability sealed, without its caveats."""
    inner = [to_wire(inside, keys) for inside in cap.caps]
    return _keys(keys, cap.address).seal(
        pack_context(cap.context, inner),
        generation=cap.generation,
        priority=cap.priority,
        kind=cap.kind,
        expires_ms=cap.expires_ms,
    )


def narrowed(cap: Cap, caveats: list[Caveat]) -> Cap:
    """The capability with caveats more, as its holder may do it; `NotNarrowed` when that cannot be."""
    if isinstance(cap, Reply | Named):
        raise NotNarrowed("a reply capability or a common one cannot be narrowed")
    if isinstance(cap, Local):
        if len(cap.caveats) + len(caveats) > CAVEATS_MAX:
            raise NotNarrowed(f"a capability has at most {CAVEATS_MAX} caveats")
        return cap._replace(caveats=(*cap.caveats, *(one.encoded for one in caveats)))
    sealed = parse_wire_untrusted(cap.wire)
    assert isinstance(sealed, SealedCapability), "a common one has no sealed form here"
    if len(sealed.caveats) + len(caveats) > CAVEATS_MAX:
        raise NotNarrowed(f"a capability has at most {CAVEATS_MAX} caveats")
    for caveat in caveats:
        sealed = narrow(sealed, caveat)
    return Sealed(cap.address, sealed.wire())


def from_wire_untrusted(wire: bytes, keys: Keys) -> Cap:
    """Opens what a stranger presents; `InvalidCapability` for every cause."""
    opened = open_untrusted(wire, keys)
    if opened is INVALID:
        raise InvalidCapability
    return opened


def open_untrusted(wire: bytes, keys: Keys, depth: int = 0) -> Cap:
    """The same, with `INVALID` for every cause and nothing raised."""
    if depth > DEPTH_MAX:
        return INVALID
    try:
        parsed = parse_wire_untrusted(wire)
        if isinstance(parsed, CommonName):
            return Named(parsed.name)
        machine = keys(parsed.address)
        if machine is None:
            return Sealed(parsed.address, bytes(wire))
        return _open_untrusted(parsed, machine, keys, depth)
    except Malformed:
        return INVALID


def _open_untrusted(parsed: SealedCapability, machine: MachineKeys, keys: Keys, depth: int) -> Cap:
    """Opens what was read; what is not genuine goes the same way to its end, lest its time tell."""
    plain, genuine = machine.unseal_or_feign(parsed, known_caveats=KNOWN)
    for caveat in parsed.caveats:
        check_caveat_untrusted(caveat)
    if is_reply(plain):
        return INVALID if parsed.caveats else Reply(parsed.address, *unpack_reply(plain))
    context, inner = unpack_context(plain)
    caps = tuple([open_untrusted(one, keys, depth + 1) for one in inner])
    opened = Local(
        parsed.address,
        parsed.generation,
        parsed.priority,
        parsed.kind,
        parsed.expires_ms,
        context,
        caps,
        tuple([caveat.encoded for caveat in parsed.caveats]),
    )
    return opened if genuine and INVALID not in caps else INVALID


def _keys(keys: Keys, address: bytes) -> MachineKeys:
    found = keys(address)
    assert found is not None, "a local capability has its machine's keys here"
    return found
