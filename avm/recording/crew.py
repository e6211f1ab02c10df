"""Workers of a rerun: what they were given in order, taken up when an answer is wanted. Pure.

Beside the journey. The processes are another's: here is only which frames go to which of them, and what
a machine is loaded from, by the recording and by what was committed since.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from avm.errors import AvmError
from avm.host.acts import Signal
from avm.host.effects import Load, ToWorker
from avm.host.making import Make
from avm.host.operate import Create, Upgrade
from avm.host.recover import again, recovery
from avm.host.state import Flight, Group, Host, Machine, Worker
from avm.machine import frames
from avm.recording.log import BadRecording, Stored

ANSWERED = (frames.LOADED, frames.TURN, frames.SNAPSHOT, frames.MIGRATE, frames.EDIT, frames.ALONE)
SWITCH_TOKEN = 0
EMPTY_ANSWERS: dict[int, list[Any]] = {
    frames.TURN: [frames.UNCHANGED, "", None],
    frames.LOADED: ["", ""],
    frames.SNAPSHOT: [b"", [], ""],
    frames.EDIT: [b"", [], ""],
    frames.MIGRATE: [b"", [], "", False],
}


class Lost(AvmError):
    """A worker ended, or gave no answer in time."""


class Hands(Protocol):
    """The worker processes."""

    def begin(self, number: int) -> None:
        """Starts one under this number; one that is there under it ends."""
        ...

    def end(self, number: int) -> None:
        """Ends one, if it is there."""
        ...

    def exchange(self, number: int, frames: Sequence[bytes], answers: int) -> Iterator[bytes]:
        """Sends frames, and gives so many answers; raises `Lost`."""
        ...


@dataclass(slots=True)
class Swap:
    """Other code for one machine, named or the only one; `since` is the first turn that it takes."""

    code: bytes
    bundle: bytes
    machine: str = ""
    number: int = 0
    since: int | None = None

    def is_of(self, host: Host, number: int) -> bool:
        """Whether a machine is the one that is meant."""
        if not self.number:
            known = host.names.get(self.machine)
            self.number = 0 if known is None else known.id
        return number == self.number


@dataclass(slots=True)
class Kept:
    """What the machines are loaded from."""

    codes: dict[bytes, bytes] = field(default_factory=dict)
    snapshots: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    entries: dict[int, dict[int, tuple[int, bytes, str | None]]] = field(default_factory=dict)

    def store(self, stored: Stored, anew: bool) -> None:
        """What the recording has of a machine; `anew`: it holds instead of what is here."""
        if stored.bundle is not None:
            self.codes[stored.code] = stored.bundle
        if not anew and stored.machine in self.entries:
            return
        self.snapshots.pop(stored.machine, None)
        if stored.snapshot is not None:
            self.snapshots[stored.machine] = stored.snapshot
        self.entries[stored.machine] = {entry[0]: entry for entry in stored.entries}

    def commit(self, group: Group) -> None:
        """What was committed."""
        for key, row in group.dirty.items():
            match key, row:
                case ("code", bytes(digest)), bytes(bundle):
                    self.codes[digest] = bundle
        for machine, n, body, printed in group.journal:
            self.entries.setdefault(machine, {})[n] = (n, body, printed)
        for machine, n, body in group.snapshots:
            self.snapshots[machine] = (n, body)
            held = self.entries.get(machine, {})
            self.entries[machine] = {at: entry for at, entry in held.items() if at > n}

    def has(self, machine: Machine) -> bool:
        """Whether a machine can be loaded."""
        return machine.code in self.codes and machine.id in self.entries


class Canned(NamedTuple):
    """The answer to what was taken back before: nobody looks at what it says."""

    frame: bytes


@dataclass(slots=True)
class Post:
    """A worker: what waits to be given to it, how much of it asks for an answer, and why it was killed."""

    waiting: deque[bytes | Load | Canned] = field(default_factory=deque)
    wants: int = 0
    killed: str = ""


class Crew:
    """All workers of a rerun."""

    def __init__(self, hands: Hands, kept: Kept, swap: Swap | None = None) -> None:
        self._hands = hands
        self._kept = kept
        self._swap = swap
        self._missing: set[int] = set()
        self.posts: dict[int, Post] = {}

    def begin(self, number: int) -> None:
        """A worker is there, with nothing in it."""
        self._hands.begin(number)
        self.posts[number] = Post()

    def end(self, number: int) -> None:
        """A worker is gone, with all that it was given."""
        if self.posts.pop(number, None) is not None:
            self._hands.end(number)

    def give(self, host: Host, effect: ToWorker | Load) -> None:
        """Something for a worker; what a machine is loaded from is looked up when it is taken up."""
        post = self.posts.get(effect.worker)
        if post is None:
            return
        if isinstance(effect, Load):
            post.waiting.append(effect)
            post.wants += 1
            return
        frame = frames.unpack(effect.frame)
        if frame[0] == frames.LOAD and self._swap and self._swap.is_of(host, frame[1]):
            self._swap.since = self._swap.since or 0
            frame[2] = self._swap.code
            post.waiting.append(self._code(self._swap.code, self._swap.bundle))
            post.waiting.append(frames.pack(frame))
            return
        post.waiting.append(effect.frame)
        post.wants += frame[0] in ANSWERED

    def wants(self) -> list[int]:
        """The workers of which an answer is to come."""
        return [number for number, post in self.posts.items() if post.wants and not post.killed]

    def answers(self, host: Host, number: int) -> Iterator[bytes]:
        """Has a worker take up what it was given, up to its next answer; raises `Lost`.

        Before the answer to a turn that is tried alone come those that tell how far it is.
        """
        post = self.posts[number]
        while post.waiting:
            one = post.waiting.popleft()
            if isinstance(one, Canned):
                post.wants -= 1
                yield one.frame
                return
            for frame in self._loaded_from(host, one) if isinstance(one, Load) else [one]:
                kind, machine, *rest = frames.unpack(frame)
                is_switch = kind == frames.MIGRATE and rest[0] == SWITCH_TOKEN
                if kind in ANSWERED and not is_switch:
                    self._check(host, machine)
                    post.wants -= 1
                    yield from self._answer(number, frame)
                    return
                # One by one: more than a socket's buffer would have both ends wait.
                self._send(number, frame, is_switch)

    def _check(self, host: Host, number: int) -> None:
        if number in self._missing:
            machine = host.by_id.get(number)
            name = f"machine {number}" if machine is None else machine.name
            what = f"what {name} is loaded from is not in the recording"
            raise BadRecording(f"{what}: `record.machines_bytes` bounds what a segment begins with")

    def _answer(self, number: int, frame: bytes) -> Iterator[bytes]:
        sent = [frame]
        while True:
            (answer,) = self._hands.exchange(number, sent, 1)
            yield answer
            if frames.unpack_untrusted(answer)[0] != frames.COME:
                return
            sent = []

    def _send(self, number: int, frame: bytes, is_switch: bool) -> None:
        """Sends a frame; that which gives a machine its other code is answered to nobody but here."""
        for answer in self._hands.exchange(number, [frame], int(is_switch)):
            why = frames.unpack_untrusted(answer)[5]
            if why:
                raise BadRecording(f"the other code does not take the machine's state: {why}")

    def _loaded_from(self, host: Host, load: Load) -> list[bytes]:
        """The frames that bring a machine into a worker."""
        self._missing.discard(load.machine)
        if load.code not in self._kept.codes or load.machine not in self._kept.entries:
            self._missing.add(load.machine)
            self._check(host, load.machine)
        held = self._kept.entries[load.machine]
        snapshot = self._kept.snapshots.get(load.machine)
        start = -1 if snapshot is None else snapshot[0]
        entries = [held[n] for n in sorted(held) if n > start]
        bundle = self._kept.codes[load.code]
        code = self._code(load.code, bundle)
        swap = self._swap
        if swap is None or not swap.is_of(host, load.machine):
            return [code, *recovery(_without_code(load), bundle, snapshot, entries)]
        return [
            code,
            self._code(swap.code, swap.bundle),
            *self._with_switch(load, swap, snapshot, entries),
        ]

    def _with_switch(
        self,
        load: Load,
        swap: Swap,
        snapshot: tuple[int, bytes] | None,
        entries: list[tuple[int, bytes, str | None]],
    ) -> list[bytes]:
        """The same for the machine that gets other code: what it did before is done with its own."""
        if swap.since is None:
            swap.since = entries[-1][0] + 1 if entries else (snapshot[0] + 1 if snapshot else 0)
        since = swap.since
        before = [entry for entry in entries if entry[0] < since]
        after = [entry for entry in entries if entry[0] >= since]
        begins = snapshot[0] + 1 if snapshot is not None else 0
        is_new = begins > since or since == 0
        start, *rest, loaded = recovery(_without_code(load), None, snapshot, before)
        if is_new:
            row = frames.unpack(start)
            row[2] = swap.code
            start = frames.pack(row)
        else:
            rest.append(frames.pack([frames.MIGRATE, load.machine, SWITCH_TOKEN, swap.code]))
        rest += [frames.pack([frames.AGAIN, load.machine, chunk]) for chunk in again(after)]
        return [start, *rest, loaded]

    def _code(self, digest: bytes, bundle: bytes) -> bytes:
        return frames.pack([frames.CODE, digest, bundle])

    # In the middle of a run.

    def resume(self, host: Host) -> None:
        """Takes up where a segment begins: each worker's machines, then what it has not answered."""
        for worker in host.workers.values():
            self.begin(worker.id)
            post = self.posts[worker.id]
            # It has code that no machine in it is of: of one that failed to begin, or has gone since.
            for code in sorted(worker.codes & self._kept.codes.keys()):
                post.waiting.append(self._code(code, self._kept.codes[code]))
            for machine in worker.machines.values():
                if not machine.loaded or machine.worker is not worker:
                    continue
                if not self._kept.has(machine):
                    self._missing.add(machine.id)
                else:
                    where = (worker.id, machine.id, machine.code, True)
                    load = Load(*where, machine.next_slot, machine.generation, 0)
                    post.waiting.extend(self._loaded_from(host, load)[:-1])
            for flight in list(worker.flights):
                self._resume(host, worker, post, flight)

    def _resume(self, host: Host, worker: Worker, post: Post, flight: Flight) -> None:
        machine, act = flight.machine, flight.act
        place = [machine.id, flight.token]
        if flight.dropped:
            kind = frames.TURN if act is None else act.kind
            answer = EMPTY_ANSWERS[kind]
            post.waiting.append(Canned(frames.pack([kind, *place, *answer])))
            post.wants += 1
            return
        if flight.batch is not None:
            kind = frames.ALONE if flight.alone else frames.TURN
            given: list[Any] = [[kind, *place, frames.MESSAGES, flight.given]]
        elif isinstance(act, Signal):
            given = [[frames.TURN, *place, frames.SIGNAL, flight.given]]
        elif isinstance(act, Create | Make):
            bundle = act.bundle if isinstance(act, Create) else self._kept.codes.get(machine.code)
            code = frames.pack([frames.CODE, machine.code, bundle or b""])
            self.give(host, ToWorker(worker.id, code))
            load = [frames.LOAD, machine.id, machine.code, None, [], 0, 0]
            given = [load, [frames.TURN, *place, frames.INIT, flight.given]]
        else:
            if isinstance(act, Upgrade):
                packed = frames.pack([frames.CODE, act.code, act.bundle])
                self.give(host, ToWorker(worker.id, packed))
            for effect in act.start(host, flight):
                self.give(host, effect)
            return
        for one in given:
            self.give(host, ToWorker(worker.id, frames.pack(one)))


def _without_code(load: Load) -> Load:
    return Load(
        load.worker, load.machine, load.code, False, load.next_slot, load.generation, load.token
    )
