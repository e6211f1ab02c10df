"""A forwarder: a machine that passes on what comes to one capability, until that is ended.

    grant target=CAP
    answers {"access": CAP, "revoke": CAP}

Content, and the capabilities in it, go on as they came. It asks for itself, so that who asked hears the
target's own refusal; an outcome where something may have happened is left to the asker's own host, which
says it at the asker's deadline. (Redell 1974, the revocable forwarder)
"""

from dataclasses import replace

from avm import NULL, Capability, Failed, Me, Message, Refused, Send, Step, record

# An ask that is passed on is kept so long for its answer: who asked may wait less.
KEPT_S = 3600
NOTHING_HAPPENED = ("refused", "rejected", "undelivered")


@record
class Forwarder:
    """What it passes on to; nothing any more when it was ended."""

    me: Me
    target: Capability | None


@record
class Passed:
    """The context of an ask that was passed on: where the outcome goes."""

    reply: Capability


def init(message: Message, me: Me) -> Step[Forwarder]:
    """Takes what to pass on to."""
    match message.content:
        case {"target": Capability() as target}:
            made = {"access": me("access"), "revoke": me("revoke")}
            return message.answer(made), Forwarder(me, target)
    raise Refused("a forwarder takes target")


def step(message: Message, state: Forwarder) -> Step[Forwarder]:
    """Passes on a message or an outcome, or ends it."""
    match message.context, message.content:
        case "access", content:
            if state.target is None:
                raise Refused
            if message.reply == NULL:
                return [Send(state.target, content)], state
            reply = state.me(Passed(message.reply))
            return [Send(state.target, content, reply=reply, deadline_s=KEPT_S)], state
        case Passed(reply), outcome:
            if isinstance(outcome, Failed) and outcome.why not in NOTHING_HAPPENED:
                return [], state
            return [Send(reply, outcome)], state
        case "revoke", None:
            return message.answer(None), replace(state, target=None)
    raise Refused
