"""Whether what a parcel says fits together, before anything of it is taken up. Pure.

Beside the journey. Its host is trusted to say what the machine is, and no more: what does not fit is
refused whole, and no capability comes in but sealed.
"""

from avm.host.capability import Local, from_wire_untrusted
from avm.host.header import digest_of_body, parse_header_untrusted
from avm.host.keys import are_keys, secrets_of
from avm.host.parcel import Parcel, Row, Sent, from_bytes_untrusted
from caps import shape
from caps.capability import parse_wire_untrusted
from caps.codec import loads_shape_untrusted
from caps.errors import InvalidCapability, Malformed
from caps.identity import parse_identity_untrusted
from caps.sealing import MachineKeys

_ITEM_BYTES_MAX = 300 * 1024 * 1024
_KEYS_BYTES_MAX = 64 * 1024


def machine_untrusted(body: bytes) -> tuple[bytes, Parcel, bytes]:
    """The machine of an item: its address, its parcel, held against itself, and its keys; `Malformed`."""
    plain = loads_shape_untrusted(body, max_bytes=_ITEM_BYTES_MAX, depth=2)
    octets, secrets = shape.array(plain, 2, "item")
    parcel = from_bytes_untrusted(shape.some_octets(octets, 1, _ITEM_BYTES_MAX, "item: parcel"))
    keys = shape.some_octets(secrets, 64, _KEYS_BYTES_MAX, "item: keys")
    address = parse_identity_untrusted(parcel.identity).address
    if not are_keys(keys, address, parcel.identity, parcel.generation):
        raise Malformed("parcel: of another machine")
    check_untrusted(parcel, address, keys)
    return address, parcel, keys


def check_untrusted(parcel: Parcel, address: bytes, keys: bytes) -> None:
    """Holds a parcel against itself; raises `Malformed`."""
    if any(address not in row[:2] for row in parcel.channels):
        raise Malformed("parcel: a channel of others")
    if len({row[:2] for row in parcel.channels}) != len(parcel.channels):
        raise Malformed("parcel: a channel twice")
    _check_generations(parcel)
    _check_wires(parcel)
    _check_asks(parcel, address, keys)
    rows = {row[1]: row for row in parcel.channels if row[0] == address}
    sent: dict[bytes, list[Sent]] = {receiver: [] for receiver in rows}
    for one in parcel.outbox:
        if one[0] not in rows:
            raise Malformed("parcel: a batch of no channel")
        sent[one[0]].append(one)
    for receiver, row in rows.items():
        _check_line(row, sent[receiver])


def _check_generations(parcel: Parcel) -> None:
    """What is revoked is of before the generation that begins, and each count is there once."""
    over = [parcel.revoked, *(generation for generation, _from_ms in parcel.ends)]
    if max(over) >= parcel.generation:
        raise Malformed("parcel: a generation revoked that has not begun")
    if len({proof for proof, *_ in parcel.uses}) != len(parcel.uses):
        raise Malformed("parcel: a count twice")


def _check_wires(parcel: Parcel) -> None:
    """Whether each capability is one, as far as that is seen from outside."""
    for _number, wire in (*parcel.slots, *parcel.names):
        parse_wire_untrusted(wire)
    for to, _content, caps, reply, *_times in parcel.timers:
        for one in (to, *caps, *(() if reply is None else (reply,))):
            parse_wire_untrusted(one)
    for sent in parcel.outbox:
        for reply in sent[8]:
            if reply is not None:
                parse_wire_untrusted(reply)
    for word in parcel.words:
        for wire, _content in word:
            parse_wire_untrusted(wire)


def _check_asks(parcel: Parcel, address: bytes, keys: bytes) -> None:
    """An outcome comes to a capability of the machine's own: of another's it would learn the context."""
    secret, later = secrets_of(keys)
    own = MachineKeys(secret, address, later)
    for ask in parcel.asks:
        if ask[1] is None:
            raise Malformed("parcel: an ask for nobody")
        try:
            cap = from_wire_untrusted(ask[1], lambda one: own if one == address else None)
        except InvalidCapability:
            raise Malformed("parcel: an ask with a capability that is not valid") from None
        if not isinstance(cap, Local) or cap.address != address or cap.caveats:
            raise Malformed("parcel: an ask for another")


def _check_line(row: Row, sent: list[Sent]) -> None:
    """What a channel has sent and has no verdict of is there, in order, each with its own header."""
    sender, receiver, last, _said, taken, *_ = row
    if last - taken != len(sent) or any(one[1] != taken + n for n, one in enumerate(sent, 1)):
        raise Malformed("parcel: batches left out")
    for _receiver, seq, ordinal, count, deadline_ms, _size, octets, body, *_more in sent:
        header = parse_header_untrusted(octets)
        numbers = (header.seq, header.ordinal, header.count, header.deadline_ms)
        if (header.sender, header.receiver) != (sender, receiver):
            raise Malformed("parcel: a header of another channel")
        if numbers != (seq, ordinal, count, deadline_ms):
            raise Malformed("parcel: a header of another batch")
        if body and digest_of_body(body) != header.body:
            raise Malformed("parcel: a body that is not its header's")
