"""What a worker that lies answers in the place of what is so. Pure.

Step 4 of the journey, gone wrong: the boundary between a host and the code of its machines. A host must
tell each of these from an answer, or come to no more harm than that the one machine has its batch
failed, or lives with what its worker made of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avm.machine import frames
from avm.machine.turn import APPLIED, REFUSED, REJECTED
from avm.sim.chance import Chance

# A number of a slot that no machine has come to, and of a message that no batch has.
NO_SLOT, NO_MESSAGE = 1 << 40, 1 << 33
# More than a host takes as a word, a content, or what was printed, with the limits as they are.
HUGE_BYTES = 256 * 1024 + 1
NONE_BODY = b"\xf6"
TWISTS = ("state", "bits")
"""Lies that a host may take for the truth: they are then what the machine did."""
FAILS = ("slot", "huge")
"""Lies by which a batch may fail."""

Answers = list[bytes] | None
Lie = Callable[[bytes, Chance], Answers]


@dataclass(slots=True)
class Liar:
    """How a worker lies, and for how many answers yet; `about`: machines it did so about, by number."""

    lie: str
    left: int
    chance: Chance
    about: list[int] = field(default_factory=list)

    def told(self, answers: list[bytes]) -> list[bytes]:
        """What the host hears in the place of these answers; a lie waits for one that it fits."""
        told: list[bytes] = []
        for answer in answers:
            lied = LIES[self.lie](answer, self.chance) if self.left else None
            if lied is not None:
                self.left -= 1
                self.about.append(frames.unpack(answer)[1])
            told += [answer] if lied is None else lied
        return told

    def take_about(self) -> list[int]:
        """The machines it has lied about since this was asked."""
        about, self.about = self.about, []
        return about


def _turn(answer: bytes, chance: Chance) -> Answers:
    kind, machine, token, *rest = frames.unpack(answer)
    if chance.hits(0.5):
        return [frames.pack([kind, machine, token + 1 + chance.below(3), *rest])]
    return [frames.pack([kind, machine + 1 + chance.below(3), token, *rest])]


def _twice(answer: bytes, _chance: Chance) -> Answers:
    return [answer, answer]


def _slot(answer: bytes, _chance: Chance) -> Answers:
    frame = frames.unpack(answer)
    if frame[0] == frames.SNAPSHOT and not frame[5]:
        return [frames.pack([*frame[:4], [*frame[4], NO_SLOT], frame[5]])]
    return _sending(frame, [NO_SLOT, NONE_BODY])


def _huge(answer: bytes, chance: Chance) -> Answers:
    frame = frames.unpack(answer)
    if frame[0] != frames.TURN:
        return None
    match chance.below(3):
        case 0:
            own: list[Any] = [0, 0, 0, None, NONE_BODY, []]
            return _sending(frame, [own, bytes(HUGE_BYTES)])
        case 1:
            return _answering(frame, [chance.choice((REFUSED, REJECTED)), 0, "x" * HUGE_BYTES, ""])
        case _:
            return [frames.pack([*frame[:4], "x" * HUGE_BYTES, frame[5]])]


def _verdict(answer: bytes, chance: Chance) -> Answers:
    frame = frames.unpack(answer)
    word = [chance.choice((REFUSED, REJECTED)), chance.choice((-7, NO_MESSAGE)), "no", ""]
    return _answering(frame, word)


def _state(answer: bytes, chance: Chance) -> Answers:
    frame = frames.unpack(answer)
    if frame[0] == frames.SNAPSHOT and frame[3]:
        body = frame[3][:-1] + bytes((frame[3][-1] ^ 1,)) if chance.hits(0.5) else NONE_BODY
        return [frames.pack([*frame[:3], body, *frame[4:]])]
    output = _output(frame)
    if output is None or output[0] != APPLIED:
        return None
    return _answering(frame, [APPLIED, not output[1], output[2]])


def _names(answer: bytes, chance: Chance) -> Answers:
    """Of a machine that is created: names that are none."""
    frame = frames.unpack(answer)
    if frame[0] != frames.TURN or not frame[5]:
        return None
    names = chance.choice((None, [], [7], [False, 7], [False, ["add"]], [False, ["add", NO_SLOT]]))
    return [frames.pack([*frame[:5], names])]


def _garbage(answer: bytes, chance: Chance) -> Answers:
    match chance.below(4):
        case 0:
            return [answer[: chance.below(len(answer))]]
        case 1:
            return [bytes(chance.below(256) for _ in range(chance.below(40)))]
        case 2:
            return [b"\x81" * (1 + chance.below(400)) + b"\x00"]
        case _:
            kind, machine, token, *rest = frames.unpack(answer)
            return [frames.pack([kind, machine, token, *rest[1:], {"x": rest[:1]}])]


def _bits(answer: bytes, chance: Chance) -> Answers:
    place = chance.below(len(answer))
    return [answer[:place] + bytes((answer[place] ^ 1 << chance.below(8),)) + answer[place + 1 :]]


def _output(frame: list[Any]) -> list[Any] | None:
    return frames.unpack(frame[3]) if frame[0] == frames.TURN else None


def _sending(frame: list[Any], send: list[Any]) -> Answers:
    """The turn sends one thing more."""
    output = _output(frame)
    if output is None or output[0] != APPLIED:
        return None
    first, *rest = output[2] or [[]]
    return _answering(frame, [*output[:2], [[send, *first], *rest]])


def _answering(frame: list[Any], output: list[Any]) -> Answers:
    """The turn comes to another output."""
    if frame[0] != frames.TURN:
        return None
    return [frames.pack([*frame[:3], frames.pack(output), *frame[4:]])]


LIES: dict[str, Lie] = {
    "turn": _turn,
    "twice": _twice,
    "slot": _slot,
    "huge": _huge,
    "verdict": _verdict,
    "names": _names,
    "state": _state,
    "garbage": _garbage,
    "bits": _bits,
}
