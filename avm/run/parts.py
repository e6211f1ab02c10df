"""The parts of a client's frame, checked one by one: `BadFrame` for what is none."""

from typing import Any

from avm.host.passage import NAME
from avm.machine.frames import BadFrame

NUMBER_MAX = 2**62
TEXT_MAX = 1024


def bytes_in(value: Any) -> bytes:
    if type(value) is not bytes:
        raise BadFrame("not bytes")
    return value


def number_in(value: Any) -> int:
    if type(value) is not int or abs(value) > NUMBER_MAX:
        raise BadFrame("not a number")
    return value


def text_in(value: Any) -> str:
    if type(value) is not str or len(value) > TEXT_MAX:
        raise BadFrame("not a text")
    return value


def texts_in(value: Any) -> dict[str, str]:
    if type(value) is not dict or len(value) > TEXT_MAX:
        raise BadFrame("not texts")
    return {text_in(word): text_in(said) for word, said in value.items()}


__all__ = ["NAME", "BadFrame", "bytes_in", "number_in", "text_in", "texts_in"]
