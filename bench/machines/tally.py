"""Counts the lines that it is sent, and their characters."""

from dataclasses import replace

from avm import Me, Message, Refused, Step, record


@record
class Tally:
    me: Me
    lines: int = 0
    characters: int = 0


def init(message: Message, me: Me) -> Step[Tally]:
    return message.answer({"line": me("line"), "total": me("total")}), Tally(me)


def step(message: Message, state: Tally) -> Step[Tally]:
    match message.context, message.content:
        case "line", str(text):
            lines, characters = state.lines + 1, state.characters + len(text)
            return [], replace(state, lines=lines, characters=characters)
        case "total", None:
            return message.answer(state.lines), state
    raise Refused
