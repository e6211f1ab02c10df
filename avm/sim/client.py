"""A client in a simulated world: a sender with channels, and an inbox. Pure.

It holds capabilities as a step does, as opaque handles, and survives the host's crashes: it asks
for the mark and offers again what was not taken. A channel whose receiver is busy it leaves alone for
a while that grows, and then offers its first batch alone, until a verdict tells that there is room.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from avm.host.batch import Batch, Said
from avm.host.capability import Cap, Local, Named, Reply, Sealed, address_of, narrowed
from avm.host.clients import mark as ask_mark
from avm.host.core import Core
from avm.host.effects import Mark
from avm.host.sender import Sender, is_told_twice
from caps.caveats import parse_caveat_untrusted
from caps.codec import decode_content_untrusted, encode_content
from caps.errors import Malformed
from caps.slots import Common, Foreign, Narrowed
from caps.value import Capability, Failed, Value, freeze

BUSY_MS = 50
BUSY_MS_MAX = 1_600
# For each verdict that comes of a channel that was busy, so many of its batches are offered.
FOR_A_VERDICT = 2


class Handles:
    """Capabilities as opaque handles, for all clients of a world; one capability has one handle.

    `stirred` are clients that have been given something to say.
    """

    __slots__ = ("_caps", "_places", "stirred")

    def __init__(self) -> None:
        self.stirred: dict[bytes, None] = {}
        self._caps: list[Cap] = []
        self._places: dict[Cap, int] = {}

    def hold(self, cap: Cap) -> Capability:
        """A handle for a capability."""
        if type(cap) is Named:
            return Common(cap.name)
        place = self._places.setdefault(cap, len(self._caps))
        if place == len(self._caps):
            self._caps.append(cap)
        return Foreign(place)

    def held_as(self, handle: Capability) -> Cap:
        """The capability behind a handle; KeyError for one that is not of this world."""
        if isinstance(handle, Common):
            return Named(handle._name)
        if isinstance(handle, Narrowed):
            caveats = [parse_caveat_untrusted(one) for one in handle._caveats]
            return narrowed(self.held_as(handle._inner), caveats)
        if not isinstance(handle, Foreign) or handle._slot >= len(self._caps):
            raise KeyError(handle)
        return self._caps[handle._slot]


class Client:
    """A client of the simulated host."""

    __slots__ = (
        "address", "core", "durable", "forgotten", "handles", "inbox", "next_ask", "outcomes",
        "outgoing", "own", "senders", "settled", "slow", "tag", "taken", "unmarked", "verdicts"
    )  # fmt: skip

    def __init__(
        self,
        address: bytes,
        handles: Handles | None = None,
        durable: bool = False,
        tag: bytes = b"",
    ) -> None:
        self.address = address
        self.durable = durable
        self.tag = tag
        self.forgotten = False
        self.unmarked: set[bytes] = set()
        self.handles = handles or Handles()
        self.senders: dict[bytes, Sender[list[Said]]] = {}
        self.outgoing: deque[tuple[bytes, int]] = deque()
        # Channels that were busy: the first to be offered, when (None: it is), and how long was waited.
        self.slow: dict[bytes, tuple[int, int | None, int]] = {}
        self.verdicts: list[tuple[int, list[Any]]] = []
        self.settled: dict[tuple[bytes, int], list[Any]] = {}
        self.inbox: list[tuple[Cap, Value]] = []
        self.outcomes: dict[int, list[Value]] = {}
        # The asks whose outcome it made of a verdict: what its host says of them too is passed over.
        self.own: set[int] = set()
        self.next_ask = 0
        self.taken: set[tuple[bytes, int]] = set()
        self.core: Core | None = None

    def connect(self, core: Core) -> None:
        """Meets a host, for the first time or after a crash."""
        self.core = core
        core.open_client(self.address, self.durable, tag=self.tag)
        self.outgoing.clear()
        self.slow.clear()
        self.unmarked = set(self.senders)
        for receiver in self.senders:
            core.do(ask_mark, self.address, 0, receiver)

    def marked(self, mark: Mark) -> None:
        """The host tells the mark of a channel: what is not taken is offered again."""
        if mark.receiver not in self.unmarked:
            return
        self.unmarked.discard(mark.receiver)
        sender = self.senders[mark.receiver]
        if sender.is_forgotten(mark.taken):
            self.forgotten = True
            return
        for seq, verdict in sender.reopened(mark.taken, mark.verdicts):
            self.hear(mark.receiver, seq, verdict)
        again = [(mark.receiver, seq) for seq, _said in sender.unsettled_from(0)]
        self.outgoing.extend(again)

    def leave(self, ended: bool = False) -> None:
        """The connection is gone; `connect` comes back."""
        assert self.core is not None
        self.core.close_client(self.address, ended)
        self.core = None

    def hold(self, cap: Cap) -> Capability:
        """A handle for a capability."""
        return self.handles.hold(cap)

    def held_as(self, handle: Capability) -> Cap:
        """The capability behind a handle."""
        return self.handles.held_as(handle)

    def send(self, to: Capability, *contents: object) -> int:
        """Offers one batch of messages to one capability; returns its number."""
        cap = self.held_as(to)
        said: list[Said] = []
        for content in contents:
            body, caps = encode_content(freeze(content))
            said.append(Said(cap, body, tuple(self.held_as(one) for one in caps), None))
        return self.offer(self._receiver(cap), said)

    def ask(self, to: Capability, content: object = None, timeout_s: float = 60.0) -> int:
        """Offers a message that asks; its outcome will stand in `outcomes` under the number."""
        assert self.core is not None
        self.next_ask += 1
        number = self.next_ask
        deadline_ms = self.core.host.now_ms + round(timeout_s * 1000)
        body, caps = encode_content(freeze(content))
        cap = self.held_as(to)
        reply = Reply(self.address, number, deadline_ms)
        said = Said(cap, body, tuple(self.held_as(one) for one in caps), reply)
        self.offer(self._receiver(cap), [said])
        return number

    def _receiver(self, cap: Cap) -> bytes:
        """To whom a capability leads: a common one to the host itself."""
        if type(cap) is not Named:
            return address_of(cap)
        assert self.core is not None, "a host that is up answers it"
        return self.core.host.address

    def offer(self, receiver: bytes, said: Sequence[Said]) -> int:
        """Offers a batch."""
        sender = self.senders.setdefault(receiver, Sender())
        seq = sender.offer(list(said))
        self.handles.stirred[self.address] = None
        if receiver not in self.unmarked and receiver not in self.slow:
            self.outgoing.append((receiver, seq))
        return seq

    def wants_to_speak(self, now_ms: int) -> bool:
        """Whether it has something to say now; a receiver that was busy is left alone for a while."""
        due_ms = self.speaks_ms()
        return due_ms is not None and now_ms >= due_ms

    def speaks_ms(self) -> int | None:
        """From when on it has something to say by the host's time; None when it has not."""
        if self.core is None:
            return None
        if self.outgoing:
            return 0
        if not self.slow:
            return None
        return min((due for _, due, _ in self.slow.values() if due is not None), default=None)

    def speak(self) -> None:
        """Says the next thing to the host."""
        assert self.core is not None
        if not self.outgoing:
            self._probe()
        receiver, seq = self.outgoing.popleft()
        said = self.senders[receiver].waiting.get(seq)
        self.core.confirm(self.address, receiver, self.senders[receiver].confirmed)
        if said is None:
            self._go_on(receiver)
            return
        deadlines = [one.reply.deadline_ms for one in said if type(one.reply) is Reply]
        opened = [self._opened(one) for one in said]
        due_ms = min(deadlines, default=None)
        self.core.offer(self.address, receiver, seq, opened, deadline_ms=due_ms)
        self.core.pump()

    def _probe(self) -> None:
        """The first batch of a channel that was busy is to be offered again."""
        dues = [(due, receiver) for receiver, (_, due, _) in self.slow.items() if due is not None]
        receiver = min(dues)[1]
        first, _, waited_ms = self.slow[receiver]
        self.slow[receiver] = (first + 1, None, waited_ms)
        self.outgoing.append((receiver, first))

    def _slow_down(self, receiver: bytes, first: int, wait_ms: int) -> None:
        """Leaves a channel alone for so long; then what waits is offered from `first` on."""
        assert self.core is not None
        self.slow[receiver] = (first, self.core.host.now_ms + wait_ms, wait_ms)
        if any(one[0] == receiver for one in self.outgoing):
            self.outgoing = deque(one for one in self.outgoing if one[0] != receiver)

    def _go_on(self, receiver: bytes) -> None:
        """There is room on a channel that was busy: a little more of it is offered."""
        if receiver not in self.slow:
            return
        first, due_ms, _waited_ms = self.slow[receiver]
        if due_ms is not None:
            self.slow[receiver] = (first, min(due_ms, self._in_ms(BUSY_MS)), BUSY_MS)
            return
        end = min(first + FOR_A_VERDICT, self.senders[receiver].sent + 1)
        self.outgoing.extend((receiver, seq) for seq in range(first, end))
        if end > self.senders[receiver].sent:
            del self.slow[receiver]
        else:
            self.slow[receiver] = (end, None, 0)

    def _in_ms(self, wait_ms: int) -> int:
        assert self.core is not None
        return self.core.host.now_ms + wait_ms

    def _opened(self, said: Said) -> Said:
        """A message as it comes out of the wire: what is held sealed is opened by the host each time."""
        caps = tuple(map(self._open, said.caps))
        return said._replace(to=self._open(said.to), caps=caps)

    def _open(self, cap: Cap) -> Cap:
        assert self.core is not None
        return self.core.unseal_untrusted(cap.wire) if type(cap) is Sealed else cap

    def hear(self, receiver: bytes, seq: int, verdict: list[Any]) -> None:
        """The host tells the verdict of a batch."""
        assert self.core is not None
        sender = self.senders[receiver]
        if verdict[0] in ("busy", "expected"):
            self._not_taken(receiver, verdict, seq if verdict[0] == "busy" else verdict[1])
            return
        said = sender.verdict(seq, verdict)
        self._go_on(receiver)
        if said is None:
            return
        self.verdicts.append((seq, verdict))
        self.settled[(receiver, seq)] = verdict
        self.core.confirm(self.address, receiver, sender.confirmed)
        if verdict[0] == "applied":
            return
        for index, one in enumerate(said):
            if type(one.reply) is Reply and one.reply.ask not in self.outcomes:
                self.outcomes[one.reply.ask] = [_outcome(verdict, index)]
                self.own.add(one.reply.ask)

    def _not_taken(self, receiver: bytes, verdict: list[Any], first: int) -> None:
        """The receiver has no room, or another batch is the next: from `first` on it is offered again."""
        if self.senders[receiver].is_forgotten(first - 1):
            self.forgotten = True
            return
        known, due_ms, waited_ms = self.slow.get(receiver, (first, None, 0))
        if verdict[0] == "busy":
            wait_ms = min(max(BUSY_MS, 2 * waited_ms), BUSY_MS_MAX)
            self._slow_down(receiver, min(known, first), wait_ms)
        elif due_ms is None:
            self._slow_down(receiver, min(known, first), 0)

    def take(self, batch: Batch) -> None:
        """The host delivers a batch."""
        assert self.core is not None
        self.core.received(self.address, batch.sender, batch.seq)
        if (batch.sender, batch.seq) in self.taken:
            return
        self.taken.add((batch.sender, batch.seq))
        for said in batch.messages:
            handles = [self.hold(cap) for cap in said.caps]
            try:
                content = decode_content_untrusted(said.content, handles)
            except Malformed:  # no honest host sends that; an ask has its outcome all the same
                if type(said.to) is not Reply:
                    continue
                content = Failed("rejected")
            if type(said.to) is Reply:
                if said.to.ask in self.own and is_told_twice(content):
                    continue
                self.outcomes.setdefault(said.to.ask, []).append(content)
            else:
                self.inbox.append((said.to, content))

    def ear(self, context: object = "ear") -> Capability:
        """A capability to this client: what is sent to it comes into `inbox`."""
        body = encode_content(freeze(context))[0]
        return self.hold(Local(self.address, 0, 0, 0, None, body, ()))


def _outcome(verdict: list[Any], index: int) -> Failed:
    if verdict[0] == "refused":
        return Failed("refused", verdict[2]) if verdict[1] == index else Failed("rejected")
    if verdict[0] == "undelivered":
        return Failed("undelivered", str(verdict[1]) if len(verdict) > 1 else "")
    return Failed("rejected")
