"""Code for a world: out of a file through the same loader as a host's, or out of an object. Pure.

Before the journey. A file goes through the import rules; a module or object that the test has
imported itself does not, which is what a debugger and a coverage tool want.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from avm.machine.bundle import Read, collect
from avm.machine.live import Code
from avm.machine.loader import load
from avm.message import Event, Message
from caps.record import Typed


class Defined:
    """The code that an object defines: `init` and `step`, perhaps `signal` and `migrate`."""

    def __init__(self, source: object) -> None:
        self.step: Callable[[Message, Any], Any] = _function(source, "step")
        self.init: Callable[[Message, Any], Any] = _function(source, "init")
        self.signal: Callable[[Event, Any], Any] | None = getattr(source, "signal", None)
        self.migrate: Callable[[Any], Any] | None = getattr(source, "migrate", None)
        self.records = _records(source)

    def printed(self) -> str:
        """Nothing: what the code prints goes where the test's own output goes."""
        return ""


def code_of(source: object, read: Read) -> Code:
    """The code of a path (text), a module or any object; `BundleRefused` for a file that is none."""
    return load(collect(source, read)) if isinstance(source, str) else Defined(source)


def name_of(source: object) -> str:
    """The machine's name where none is given: the file's, the module's or the class's."""
    if isinstance(source, str):
        name = source.rpartition("/")[2].removesuffix(".py")
    elif isinstance(source, ModuleType):
        name = source.__name__.rpartition(".")[2]
    else:
        name = getattr(source, "__name__", type(source).__name__)
    kept = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower())
    return kept.strip("-") or "machine"


def _function(source: object, name: str) -> Callable[..., Any]:
    found = getattr(source, name, None)
    if not callable(found):
        raise TypeError(f"a machine has a function `{name}`; {source!r} has none")
    return found  # type: ignore[no-any-return]


def _records(source: object) -> dict[str, type]:
    """The records that can be reached from an object, by record name; its own come first.

    They are those among its attributes, in the modules among these, and beside its functions.
    """
    own = _names_in(source)
    places = [own, *(vars(value) for value in own.values() if isinstance(value, ModuleType))]
    for function in ("init", "step"):
        places.append(getattr(getattr(source, function), "__globals__", {}))
    found: dict[str, type] = {}
    for place in places:
        for value in list(place.values()):
            if isinstance(value, type) and issubclass(value, Typed) and value is not Typed:
                found.setdefault(value.__record_name__, value)
    return found


def _names_in(source: object) -> dict[str, Any]:
    classes = (source if isinstance(source, type) else type(source)).__mro__
    names: dict[str, Any] = {}
    for place in (*reversed(classes), source):
        names.update(getattr(place, "__dict__", {}))
    return names
