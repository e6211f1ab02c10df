"""Capabilities as a step sees them: handles, of which only the host knows what they stand for.

A handle is a slot of the machine, a literal the machine sealed itself, or a commons by its name. None of
them holds a key or sealed bytes, and none can be made of bytes or be made into bytes by a step.
"""

from __future__ import annotations

from math import isfinite

from caps.frozen import (
    CAPABILITY,
    CAPABILITY_BYTES,
    ME,
    TAG_BYTES,
    Capability,
    Settled,
    head,
    order_of,
    order_tagged,
    weight_of,
)
from caps.kinds import KINDS, MARKS, is_kinded, joined, kind_in
from caps.map import freeze, settle_tuple
from caps.value import Value

EXPIRES_S_MAX = 1 << 40

_HEAD = head(0xC0, CAPABILITY)


class Foreign(Capability):
    """A capability received from others, known by the number of its slot.

    What `Foreign(slot)` makes is of a class below it, which makes none: so who holds one cannot make
    another of its type and a number, nor give it another number. Each kind has a class.
    """

    __slots__ = ("_slot",)
    _slot: int
    _kind = ""

    def __new__(cls, slot: int, kind: str = "") -> Foreign:  # noqa: PYI034
        if cls is not Foreign:
            raise TypeError("a capability is received or sealed, and not made of anything else")
        one: Foreign = object.__new__(_HANDLES[kind] if kind else _Handle)
        _put_slot(one, slot)
        return one

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Foreign):
            return NotImplemented
        return self._slot == other._slot

    def __hash__(self) -> int:
        return hash(("slot", self._slot))

    def _order(self) -> bytes:
        return _HEAD + b"\x00" + self._slot.to_bytes(8, "big")


class _Handle(Foreign):
    """The class of every `Foreign` of no kind."""

    __slots__ = ()


class _Linear(Foreign):
    __slots__ = ()
    _kind = "linear"
    _weight = CAPABILITY_BYTES + MARKS["linear"]


class _Affine(Foreign):
    __slots__ = ()
    _kind = "affine"
    _weight = CAPABILITY_BYTES + MARKS["affine"]


class _Relevant(Foreign):
    __slots__ = ()
    _kind = "relevant"
    _weight = CAPABILITY_BYTES + MARKS["relevant"]


_HANDLES: dict[str, type[Foreign]] = {one._kind: one for one in (_Linear, _Affine, _Relevant)}

_SLOT = Foreign.__dict__["_slot"]
_put_slot = _SLOT.__set__
type.__setattr__(Foreign, "_slot", property(_SLOT.__get__))  # which can be read, and not written


class Own(Capability):
    """A capability to the machine itself, which is what it sealed and stands in no slot.

    Two are equal when all of it is, by exact type: a context of 1 is not one of True.
    """

    __slots__ = ("_context", "_expires_ms", "_generation", "_kind", "_place", "_priority")
    _generation: int
    _context: Value
    _priority: int
    _kind: str
    _expires_ms: int | None
    _place: bytes | None

    def __init__(
        self,
        generation: int,
        context: Value,
        priority: int = 0,
        kind: str = "",
        expires_ms: int | None = None,
    ) -> None:
        self._generation = generation
        self._context = context
        self._priority = priority
        self._kind = kind
        self._expires_ms = expires_ms
        self._place = None

    @property
    def _weight(self) -> int:  # type: ignore[override]
        return CAPABILITY_BYTES + MARKS[self._kind]

    def __eq__(self, other: object) -> bool:
        if type(other) is not Own:
            return NotImplemented
        return self is other or self._order() == other._order()

    def __hash__(self) -> int:
        return hash(self._order())

    def _order(self) -> bytes:
        if self._place is None:
            parts = (self._generation, self._priority, self._kind, self._expires_ms, self._context)
            self._place = _HEAD + b"\x01" + order_of(parts)
        return self._place


