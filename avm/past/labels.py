"""What a journal's capabilities are called, and its bodies as JSON, for people. Pure.

Beside the journey. A label never holds sealed bits: it is MACHINE.name, the name of a machine or a
client, the start of an address, or a slot.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avm.host.capability import Cap, Local, Named, NotNarrowed, Reply, Sealed
from avm.host.capability import narrowed as narrowed_cap
from avm.machine.live import narrowed
from avm.machine.reference import is_narrowed
from caps.caveats import parse_caveat_untrusted
from caps.codec import decode_content_untrusted, decode_state, encode_state
from caps.errors import CapsError
from caps.jsonform import Json, to_json
from caps.kinds import KINDS
from caps.slots import Common, Foreign, Narrowed, Own
from caps.value import Capability, Value

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Labels:
    """The names in a store: of machines and clients by address, of capabilities."""

    machines: Mapping[bytes, str] = field(default_factory=dict)
    clients: Mapping[bytes, str] = field(default_factory=dict)
    named: Mapping[Cap, str] = field(default_factory=dict)
    host: bytes = b""

    def of_address(self, address: bytes) -> str:
        """A machine's or a client's name, `host`, else the start of the address."""
        known = self.machines.get(address)
        if known:
            return known
        if address == self.host:
            return "host"
        start = f"{address.hex()[:SHOWN]}.."
        return f"client {start}" if address in self.clients else start

    def of_cap(self, cap: Cap) -> str:
        """MACHINE.name where it has a name, else whose it is."""
        known = self.named.get(cap)
        if known is None and isinstance(cap, Local) and cap.generation:
            known = self.named.get(cap._replace(generation=0))
        if known is not None:
            return known
        if isinstance(cap, Local) and cap.caveats:
            return f"{self.of_cap(cap._replace(caveats=()))} narrowed"
        match cap:
            case Named():
                return cap.name
            case Reply():
                return f"reply to {self.of_address(cap.address)}"
            case Local() | Sealed():
                return self.of_address(cap.address)


@dataclass(slots=True)
class Lens:
    """Looks at one machine's references and bodies from outside.

    `next_slot` is the machine's at the entry that is looked at; a capability that is new in it has
    the slots from there on when the turn `interned` it, else none.
    """

    address: bytes
    slots: Mapping[int, Cap]
    labels: Labels
    next_slot: int = 0
    interned: bool = True

    def handle(self, reference: Any) -> Capability:
        """The handle of a reference, as the machine had it."""
        if type(reference) is int:
            return Foreign(reference if reference >= 0 else self.next_slot - reference - 1)
        if type(reference) is str:
            return Common(reference)
        if is_narrowed(reference):
            return narrowed(self.handle(reference[0]), reference[1])
        if len(reference) == 2:
            place, kind = reference
            return Foreign(place if place >= 0 else self.next_slot - place - 1, KINDS[kind])
        generation, priority, kind, expires, body, inner = reference
        return Own(generation, self.state(body, inner), priority, KINDS[kind], expires)

    def state(self, body: bytes, references: list[Any]) -> Value:
        """A state or a context, its records generic; raises Malformed."""
        caps = [self.handle(reference) for reference in references]
        return decode_state(body, caps, records={})

    def content(self, body: bytes, references: list[Any]) -> Value:
        """The content of a message; raises Malformed."""
        caps = [self.handle(reference) for reference in references]
        return decode_content_untrusted(body, caps)

    def cap_of(self, handle: Capability) -> Cap | None:
        """What a handle stands for; None where it is not known any more."""
        match handle:
            case Foreign():
                if handle._slot >= self.next_slot and not self.interned:
                    return None
                return self.slots.get(handle._slot)
            case Own():
                body, caps = encode_state(handle._context)
                inner = [self.cap_of(cap) for cap in caps]
                known = tuple(cap for cap in inner if cap is not None)
                if len(known) < len(inner):
                    return None
                kind = KINDS.index(handle._kind)
                place = (handle._generation, handle._priority, kind, handle._expires_ms)
                return Local(self.address, *place, body, known)
            case Narrowed():
                cap = self.cap_of(handle._inner)
                caveats = [parse_caveat_untrusted(one) for one in handle._caveats]
                try:
                    return None if cap is None else narrowed_cap(cap, caveats)
                except NotNarrowed:
                    return None
            case Common():
                return Named(handle._name)
        return None

    def label(self, handle: Capability) -> str:
        """The label of a handle: never its text."""
        cap = self.cap_of(handle)
        if cap is not None:
            return self.labels.of_cap(cap)
        if isinstance(handle, Own):
            return self.labels.of_address(self.address)
        if isinstance(handle, Narrowed):
            return f"{self.label(handle._inner)} narrowed"
        assert isinstance(handle, Foreign)
        if handle._slot >= self.next_slot and not self.interned:
            return f"new {handle._slot - self.next_slot + 1}"
        return f"slot {handle._slot}"

    def json(self, value: Value, text: Callable[[Capability], str] | None = None) -> Json:
        """A value as JSON, its capabilities by their labels, or by `text`."""
        return to_json(value, name_of=text or self.label)

    def content_json(self, body: bytes, references: list[Any]) -> Json:
        """A content as JSON; what cannot be read is told in its place."""
        try:
            return self.json(self.content(body, references))
        except CapsError as error:
            return {"$unreadable": str(error)}

    def context_json(self, body: bytes, references: list[Any]) -> Json:
        """A context as JSON; what cannot be read is told in its place."""
        try:
            return self.json(self.state(body, references))
        except CapsError as error:
            return {"$unreadable": str(error)}

    def reference(self, reference: Any) -> str:
        """The label of a reference."""
        try:
            return self.label(self.handle(reference))
        except CapsError:
            return "unreadable"


class BodyLens:
    """Looks at a body that lies beside the capabilities themselves, as in a failed batch."""

    def __init__(self, labels: Labels, caps: tuple[Cap, ...]) -> None:
        self._labels = labels
        self._caps = caps

    def cap_of(self, handle: Capability) -> Cap:
        """What a handle of this body stands for."""
        assert isinstance(handle, Foreign)
        return self._caps[handle._slot]

    def content_json(self, body: bytes, text: Callable[[Cap], str] | None = None) -> Json:
        """The content as JSON, its capabilities by their labels, or by `text`."""
        handles = [Foreign(place) for place in range(len(self._caps))]
        name = text or self._labels.of_cap
        try:
            value = decode_content_untrusted(body, handles)
            return to_json(value, name_of=lambda handle: name(self.cap_of(handle)))
        except CapsError as error:
            return {"$unreadable": str(error)}


__all__ = ["BodyLens", "Labels", "Lens"]
