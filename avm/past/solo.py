"""A host core by itself: over a store, with one worker, without network and clock. Pure.

All of the journey, for a fork. Nothing happens but what was asked, and time passes only where
somebody waits: from one thing that falls due to the next. What the core wants of other hosts is not done.
"""

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from avm.host.batch import Said
from avm.host.capability import Cap, Local, Reply
from avm.host.commons import furnish
from avm.host.core import Core
from avm.host.effects import Deliver, Kill, Load, SendCode, ToWorker, Verdict
from avm.host.keys import Keyring
from avm.host.recover import recovered
from avm.limits import Limits
from avm.machine import frames
from avm.machine.worker import Interior, MakeInside
from avm.store.interface import Store, Transaction

ASK = 1


class Gone(Exception):
    """A worker has ended, or was not done in time; the text says which."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an ask: `why` is empty for an answer, which is the content and its capabilities."""

    why: str
    word: str = ""
    content: bytes = b""
    caps: tuple[Cap, ...] = ()


@dataclass(slots=True)
class Session:
    """A client: what it was told of its batches, and what came for it."""

    address: bytes
    offered: dict[bytes, int] = field(default_factory=dict)
    verdicts: list[list[Any]] = field(default_factory=list)
    came: list[Said] = field(default_factory=list)


class Solo:
    """One host with its store; see the module."""

    def __init__(
        self,
        store: Store,
        keys: Keyring,
        limits: Limits,
        now_ms: int,
        runtime: tuple[str, str],
        make_inside: MakeInside,
    ) -> None:
        """`runtime` is the Python and the version of avm-host that take the turns from here on."""
        self.store = store
        python, version = runtime
        self.core = Core(keys, limits, now_ms=now_ms, python=python, version=version)
        self.core.load(store.rows)
        seed = keys.secrets[1] + now_ms.to_bytes(8, "big")
        self.core.do(furnish, hashlib.blake2b(seed, digest_size=32).digest())
        self._make_inside = make_inside
        self._sessions: dict[bytes, Session] = {}
        self._worker = 0
        self._frames: deque[bytes] = deque()
        self._told: list[bytes] = []
        self._inside: Interior = self._start_worker()

    @property
    def now_ms(self) -> int:
        """The time, in ms since 1970."""
        return self.core.host.now_ms

    def _start_worker(self) -> Interior:
        self._worker += 1
        self._frames.clear()
        self._told.clear()
        self._inside = self._make_inside(self._told.append)
        self.core.worker_up(self._worker)
        return self._inside

    # What happens.

    def settle(self) -> None:
        """Goes on until nothing is left to do now."""
        self.core.pump()
        while True:
            self._carry_out()
            if self._frames:
                self._work()
                continue
            group = self.core.take_commit()
            if group is None:
                return
            parts = (group.dirty, group.journal, group.snapshots, group.cuts)
            self.store.commit([Transaction(*parts)])
            self.core.committed()

    def advance_to(self, until_ms: int) -> None:
        """Lets time pass, stopping at each time that something is due."""
        self.settle()
        while (due_ms := self.core.next_wake_ms()) is not None and due_ms <= until_ms:
            self.core.tick(max(due_ms, self.now_ms))
            self.settle()
        self.core.tick(until_ms)
        self.settle()

    def _work(self) -> None:
        try:
            answers = list(self._inside.receive(self._frames.popleft()))
        except Gone as gone:
            self._lose(str(gone))
            return
        told, self._told[:] = list(self._told), []
        for answer in (*told, *answers):
            self.core.answer(self._worker, answer)
        self.core.pump()

    def _lose(self, why: str) -> None:
        """A worker is gone; another takes its place."""
        for answer in self._told:
            self.core.answer(self._worker, answer)
        self.core.worker_down(self._worker, why)
        self._start_worker()
        self.core.pump()

    def _carry_out(self) -> None:
        effects = self.core.host.effects
        while effects:
            taken, effects[:] = list(effects), []
            for effect in taken:
                self._effect(effect)

    def _effect(self, effect: object) -> None:
        match effect:
            case ToWorker(self._worker, frame):
                self._frames.append(frame)
            case Load() if effect.worker == self._worker:
                self._load(effect)
            case SendCode(self._worker, code):
                bundle = self.store.get(("code", code))
                if bundle is not None:
                    self._frames.append(frames.pack([frames.CODE, code, bundle]))
            case Kill(self._worker, why):
                self._lose(why)
            case Verdict(client, _receiver, _seq, verdict) if client in self._sessions:
                self._sessions[client].verdicts.append(verdict)
            case Deliver(client, batch) if client in self._sessions:
                self.core.received(client, batch.sender, batch.seq)
                self._sessions[client].came.extend(batch.messages)

    def _load(self, load: Load) -> None:
        self._frames.extend(recovered(self.store, load))

    # Who asks.

    def open(self, key: str) -> Session:
        """A client that is known by this key; one that was never used is a new one."""
        address, tag = self.core.host.keys.client(key)
        self.core.open_client(address, tag=tag)
        session = self._sessions[address] = Session(address)
        return session

    def close(self, session: Session) -> None:
        """A client ends, and is forgotten."""
        self.core.close_client(session.address, ended=True)
        self.settle()
        del self._sessions[session.address]

    def offer(self, session: Session, said: Said, deadline_ms: int | None = None) -> None:
        """Offers a message as a batch, and goes on until nothing is left to do now."""
        assert isinstance(said.to, Local), "a session sends to machines of here"
        receiver = said.to.address
        seq = session.offered[receiver] = session.offered.get(receiver, 0) + 1
        self.core.offer(session.address, receiver, seq, [said], deadline_ms=deadline_ms)
        self.settle()

    def ask(self, key: str, to: Local, content: bytes, caps: tuple[Cap, ...], ms: int) -> Outcome:
        """Asks, as a client of this key, and lets time pass until there is an outcome."""
        session = self.open(key)
        until_ms = self.now_ms + ms
        self.offer(
            session, Said(to, content, caps, Reply(session.address, ASK, until_ms)), until_ms
        )
        while (found := _outcome(session)) is None and self.now_ms <= until_ms:
            due_ms = self.core.next_wake_ms()
            self.advance_to(until_ms + 1 if due_ms is None else min(due_ms, until_ms + 1))
        self.close(session)
        return found or Outcome("unknown", "no outcome came by the deadline")


def _outcome(session: Session) -> Outcome | None:
    for said in session.came:
        if isinstance(said.to, Reply):
            return Outcome("", "", said.content, said.caps)
    for verdict in session.verdicts:
        match verdict:
            case ["applied"]:
                continue
            case ["refused", _, str(word)]:
                return Outcome("refused", word)
            case ["undelivered", str(word)]:
                return Outcome("undelivered", word)
            case ["busy" | "held"]:
                return Outcome("undelivered", "there is no room for more in the fork")
            case [str(why), *_]:
                return Outcome(why)
    return None


__all__ = ["Gone", "Outcome", "Session", "Solo"]
