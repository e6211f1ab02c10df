"""A world for tests: machines and clients on one host that exists in memory only. Pure.

All of the journey, driven by the same core as a real host. Time stands still unless it is moved,
nothing happens behind the test's back, and a seed gives the same run every time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

from avm.errors import AvmError
from avm.host.batch import Said
from avm.host.capability import Cap, Local, address_of
from avm.host.effects import Load
from avm.host.recover import recovered
from avm.host.refer import from_reference
from avm.host.state import Flight
from avm.limits import Limits
from avm.machine import frames
from avm.machine.inside import Inside
from avm.sim import client as simulated
from avm.sim.host import Refusal
from avm.sim.host import SimHost as Simulation
from avm.testing import files
from avm.testing.code import code_of, name_of
from caps.codec import decode_content_untrusted, decode_state, encode_content
from caps.map import Map
from caps.slots import Me
from caps.value import Capability, Failed, Value, freeze


class NotCreated(AvmError):
    """The machine was not created."""


class NotApplied(AvmError):
    """The batch was not applied: refused, rejected or undelivered."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why
        self.detail = detail


class NoAnswer(AvmError):
    """The ask got no answer but an outcome of the host's: `why`, in one word, and `detail`."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that came to a client: the name of its own capability, and the content."""

    name: Value
    content: Value


class World:
    """One host with its machines and clients, in memory.

    `shuffled` lets the seed choose what happens next among all that could; otherwise things happen
    in the simplest order.
    """

    def __init__(
        self, seed: int = 0, *, shuffled: bool = False, limits: Limits | None = None
    ) -> None:
        self._sim = Simulation(seed, limits=limits)
        self._sim.eager = not shuffled

    @property
    def now(self) -> float:
        """The world's time in seconds since 1970 UTC."""
        return self._sim.now_ms / 1000

    def machine(
        self,
        source: object,
        name: str | None = None,
        *,
        params: object = None,
        grants: Mapping[str, Capability] | None = None,
    ) -> "Machine":
        """Creates a machine from a file's path, a module, or an object with `init` and `step`.

        With grants the parameters are a map, and both come to `init` as one. Raises `NotCreated`,
        and `BundleRefused` for a file that is no machine.
        """
        path = files.path_of(source)
        code = code_of(path, files.read)
        body, handles = encode_content(freeze(_environment(params, grants)))
        caps = tuple(self._held_as(handle) for handle in handles)
        content = decode_content_untrusted(body, handles)
        chosen = name or self._free_name(name_of(path))
        try:
            created = self._sim.create(chosen, code, content, caps)
        except Refusal as error:
            raise NotCreated(str(error)) from None
        answered = None
        if created.content is not None:
            inside = [self._sim.handles.hold(cap) for cap in created.caps]
            answered = decode_content_untrusted(created.content, inside)
        return Machine(self, created.machine.name, answered)

    def client(self) -> "Client":
        """A new client: it sends, asks, and hears what comes to its own capabilities."""
        return Client(self, self._sim.client())

    def settle(self) -> None:
        """Goes on until nothing is left to do now."""
        self._sim.settle()

    def step(self) -> bool:
        """Does one thing that could happen next; False when nothing is left to do."""
        return self._sim.step()

    def advance(self, seconds: float) -> None:
        """Lets time pass: timers fire, deadlines pass, each at its own time."""
        self._sim.advance(seconds)

    def crash(self) -> None:
        """The host and its workers die at once and start again; what was committed is there."""
        self._sim.crash()

    def _free_name(self, name: str) -> str:
        names = self._sim.core.host.names
        count, free = 1, name
        while free in names:
            count += 1
            free = f"{name}-{count}"
        return free

    def _held_as(self, handle: Capability) -> Cap:
        try:
            return self._sim.handles.held_as(handle)
        except KeyError:
            raise ValueError("this capability is not of this world: use client.cap()") from None


def _environment(params: object, grants: Mapping[str, Capability] | None) -> object:
    if not grants:
        return params
    whole = {} if params is None else params
    if not isinstance(whole, Mapping):
        raise TypeError("with grants the parameters are a map")
    both = sorted(whole.keys() & grants.keys())
    if both:
        raise ValueError(f"both a parameter and a grant: {both[0]}")
    return {**whole, **grants}


