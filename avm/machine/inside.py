"""A worker's inside: machines with their decoded states, driven by frames. Pure.

Step 4 of the journey, as bytes: what it is given and what it answers are the bytes that the
journal keeps. The same object runs in a worker process, in the simulator and under replay.
"""

from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

from avm.limits import Limits
from avm.machine import frames, pack
from avm.machine.kinds import report
from avm.machine.live import CannotLoad, Code, Fresh, Live, NoCode
from avm.machine.misfit import generic_records, refuse_no_state
from avm.machine.raised import RAISED, is_interrupt
from avm.machine.turn import REJECTED, References, Taken, frozen_state, take_turn
from avm.message import Event, Message
from caps.codec import decode_content_untrusted, decode_state, encode_state
from caps.errors import CapsError
from caps.map import Map
from caps.slots import Foreign, Me
from caps.value import Capability, Value

Tell = Callable[[bytes], None]


class Inside:
    """Machines in a worker: `receive` takes a frame and returns the frames to answer."""

    def __init__(
        self, limits: Limits, load: Callable[[bytes], Code], tell: Tell = lambda _frame: None
    ) -> None:
        """`load` turns the bytes of a bundle into code, or raises `CannotLoad`.

        `tell` sends a frame at once, while a turn is under way.
        """
        self._limits = limits
        self._load = load
        self._tell = tell
        self._codes: dict[bytes, Code | str] = {}
        self._live: dict[int, Live] = {}

    def receive(self, frame: bytes) -> list[bytes]:
        """Takes one frame from the host."""
        kind, *rest = frames.unpack(frame)
        if kind == frames.TURN:
            return [self._turn(*rest)]
        if kind == frames.CODE:
            self._code(*rest)
        elif kind == frames.LOAD:
            self._load_machine(*rest)
        elif kind == frames.AGAIN:
            self._again(*rest)
        elif kind == frames.LOADED:
            return [self._loaded(*rest)]
        elif kind == frames.SNAPSHOT:
            return [self._snapshot(*rest)]
        elif kind == frames.MIGRATE:
            return [self._migrate(*rest)]
        elif kind == frames.EDIT:
            return [self._edit(*rest)]
        elif kind == frames.ALONE:
            return [self._alone(*rest)]
        elif kind == frames.RENEW:
            self._renew(self._live[rest[0]], rest[1])
        elif kind == frames.FORGET:
            self._live.pop(rest[0], None)
        else:
            raise frames.BadFrame(f"unknown kind {kind}")
        return []

    def state_of(self, machine: int) -> Any:
        """The decoded state of a machine, for tests and for showing it."""
        return self._live[machine].state

    # A worker that is saved.

    def saved(self) -> tuple[tuple[Any, ...], ...]:
        """What it holds: each bundle's digest, and each machine with its state as a snapshot has it."""
        codes = tuple((digest, self._why_no(digest)) for digest in self._codes)
        return codes, tuple(self._saved(machine, live) for machine, live in self._live.items())

    def _why_no(self, digest: bytes) -> str:
        code = self._codes[digest]
        return code if isinstance(code, str) else ""

    def _saved(self, machine: int, live: Live) -> tuple[Any, ...]:
        digests = [digest for digest, code in self._codes.items() if code is live.code]
        body, caps = encode_state(live.state, max_bytes=self._limits.state_bytes)
        references = References(live.next_slot, self._limits.context_bytes)
        inner = _fixed([references.of(cap) for cap in caps])
        place = (machine, digests[0] if digests else b"", body, inner)
        return (*place, live.next_slot, live.me._generation, live.why_not)

    def load_saved(self, codes: Callable[[bytes], Code], saved: tuple[Any, ...]) -> None:
        """Takes up what `saved` told of another; `codes` gives the code of a bundle's digest."""
        for digest, why_not in saved[0]:
            self._codes[digest] = why_not or codes(digest)
        for machine, digest, body, references, next_slot, generation, why_not in saved[1]:
            self._load_machine(machine, digest, body, references, next_slot, generation)
            self._live[machine].why_not = why_not

    def why_not_of(self, machine: int) -> str:
        """Why a machine did not come back whole; nothing when it did."""
        return self._live[machine].why_not

    def _code(self, digest: bytes, bundle: bytes) -> None:
        try:
            self._codes[digest] = self._load(bundle)
        except CannotLoad as error:
            self._codes[digest] = str(error)

    def _code_of(self, digest: bytes) -> Code:
        code = self._codes.get(digest, "its code is missing")
        if isinstance(code, str):
            raise CannotLoad(code)
        return code

    def _load_machine(
        self,
        machine: int,
        digest: bytes,
        body: bytes | None,
        references: list[Any],
        next_slot: int,
        generation: int,
    ) -> None:
        me = Me(generation)
        try:
            live = Live(self._code_of(digest), me, me, next_slot, {})
        except CannotLoad as error:
            self._live[machine] = Live(NoCode(), me, me, next_slot, {}, str(error))
            return
        self._live[machine] = live
        if body is None:
            return
        try:
            live.state = live.decode_state(body, references)
        except CapsError as error:
            live.why_not = f"its snapshot does not load: {error}"

    def _again(self, machine: int, entries: list[list[Any]]) -> None:
        """Takes recorded turns once more; stops at the first whose output differs."""
        live = self._live[machine]
        for n, kind, given, output in entries:
            if live.why_not:
                return
            if kind == frames.GENERATION:
                self._renew(live, given)
                continue
            again, *_rest = self._take(live, kind, given)
            if again != output:
                live.why_not = f"turn {n} gives another output than it did"

    def _renew(self, live: Live, generation: int) -> None:
        """A new key generation: the machine's `Me` is in its state, which is decoded with the new one."""
        live.me = Me(generation)
        live.contexts.clear()  # There may be a `Me` in one.
        body, caps = encode_state(live.state, max_bytes=self._limits.state_bytes)
        live.state = decode_state(body, caps, records=live.code.records, me=live.me)

    def _loaded(self, machine: int, token: int, why_not: str = "") -> bytes:
        if why_not:
            return frames.pack([frames.LOADED, machine, token, why_not, ""])
        live = self._live[machine]
        printed = live.code.printed()
        return frames.pack([frames.LOADED, machine, token, live.why_not, printed])

    def _turn(self, machine: int, token: int, kind: int, given: bytes) -> bytes:
        live = self._live[machine]
        output, names, *held = self._take(live, kind, given)
        printed = live.code.printed()
        if not printed and names is None and not held and output in frames.PLAIN:
            return frames.plain_answer(pack.place(machine, token), output)
        return frames.pack([frames.TURN, machine, token, output, printed, names, *held])

    def _alone(self, machine: int, token: int, kind: int, given: bytes) -> bytes:
        """A turn that ended a worker before: tells of each message that it comes to."""
        live = self._live[machine]

        def come(index: int) -> None:
            self._tell(frames.pack([frames.COME, machine, token, index]))

        output, names, *held = self._take(live, kind, given, come)
        printed = live.code.printed()
        return frames.pack([frames.TURN, machine, token, output, printed, names, *held])

    def _take(
        self, live: Live, kind: int, given: bytes, come: Callable[[int], None] | None = None
    ) -> tuple[bytes, list[Any] | None] | tuple[bytes, list[Any] | None, list[Any]]:
        """The output, the names `init` gave, and, where there are any, the slots of a kind held."""
        if live.why_not and kind == frames.INIT:
            return frames.pack([REJECTED, 0, live.why_not, ""]), None
        references = References(live.next_slot, self._limits.context_bytes)
        fresh = Fresh()
        call: Callable[[Message, Any], Any] = live.code.step
        if kind == frames.INIT:
            call = live.code.init
        elif kind == frames.SIGNAL:
            call = _signal_call(live.code)
        now, channel, ordinal, from_host, said = frames.unpack(given)
        place = (now / 1000, channel, ordinal, from_host)
        messages = live.messages(fresh, self._limits, *place, said)
        if come is not None:
            messages = _followed(messages, come)
        before = live.state
        taken = take_turn(call, before, messages, references, self._limits, live.watch)
        names = None
        if kind == frames.INIT and taken.verdict == 0:
            names = [live.code.signal is not None, *_names(taken, references, live)]
        if taken.verdict:
            return frames.pack([taken.verdict, taken.index, taken.why, taken.detail]), None
        if taken.changed:
            live.state = taken.state
            live.next_slot += fresh.count
        sends = taken.sends
        while sends and not sends[-1]:
            sends.pop()
        output = frames.CHANGED if taken.changed else frames.UNCHANGED
        if sends:
            output = frames.pack([0, taken.changed, sends])
        if live.watch.begins(before) or live.watch.begins(live.state):
            return output, names, self._held(before, live.state, references)
        return output, names

    def _held(self, before: Value, after: Value, references: References) -> list[Any]:
        """The slots of capabilities with a kind in the state before and after a turn."""
        first = references.first_fresh
        slots = report(before, after)
        return [[one if one < first else first - one - 1 for one in held] for held in slots]

    def _snapshot(self, machine: int, token: int) -> bytes:
        live = self._live[machine]
        return self._state_frame(frames.SNAPSHOT, machine, token, live, live.state)

    def _state_frame(self, kind: int, machine: int, token: int, live: Live, state: Any) -> bytes:
        try:
            body, caps = encode_state(state, max_bytes=self._limits.state_bytes)
        except CapsError as error:
            return frames.pack([kind, machine, token, b"", [], f"the state: {error}"])
        references = References(live.next_slot, self._limits.context_bytes)
        inner = [references.of(cap) for cap in caps]
        return frames.pack([kind, machine, token, body, inner, ""])

    def _migrate(self, machine: int, token: int, digest: bytes) -> bytes:
        """Moves the machine's state to new code; refused as a whole when it does not fit."""
        live = self._live[machine]
        references = References(live.next_slot, self._limits.context_bytes)
        inner: list[Any] = []
        try:
            old_body, old_caps = encode_state(live.state, max_bytes=self._limits.state_bytes)
            inner = [references.of(cap) for cap in old_caps]
            code = self._code_of(digest)
            new = Live(code, live.me, live.state, live.next_slot, {})
            new.state = _migrated(code, old_body, old_caps, live.me, self._limits)
            frame = self._state_frame(frames.MIGRATE, machine, token, new, new.state)
            has_signal = code.signal is not None
        except (CannotLoad, CapsError) as error:
            return frames.pack([frames.MIGRATE, machine, token, b"", inner, _line(error), False])
        except RAISED as error:  # its migrate runs here
            if is_interrupt(error):
                raise
            why = f"migrate raised {type(error).__name__}: {error}"
            return frames.pack([frames.MIGRATE, machine, token, b"", inner, _line(why), False])
        answer = frames.unpack(frame)
        if not answer[5]:
            self._live[machine] = new
        return frames.pack([*answer, has_signal])

    def _edit(self, machine: int, token: int, body: bytes, references: list[Any]) -> bytes:
        live = self._live[machine]
        fresh = Fresh()
        try:
            state = live.decode_state(body, references, fresh)
            frozen_state(state, self._limits)
            left = generic_records(state, live.code.records)
            if left:
                raise CapsError(f"no record of the code fits {left}")
        except CapsError as error:
            return frames.pack([frames.EDIT, machine, token, b"", [], _line(error), False])
        live.next_slot += fresh.count
        frame = self._state_frame(frames.EDIT, machine, token, live, state)
        answer = frames.unpack(frame)
        if answer[5]:
            live.next_slot -= fresh.count
        else:
            live.state = state
        return frames.pack([*answer, live.code.signal is not None])


