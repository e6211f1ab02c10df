"""What a step finds around it: builtins, print, and the faces of the modules it may import.

Step 4 of the journey, inside a worker. A face shows a module's public names and none of the
modules it uses itself; the clocks of `datetime` raise. All this catches mistakes, no malice.
"""

import __future__

import abc
import base64
import bisect
import builtins
import collections
import collections.abc
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import heapq
import itertools
import json
import math
import operator
import re
import statistics
import string
import struct
import sys
import textwrap
import types
import typing
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar
from typing import Any, ClassVar, NoReturn

import avm
from avm.errors import AvmError
from avm.machine.allowed import CHANCE, CLOCK, FILES, PRINTING

# dataclasses reads annotations that are text in the module of their class; steps' classes are
# told to be of this one (no other is in sys.modules), so that these three are known here.
KNOWN_IN_ANNOTATIONS = (KW_ONLY, InitVar, ClassVar)

LIBRARY = (
    *(__future__, abc, base64, bisect, collections, copy, dataclasses, datetime, decimal, enum),
    *(collections.abc, fractions, functools, hashlib, heapq, itertools, json, math, operator, re),
    *(statistics, string, struct, textwrap, typing, unicodedata, zlib),
)
# Taken here, before workers are forked, since the face imports some of it only when it is asked.
OURS = {public: getattr(avm, public) for public in avm.__all__}

CUT = "... (output cut)\n"
REFUSED = {
    "open": FILES,
    "input": FILES,
    "breakpoint": PRINTING,
    "help": PRINTING,
    "exec": "write the code into the machine's files",
    "eval": "write the code into the machine's files",
    "compile": "write the code into the machine's files",
    "globals": "name what you mean",
    "exit": 'say no with `raise Refused("why")`',
    "quit": 'say no with `raise Refused("why")`',
    "id": "it differs from process to process: compare with `is` or `==`",
}
HASH = "hash() of this differs from process to process: use the value itself, or hashlib"


class NotAllowed(AvmError):
    """A step may not do this: its result must follow from its message and its state alone."""


class ImportRefused(NotAllowed):
    """A step may not import this."""


class Printed:
    """What a step printed, up to a limit in bytes of UTF-8."""

    __slots__ = ("_limit", "_parts", "_room")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._room = limit
        self._parts: list[str] = []

    def print(
        self,
        *values: object,
        sep: str | None = " ",
        end: str | None = "\n",
        file: None = None,
        flush: bool = False,
    ) -> None:
        """Stands in the place of `print`."""
        if file is not None:
            raise NotAllowed(f"print(file=...) is not allowed in a step: {PRINTING}")
        between = " " if sep is None else sep
        self._write(between.join(map(str, values)) + ("\n" if end is None else end))

    def _write(self, text: str) -> None:
        if self._room < 0:
            return
        body = text[: self._room + 1].encode("utf-8", "backslashreplace")
        if len(body) > self._room:
            self._parts.append(body[: self._room].decode("utf-8", "ignore") + CUT)
            self._room = -1
        else:
            self._parts.append(body.decode())
            self._room -= len(body)

    def drain(self) -> str:
        """What was printed since the last call."""
        if not self._parts:
            return ""
        text = "".join(self._parts)
        self._parts.clear()
        self._room = self._limit
        return text


class Face(types.ModuleType):
    """A module as a step sees it: it cannot be changed."""

    def __setattr__(self, name: str, value: object) -> None:
        raise NotAllowed(f"{self.__name__}.{name} cannot be changed in a step")

    def __delattr__(self, name: str) -> None:
        raise NotAllowed(f"{self.__name__}.{name} cannot be changed in a step")


def face_of(name: str) -> Face | None:
    """A new face of a module that a step may import, or None."""
    if name == "avm":
        return _face(name, OURS)
    for module in LIBRARY:
        if module.__name__ == name:
            return _face(name, {**_public(module), **_replaced(name)})
    return None


def _face(name: str, names: dict[str, object]) -> Face:
    face = Face(name)
    vars(face).update(names)
    return face


def _public(module: types.ModuleType) -> dict[str, object]:
    named = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    rest = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {
        name: value
        for name, value in {**rest, **named}.items()
        if not isinstance(value, types.ModuleType)
    }


def _replaced(name: str) -> dict[str, object]:
    if name == "datetime":
        return {"datetime": Datetime, "date": Date}
    if name == "decimal":
        context = "use `with decimal.localcontext()`: the shared context outlives the turn"
        return {
            refused: refusing(f"decimal.{refused}", context)
            for refused in ("getcontext", "setcontext")
        }
    return {}


def refusing(name: str, remedy: str) -> Callable[..., NoReturn]:
    """A function that tells what to do instead of calling it."""

    def refused(*_args: object, **_named: object) -> NoReturn:
        raise NotAllowed(f"{name}() is not allowed in a step: {remedy}")

    refused.__name__ = refused.__qualname__ = name
    return refused


class _Clockless(type(datetime.date)):  # type: ignore[misc]
    """Makes real dates count as instances of the ones without a clock."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__base__)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.__base__)


class Date(datetime.date, metaclass=_Clockless):
    """`datetime.date` without a clock."""

    today = refusing("date.today", CLOCK)


class Datetime(datetime.datetime, metaclass=_Clockless):
    """`datetime.datetime` without a clock."""

    now = refusing("datetime.now", CLOCK)
    utcnow = refusing("datetime.utcnow", CLOCK)
    today = refusing("datetime.today", CLOCK)


def builtins_of(printed: Printed, guarded_import: Callable[..., object]) -> dict[str, Any]:
    """The `__builtins__` of a step's modules."""
    names: dict[str, Any] = {
        name: value for name, value in vars(builtins).items() if not name.startswith("_")
    }
    names |= {name: refusing(name, remedy) for name, remedy in REFUSED.items()}
    for name in ("copyright", "credits", "license"):
        names.pop(name, None)
    names |= {
        "__name__": "builtins",
        "__debug__": True,
        "__build_class__": _build_class,
        "__import__": guarded_import,
        "hash": _hash,
        "print": printed.print,
    }
    return names


def _build_class(body: Callable[..., Any], name: str, *bases: Any, **named: Any) -> Any:
    made = builtins.__build_class__(body, name, *bases, **named)
    if isinstance(made, type) and not issubclass(made, BaseException):
        made.__module__ = __name__
    return made


def _hash(value: object, /) -> int:
    """The hash of a number; of anything else only where a class defines its own `__hash__`."""
    if isinstance(value, int | float | complex | decimal.Decimal | fractions.Fraction):
        return hash(value)
    if sys._getframe(1).f_code.co_name == "__hash__":
        return hash(value)
    raise NotAllowed(HASH)


__all__ = ["CHANCE", "ImportRefused", "NotAllowed", "Printed", "builtins_of", "face_of"]
