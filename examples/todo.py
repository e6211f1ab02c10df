"""A shared list: whoever holds `write` may change it, whoever holds `read` may only look.

`share` gives out one more reader, each with a name, and `unshare` closes that one again.
"""

from dataclasses import replace

from avm import Map, Me, Message, Refused, Step, record


@record
class Reader:
    name: str


@record
class Item:
    text: str
    done: bool = False


@record
class Todo:
    me: Me
    items: Map[int, Item] = Map()
    readers: Map[str, bool] = Map()
    made: int = 0


def init(message: Message, me: Me) -> Step[Todo]:
    return message.answer({"read": me("read"), "write": me("write")}), Todo(me)


def step(message: Message, state: Todo) -> Step[Todo]:
    match message.context, message.content:
        case "read" | "write", None:
            return message.answer(_listed(state)), state
        case Reader(name), None if name in state.readers:
            return message.answer(_listed(state)), state
        case "write", {"add": str(text)}:
            number = state.made + 1
            items = state.items.put(number, Item(text))
            return message.answer(number), replace(state, items=items, made=number)
        case "write", {"done": int(number)} if number in state.items:
            items = state.items.put(number, replace(state.items[number], done=True))
            return message.answer(None), replace(state, items=items)
        case "write", {"drop": int(number)} if number in state.items:
            return message.answer(None), replace(state, items=state.items.drop(number))
        case "write", {"done": _} | {"drop": _}:
            raise Refused("no such item")
        case "write", {"share": str(name)}:
            readers = state.readers.put(name, True)
            return message.answer(state.me(Reader(name))), replace(state, readers=readers)
        case "write", {"unshare": str(name)} if name in state.readers:
            return message.answer(None), replace(state, readers=state.readers.drop(name))
    raise Refused("not with this capability")


def _listed(state: Todo) -> list[object]:
    items = state.items.items()
    return [{"number": n, "text": item.text, "done": item.done} for n, item in items]
