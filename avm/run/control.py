"""The control socket: clients and the operator, as the core sees them.

Steps 1 and 7 of the journey for what is no machine. A frame that is none ends its connection; a
capability that is not valid has its batch rejected at the turn, like any other.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from avm.host.audited import refused
from avm.host.batch import Batch, Said
from avm.host.capability import INVALID, Cap, Local, Named, Reply
from avm.host.clients import mark
from avm.host.core import Core
from avm.host.effects import Done, Mark
from avm.host.operate import Created
from avm.run import protocol
from avm.run.operator import (
    Entropy,
    Files,
    NotDone,
    Operator,
    Outside,
    operator_capability,
)
from avm.run.parts import number_in, text_in
from avm.run.protocol import BadFrame, Frames
from avm.run.stream import Stream
from avm.store.interface import Store
from caps.errors import InvalidCapability

WIRE_BYTES_MAX = 8 * 1024
POSITION_BYTES_MAX = 1024
WAIT_MS_MAX = 2**50


class Connection:
    """One connection of a client."""

    __slots__ = ("address", "ended", "frames", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.frames = Frames()
        self.address: bytes | None = None
        self.ended = False


class Control:
    """All clients of a host."""

    def __init__(
        self,
        core: Core,
        store: Store,
        entropy: Entropy,
        status: Callable[[], dict[str, Any]],
        stop: Callable[[], None],
        files: Files,
        outside: Outside,
    ) -> None:
        self._core = core
        self._by_address: dict[bytes, Connection] = {}
        self._spoken: dict[Connection, None] = {}
        self._requests: dict[int, tuple[Connection, int]] = {}
        self._next_request = 0
        self._opened: OrderedDict[bytes, Cap] = OrderedDict()
        self._opened_at = 0
        self._capability = operator_capability(core.host.address)
        does = (status, stop, files, self._open, outside)
        self._operator = Operator(core, store, entropy, *does)

    # What comes in.

    def take(self, connection: Connection, received: bytes) -> None:
        """Takes what was received from a client; raises `BadFrame` when that is nothing."""
        for body in connection.frames.feed(received):
            frame = protocol.unpack_untrusted(body)
            try:
                if frame[0] == protocol.OFFER and connection.address is not None:
                    self._offer(connection.address, *frame[1:])
                else:
                    self._frame(connection, frame)
            except (TypeError, ValueError, AttributeError, IndexError) as error:
                raise BadFrame(f"{type(error).__name__}: {error}") from None

    def _frame(self, connection: Connection, frame: list[Any]) -> None:
        kind, *rest = frame
        if kind == protocol.HELLO:
            self._hello(connection, *rest)
            return
        if connection.address is None:
            raise BadFrame("no greeting")
        if kind == protocol.GOT:
            sender, seq = rest
            self._core.received(connection.address, sender, seq)
        elif kind == protocol.MARK:
            self._mark(connection, *rest)
        elif kind == protocol.ASK:
            self._ask(connection, *rest)
        elif kind == protocol.END:
            connection.ended = True
        else:
            raise BadFrame(f"unknown kind {kind}")

    def _hello(
        self, connection: Connection, version: int, key: str, durable: bool, name: str
    ) -> None:
        if version != protocol.VERSION:
            self._say(connection, [protocol.BYE, f"this host speaks version {protocol.VERSION}"])
            raise BadFrame("another version")
        host = self._core.host
        if connection.address is not None:
            raise BadFrame("a second greeting")
        address, tag = host.keys.client(text_in(key))
        if address not in host.clients and len(host.clients) >= host.limits.clients:
            self._say(connection, [protocol.BYE, f"{len(host.clients)} clients are here already"])
            raise BadFrame("too many clients")
        before = self._by_address.pop(address, None)
        if before is not None and before is not connection:
            self._say(before, [protocol.BYE, "this client has connected again elsewhere"])
            before.address = None
        connection.address = address
        self._by_address[address] = connection
        welcome = [protocol.WELCOME, protocol.VERSION, address, host.address, host.version]
        self._say(connection, welcome)
        self._core.open_client(address, bool(durable), text_in(name), tag)

    def _mark(self, connection: Connection, receiver: bytes) -> None:
        assert connection.address is not None
        if type(receiver) is not bytes:
            raise BadFrame("not an address")
        self._core.do(mark, connection.address, self._request(connection, 0), receiver)

    def _offer(
        self,
        client: bytes,
        receiver: bytes,
        seq: int,
        deadline_in_ms: int | None,
        position: bytes,
        splits: bool,
        targets: list[bytes],
        messages: list[list[Any]],
        confirmed: int,
    ) -> None:
        core = self._core
        host = core.host
        wait_ms = round(host.limits.send_s * 1000) if deadline_in_ms is None else deadline_in_ms
        if not type(receiver) is type(position) is bytes or number_in(seq) < 1:
            raise BadFrame("not an offer")
        channel = host.channels.get((client, receiver))
        if number_in(confirmed) and channel is not None and channel.verdicts:
            core.confirm(client, receiver, confirmed)
        if not 0 <= number_in(wait_ms) < WAIT_MS_MAX:
            raise BadFrame("not a deadline")
        deadline_ms = host.now_ms + wait_ms
        to: list[Cap] = []
        for wire in targets:
            cap = self._open(wire)
            if type(cap) is Local and cap.address == receiver:
                to.append(cap)
            else:
                to.append(self._other_target(cap, receiver))
        said: list[Said] = []
        for index, content, wires, ask in messages:
            if type(content) is not bytes:
                raise BadFrame("not a message")
            target = to[index]
            if not wires and ask is None:
                said.append(Said(target, content, (), None))
                continue
            if ask is not None and number_in(ask) < 0:
                raise BadFrame("not an ask")
            caps: tuple[Cap, ...] = ()
            if wires:
                caps = tuple(self._open(wire) for wire in wires)
                if INVALID in caps:
                    target = INVALID
            reply = None if ask is None else Reply(client, ask, deadline_ms)
            said.append(Said(target, content, caps, reply))
        core.offer(
            client,
            receiver,
            seq,
            said,
            deadline_ms=deadline_ms,
            position=position[:POSITION_BYTES_MAX],
            splits=bool(splits),
        )

    def _other_target(self, cap: Cap, receiver: bytes) -> Cap:
        if isinstance(cap, Named):
            return cap if receiver == self._core.host.address else INVALID
        if cap.address != receiver:
            return INVALID
        return cap

    def _open(self, wire: bytes) -> Cap:
        """Opens a capability, remembering the last ones; what is not valid is `INVALID`."""
        opened = self._opened
        if self._opened_at != self._core.host.keys.changes:
            opened.clear()
            self._opened_at = self._core.host.keys.changes
        cap = opened.get(wire)
        if cap is not None:
            return cap
        if type(wire) is not bytes or len(wire) > WIRE_BYTES_MAX:
            raise BadFrame("not a capability")
        try:
            cap = self._core.unseal_untrusted(wire)
        except InvalidCapability:
            cap = INVALID
        opened[wire] = cap
        if len(opened) > self._core.host.limits.unsealed_cache:
            opened.popitem(last=False)
        return cap

    def closed(self, connection: Connection) -> None:
        """A connection has ended; what its operator asked is done, and nobody is told."""
        asked = [one for one, (who, _number) in self._requests.items() if who is connection]
        for request in asked:
            del self._requests[request]
        address = connection.address
        if address is not None and self._by_address.get(address) is connection:
            del self._by_address[address]
            self._core.close_client(address, connection.ended)

    # What goes out.

    def _say(self, connection: Connection, frame: list[Any]) -> None:
        connection.stream.queue(protocol.pack(frame))
        self._spoken[connection] = None

    def mark(self, effect: Mark) -> None:
        """Tells a client what is taken of a channel."""
        found = self._requests.pop(effect.request, None)
        if found is not None:
            verdicts = [[seq, verdict] for seq, verdict in effect.verdicts.items()]
            row = [effect.receiver, effect.taken, effect.ordinal, effect.position, verdicts]
            self._say(found[0], [protocol.MARK, *row])

    def verdict(self, client: bytes, receiver: bytes, seq: int, verdict: list[Any]) -> None:
        """Tells a client a verdict."""
        connection = self._by_address.get(client)
        if connection is None:
            return
        if verdict[0] == "applied" and len(receiver) == 32:
            connection.stream.queue(protocol.pack_applied(receiver, seq))
            self._spoken[connection] = None
        else:
            self._say(connection, [protocol.VERDICT, receiver, seq, verdict])

    def deliver(self, client: bytes, batch: Batch) -> None:
        """Gives a client a batch, its capabilities sealed."""
        connection = self._by_address.get(client)
        if connection is None:
            return
        messages: list[list[Any]] = []
        for said in batch.messages:
            ask = said.to.ask if isinstance(said.to, Reply) else None
            context = said.to.context if isinstance(said.to, Local) else None
            wires = [self._core.seal(cap) for cap in said.caps]
            messages.append([ask, context, said.content, wires])
        self._say(connection, [protocol.DELIVER, batch.sender, batch.seq, messages])

    def done(self, effect: Done) -> None:
        """Answers an operator's request."""
        found = self._requests.pop(effect.request, None)
        if found is None:
            return
        connection, number = found
        if effect.error:
            self._say(connection, [protocol.ERROR, number, effect.code, effect.error])
            return
        value = effect.value
        if isinstance(value, Created):
            value = {
                "address": value.machine.address,
                "content": value.content,
                "caps": [self._core.seal(cap) for cap in value.caps],
                "names": {name: self._core.seal(cap) for name, cap in value.names.items()},
            }
        self._say(connection, [protocol.DONE, number, value])

    def flush(self) -> None:
        """Writes what is queued for clients."""
        for connection in self._spoken:
            connection.stream.flush()
        self._spoken.clear()

    # The operator.

    def _ask(
        self,
        connection: Connection,
        number: int,
        operator: bytes,
        verb: str,
        params: dict[str, Any],
    ) -> None:
        if self._open(operator) != self._capability:
            self._core.do(refused, "not the operator")
            text = "not the operator of this host: its capability is in operator.cap"
            self._say(connection, [protocol.ERROR, number, 1, text])
            return
        try:
            value = self._operator.act(
                connection.address or b"",
                verb,
                params,
                partial(self._request, connection, number),
                partial(self._answer, connection, number),
            )
        except NotDone as error:
            self._say(connection, [protocol.ERROR, number, error.code, str(error)])
            return
        except KeyError as error:
            raise BadFrame(f"{verb} lacks {error}") from None
        if value is not None:
            self._say(connection, [protocol.DONE, number, value])

    def _answer(self, connection: Connection, number: int, value: Any, error: str) -> None:
        frame = [protocol.DONE, number, value]
        if error:
            frame = [protocol.ERROR, number, 1, error]
        self._say(connection, frame)
        connection.stream.flush()

    def _request(self, connection: Connection, number: int) -> int:
        self._next_request += 1
        self._requests[self._next_request] = (connection, number)
        return self._next_request
