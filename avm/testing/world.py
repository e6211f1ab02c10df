"""A world for tests: machines and clients, on whichever ground, and what must hold of them. Pure.

All of the journey, driven by the same core as a real host. In memory time stands still unless it is
moved, nothing happens behind the test's back, and a seed gives the same run every time.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from avm.errors import AvmError
from avm.limits import Limits
from avm.testing import files
from avm.testing.code import name_of
from avm.testing.ground import About, Ground, Sitting
from avm.testing.holders import Held, Holder, Holders
from avm.testing.onehost import OneHost
from caps.codec import encode_content
from caps.map import Map
from caps.value import Capability, Failed, Value, freeze


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
    """Machines and clients on one host in memory, or on another ground.

    `shuffled` lets the seed choose what happens next among all that could; otherwise things happen
    in the simplest order. Where `on` can be said it is a host's name, of a ground that has several.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        shuffled: bool = False,
        limits: Limits | None = None,
        ground: Ground | None = None,
    ) -> None:
        self.ground = ground or OneHost(seed, shuffled=shuffled, limits=limits)
        self.machines: list[Machine] = []
        self.clients: list[Client] = []
        # Where a picture goes of what should not be; without it none is drawn.
        self.draw: Callable[[str], str] | None = None
        self._conserved: list[tuple[Callable[[], object], object]] = []

    @property
    def now(self) -> float:
        """The world's time in seconds since 1970 UTC."""
        return self.ground.now_ms / 1000

    def machine(
        self,
        source: object,
        name: str | None = None,
        *,
        params: object = None,
        grants: Mapping[str, Capability] | None = None,
        about: About | None = None,
        on: str | None = None,
    ) -> "Machine":
        """Creates a machine from a file's path, a module, or an object with `init` and `step`.

        With grants the parameters are a map, and both come to `init` as one. `about` is text by text
        that its identity says about it. Raises `NotCreated`, and `BundleRefused` for a file that is no
        machine.
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a machine's name is a text: what `init` is given is params={name!r}")
        environment = freeze(_environment(params, grants))
        self._check(environment)
        chosen = name or self._free_name(name_of(files.path_of(source)))
        answer = self.ground.create(source, chosen, environment, about or {}, on)
        machine = Machine(self, chosen, answer)
        self.machines.append(machine)
        return machine

    def client(self, name: str | None = None, *, on: str | None = None) -> "Client":
        """A new client: it sends, asks, and hears what comes to its own capabilities."""
        known = name or f"client-{len(self.clients) + 1}"
        client = Client(self, self.ground.sit(on), known)
        self.clients.append(client)
        return client

    # Time.

    def settle(self) -> None:
        """Goes on until nothing is left to do now."""
        self.ground.settle()
        self._hold()

    def step(self) -> bool:
        """Does one thing that could happen next; False when nothing is left to do."""
        return self.ground.step()

    def advance(self, seconds: float) -> None:
        """Lets time pass: timers fire, deadlines pass, each at its own time."""
        if seconds < 0:
            raise ValueError("time never goes back")
        self.ground.advance(seconds)
        self._hold()

    def crash(self, on: str | None = None) -> None:
        """A host, or each, and its workers die at once and start again; what was committed is there."""
        self.ground.crash(on)

    # What must hold.

    def assert_can_reach(self, a: Holder, b: "Holder | Capability") -> None:
        """Says that `a` holds `b`, or what leads to it from holder to holder."""
        self._holders().assert_can_reach(a, b)

    def assert_cannot_reach(self, a: Holder, b: "Holder | Capability") -> None:
        """Says that no chain of holders leads from `a` to `b`; else shows one, and who gave each link."""
        self._holders().assert_cannot_reach(a, b)

    def assert_only(self, a: Holder, names: Iterable[str]) -> None:
        """Says that of others `a` holds capabilities of these names only: `add`, or `counter.add`."""
        self._holders().assert_only(a, frozenset(names))

    def assert_confined(self, a: Holder) -> None:
        """Says that `a` holds no capability to anybody else; a machine can still answer who asks it."""
        self._holders().assert_confined(a)

    def assert_conserved(self, expression: Callable[[], object]) -> None:
        """Says that this is the same whenever all is settled, from now to the end of the test."""
        self.ground.settle()
        self._conserved.append((expression, expression()))

    def close(self) -> None:
        """The end of the test: what is conserved is looked at once more."""
        if self._conserved:
            self.ground.settle()
            self._hold()

    def _hold(self) -> None:
        for expression, before in self._conserved:
            now = expression()
            if now != before:
                raise AssertionError(f"not conserved: {before!r} has become {now!r}")

    def _holders(self) -> Holders:
        self.ground.settle()
        clients = {one.address: Held(one.name, one._look()) for one in self.clients}
        return Holders(self.ground, clients, self.draw)

    def _free_name(self, name: str) -> str:
        names = self.ground.names()
        count, free = 1, name
        while free in names:
            count += 1
            free = f"{name}-{count}"
        return free

    def _check_to(self, to: object) -> None:
        if not isinstance(to, Capability):
            why = f"a {type(to).__name__} is no capability"
            raise TypeError(f'{why}: `machine.cap("name")` and `client.cap()` are')
        self.ground.check(to)

    def _check(self, value: Value) -> None:
        for handle in encode_content(value)[1]:
            self.ground.check(handle)


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
        self._ground = world.ground
        self.name = name
        self.answer = answer

    @property
    def address(self) -> bytes:
        """Its address."""
        return self._ground.address_of(self.name)

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
        return self._ground.state(self.name)

    @property
    def failures(self) -> list[str]:
        """The tracebacks of the batches that broke it, the oldest first."""
        return self._ground.failures(self.name)

    @property
    def printed(self) -> str:
        """What a machine made from a file has printed."""
        return self._ground.printed(self.name)

    def upgrade(self, source: object) -> None:
        """Switches it to other code, its state migrated; raises `NotCreated` when that is refused."""
        self._ground.upgrade(self.name, source)


class Client:
    """A client of a world: one that is no machine, like a command line's session."""

    def __init__(self, world: World, sitting: Sitting, name: str) -> None:
        self.name = name
        self.address = sitting.address
        self._world = world
        self._sitting = sitting
        self._waiting: list[tuple[Value, Value]] = []
        self._asked: list[int] = []
        self._held: dict[Capability, None] = {}

    def cap(self, name: object = "client") -> Capability:
        """A capability to this client; what comes to it is in the inbox under its name."""
        return self._sitting.ear(name)

    def offer(self, to: Capability, *contents: object) -> None:
        """Offers messages to one capability, as one batch, and waits for nothing."""
        self._offer(to, contents)

    def send(self, to: Capability, *contents: object) -> None:
        """Sends messages to one capability, as one batch; raises `NotApplied` unless it is applied.

        A batch that its machine cannot take yet, because it is suspended, raises nothing.
        """
        batch = self._offer(to, contents)
        self._world.settle()
        match self._sitting.verdict(to, batch):
            case None | ["applied"]:
                return
            case ["refused", _, str(word)]:
                raise NotApplied("refused", word)
            case ["undelivered", str(why)]:
                raise NotApplied("undelivered", why)
            case [str(why), *_]:
                raise self._noted(NotApplied(why), to)

    def ask(self, to: Capability, content: object = None, *, timeout_s: float = 60.0) -> "Asked":
        """Offers a message that asks, and waits for nothing."""
        self._world._check_to(to)
        frozen = freeze(content)
        self._world._check(frozen)
        ask = self._sitting.ask(to, frozen, timeout_s)
        self._asked.append(ask)
        return Asked(self, ask, self._world.ground.now_ms + round(timeout_s * 1000), to)

    def call(self, to: Capability, content: object = None, *, timeout_s: float = 60.0) -> Value:
        """Asks and returns the answer, time passing up to the deadline; raises `NoAnswer`."""
        return self.ask(to, content, timeout_s=timeout_s).answer()

    def inbox(self) -> list[Heard]:
        """What came since the last look."""
        self._world.settle()
        self._look()
        heard, self._waiting = [Heard(*one) for one in self._waiting], []
        return heard

    def _look(self) -> list[Capability]:
        """The capabilities that have come to it, in messages and in answers."""
        came = self._sitting.take_inbox()
        self._waiting += came
        said = [content for _name, content in came]
        for ask in self._asked:
            said += self._sitting.outcomes(ask)
        for content in said:
            self._held.update(dict.fromkeys(encode_content(content)[1]))
        return list(self._held)

    def _offer(self, to: Capability, contents: tuple[object, ...]) -> int:
        self._world._check_to(to)
        frozen = [freeze(content) for content in contents or (None,)]
        for content in frozen:
            self._world._check(content)
        return self._sitting.offer(to, frozen)

    def _noted(self, error: AvmError, to: Capability) -> AvmError:
        """Adds the machine's traceback, which in a test is what one wants to see."""
        failures = self._world.ground.failures_at(to)
        if failures:
            error.add_note(failures[-1])
        return error


class Asked:
    """An ask that a client made; exactly one outcome comes to it."""

    def __init__(self, client: Client, ask: int, deadline_ms: int, to: Capability) -> None:
        self._client = client
        self._ask = ask
        self._deadline_ms = deadline_ms
        self._to = to

    @property
    def outcomes(self) -> list[Value]:
        """What has come so far: nothing, or the one outcome, `Failed` where it is no answer."""
        return self._client._sitting.outcomes(self._ask)

    def answer(self) -> Value:
        """Waits for the answer, time passing up to the deadline; raises `NoAnswer`."""
        self._client._world.ground.wait(lambda: bool(self.outcomes), self._deadline_ms)
        outcomes = self.outcomes
        if not outcomes:
            raise NoAnswer("unknown", "no outcome came by the deadline")
        (outcome,) = outcomes
        if isinstance(outcome, Failed):
            error = NoAnswer(outcome.why, outcome.detail)
            if outcome.why == "rejected":
                raise self._client._noted(error, self._to)
            raise error
        return outcome
