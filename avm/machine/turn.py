"""One turn: the messages of a batch, given to a step one after another. Pure.

Step 4 of the journey. What the step returns is checked and encoded here: the sends of each
message, and whether the state is still the same object. A message that fails, fails the batch.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from traceback import TracebackException
from typing import Any

from avm.limits import Limits
from avm.machine.kinds import Watch, follow
from avm.machine.raised import RAISED, is_interrupt
from avm.message import Cancel, Message, Refused, Send
from caps.codec import encode_content, encode_state
from caps.errors import CapsError, TooBig
from caps.frozen import Settled
from caps.kinds import KINDS, is_kinded, size_of
from caps.light import dataclass
from caps.slots import Common, Foreign, Narrowed, Own
from caps.value import Capability, Failed, Value, freeze

APPLIED, REFUSED, REJECTED, EXHAUSTED, BARRED = 0, 1, 2, 3, 4

# A reference: a slot number (from 0), the input's fresh capability (-1, -2, ..), either as [number,
# kind] where it has a kind, the name of a common capability, an own capability as [generation,
# priority, kind, expires, context, [..]], or one of these with its caveats: [reference, [caveat, ..]].
Reference = int | str | list[Any]
Call = Callable[[Message, Any], Any]
SCALARS = frozenset((type(None), bool, int, float))
# Of the frames that are looked at, the newest of the machine's own are kept; a value that is frozen
# takes many of ours.
FRAMES_READ, FRAMES_MAX = 256, 8
PACKAGES = ("avm.", "caps.")
ROOT = __file__.removesuffix("avm/machine/turn.py")
OURS = (f"{ROOT}avm/", f"{ROOT}caps/")
LIBRARY = dataclasses.__file__.removesuffix("dataclasses.py")


class Barred(Exception):
    """A content does not fit the pattern of the capability by which it came."""


class NotASend(Exception):
    """A step must return (sends, state), the sends a list or tuple of Send and Cancel."""


class TooLarge(Exception):
    """What one turn sends, or the state that it leaves, is too large."""

    def __str__(self) -> str:
        return "too large: " + super().__str__()


@dataclass(slots=True)
class Taken:
    """What came of a turn: the verdict, the sends message by message and the new state."""

    verdict: int
    sends: list[list[list[Any]]]
    state: Any
    changed: bool
    index: int = 0
    why: str = ""
    detail: str = ""


class References:
    """Turns the capabilities of one machine into references for the host."""

    __slots__ = ("context_bytes", "first_fresh")

    def __init__(self, first_fresh: int, context_bytes: int) -> None:
        self.first_fresh = first_fresh
        self.context_bytes = context_bytes

    def of(self, cap: Capability) -> Reference:
        """The reference of a capability; an own one carries its context along."""
        match cap:
            case Foreign():
                slot = cap._slot
                place = slot if slot < self.first_fresh else self.first_fresh - slot - 1
                return [place, KINDS.index(cap._kind)] if cap._kind else place
            case Own():
                try:
                    body, caps = encode_state(cap._context, max_bytes=self.context_bytes)
                except TooBig as error:
                    raise TooLarge(f"a context: {error}") from None
                inner = [self.of(inside) for inside in caps]
                kind = KINDS.index(cap._kind)
                return [cap._generation, cap._priority, kind, cap._expires_ms, body, inner]
            case Narrowed():
                return [self.of(cap._inner), list(cap._caveats)]
            case Common():
                return cap._name
            case _:
                raise NotASend(f"not a capability: {type(cap).__name__}")


def take_turn(
    call: Call,
    state: Any,
    messages: Iterable[Message],
    references: References,
    limits: Limits,
    watch: Watch | None = None,
) -> Taken:
    """Gives each message to the step; the first that fails undoes all of them.

    `watch` says whether what came has to be found again in what left.
    """
    watch = watch or Watch()
    held = watch.begins(state)
    taken = Taken(APPLIED, [], state, False)
    room, left = limits.turn_bytes, limits.turn_sends
    try:
        for message in messages:
            before = taken.state
            sends, after = _take_message(call, message, before)
            if after is not before:
                is_frozen = isinstance(after, Settled) and after._depth <= limits.depth
                taken.state = after if is_frozen else _state_after(after, limits)
            said: list[list[Any]] = []
            for send in sends:
                entry, size = _encode_send(send, references, limits)
                if entry is not None:
                    room -= size
                    said.append(entry)
            left -= len(said)
            if room < 0:
                raise TooLarge(f"a turn may send {limits.turn_bytes} bytes")
            if left < 0:
                raise TooLarge(f"a turn may send {limits.turn_sends} messages")
            if held or watch.came:
                _check_size(taken.state, limits)  # what is small enough is walked through
                follow(message, before, sends, taken.state)
            elif watch.makes and after is not before:
                held = is_kinded(taken.state)
            taken.sends.append(said)
        taken.changed = taken.state is not state
        if taken.changed and size_of(taken.state) > limits.state_bytes:
            taken.sends.pop()  # so that the last message is the one that is told
            _check_size(taken.state, limits)
    except Refused as no:
        return Taken(REFUSED, [], state, False, len(taken.sends), _cut(no.word, limits.word_bytes))
    except Barred:
        return Taken(BARRED, [], state, False, len(taken.sends))
    except (RecursionError, MemoryError) as limit:
        return Taken(EXHAUSTED, [], state, False, len(taken.sends), type(limit).__name__)
    except RAISED as error:  # the step's own code runs here
        if is_interrupt(error):
            raise
        why = _named(error)
        detail = trace(error, limits.traceback_bytes)
        return Taken(
            REJECTED, [], state, False, len(taken.sends), _cut(why, limits.word_bytes), detail
        )
    return taken


def _check_size(state: Value, limits: Limits) -> None:
    size = size_of(state)
    if size > limits.state_bytes:
        raise TooLarge(f"the state: {size:,} bytes, more than {limits.state_bytes:,}")


def frozen_state(state: Any, limits: Limits) -> Value:
    """The state as a value, checked whole; its parts that are frozen are not walked again."""
    return freeze(state, depth=limits.depth)


def _state_after(state: Any, limits: Limits) -> Value:
    try:
        return frozen_state(state, limits)
    except CapsError as error:
        raise NotASend(f"the state: {error}") from None


def _take_message(call: Call, message: Message, state: Any) -> tuple[Sequence[Any], Any]:
    try:
        result = call(message, state)
    except Refused:
        if isinstance(message.content, Failed):
            return (), state
        raise
    if type(result) is tuple and len(result) == 2 and type(result[0]) in (list, tuple):
        return result
    if result is None:
        if isinstance(message.content, Failed):
            return (), state
        raise Refused
    raise NotASend(_why_no_step(result))


def _why_no_step(result: object) -> str:
    if type(result) is not tuple:
        return f"a step returns (sends, state), not {type(result).__name__}"
    if len(result) != 2:
        return f"a step returns (sends, state), not a tuple of {len(result)}"
    sends = type(result[0]).__name__
    return f"a step returns (sends, state): the sends are a list or a tuple, not {sends}"


def _encode_send(send: Any, references: References, limits: Limits) -> tuple[list[Any] | None, int]:
    """A send as [to, content] or in full, and its size; None for what goes to `null~`."""
    if type(send) is Cancel:
        return [references.of(send.to)], 64
    if type(send) is not Send:
        raise NotASend(f"a send is a Send or a Cancel, not {type(send).__name__}")
    content = send.content
    if isinstance(content, Failed):
        content = Failed("refused", content.detail, content.content)
    to = references.of(send.to)
    try:
        content = freeze(content, depth=limits.depth)
        nobody = to == "null~" and send.reply is None
        if nobody and type(content) in SCALARS:
            return None, 0
        body, caps = encode_content(content, max_bytes=limits.content_bytes)
    except TooBig as error:
        raise TooLarge(f"the content of a send: {error}") from None
    except CapsError as error:
        raise NotASend(f"the content of a send: {error}") from None
    if nobody and not any(map(is_kinded, caps)):
        return None, 0
    size = len(body) + 64 + 64 * len(caps)
    plain = send.reply is None and send.deadline_s is None and not send.after_s
    if plain and not caps and not send.apart:
        return [to, body], size
    inside = [references.of(cap) for cap in caps]
    reply = None if send.reply is None else references.of(send.reply)
    deadline = _milliseconds("deadline_s", send.deadline_s)
    after = _milliseconds("after_s", send.after_s or None)
    return [to, body, inside, reply, deadline, after, bool(send.apart)], size


def _milliseconds(name: str, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if type(seconds) not in (int, float) or not isfinite(seconds) or not 0 <= seconds <= 1e10:
        raise NotASend(f"{name} is a number of seconds, not {seconds!r}")
    return round(seconds * 1000)


def trace(error: BaseException, limit: int) -> str:
    """The traceback for the operator: the machine's own lines, bounded."""
    whole = TracebackException.from_exception(error, limit=-FRAMES_READ, compact=True)
    steps = [frame for frame in whole.stack if not frame.filename.startswith(OURS)]
    for frame in steps:  # wherever Python and this package are, the same is told
        frame.filename = frame.filename.removeprefix(ROOT).removeprefix(LIBRARY)
    whole.stack = type(whole.stack).from_list(steps[-FRAMES_MAX:])
    text = "\n" + "".join(whole.format(chain=False))
    module = f"{type(error).__module__}."
    if module.startswith(PACKAGES):
        text = text.replace(f"\n{module}", "\n")
    return _cut(text[1:], limit)


def _named(error: BaseException) -> str:
    """The exception in one line, though its own text may raise again."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 the step's own code runs here too
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _cut(text: str, limit: int) -> str:
    body = text.encode("utf-8", "replace")
    return body.decode() if len(body) <= limit else body[:limit].decode("utf-8", "ignore") + " ..."
