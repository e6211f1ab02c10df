"""What both grounds in memory share: machines of simulated hosts, and clients beside them. Pure."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cbor2

from avm.host.batch import Said
from avm.host.capability import Cap, Local, address_of
from avm.host.effects import Load
from avm.host.recover import recovered
from avm.host.refer import from_reference, slots_in
from avm.host.state import Flight, Machine
from avm.machine import frames
from avm.machine.inside import Inside
from avm.machine.live import Code
from avm.sim.client import Client
from avm.sim.host import Refusal, SimHost
from avm.testing import files
from avm.testing.code import code_of
from avm.testing.ground import About, NotCreated, Sight
from caps.codec import decode_content_untrusted, decode_state, encode_content
from caps.slots import Me
from caps.value import Capability, Value

# How a capability of a host is shown to the test, and what a handle of the test is at a host.
Show = Callable[[SimHost, Cap], Capability]
Take = Callable[[SimHost, Capability], Cap]


def create(
    host: SimHost,
    source: object,
    name: str,
    environment: Value,
    about: About,
    show: Show,
    take: Take,
) -> Value:
    """Creates a machine on a host; what its `init` answered."""
    code = code_of(files.path_of(source), files.read)
    body, handles = encode_content(environment)
    content = decode_content_untrusted(body, handles)
    try:
        caps = tuple(take(host, one) for one in handles)
        created = host.create(name, code, content, caps, about)
    except Refusal as error:
        raise NotCreated(str(error)) from None
    if created.content is None:
        return None
    return decode_content_untrusted(created.content, [show(host, cap) for cap in created.caps])


def state_of(host: SimHost, name: str, show: Show) -> Any:
    """The committed state of a machine, made again from its journal."""
    machine, code, body, references = _state(host, name)
    flight = Flight(machine, 0)
    caps = [from_reference(host.core.host, machine, flight, one) for one in references]
    held = [show(host, cap) for cap in caps]
    return decode_state(body, held, records=code.records, me=Me(machine.generation))


def kept_by(host: SimHost, name: str) -> set[int]:
    """The slots that the committed state of a machine names."""
    return set(slots_in(_state(host, name)[3]))


def sight_of(host: SimHost) -> Sight:
    """What there is to look at of a host."""
    return Sight(host.name, host.store, host.core.unseal_untrusted, partial(kept_by, host))


def _state(host: SimHost, name: str) -> tuple[Machine, Code, bytes, list[Any]]:
    machine = host.machine(name)
    load = Load(0, machine.id, machine.code, True, machine.next_slot, machine.generation, 0)
    bundle = host.store.get(("code", machine.code))
    inside = Inside(host.limits, host.codes.__getitem__)
    for frame in recovered(host.store, load):
        for answer in inside.receive(frame):
            why_not = frames.unpack(answer)[3]
            assert not why_not, f"{name} does not come back: {why_not}"
    (frame,) = inside.receive(frames.pack([frames.SNAPSHOT, machine.id, 0]))
    _kind, _machine, _token, body, references, why = frames.unpack(frame)
    assert not why, why
    return machine, host.codes[bundle or b""], body, references


def failures_of(host: SimHost, name: str) -> list[str]:
    """The tracebacks of the batches that broke a machine, the oldest first."""
    rows = host.store.rows_of("failed", host.machine(name).id)
    return [str(cbor2.loads(body)[3]) for _key, body in rows]


def printed_by(host: SimHost, name: str) -> str:
    """What a machine made from a file has printed."""
    entries = host.store.entries(host.machine(name).id)
    return "".join(printed for _n, _body, printed in entries if printed)


def upgrade(host: SimHost, name: str, source: object) -> None:
    """Switches a machine to other code."""
    code = code_of(files.path_of(source), files.read)
    bundle = host.entropy.bytes(32)
    host.codes[bundle] = code
    machine = host.machine(name)
    try:
        host.ask(lambda request: host.core.upgrade(request, machine, bundle, bundle))
    except Refusal as error:
        raise NotCreated(str(error)) from None


class SimSitting:
    """A client beside a simulated host; see `Sitting`."""

    def __init__(self, host: SimHost, client: Client, show: Show, take: Take) -> None:
        self.address = client.address
        self.client = client
        self._host, self._show, self._take = host, show, take

    def ear(self, name: object) -> Capability:
        """A capability to this client, which it knows by the name."""
        return self._shown(self.client.ear(name))

    def offer(self, to: Capability, contents: Sequence[Value]) -> int:
        """Offers a batch; its number."""
        cap = self._take(self._host, to)
        said: list[Said] = []
        for content in contents:
            body, handles = encode_content(content)
            caps = tuple(self._take(self._host, one) for one in handles)
            said.append(Said(cap, body, caps, None))
        return self.client.offer(address_of(cap), said)

    def verdict(self, to: Capability, batch: int) -> list[Any] | None:
        """What became of a batch, if that is known."""
        return self.client.settled.get((address_of(self._take(self._host, to)), batch))

    def ask(self, to: Capability, content: Value, timeout_s: float) -> int:
        """Offers a message that asks; its number."""
        body, handles = encode_content(content)
        held = [self.client.hold(self._take(self._host, one)) for one in handles]
        target = self.client.hold(self._take(self._host, to))
        return self.client.ask(target, decode_content_untrusted(body, held), timeout_s)

    def outcomes(self, ask: int) -> list[Value]:
        """What came of an ask so far."""
        return [self._value(one) for one in self.client.outcomes.get(ask, ())]

    def take_inbox(self) -> list[tuple[Value, Value]]:
        """What came, with the names of the client's own capabilities it came to."""
        taken, self.client.inbox[:] = list(self.client.inbox), []
        heard: list[tuple[Value, Value]] = []
        for to, content in taken:
            assert isinstance(to, Local)
            heard.append((decode_content_untrusted(to.context, ()), self._value(content)))
        return heard

    def _value(self, value: Value) -> Value:
        body, handles = encode_content(value)
        return decode_content_untrusted(body, [self._shown(one) for one in handles])

    def _shown(self, handle: Capability) -> Capability:
        return self._show(self._host, self.client.held_as(handle))
