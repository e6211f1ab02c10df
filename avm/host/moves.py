"""What a core knows of machines that move: asked for, between two hosts, on their way here, gone. Values.

Beside the journey. What must survive a crash is a row of the store each: a machine that has left and is
not there yet, one that is coming (its history is written under its number as it comes), and where those
that left live now.
"""

from typing import Any

import cbor2

from avm.host.parcel import Parcel
from caps.identity import Endpoint
from caps.light import dataclass, field

LEAVING, LANDING, REDIRECT, CARRIED = "leaving ", "landing ", "redirect ", "carried "
KINDS = (LEAVING, LANDING, REDIRECT, CARRIED)
# So many machines may be on their way here at once.
LANDINGS_MAX = 4
# Of so many machines it is remembered that they went into a file, or came out of one.
CARRIED_MAX = 10_000


@dataclass(slots=True)
class Asked:
    """An operator wants a machine to move; the other host has not said yet whether it may.

    `ways` is where that host is to be dialed before it counts as out of reach: at endpoints, or, with
    none, where the network says it is.
    """

    request: int
    machine: int
    to: bytes
    name: str
    ways: list[tuple[Endpoint, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Leaving:
    """A machine whose end here is committed and which the other host has not taken up yet.

    `name` is the one it had here, `name_there` that it will have; `number` is that of its history here,
    `keys` are sealed as in its row. `item` is what is fetched first, while it is. One that goes into a
    file goes to no host: `to` is empty, and `name_there` the file.
    """

    address: bytes
    to: bytes
    incarnation: int
    number: int
    name: str
    name_there: str
    keys: bytes
    parcel: bytes
    request: int = 0
    item: bytes = b""


@dataclass(slots=True)
class Carried:
    """A machine that went into a file here, or came out of one: under which incarnation, and when.

    `file` is named while what was written still has another name.
    """

    address: bytes
    name: str
    incarnation: int
    is_out: bool
    at_ms: int
    file: str = ""


@dataclass(slots=True)
class Redirect:
    """Who speaks for a machine that left: shown to whom looks for it here, until then."""

    address: bytes
    name: str
    host: bytes
    incarnation: int
    identity: bytes
    certificate: bytes
    until_ms: int


@dataclass(slots=True)
class Landing:
    """A machine on its way here, item by item; `body` is what there is of the item that is fetched.

    `n` and `chain` are of the entry to come next, `snapshot` the last one that the journal tells of;
    `size` counts the bytes that have come.
    """

    address: bytes
    name: str
    host: bytes
    link: int
    incarnation: int
    number: int
    kind: int = 0
    item: int = 0
    hash: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    size: int = 0
    parcel: Parcel | None = None
    keys: bytes = b""
    n: int = -1
    chain: bytes | None = None
    snapshot: tuple[int, bytes] | None = None
    codes: dict[bytes, None] = field(default_factory=dict)


@dataclass(slots=True)
class Moves:
    """All of them, each by the machine's address."""

    asked: dict[bytes, Asked] = field(default_factory=dict)
    leaving: dict[bytes, Leaving] = field(default_factory=dict)
    landing: dict[bytes, Landing] = field(default_factory=dict)
    redirects: dict[bytes, Redirect] = field(default_factory=dict)
    carried: dict[bytes, Carried] = field(default_factory=dict)


def leaving_by(moves: Moves, named: str) -> Leaving | None:
    """The machine on its way to another host that has this name, or an address that begins so."""
    for left in moves.leaving.values():
        if left.name == named or left.address.hex().startswith(named):
            return left
    return None


NAMELESS = "with an empty name"
"""What stands in the place of the name of a machine that there is not, where that is empty."""


def gone_by(moves: Moves, named: str) -> str:
    """Where a machine of this name, or with an address that begins so, has gone; empty for none."""
    left = leaving_by(moves, named)
    if left is not None and not left.to:
        return f"{left.name} is on its way into {left.name_there}"
    if left is not None:
        where = f"{left.name} is on its way to host {left.to.hex()}"
        return f"{where}, and goes on while that host can be reached: `avm-host links`"
    for one in moves.redirects.values():
        if one.name == named or one.address.hex().startswith(named):
            return f"{one.name} has moved to host {one.host.hex()}: capabilities to it stay good"
    for out in moves.carried.values():
        if out.is_out and (out.name == named or out.address.hex().startswith(named)):
            return f"{out.name} was exported: `avm-host import FILE` has it live here, or elsewhere"
    return ""


# Rows of the store.


def leaving_bytes(one: Leaving) -> bytes:
    """The row of a machine that left."""
    names = [one.name, one.name_there]
    return cbor2.dumps([one.to, one.incarnation, one.number, *names, one.keys, one.parcel])


def redirect_bytes(one: Redirect) -> bytes:
    """The row of where one lives now."""
    proof = [one.identity, one.certificate, one.until_ms]
    return cbor2.dumps([one.name, one.host, one.incarnation, *proof])


def carried_bytes(one: Carried) -> bytes:
    """The row of one that a file has carried."""
    return cbor2.dumps([one.name, one.incarnation, one.is_out, one.at_ms, one.file])


def key_of(kind: str, address: bytes) -> tuple[str, str]:
    """The key of a row."""
    return ("meta", kind + address.hex())


def load(moves: Moves, key: str, body: bytes) -> int:
    """Takes up a row; the number under which there may be history of a machine, or 0."""
    address = bytes.fromhex(key[-64:]) if key.startswith(KINDS) else b""
    if key.startswith(LEAVING):
        row: list[Any] = cbor2.loads(body)
        moves.leaving[address] = Leaving(address, *row)
        return moves.leaving[address].number
    if key.startswith(LANDING):
        return int(cbor2.loads(body))
    if key.startswith(REDIRECT):
        moves.redirects[address] = Redirect(address, *cbor2.loads(body))
    if key.startswith(CARRIED):
        moves.carried[address] = Carried(address, *cbor2.loads(body))
    return 0
