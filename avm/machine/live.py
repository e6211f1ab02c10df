"""A machine in a worker: its code, its state, and what it is given, decoded. Pure.

Step 4 of the journey, just before the step is called: references become handles of the machine,
contexts and contents become values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from avm.limits import Limits
from avm.machine.kinds import Watch
from avm.machine.reference import is_narrowed
from avm.machine.turn import Barred
from avm.message import Event, Message, Refused
from caps.codec import decode_content_untrusted, decode_state
from caps.kinds import KINDS
from caps.pattern import fit
from caps.slots import NULL, Common, Foreign, Me, Narrowed, Own
from caps.value import Capability, Failed, Value

CONTEXTS_MAX = 4096
# How the tags of linear, affine and relevant values begin.
TAGS = b"\xd9\xa0"


class Code(Protocol):
    """A loaded bundle."""

    step: Callable[[Message, Any], Any]
    init: Callable[[Message, Any], Any]
    signal: Callable[[Event, Any], Any] | None
    migrate: Callable[[Any], Any] | None
    records: dict[str, type]

    def printed(self) -> str:
        """What was printed since the last call."""
        ...


class CannotLoad(Exception):
    """The bundle does not load; the text is one line that says why."""


@dataclass(slots=True)
class Fresh:
    """How many capabilities of an input are new to the machine, and whether any has a kind."""

    count: int = 0
    kinded: bool = False


@dataclass(slots=True)
class Live:
    """A machine in a worker."""

    code: Code
    me: Me
    state: Any
    next_slot: int
    contexts: dict[bytes, Value]
    why_not: str = ""
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(getattr(self.code, "makes_kinds", True))

    def decode_state(self, body: bytes, references: list[Any], fresh: Fresh | None = None) -> Value:
        """A state of this machine."""
        caps = [self.capability(reference, fresh) for reference in references]
        return decode_state(body, caps, records=self.code.records, me=self.me)

    def messages(
        self,
        fresh: Fresh,
        limits: Limits,
        now: float,
        channel: str,
        ordinal: int,
        from_host: bool,
        given: list[list[Any]],
    ) -> Iterator[Message]:
        """Decodes messages one at a time, as the step comes to them."""
        watch = self.watch
        watch.came = False
        most, depth = limits.content_bytes, limits.depth
        if from_host:  # An outcome may hold what was asked, whole.
            most, depth = most + 2 * limits.word_bytes, depth + 1
        for message in given:
            if not message:  # inert: to a reply capability that is used or expired
                ordinal += 1
                continue
            reply: Capability = NULL
            inner: list[Capability] = []
            context_inner: list[Capability] = []
            if len(message) > 2:
                reply = self.capability(message[2], fresh)
                inner = [self.capability(one, fresh) for one in message[3]]
                context_inner = [self.capability(one, fresh) for one in message[4]]
            context = self.context(message[0], context_inner)
            content = decode_content_untrusted(message[1], inner, max_bytes=most, depth=depth)
            if len(message) > 5:
                patterns = message[5] if type(message[5]) is list else given[message[5]][5]
                if not fit(patterns, content, len(message[1])):
                    raise Barred
            if fresh.kinded or TAGS in message[0] or TAGS in message[1]:
                watch.came = True
            if type(content) is Failed and not from_host:
                content = Failed("refused", content.detail, content.content)
            yield Message(context, content, reply, f"{channel}.{ordinal}", now)
            ordinal += 1

    def context(self, body: bytes, caps: list[Capability]) -> Value:
        """A context that this machine sealed; those without capabilities are kept decoded."""
        if caps:
            return decode_state(body, caps, records=self.code.records, me=self.me)
        known = self.contexts
        if body in known:
            return known[body]
        context = decode_state(body, (), records=self.code.records, me=self.me)
        if len(known) >= CONTEXTS_MAX:
            known.clear()
        known[body] = context
        return context

    def capability(self, reference: Any, fresh: Fresh | None = None) -> Capability:
        """The handle that stands for a reference."""
        if type(reference) is int:
            if reference >= 0:
                return Foreign(reference)
            if fresh is not None:
                fresh.count = max(fresh.count, -reference)
            return Foreign(self.next_slot - reference - 1)
        if type(reference) is str:
            return Common(reference)
        if len(reference) == 2 and not is_narrowed(reference):
            return self._kinded(reference[0], reference[1], fresh)
        if is_narrowed(reference):
            return narrowed(self.capability(reference[0], fresh), reference[1])
        generation, priority, kind, expires, body, inner = reference
        if kind and fresh is not None:
            fresh.kinded = True
        caps = [self.capability(one, fresh) for one in inner]
        context = self.context(body, caps)
        return Own(generation, context, priority, KINDS[kind], expires)

    def _kinded(self, place: int, kind: int, fresh: Fresh | None) -> Capability:
        if fresh is not None:
            fresh.kinded = True
            fresh.count = max(fresh.count, -place)
        slot = place if place >= 0 else self.next_slot - place - 1
        return Foreign(slot, KINDS[kind])


def narrowed(inner: Capability, caveats: list[bytes]) -> Capability:
    """The handle that stands for a capability of the machine with caveats more."""
    if type(inner) is Narrowed:
        return Narrowed(inner._inner, (*inner._caveats, *caveats))
    assert isinstance(inner, Foreign | Own), "a common capability is never narrowed"
    return Narrowed(inner, tuple(caveats))


class NoCode:
    """Stands where a machine's code could not be loaded; it is never run."""

    def __init__(self) -> None:
        self.records: dict[str, type] = {}
        self.signal: Callable[[Event, Any], Any] | None = None
        self.migrate: Callable[[Any], Any] | None = None
        self.step: Callable[[Message, Any], Any] = _refuse
        self.init: Callable[[Message, Any], Any] = _refuse

    def printed(self) -> str:
        """Nothing was."""
        return ""


def _refuse(message: Message, state: Any) -> Any:
    raise Refused