class Narrowed(Capability):
    """A capability of the machine with caveats more, which the host adds where it leaves the worker.

    It is equal to what is narrowed in the same way, and to nothing else; when it comes back it is a slot.
    """

    __slots__ = ("_caveats", "_inner", "_place")
    _inner: Foreign | Own
    _caveats: tuple[bytes, ...]
    _place: bytes | None

    def __init__(self, inner: Foreign | Own, caveats: tuple[bytes, ...]) -> None:
        """`caveats` are the encoded ones, in the order in which they were added."""
        self._inner = inner
        self._caveats = caveats
        self._place = None

    @property
    def _kind(self) -> str:
        return self._inner._kind

    @property
    def _weight(self) -> int:  # type: ignore[override]
        return CAPABILITY_BYTES + MARKS[self._inner._kind]

    def __eq__(self, other: object) -> bool:
        if type(other) is not Narrowed:
            return NotImplemented
        return self is other or self._order() == other._order()

    def __hash__(self) -> int:
        return hash(self._order())

    def _order(self) -> bytes:
        if self._place is None:
            self._place = _HEAD + b"\x03" + order_of((self._inner, self._caveats))
        return self._place


class Common(Capability):
    """A commons, which every machine can reach by its name."""

    __slots__ = ("_name",)
    _name: str

    def __init__(self, name: str) -> None:
        self._name = name

    def __eq__(self, other: object) -> bool:
        if type(other) is not Common:
            return NotImplemented
        return self._name == other._name

    def __hash__(self) -> int:
        return hash(("common", self._name))

    def _order(self) -> bytes:
        return _HEAD + b"\x02" + order_of(self._name)


NULL, TIME, RANDOM, INSPECT = map(Common, ("null~", "time~", "random~", "inspect~"))


def sort_key(capability: Capability) -> bytes:
    """Return where a capability stands among others: by slot, then own ones, then commons by name."""
    return capability._order()


class Me(Settled):
    """A machine's right to seal: `me(context)` is a capability to itself.

    It is a value, kept in the state or in contexts, and never sent.
    """

    __slots__ = ("_generation", "_within")
    _generation: int
    _within: tuple[Value, ...]

    def __init__(self, generation: int = 0, within: tuple[Value, ...] = ()) -> None:
        self._generation = generation
        self._within, self._depth = settle_tuple(within)

    def _weigh(self) -> int:
        return TAG_BYTES + weight_of(self._within)

    def __call__(
        self,
        context: Value = None,
        *,
        priority: float = 0,
        kind: str = "",
        expires: float | None = None,
    ) -> Capability:
        """Seal a context into a capability to this machine.

        `priority` is between -1 and 1, `kind` one of "", "linear", "affine", "relevant", `expires` in
        seconds since 1970 UTC. What stands in the context may make the kind a stronger one. Raises
        ValueError for these, NotAValue for the context.
        """
        if not -1 <= priority <= 1:
            raise ValueError("a priority is between -1 and 1")
        if kind not in KINDS:
            raise ValueError(f"no such kind: {kind!r}")
        frozen = freeze(context)
        for outer in reversed(self._within):
            frozen = freeze((outer, frozen))
        kind = joined(kind, kind_in(frozen))
        return Own(self._generation, frozen, round(priority * 1000), kind, _expires_ms(expires))

    def within(self, part: Value) -> Me:
        """Return the Me that seals `(part, context)` where it is given `context`.

        Raises ValueError where the part holds anything of a kind: each seal would copy it.
        """
        frozen = freeze(part)
        if is_kinded(frozen):
            raise ValueError("what may not be dropped or copied cannot be in a Me")
        return Me(self._generation, (*self._within, frozen))

    def open(self, capability: Capability) -> Value | None:
        """Return the context of one's own capability, None of any other.

        Through a narrowed Me only what was sealed through it, as it was given.
        """
        if type(capability) is not Own:
            return None
        context = capability._context
        for outer in self._within:
            if type(context) is not tuple or len(context) != 2:
                return None
            if order_of(context[0]) != order_of(outer):
                return None
            context = context[1]
        return context

    def __eq__(self, other: object) -> bool:
        if type(other) is not Me:
            return NotImplemented
        return order_of(self._within) == order_of(other._within)

    def __hash__(self) -> int:
        return hash(("me", order_of(self._within)))

    def __repr__(self) -> str:
        return "<me>"

    def _order(self) -> bytes:
        return order_tagged(ME, self._within)


def _expires_ms(expires: float | None) -> int | None:
    if expires is None:
        return None
    if not isfinite(expires) or not 0 <= expires <= EXPIRES_S_MAX:
        raise ValueError("an expiry is in seconds since 1970")
    return round(expires * 1000)
