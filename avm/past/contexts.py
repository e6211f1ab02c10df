"""The contexts that a machine has given out, by their shapes, and whether new code still takes them. Shell.

Beside the journey, for the dry run of an upgrade. A context that no recorded message came to is tried:
with what a timer will say to it, else with a few contents; it counts where the old code takes one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from avm.host.capability import Local
from avm.host.chain import Input
from avm.host.state import Ask, Machine, Timer
from avm.machine import frames
from avm.machine.reference import plain_of
from avm.past.labels import Lens
from avm.past.shadow import NewCode, asked, output_in
from avm.run.worker import Worker
from caps.codec import encode_content
from caps.errors import CapsError
from caps.map import Map
from caps.slots import Me
from caps.value import Affine, Capability, Linear, Record, Relevant, Value

SHAPES_MAX = 256
# So many contexts are remembered with their shapes, and so many shapes as taken.
KNOWN_MAX = 4_096
TEXT_CHARS_MAX = 40
PARTS_MAX = 8
# So much of states is loaded for trials; what is left then counts as unknown.
LOADED_BYTES_MAX = 256 * 1024 * 1024
DEPTH_MAX = 3
# No machine of a store has this number.
TRIED = -1
EMPTY: tuple[Value, ...] = (None, 0, "", (), Map(), b"")
SAMPLES = [encode_content(one)[0] for one in EMPTY]
FITS_NO_RECORD = "no record of the code fits"


@dataclass(slots=True)
class Given:
    """A shape of contexts: where one is, one context with its references, what a timer says to it."""

    shape: str
    where: str
    context: bytes
    references: list[Any]
    contents: list[tuple[bytes, int]] = field(default_factory=list)


@dataclass(slots=True)
class NotTaken:
    """Contexts of a shape that the old code takes and the new one does not; where, and why."""

    shape: str
    where: str
    why: str
    messages: int = 0


@dataclass(slots=True)
class Contexts:
    """All shapes that were seen, those that the new code takes or not, and those not looked at."""

    lens: Lens
    given: dict[str, Given] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    not_taken: dict[str, NotTaken] = field(default_factory=dict)
    passed_over: int = 0
    known: dict[bytes, str] = field(default_factory=dict)

    def came(self, turn: int, given: Input, index: int | None, why: str) -> None:
        """A turn that the old code applied: all of it, or its messages up to one that is not taken."""
        for place, message in enumerate(given.messages):
            if not message:
                continue
            shape = self._shape(message[0], message[4] if len(message) >= 5 else [])
            if place != index:
                if len(self.taken) < KNOWN_MAX:
                    self.taken.add(shape)
                continue
            found = self.not_taken.get(shape)
            if found is None and len(self.not_taken) < SHAPES_MAX:
                where = f"turn {turn}, message {place}"
                found = self.not_taken[shape] = NotTaken(shape, where, why)
            if found is not None:
                found.messages += 1
            return

    def gave_out(self, turn: int, references: Iterable[Any]) -> None:
        """A turn that sent capabilities; those of the machine's own are noted."""
        for reference in references:
            literal = plain_of(reference)
            if type(literal) is list:
                where = f"given out in turn {turn}"
                self._note(where, literal[4], literal[5], replaces=False)

    def open(self, asks: Iterable[Ask], timers: Iterable[Timer], address: bytes) -> None:
        """What waits for the machine's own capabilities now."""
        for ask in asks:
            if ask.to is not None and not ask.closing:
                self._note(f"open ask {ask.number}", ask.to.context, _stand_ins(ask.to.caps))
        for timer in timers:
            if isinstance(timer.to, Local) and timer.to.address == address:
                where = "a timer that is set"
                said = (timer.content, len(timer.caps))
                self._note(where, timer.to.context, _stand_ins(timer.to.caps), said)

    def _note(
        self,
        where: str,
        context: bytes,
        references: list[Any],
        said: tuple[bytes, int] | None = None,
        replaces: bool = True,
    ) -> None:
        shape = self._shape(context, references)
        known = self.given.get(shape)
        if known is None:
            if len(self.given) >= SHAPES_MAX:
                self.passed_over += 1
                return
            known = self.given[shape] = Given(shape, where, context, references)
        elif replaces and not known.contents:
            known.where, known.context, known.references = where, context, references
        if said is not None and said not in known.contents and len(known.contents) < PARTS_MAX:
            known.contents.append(said)

    def _shape(self, context: bytes, references: list[Any]) -> str:
        shape = self.known.get(context) if not references else None
        if shape is not None:
            return shape
        try:
            shape = shape_of(self.lens.state(context, references))
        except CapsError:
            shape = "what cannot be read"
        if not references and len(self.known) < KNOWN_MAX:
            self.known[context] = shape
        return shape

    def to_try(self) -> Iterator[Given]:
        """The shapes that no recorded message tells of, and those of timers, whose message is known."""
        for one in self.given.values():
            if one.shape not in self.not_taken and (one.contents or one.shape not in self.taken):
                yield one


