"""Sealers and unsealers: what one seals, only the other of the pair opens.

    answers {"make": CAP}, which answers {"seal": CAP, "unseal": CAP}: a new pair each time

To `seal` any value is sent, capabilities in it too, and a box comes back: a capability that does nothing
by itself and can be handed to anybody. To `unseal` the box is sent, and the value comes back: neither
has it without the other (rights amplification; Morris 1973, Miller 2006). The value is
within the box, so a box takes no room here, and no more than a context's 1 KiB goes into it. A box is of the
kind of what is in it, and is let go of when it is opened.
"""

from avm import NULL, Capability, Me, Message, Refused, Send, Step, Value, record


@record(name="sealer.Sealers")
class Sealers:
    me: Me
    pairs: int = 0


@record(name="sealer.Sealer")
class Sealer:
    pair: int


@record(name="sealer.Unsealer")
class Unsealer:
    pair: int


@record(name="sealer.Box")
class Box:
    pair: int
    value: Value


def init(message: Message, me: Me) -> Step[Sealers]:
    return message.answer({"make": me("make")}), Sealers(me)


def step(message: Message, state: Sealers) -> Step[Sealers]:
    match message.context, message.content:
        case "make", None:
            pair = {
                "seal": state.me(Sealer(state.pairs)),
                "unseal": state.me(Unsealer(state.pairs)),
            }
            return message.answer(pair), Sealers(state.me, state.pairs + 1)
        case Sealer(pair), value:
            return message.answer(state.me(Box(pair, value))), state
        case Unsealer(pair), Capability() as box:
            match state.me.open(box):
                case Box(of, value) if of == pair:
                    return [*message.answer(value), Send(NULL, box)], state
            raise Refused("not a box of this pair")
    raise Refused("unseal takes a box, make takes null")
