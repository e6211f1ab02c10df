"""The purity probe: the same messages in two workers under two hash seeds must give the same bytes.

Before the journey; nothing is stored. In each worker the machine is made twice, one after the
other, so that what a step keeps outside its state shows as well. Shell.
"""

import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from avm.host.creating import why_unsayable
from avm.limits import Limits
from avm.machine import frames
from avm.machine.bundle import Bundle
from avm.machine.reference import inner_of, plain_of, with_inner
from avm.machine.turn import APPLIED, EXHAUSTED, REFUSED
from avm.run.findings import Finding
from avm.run.samples import contents, contexts, environments, written
from avm.run.spawn import PROBED_HASH_SEEDS
from avm.run.worker import Worker, WorkerLost, forked
from caps.codec import decode_state, encode_content, encode_state
from caps.errors import CapsError
from caps.slots import Foreign, Me
from caps.value import Value, freeze

TURNS_MAX = 400
PROBE_S = 30.0
CONTEXTS_MAX = 24
NOW_MS = 1_700_000_000_000
PLACE = re.compile(r'File "(.+?) \([0-9a-f]{8}\)", line (\d+)')
IMPURE = ("NotAllowed", "ImportRefused")
# What no message can be to blame for.
MISTAKE = re.compile(r"(NameError|UnboundLocalError): ")
# What is told as it is, since it says what to do itself; newer Pythons know the nearest name.
CLEAR = re.compile(
    r"(NotAValue|TooLarge|Copied|Dropped|FrozenInstanceError): |.* Did you mean '\w+'\?$"
)
REMEDIES = (
    (
        re.compile(r"'Map' object (does not support|has no attribute)"),
        "a Map does not change: `put` and `drop` give another",
    ),
    (
        re.compile(r"'tuple' object (does not support|has no attribute)|concatenate tuple"),
        "lists are tuples in states and contents: `(*old, new)` makes another",
    ),
    (re.compile(r"unexpected keyword argument"), "there is no such field or parameter"),
)
TELL = "`raise Refused` would tell the sender"
REMEDY = "keep it in the state, and go over sets in order: sorted(...)"


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of the probe, with the file it is in."""

    file: str
    finding: Finding


@dataclass(slots=True)
class Run:
    """One machine in one worker: the frames go to both of its lives."""

    worker: Worker
    number: int
    names: tuple[str, ...] = ()

    def load(self, digest: bytes) -> str:
        """Makes the machine; the reason when its code does not load."""
        sent = [
            frames.pack([frames.LOAD, self.number, digest, None, [], 0, 0]),
            frames.pack([frames.LOADED, self.number, 0]),
        ]
        (answer,) = self.worker.exchange(sent, 1)
        return str(frames.unpack_untrusted(answer)[3])

    def turn(self, kind: int, given: bytes) -> bytes:
        """Takes a turn; its output. What `init` names is kept."""
        frame = frames.pack([frames.TURN, self.number, 0, kind, given])
        (body,) = self.worker.exchange([frame], 1)
        answer = frames.unpack_untrusted(body)
        if kind == frames.INIT and answer[5] is not None:
            self.names = tuple(name for name, _reference in answer[5][1:])
        output: bytes = answer[3]
        return output

    def state(self) -> list[Any]:
        """The state's bytes, its references and why it cannot be encoded."""
        frame = frames.pack([frames.SNAPSHOT, self.number, 0])
        (answer,) = self.worker.exchange([frame], 1)
        return frames.unpack_untrusted(answer)[3:6]


