"""Passing a message on: what most patterns do with what they let through.

    case "access", _:
        return [forward(message, target, state.me)], state
    case Passed(reply), outcome:
        return answer(reply, outcome), state

The one in between asks for itself, so that who asked it hears the target's own refusal. (A reply that is
passed on as it is makes a message less of it, and of a refusal the asker hears only *late*.)
"""

from avm import NULL, Capability, Failed, Me, Message, Send, record

# Of an ask with these outcomes nothing happened; of one with another, something may have.
NOTHING_HAPPENED = ("refused", "rejected", "undelivered")
# An ask that is passed on is kept so long for its answer: who asked may wait less.
KEPT_S = 3_600


@record(name="passing.Passed")
class Passed:
    """The context of an ask that was made for somebody else: where the outcome goes."""

    reply: Capability


def forward(message: Message, to: Capability, me: Me, content: object = ...) -> Send:
    """The message, sent on to another; `content` in the place of its own."""
    said = message.content if content is ... else content
    if message.reply == NULL:
        return Send(to, said)
    return Send(to, said, reply=me(Passed(message.reply)), deadline_s=KEPT_S)


def answer(reply: Capability, outcome: object) -> list[Send]:
    """What a reply is sent of an outcome that came to the one in between.

    A step's `Failed` arrives as refused, which says that nothing happened. Where something may have, the
    reply is left alone: the asker's own host then tells that it came to no answer.
    """
    if isinstance(outcome, Failed) and outcome.why not in NOTHING_HAPPENED:
        return []
    return [Send(reply, outcome)]