class Machine:
    """A machine of a world; `answer` is what its `init` answered, as a client holds it."""

    def __init__(self, world: World, name: str, answer: Value) -> None:
        self._world = world
        self.name = name
        self.answer = answer

    def cap(self, name: str) -> Capability:
        """The capability of this name in what `init` answered."""
        if isinstance(self.answer, Map) and isinstance(self.answer.get(name), Capability):
            found: Capability = self.answer[name]
            return found
        names = [] if not isinstance(self.answer, Map) else list(self.answer)
        raise KeyError(f"{self.name} answered no capability {name!r}; it answered {names}")

    @property
    def state(self) -> Any:
        """The committed state, made again from the journal, as the machine holds it.

        The capabilities in it are as a client holds them, so that they can be compared and used.
        """
        sim = self._world._sim
        machine = sim.machine(self.name)
        load = Load(0, machine.id, machine.code, True, machine.next_slot, machine.generation, 0)
        bundle = sim.store.get(("code", machine.code))
        inside = Inside(sim.limits, sim.codes.__getitem__)
        for frame in recovered(sim.store, load):
            for answer in inside.receive(frame):
                why_not = frames.unpack(answer)[3]
                assert not why_not, f"{self.name} does not come back: {why_not}"
        (frame,) = inside.receive(frames.pack([frames.SNAPSHOT, machine.id, 0]))
        _kind, _machine, _token, body, references, why = frames.unpack(frame)
        assert not why, why
        flight = Flight(machine, 0)
        caps = [from_reference(sim.core.host, machine, flight, one) for one in references]
        held = [sim.handles.hold(cap) for cap in caps]
        records = sim.codes[bundle or b""].records
        return decode_state(body, held, records=records, me=Me(machine.generation))

    @property
    def failures(self) -> list[str]:
        """The tracebacks of the batches that broke it, the oldest first."""
        rows = self._world._sim.store.rows_of("failed", self._world._sim.machine(self.name).id)
        return [str(cbor2.loads(body)[3]) for _key, body in rows]

    @property
    def printed(self) -> str:
        """What a machine made from a file has printed."""
        sim = self._world._sim
        entries = sim.store.entries(sim.machine(self.name).id)
        return "".join(printed for _n, _body, printed in entries if printed)

    def upgrade(self, source: object) -> None:
        """Switches it to other code, its state migrated; raises `NotCreated` when that is refused."""
        sim = self._world._sim
        code = code_of(files.path_of(source), files.read)
        bundle = sim.entropy.bytes(32)
        sim.codes[bundle] = code
        machine = sim.machine(self.name)
        try:
            sim.ask(lambda request: sim.core.upgrade(request, machine, bundle, bundle))
        except Refusal as error:
            raise NotCreated(str(error)) from None


class Client:
    """A client of a world: one that is no machine, like a command line's session."""

    def __init__(self, world: World, client: simulated.Client) -> None:
        self._world = world
        self._client = client

    def cap(self, name: object = "client") -> Capability:
        """A capability to this client; what comes to it is in the inbox under its name."""
        return self._client.ear(name)

    def offer(self, to: Capability, *contents: object) -> None:
        """Offers messages to one capability, as one batch, and waits for nothing."""
        self._offer(to, contents)

    def send(self, to: Capability, *contents: object) -> None:
        """Sends messages to one capability, as one batch; raises `NotApplied` unless it is applied.

        A batch that its machine cannot take yet, because it is suspended, raises nothing.
        """
        place = self._offer(to, contents)
        self._world.settle()
        match self._client.settled.get(place):
            case None | ["applied"]:
                return
            case ["refused", _, str(word)]:
                raise NotApplied("refused", word)
            case ["undelivered", str(why)]:
                raise NotApplied("undelivered", why)
            case [str(why), *_]:
                raise self._noted(NotApplied(why), place[0])

    def ask(self, to: Capability, content: object = None, *, timeout_s: float = 60.0) -> "Asked":
        """Offers a message that asks, and waits for nothing."""
        self._world._held_as(to)
        ask = self._client.ask(to, self._known(content), timeout_s)
        deadline_ms = self._world._sim.now_ms + round(timeout_s * 1000)
        return Asked(self, ask, deadline_ms, address_of(self._world._held_as(to)))

    def call(self, to: Capability, content: object = None, *, timeout_s: float = 60.0) -> Value:
        """Asks and returns the answer, time passing up to the deadline; raises `NoAnswer`."""
        return self.ask(to, content, timeout_s=timeout_s).answer()

    def inbox(self) -> list[Heard]:
        """What came since the last look."""
        self._world.settle()
        taken, self._client.inbox[:] = list(self._client.inbox), []
        heard: list[Heard] = []
        for to, content in taken:
            assert isinstance(to, Local)
            heard.append(Heard(decode_content_untrusted(to.context, ()), content))
        return heard

    def _offer(self, to: Capability, contents: tuple[object, ...]) -> tuple[bytes, int]:
        cap = self._world._held_as(to)
        said: list[Said] = []
        for content in contents or (None,):
            body, caps = encode_content(freeze(content))
            said.append(Said(cap, body, tuple(self._world._held_as(one) for one in caps), None))
        address = address_of(cap)
        return address, self._client.offer(address, said)

    def _known(self, content: object) -> Value:
        frozen = freeze(content)
        for handle in encode_content(frozen)[1]:
            self._world._held_as(handle)
        return frozen

    def _noted(self, error: AvmError, address: bytes) -> AvmError:
        """Adds the machine's traceback, which in a test is what one wants to see."""
        machine = self._world._sim.core.host.machines.get(address)
        if machine is not None:
            failures = Machine(self._world, machine.name, None).failures
            if failures:
                error.add_note(failures[-1])
        return error


class Asked:
    """An ask that a client made; exactly one outcome comes to it."""

    def __init__(self, client: Client, ask: int, deadline_ms: int, address: bytes) -> None:
        self._client = client
        self._ask = ask
        self._deadline_ms = deadline_ms
        self._address = address

    @property
    def outcomes(self) -> list[Value]:
        """What has come so far: nothing, or the one outcome, `Failed` where it is no answer."""
        return list(self._client._client.outcomes.get(self._ask, ()))

    def answer(self) -> Value:
        """Waits for the answer, time passing up to the deadline; raises `NoAnswer`."""
        sim = self._client._world._sim
        sim.settle()
        while not self.outcomes and sim.now_ms <= self._deadline_ms:
            due = sim.core.next_wake_ms()
            until = self._deadline_ms + 1 if due is None else min(due, self._deadline_ms + 1)
            sim.advance(max(until - sim.now_ms, 1) / 1000)
        if not self.outcomes:
            raise NoAnswer("unknown", "no outcome came by the deadline")
        (outcome,) = self.outcomes
        if isinstance(outcome, Failed):
            error = NoAnswer(outcome.why, outcome.detail)
            raise self._client._noted(error, self._address) if outcome.why == "rejected" else error
        return outcome