def _stand_ins(caps: tuple[Any, ...]) -> list[Any]:
    return ["null~"] * len(caps)


@dataclass(slots=True)
class Trial:
    """The present state under the old code and under the new one, to which one message is said."""

    worker: Worker
    machine: Machine
    old: tuple[bytes, bytes, list[Any]]
    new: tuple[bytes, bytes, list[Any]]
    untold: list[str] = field(default_factory=list)
    loaded: int = 0

    def run(self, contexts: Contexts) -> None:
        """Tries every shape there is to try; raises WorkerLost."""
        for one in contexts.to_try():
            if self.loaded > LOADED_BYTES_MAX:
                self.untold.append(one.shape)
                continue
            why = self._try(one)
            if why:
                contexts.not_taken[one.shape] = NotTaken(one.shape, one.where, why)

    def _try(self, given: Given) -> str:
        """Why the new code does not take what the old one takes; empty where it does, or unknown."""
        contents = given.contents or [(body, 0) for body in SAMPLES]
        known = False
        for body, caps in contents:
            why = self._says(self.new, given, body, caps)
            if not why:
                known = True
            elif not self._says(self.old, given, body, caps):
                return why
        if known:
            return ""
        why = self._fits(self.new, given)
        if FITS_NO_RECORD in why and not self._fits(self.old, given):
            return why
        self.untold.append(given.shape)
        return ""

    def _says(
        self, to: tuple[bytes, bytes, list[Any]], given: Given, content: bytes, caps: int
    ) -> str:
        """Says one message to a capability of that context; why it is not taken."""
        inner = ["null~"] * caps
        message = [given.context, content, "null~", inner, given.references]
        turn = frames.pack([self.machine.now_ms, "trial", 0, True, [message]])
        self._load(to)
        answer = asked(self.worker, [frames.TURN, TRIED, 0, frames.MESSAGES, turn])
        output = output_in(answer)
        if not output[0]:
            return ""
        word = "refused" if output[0] == 1 else "rejected"
        return f"{word}: {output[2]}" if output[2] else word

    def _fits(self, to: tuple[bytes, bytes, list[Any]], given: Given) -> str:
        """Why a context does not decode to records of the code; empty where it does."""
        self._load(to)
        frame = [frames.EDIT, TRIED, 0, given.context, given.references]
        return str(asked(self.worker, frame)[5])

    def _load(self, to: tuple[bytes, bytes, list[Any]]) -> None:
        machine = self.machine
        self.loaded += len(to[1])
        place = [TRIED, *to, machine.next_slot, machine.generation]
        for _answer in self.worker.exchange([frames.pack([frames.LOAD, *place])], 0):
            raise AssertionError("loading is not answered")


def trial(
    worker: Worker, machine: Machine, new: NewCode, state: tuple[bytes, list[Any]]
) -> Trial | str:
    """Both sides of a trial, from a worker that has the machine as it stands; why not, where not."""
    for _answer in worker.exchange([frames.pack([frames.CODE, new.hash, new.bundle])], 0):
        raise AssertionError("a bundle is not answered")
    answer = asked(worker, [frames.MIGRATE, machine.id, 0, new.hash])
    if answer[5]:
        return str(answer[5])
    old = (machine.code, *state)
    return Trial(worker, machine, old, (new.hash, answer[3], answer[4]))


def shape_of(value: Value, depth: int = 0) -> str:
    """A context as people tell it from others: its texts and records by name, the rest by kind."""
    match value:
        case str():
            return _quoted(value) if depth == 0 else "text"
        case None | bool():
            return "none" if value is None else "bool"
        case int() | float() | bytes():
            return type(value).__name__
        case Me():
            return "me"
        case Capability():
            return "capability"
        case Linear() | Affine() | Relevant():
            return f"{type(value).__name__.lower()} {shape_of(value.value, depth + 1)}"
        case tuple() | Map() | Record():
            return _of_parts(value, depth)
    return type(value).__name__


def _of_parts(value: Value, depth: int) -> str:
    if depth >= DEPTH_MAX:
        return ".."
    if isinstance(value, Record):
        fields = [f"{name}: {shape_of(one, depth + 1)}" for name, one in value.fields.items()]
        return f"{value.name}({_few(fields)})"
    if isinstance(value, Map):
        keys = [shape_of(key, 0 if isinstance(key, str) else depth + 1) for key in value]
        return f"{{{_few(keys)}}}"
    assert isinstance(value, tuple)
    parts = [shape_of(one, depth + 1) for one in value]
    first = next((at for at, one in enumerate(value) if isinstance(one, str)), None)
    if first is not None:
        parts[first] = _quoted(str(value[first]))
    return f"({_few(parts)})"


def _few(parts: list[str]) -> str:
    more = [".."] if len(parts) > PARTS_MAX else []
    return ", ".join([*parts[:PARTS_MAX], *more])


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= TEXT_CHARS_MAX else f'"{text[:TEXT_CHARS_MAX]}.."'


__all__ = ["Contexts", "NotTaken", "Trial", "shape_of", "trial"]