def _followed(messages: Iterator[Message], come: Callable[[int], None]) -> Iterator[Message]:
    """The messages, `come` hearing of each after the first before it is decoded."""
    yield from islice(messages, 1)
    for index in count(1):
        come(index)
        message = next(messages, None)
        if message is None:
            return
        yield message


def _signal_call(code: Code) -> Callable[[Message, Any], Any]:
    def call(message: Message, state: Any) -> Any:
        if code.signal is None:
            return (), state
        return code.signal(Event(str(message.content), message.now), state)

    return call


def _migrated(
    code: Code, body: bytes, caps: tuple[Capability, ...], me: Me, limits: Limits
) -> Value:
    if code.migrate is not None:
        state = code.migrate(decode_state(body, caps, records={}, me=me))
        refuse_no_state(state)
    else:
        state = decode_state(body, caps, records=code.records, me=me)
    state = frozen_state(state, limits)
    again, again_caps = encode_state(state, max_bytes=limits.state_bytes)
    loaded = decode_state(again, again_caps, records=code.records, me=me)
    left = generic_records(loaded, code.records)
    if left:
        raise CapsError(f"the new code has no record that fits {left}; it needs a migrate")
    return loaded


def _fixed(references: list[Any]) -> tuple[Any, ...]:
    """References in which nothing can be changed."""
    return tuple(_fixed(one) if isinstance(one, list) else one for one in references)


def _names(taken: Taken, references: References, live: Live) -> list[Any]:
    """The names in what `init` answered, with their references, for MACHINE.name."""
    found: list[Any] = []
    for said in taken.sends:
        for send in said:
            if len(send) < 2:
                continue
            caps = [] if len(send) == 2 else send[2]
            decoded = _content_names(send[1], len(caps))
            found += [[name, caps[index]] for name, index in decoded]
    return found


def _content_names(body: bytes, count: int) -> list[tuple[str, int]]:
    marks = [Foreign(index) for index in range(count)]
    content = decode_content_untrusted(body, marks)
    if not isinstance(content, Map):
        return []
    return [
        (name, value._slot)
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Foreign)
    ]


def _line(error: object) -> str:
    return " ".join(str(error).split())[:500]