@dataclass(slots=True)
class Probe:
    """What is known while the turns go on."""

    bundle: Bundle
    runs: list[Run]
    found: dict[Found, None] = field(default_factory=dict)
    contexts: dict[bytes, list[Any]] = field(default_factory=dict)
    replies: set[bytes] = field(default_factory=set)
    broken: set[tuple[object, ...]] = field(default_factory=set)
    next_slot: int = 0

    def add(
        self, error: bool, text: str, place: tuple[str, int] | None = None, within: str = "step"
    ) -> None:
        """Notes a finding once; without a place it is the line of the function that it is within."""
        file, line = place or self.place_of(within)
        self.found[Found(file, Finding(line, error, text))] = None

    def place_of(self, function: str) -> tuple[str, int]:
        """Where the machine's `step` or `init` is defined."""
        source = next(one for one in self.bundle.files if one.name == self.bundle.entry)
        for number, line in enumerate(source.text.splitlines(), 1):
            if re.match(rf"(def\s+{function}\b|{function}\s*[:=])", line):
                return source.path, number
        return source.path, 1


def probe(bundle: Bundle, limits: Limits) -> list[Found]:
    """What the probe finds in a bundle that has no other error."""
    with ExitStack() as stack:
        runs: list[Run] = []
        for seed in PROBED_HASH_SEEDS:
            worker = stack.enter_context(forked(seed, limits, limits.turn_s))
            worker_frames = [frames.pack([frames.CODE, bundle.hash, bundle.encode()])]
            list(worker.exchange(worker_frames, 0))
            runs += [Run(worker, 1), Run(worker, 2)]
        probing = Probe(bundle, runs)
        try:
            _probe(probing)
        except WorkerLost as error:
            probing.add(True, f"the step does not end or took its worker down: {error}")
        return list(probing.found)


def _probe(probing: Probe) -> None:
    for run in probing.runs:
        why = run.load(probing.bundle.hash)
        if why:
            place = re.match(r"(\S+\.py):(?:(\d+):)? (.*)", why)
            at = (place[1], int(place[2] or 1)) if place else None
            probing.add(True, place[3] if place else why, at)
            return
    text = written({one.name: one.text for one in probing.bundle.files}, probing.bundle.entry)
    if not _init(probing, environments(text)):
        return
    for name in contexts(text):
        probing.contexts.setdefault(encode_state(name)[0], [])
    samples = contents(text)
    turns = 0
    until = monotonic() + PROBE_S
    for _round in range(2):
        for body in list(probing.contexts)[:CONTEXTS_MAX]:
            for sample in samples:
                if monotonic() > until:
                    why = f"slow: only {turns} messages were tried in {PROBE_S:g} s"
                    probing.add(False, f"{why}, and a turn ends after {Limits().turn_s:g} s")
                    return _compare_states(probing)
                turns += 1
                if turns > TURNS_MAX or not _turn(probing, frames.MESSAGES, body, sample):
                    return _compare_states(probing)
    return _compare_states(probing)


def _init(probing: Probe, candidates: list[object]) -> bool:
    """Gives `init` one environment after the other until it takes one."""
    body = encode_state(Me())[0]
    for content in candidates:
        if not _turn(probing, frames.INIT, body, content):
            return False
        if probing.contexts or probing.next_slot:
            return True
        last = probing.runs[0].state()
        if last[0] != body:
            return True
    why = "init takes none of the environments that were tried: the step is not probed"
    probing.add(False, why, within="init")
    return False


def _turn(probing: Probe, kind: int, context: bytes, content: object) -> bool:
    """Takes one turn everywhere; False when the outputs differ and going on is useless."""
    message, fresh = _message(probing, context, content)
    given = frames.pack([NOW_MS, "probe", 0, False, [message]])
    answers = [run.turn(kind, given) for run in probing.runs]
    outputs = [_comparable(frames.unpack_output_untrusted(answer)) for answer in answers]
    within = "init" if kind == frames.INIT else "step"
    what = within if kind == frames.INIT else _shown(context, len(probing.contexts[context]))
    what = f"{what} with {content!r}"
    if outputs[0] != outputs[1] or outputs[2] != outputs[3]:
        why = f"{what} gives another result in a second machine of the same code"
        probing.add(True, f"{why}: {REMEDY}", within=within)
        return False
    if outputs[0] != outputs[2]:
        why = f"{what} gives another result under another hash seed"
        probing.add(True, f"{why}: {REMEDY}", within=within)
        return False
    output = frames.unpack_output_untrusted(answers[0])
    if output[0] == APPLIED:
        if kind == frames.INIT and (why := why_unsayable(probing.runs[0].names)):
            probing.add(True, why, within=within)
        _follow(probing, output, fresh)
    elif output[0] != REFUSED:
        # An outcome comes once, here it came often: what that breaks is no mistake.
        _broken(probing, output, what, within, quiet=context in probing.replies)
    return True


