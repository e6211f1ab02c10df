"""What a step sees and says: a message in, sends out.

The first and the last thing of a message's journey: the worker builds a `Message`
for each one of a batch, and reads the sends that the step returns.
"""

from __future__ import annotations

from collections.abc import Sequence

from caps.light import TYPE_CHECKING, dataclass
from caps.slots import NULL
from caps.value import Capability, Value

if TYPE_CHECKING:
    from typing import TypeAlias, TypeVar

    S = TypeVar("S")


class Refused(Exception):
    """Raised by a step to say no: the whole batch is undone and the caller hears the word."""

    def __init__(self, word: str = "") -> None:
        super().__init__(word)
        self.word = word if isinstance(word, str) else str(word)


@dataclass(frozen=True, slots=True)
class Send:
    """A message to be sent when the turn is committed.

    `reply` makes it an ask: an own capability, to which exactly one outcome comes, or a received
    reply capability passed on. `deadline_s` is in seconds from the turn (60 with a reply, else
    7 days). `after_s` makes it a timer; `apart` gives it a batch of its own.
    """

    to: Capability
    content: object = None
    reply: Capability | None = None
    deadline_s: float | None = None
    after_s: float = 0
    apart: bool = False

    def __init__(
        self,
        to: Capability,
        content: object = None,
        *,
        reply: Capability | None = None,
        deadline_s: float | None = None,
        after_s: float = 0,
        apart: bool = False,
    ) -> None:
        put = object.__setattr__
        put(self, "to", to)
        put(self, "content", content)
        put(self, "reply", reply)
        put(self, "deadline_s", deadline_s)
        put(self, "after_s", after_s)
        put(self, "apart", apart)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Drops the timer that was set by a send to this capability; without one, does nothing."""

    to: Capability


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a batch.

    `context` is what this machine sealed, `content` what the sender says, `reply` where the answer
    goes (`null~` when nobody asks), `id` a text that is unique and the same in every replay, `now`
    the turn's time in seconds since 1970 UTC.
    """

    context: Value
    content: Value
    reply: Capability = NULL
    id: str = "test-1"
    now: float = 0.0

    def answer(self, value: object) -> list[Send]:
        """The list of the one send that answers this message."""
        return [Send(self.reply, value)]


@dataclass(frozen=True, slots=True)
class Event:
    """A life-cycle event, given to a machine's `signal`.

    `name` is one of restarted, upgraded, suspended, resumed, will-stop; `now` is in seconds.
    """

    name: str
    now: float


if TYPE_CHECKING:
    Step: TypeAlias = tuple[Sequence[Send | Cancel], S]
else:

    class Step:
        """What a step returns: `Step[S]` is the sends and timers dropped, and a state of type S."""

        def __class_getitem__(cls, state: object) -> object:
            return tuple[Sequence[Send | Cancel], state]
