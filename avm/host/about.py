"""What a machine's identity says about it: text metadata, bound to its address by the hash. Pure.

Before the journey. It is said when a machine is created and stays as it is for good, wherever the machine
goes; whoever has the identity's bytes and a capability to the machine can hold the one against the other.
"""

from collections.abc import Mapping

from caps.errors import NotAValue, TooBig
from caps.identity import KEY_BYTES, Identity
from caps.map import Map

# What a host says itself about each of its machines.
NAME, TYPE = "name", "type"
MACHINE = "avm"
NOTHING: Mapping[str, str] = Map()


class Unspeakable(Exception):
    """What is to be said about a machine cannot stand in its identity; the text says why."""


def metadata_of(name: str, about: Mapping[str, str]) -> dict[str, str]:
    """All that the identity of a machine says about it; raises `Unspeakable`."""
    for word in (NAME, TYPE):
        if word in about:
            raise Unspeakable(f"{word!r} is said by the host itself: choose another word")
    metadata = {**about, NAME: name, TYPE: MACHINE}
    try:
        Identity(bytes(KEY_BYTES), metadata)
    except TooBig as error:
        raise Unspeakable(f"{error.why}, its key and the name among them: say less") from None
    except NotAValue as error:
        raise Unspeakable(error.why) from None
    return metadata
