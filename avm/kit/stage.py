"""What a scene is played on: machines at two places, asks and their outcomes, and time. Pure.

A `Bench` is one way to have that: in memory, simulated, or with hosts that run. The `Stage` is what
a scene says on top of it.
"""

from collections.abc import Mapping
from typing import Protocol

from avm import testing
from avm.errors import AvmError
from avm.host.about import NOTHING
from caps.map import Map
from caps.value import Capability, Value, freeze

HERE, THERE = "here", "there"
POLLS = 20


class NotHeld(AvmError):
    """What the scene says does not hold; the text is what was said and what was found."""


class NoAnswer(AvmError):
    """An ask had an outcome that is no answer: `why` in a word, and its detail."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why
        self.detail = detail


class Bench(Protocol):
    """Two places with a host each, which may be one and the same.

    `unit_s` is a time in which a few asks are made for certain, and that can be waited for.
    """

    unit_s: float

    def machine(
        self, source: str, place: str, environment: Value, about: Mapping[str, str] = NOTHING
    ) -> Value:
        """Creates a machine from a file; what its `init` answered. Raises `NoAnswer`.

        `about` is what its identity says about it, beside its name and type.
        """

    def call(self, to: Capability, content: Value, place: str) -> Value:
        """Asks, from a place, and waits for the outcome; raises `NoAnswer`."""

    def wait(self, seconds: float) -> None:
        """Lets time pass."""


class Stage:
    """A scene's pattern, parties and asks."""

    def __init__(self, bench: Bench, pattern: str, props: Mapping[str, str]) -> None:
        """`pattern` is the file of the machine in question, `props` those of others in scenes."""
        self._bench = bench
        self._pattern = pattern
        self._props = props
        self.unit_s = bench.unit_s

    def pattern(
        self,
        params: Mapping[str, object] | None = None,
        place: str = HERE,
        **grants: Capability,
    ) -> Mapping[str, Capability]:
        """A machine of the pattern; the capabilities that it answered, by name."""
        environment = freeze({**(params or {}), **grants}) if params or grants else None
        return self.names(self._bench.machine(self._pattern, place, environment))

    def prop(self, name: str, place: str = THERE, **about: str) -> Mapping[str, Capability]:
        """Another machine that the scene needs, as the pattern of that name is."""
        return self.names(self._bench.machine(self._props[name], place, None, about))

    def party(self, place: str = THERE, **about: str) -> "Party":
        """A party that does what it is told; `about` is what its machine's identity says."""
        return Party(self, self.prop("puppet", place, **about), place)

    def call(self, to: Capability, content: object = None, place: str = HERE) -> Value:
        """Asks, and returns the answer; `NotHeld` when there is none."""
        try:
            return self._bench.call(to, freeze(content), place)
        except NoAnswer as error:
            raise NotHeld(f"{content!r} was to be answered, and was not: {error}") from None

    def cap(self, to: Capability, content: object = None, place: str = HERE) -> Capability:
        """Asks for a capability."""
        answer = self.call(to, content, place)
        if not isinstance(answer, Capability):
            raise NotHeld(f"{content!r} was to be answered by a capability, not by {answer!r}")
        return answer

    def same_soon(self, to: Capability, content: object, wanted: object, what: str) -> None:
        """Asks until the answer is this."""
        for _ in range(POLLS):
            if self.call(to, content) == freeze(wanted):
                return
            self.wait(self.unit_s / POLLS)
        self.same(self.call(to, content), wanted, what)

    def cap_soon(self, to: Capability, content: object = None, place: str = HERE) -> Capability:
        """Asks for a capability until it is not refused any more."""
        for _ in range(POLLS):
            try:
                return self.cap(to, content, place)
            except NotHeld:
                self.wait(self.unit_s / POLLS)
        return self.cap(to, content, place)

    def refused(self, to: Capability, content: object = None, place: str = HERE) -> str:
        """Asks, and is refused; the word that was said."""
        try:
            answer = self._bench.call(to, freeze(content), place)
        except NoAnswer as error:
            if error.why == "refused":
                return error.detail
            raise NotHeld(f"{content!r} was to be refused, and was {error}") from None
        raise NotHeld(f"{content!r} was to be refused, and was answered by {answer!r}")

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self._bench.wait(seconds)

    def same(self, found: object, wanted: object, what: str) -> None:
        """Says that two values are the same."""
        if freeze(found) != freeze(wanted):
            raise NotHeld(f"{what}: {found!r}, not {wanted!r}")

    def names(self, answer: Value) -> Mapping[str, Capability]:
        """An answer that is to be capabilities by their names."""
        if not isinstance(answer, Map) or not all(
            isinstance(name, str) and isinstance(cap, Capability) for name, cap in answer.items()
        ):
            raise NotHeld(f"the answer was to be names of capabilities, not {answer!r}")
        return answer


def cap_in(value: Value, *path: Value) -> Capability:
    """The capability in a value, at a path of keys and indices; `NotHeld` when there is none."""
    try:
        return testing.cap_in(value, *path)
    except LookupError as error:
        raise NotHeld(str(error)) from None


class Party:
    """Somebody in a scene: `ear` is a capability to it, and it sends what it is told to."""

    def __init__(self, stage: Stage, names: Mapping[str, Capability], place: str) -> None:
        self._stage = stage
        self._order = names["order"]
        self._place = place
        self.ear = names["ear"]

    def another_ear(self, name: str, kind: str = "") -> Capability:
        """One more capability to it."""
        return self._stage.cap(self._order, {"ear": name, "kind": kind}, self._place)

    def asks(self, to: Capability, content: object = None) -> Value:
        """Asks from its own machine; the answer."""
        return self._stage.call(self._order, {"to": to, "say": content}, self._place)

    def asks_and_goes_on(self, to: Capability, content: object = None) -> None:
        """Asks from its own machine; what becomes of it comes to its ear "later"."""
        self._stage.call(self._order, {"to": to, "say": content, "hear": "later"}, self._place)

    def is_refused(self, to: Capability, content: object = None) -> str:
        """Asks from its own machine, and is refused; the word."""
        return self._stage.refused(self._order, {"to": to, "say": content}, self._place)

    def answers(self, value: object) -> None:
        """What it answers from now on."""
        self._stage.call(self._order, {"answer": value}, self._place)

    def refuses(self, word: str) -> None:
        """It refuses all from now on, with this word."""
        self._stage.call(self._order, {"refuse": word}, self._place)

    def heard(self) -> tuple[Value, ...]:
        """What it has heard since it was last asked; its own ears are `("ear", name)`."""
        heard = self._stage.call(self._order, "heard", self._place)
        assert isinstance(heard, tuple)
        return heard

    def hears(self, *contents: object) -> None:
        """Says that it has heard exactly this since it was last asked."""
        self._stage.same(self.heard(), contents, "heard")

    def hears_soon(self) -> Value:
        """Waits until it hears something, and nothing else with it."""
        for _ in range(POLLS):
            heard = self.heard()
            if heard:
                self._stage.same(len(heard), 1, "how much was heard")
                return heard[0]
            self._stage.wait(self._stage.unit_s / POLLS)
        raise NotHeld("nothing was heard")