def _message(probing: Probe, context: bytes, content: object) -> tuple[list[Any], int]:
    value: Value = freeze(content)
    body, caps = encode_content(value)
    inner = [-2 - at for at in range(len(caps))]
    return [context, body, -1, inner, probing.contexts.get(context, [])], 1 + len(caps)


def _follow(probing: Probe, output: list[Any], fresh: int) -> None:
    """Notes the contexts of the machine's own capabilities in what it sends."""
    for send in (send for said in output[2] for send in said):
        asked: Any = send[3] if len(send) > 3 else None
        for given in (send[0], *(send[2] if len(send) > 2 else ()), asked):
            reference = plain_of(given)
            if type(reference) is not list or reference[4] in probing.contexts:
                continue
            inner = [_kept(one, probing.next_slot) for one in reference[5]]
            probing.contexts[reference[4]] = inner
            if given is asked:
                probing.replies.add(reference[4])
    probing.next_slot += fresh if output[1] else 0


def _broken(probing: Probe, output: list[Any], what: str, within: str, quiet: bool) -> None:
    """Notes once for each place what broke there."""
    verdict, _index, why, detail = output
    places = [(file, int(line)) for file, line in PLACE.findall(detail)]
    place = places[-1] if places else None
    kind, _, said = why.partition(": ")
    if (kind, place) in probing.broken:
        return
    probing.broken.add((kind, place))
    if verdict == EXHAUSTED:
        probing.add(True, f"{what} needs too much: {why}", within=within)
    elif kind in IMPURE:
        probing.add(True, said, place, within)
    elif kind == "NotASend":
        probing.add(True, f"{what}: {said}", place, within)
    elif MISTAKE.match(why):
        probing.add(True, f"{what} breaks it with {why}", place, within)
    elif not quiet:
        probing.add(False, f"{what} breaks it with {why}{_remedy(why)}", place, within)


def _remedy(why: str) -> str:
    """What to do about an exception, where its own words do not say it."""
    if CLEAR.match(why):
        return ""
    found = [remedy for wanted, remedy in REMEDIES if wanted.search(why)]
    return f": {(found or [TELL])[0]}"


def _kept(reference: Any, next_slot: int) -> Any:
    """A reference as it is after the turn: what was new to the machine has its slot."""
    if type(reference) is int and reference < 0:
        return next_slot - reference - 1
    if type(reference) is list and len(reference) == 2:
        return [_kept(reference[0], next_slot), reference[1]]
    if type(reference) is list:
        return with_inner(reference, [_kept(one, next_slot) for one in inner_of(reference)])
    return reference


def _compare_states(probing: Probe) -> None:
    states = [run.state() for run in probing.runs]
    if states[0][2]:
        probing.add(True, str(states[0][2]))
    elif any(state != states[0] for state in states):
        probing.add(True, f"the state comes out different after the same messages: {REMEDY}")


def _comparable(output: list[Any]) -> list[Any]:
    """An output without the words of an exception, which may name an address in memory."""
    return output[:2] if output[0] > REFUSED else output


def _shown(context: bytes, caps: int) -> str:
    """A context as it is written in code."""
    try:
        return repr(decode_state(context, [Foreign(at) for at in range(caps)]))
    except CapsError:
        return "a context"
