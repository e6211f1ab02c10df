"""A machine that hands out its authority: narrowed, kept, wrapped in contexts, and sent on."""

from dataclasses import replace

from avm import Capability, Me, Message, Refused, Send, Step, narrow, record


@record
class Given:
    cap: Capability


@record
class Ward:
    me: Me
    total: int = 0
    kept: tuple[Capability, ...] = ()


def init(message: Message, me: Me) -> Step[Ward]:
    names = "add read keep tell make short look wrap pinch"
    return message.answer({name: me(name) for name in names.split()}), Ward(me)


def step(message: Message, state: Ward) -> Step[Ward]:
    me = state.me
    match message.context, message.content:
        case "add", int(n):
            return message.answer(state.total + n), replace(state, total=state.total + n)
        case "read", None:
            return message.answer(state.total), state
        case "keep", Capability() as cap:
            return message.answer(len(state.kept)), replace(state, kept=(*state.kept, cap))
        case "pinch", Capability() as cap:
            until = message.now + 3600
            kept = (narrow(cap, until=until), narrow(message.reply, until=until))
            return message.answer(None), replace(state, kept=(*state.kept, *kept))
        case "tell", (int(place), content):
            return [Send(state.kept[place], content, reply=message.reply)], state
        case "make", (str(name), int(uses), str(nonce)):
            until = message.now + 3600
            cap = narrow(me(name), uses=uses, until=until, nonce=nonce)
            return message.answer(cap), replace(state, kept=(*state.kept, cap))
        case "short", (str(name), int(seconds)):
            return message.answer(me(name, expires=message.now + seconds)), state
        case "look", Capability() as cap:
            return message.answer((me.open(cap), cap == me("add"), cap in state.kept)), state
        case "wrap", Capability() as cap:
            return message.answer(me(Given(narrow(cap, only=["int", 0, 9])))), state
        case Given(cap), content:
            return [Send(cap, content, reply=message.reply)], state
    raise Refused
