"""A machine that beats: each start sets a timer, which sets itself again until it has fired often enough."""

from dataclasses import replace

from avm import Me, Message, Refused, Send, Step, record


@record
class Tick:
    of: int
    every: int
    left: int


@record
class Metronome:
    me: Me
    beats: tuple[tuple[int, int, float], ...] = ()


def init(message: Message, me: Me) -> Step[Metronome]:
    return message.answer({"start": me("start")}), Metronome(me)


def step(message: Message, state: Metronome) -> Step[Metronome]:
    match message.context, message.content:
        case "start", (int(of), int(every), int(count)):
            return [Send(state.me(Tick(of, every, count)), after_s=every)], state
        case Tick(of, every, left), None:
            state = replace(state, beats=(*state.beats, (of, left, message.now)))
            if left <= 1:
                return [], state
            return [Send(state.me(Tick(of, every, left - 1)), after_s=every)], state
    raise Refused
