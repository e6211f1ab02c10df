"""Posts numbered letters to others, and notes those that come in any but their order."""

from dataclasses import replace

from avm import Capability, Failed, Map, Me, Message, Refused, Send, Step, record

NAMES = ("post", "ask", "take", "bulk", "keep", "answer", "read")


@record
class Mail:
    me: Me
    last: int = 0
    bulk: int = 0
    wrong: tuple[int, ...] = ()
    kept: Map[int, Capability] = Map()
    outcomes: Map[int, tuple[str, ...]] = Map()


@record
class Asked:
    number: int


def init(message: Message, me: Me) -> Step[Mail]:
    return message.answer({name: me(name) for name in NAMES}), Mail(me)


def step(message: Message, state: Mail) -> Step[Mail]:
    match message.context, message.content:
        case "post", (Capability() as to, int(first), int(count)):
            letters = range(first, first + count)
            return [Send(to, number, apart=True) for number in letters], state
        case "ask", (Capability() as to, int(number), float(deadline_s)):
            reply = state.me(Asked(number))
            return [Send(to, number, reply=reply, deadline_s=deadline_s, apart=True)], state
        case Asked(number), outcome:
            word = outcome.why if isinstance(outcome, Failed) else str(outcome)
            known = state.outcomes.get(number, ())
            return [], replace(state, outcomes=state.outcomes.put(number, (*known, word)))
        case "take", int(number):
            wrong = state.wrong if number == state.last + 1 else (*state.wrong, number)
            return message.answer(number), replace(state, last=number, wrong=wrong)
        case "bulk", str(text):
            return message.answer(len(text)), replace(state, bulk=state.bulk + len(text))
        case "keep", int(number):
            return [], replace(state, kept=state.kept.put(number, message.reply))
        case "answer", int(number):
            return [Send(state.kept[number], number)], replace(state, kept=state.kept.drop(number))
        case "read", None:
            read = (state.last, state.bulk, state.wrong, len(state.kept), state.outcomes)
            return message.answer(read), state
    raise Refused
