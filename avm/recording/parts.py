"""The arguments of a core's inputs as plain values, and back. Pure.

Beside the journey. What lives in the core goes by its number or address, and is looked up there when
the input is told again; all else is written as it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from avm.graph import BadGraph
from avm.host.batch import Said
from avm.host.capability import ADDRESS_BYTES, DEPTH_MAX, Cap, Local, Named, Reply, Sealed, to_row
from avm.host.cases import Claim
from avm.host.doubt import Found, Verdict
from avm.host.machine_file import Unpacked
from avm.host.moves import Leaving
from avm.host.passage import Fetch
from avm.host.peers import Link
from avm.host.saved import dump_unpacked, load_unpacked_untrusted
from avm.host.spans import Span
from avm.host.state import Host, Machine, Mode
from avm.limits import MIB
from avm.recording.packing import of_array, of_bytes, of_int, packed
from caps import shape
from caps.caveats import CAVEAT_BYTES_MAX, CAVEATS_MAX, parse_caveat_untrusted
from caps.certificate import parse_certificate_untrusted
from caps.errors import Malformed
from caps.identity import Endpoint, parse_identity_untrusted

INT_MAX = 2**63 - 1
PART_BYTES_MAX = 256 * MIB
ROWS_MAX = 1_000_000


class Absent(Exception):
    """An input speaks of something that is not in the host as it is now."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of argument: its plain form, and the argument again; that raises Malformed or Absent.

    `pack` gives the bytes of the plain form, where that is quicker than by it.
    """

    name: str
    plain: Callable[[Any], Any]
    again: Callable[[Host, Any], Any]
    pack: Callable[[Any], bytes] | None = None

    def packed(self, value: Any) -> bytes:
        """The bytes of its plain form."""
        return packed(self.plain(value)) if self.pack is None else self.pack(value)


def _same(value: Any) -> Any:
    return value


def _int(_host: Host, plain: Any) -> int:
    return shape.integer(plain, -INT_MAX, INT_MAX, "number")


def _bool(_host: Host, plain: Any) -> bool:
    if type(plain) is not bool:
        shape.refuse("yes or no")
    return plain


def _bytes(_host: Host, plain: Any) -> bytes:
    return shape.some_octets(plain, 0, PART_BYTES_MAX, "bytes")


def _certificate(host: Host, plain: Any) -> bytes:
    body = _bytes(host, plain)
    if body:
        parse_certificate_untrusted(body)
    return body


def _text(_host: Host, plain: Any) -> str:
    if type(plain) is not str:
        shape.refuse("text")
    return plain


def _float(_host: Host, plain: Any) -> float:
    try:
        number = float(_text(_host, plain))
    except ValueError:
        shape.refuse("decimal number")
    if repr(number) != plain:
        shape.refuse("decimal number: not the shortest form of it")
    return number


def _machine(host: Host, plain: Any) -> Machine:
    machine = host.by_id.get(_int(host, plain))
    if machine is None:
        raise Absent(f"there is no machine {plain}")
    return machine


def _link(host: Host, plain: Any) -> Link:
    link = host.links.get(_int(host, plain))
    if link is None:
        raise Absent(f"there is no link {plain}")
    return link


def _leaving(host: Host, plain: Any) -> Leaving:
    left = host.moves.leaving.get(_bytes(host, plain))
    if left is None:
        raise Absent("there is no such machine on its way to another host")
    return left


def optional(part: Part) -> Part:
    """The same, or nothing."""
    return Part(
        part.name,
        lambda value: None if value is None else part.plain(value),
        lambda host, plain: None if plain is None else part.again(host, plain),
    )


def _octets(plain: Any) -> bytes:
    return shape.some_octets(plain, 1, CAVEAT_BYTES_MAX, "caveat")


def cap_untrusted(plain: Any, depth: int = 0) -> Cap:
    """A capability of its row; Malformed for what is none."""
    if type(plain) is not list or not plain or depth > DEPTH_MAX:
        shape.refuse("capability")
    form, *rest = plain
    number: Callable[[Any], int] = lambda one: shape.integer(one, -INT_MAX, INT_MAX, "capability")
    address: Callable[[Any], bytes] = lambda one: shape.octets(one, ADDRESS_BYTES, "capability")
    if form == 0 and len(rest) in (7, 8):
        where, generation, priority, kind, expires_ms, context, inner, *more = rest
        narrowed = shape.items(more[0], CAVEATS_MAX, "capability") if more else []
        caveats = tuple(parse_caveat_untrusted(_octets(one)).encoded for one in narrowed)
        numbers = (number(generation), number(priority), number(kind))
        until_ms = None if expires_ms is None else number(expires_ms)
        said = shape.some_octets(context, 0, PART_BYTES_MAX, "capability")
        within = shape.items(inner, ROWS_MAX, "capability")
        caps = tuple(cap_untrusted(one, depth + 1) for one in within)
        return Local(address(where), *numbers, until_ms, said, caps, caveats)
    if form == 1 and len(rest) == 3:
        return Reply(address(rest[0]), number(rest[1]), number(rest[2]))
    if form == 2 and len(rest) == 2:
        return Sealed(address(rest[0]), shape.some_octets(rest[1], 0, PART_BYTES_MAX, "capability"))
    if form == 3 and len(rest) == 1 and type(rest[0]) is str:
        return Named(rest[0])
    shape.refuse("capability")


def _caps(_host: Host, plain: Any) -> tuple[Cap, ...]:
    return tuple(map(cap_untrusted, shape.items(plain, ROWS_MAX, "list of capabilities")))


def _plain_caps(caps: tuple[Cap, ...]) -> list[Any]:
    return [to_row(cap) for cap in caps]


def _plain_said(messages: list[Said]) -> list[Any]:
    """The capabilities that are spoken to, and each message with the place of its own among them.

    Of one that is spoken to the first, and brings no capability, there is the content alone.
    """
    targets: list[Any] = []
    rows: list[Any] = []
    last: Cap | None = None
    for to, content, caps, reply in messages:
        if to is not last:
            targets.append(to_row(to))
            last = to
        if caps or reply is not None:
            inner = [to_row(cap) for cap in caps]
            rows.append([len(targets) - 1, content, inner, reply and to_row(reply)])
        elif len(targets) == 1:
            rows.append(content)
        else:
            rows.append([len(targets) - 1, content])
    return [targets, rows]


@lru_cache(4_096)
def _packed_row(cap: Cap) -> bytes:
    """A capability that is spoken to: the same ones come again and again."""
    return packed(to_row(cap))


def _pack_said(messages: list[Said]) -> bytes:
    first = messages[0].to if messages else None
    if first is None or any(to is not first or caps or reply for to, _, caps, reply in messages):
        return packed(_plain_said(messages))
    contents = of_array([of_bytes(content) for _to, content, _caps, _reply in messages])
    return of_array([of_array([_packed_row(first)]), contents])


def _said(_host: Host, plain: Any) -> list[Said]:
    targets, rows = shape.array(plain, 2, "messages")
    to = [cap_untrusted(one) for one in shape.items(targets, ROWS_MAX, "capabilities")]
    return [_message(to, row) for row in shape.items(rows, ROWS_MAX, "messages")]


def _message(to: list[Cap], row: Any) -> Said:
    if type(row) is bytes and to:
        return Said(to[0], row, (), None)
    if type(row) is not list or len(row) not in (2, 4):
        shape.refuse("message")
    place = to[shape.integer(row[0], 0, len(to) - 1, "message")]
    content = shape.some_octets(row[1], 0, PART_BYTES_MAX, "message")
    if len(row) == 2:
        return Said(place, content, (), None)
    inner = tuple(map(cap_untrusted, shape.items(row[2], ROWS_MAX, "message")))
    return Said(place, content, inner, None if row[3] is None else cap_untrusted(row[3]))


def _contents(host: Host, plain: Any) -> list[tuple[bytes, tuple[Cap, ...]]]:
    rows = [shape.array(one, 2, "content") for one in shape.items(plain, ROWS_MAX, "contents")]
    return [(_bytes(host, body), _caps(host, caps)) for body, caps in rows]


def _endpoint(host: Host, plain: Any) -> Endpoint:
    ip, port = shape.array(plain, 2, "endpoint")
    return Endpoint(_bytes(host, ip), _int(host, port))


def _mode(host: Host, plain: Any) -> Mode:
    return Mode(shape.integer(plain, 0, len(Mode) - 1, "mode"))


def _fetch(host: Host, plain: Any) -> Fetch:
    address, incarnation, kind, n, digest, at = shape.array(plain, 6, "fetch")
    numbers = (_int(host, incarnation), _int(host, kind), _int(host, n))
    return Fetch(_bytes(host, address), *numbers, _bytes(host, digest), _int(host, at))


def _span(host: Host, plain: Any) -> Span:
    numbers = [_int(host, one) for one in shape.array(plain, 4, "span")]
    return Span(*numbers)


def _found(host: Host, plain: Any) -> Found:
    verdict, turns, why = shape.array(plain, 3, "verdict")
    which = Verdict(shape.integer(verdict, 0, len(Verdict) - 1, "verdict"))
    return Found(which, _int(host, turns), _text(host, why))


def _claim(host: Host, plain: Any) -> Claim:
    where, body = shape.array(plain, 2, "claim")
    return Claim(_bytes(host, where), _bytes(host, body))


def _state(host: Host, plain: Any) -> tuple[bytes, list[Any]]:
    body, references = shape.array(plain, 2, "state")
    return _bytes(host, body), shape.items(references, ROWS_MAX, "references")


def _head(host: Host, plain: Any) -> tuple[int, bytes]:
    entries, chain = shape.array(plain, 2, "end of a journal")
    return _int(host, entries), _bytes(host, chain)


def _about(host: Host, plain: Any) -> dict[str, str]:
    pairs = [shape.array(one, 2, "text by text") for one in shape.items(plain, ROWS_MAX, "texts")]
    words = [_text(host, word) for word, _said in pairs]
    if words != sorted(set(words)):
        shape.refuse("text by text: not in order, or one twice")
    return {word: _text(host, said) for word, (_word, said) in zip(words, pairs, strict=True)}


def _unpacked(host: Host, plain: Any) -> Unpacked:
    try:
        return load_unpacked_untrusted(_bytes(host, plain))
    except BadGraph as error:
        raise Malformed(str(error)) from None


INT = Part("number", _same, _int, of_int)
BOOL = Part("yes or no", bool, _bool)
BYTES = Part("bytes", bytes, _bytes, of_bytes)
TEXT = Part("text", _same, _text)
FLOAT = Part("decimal number", repr, _float)
MACHINE = Part("machine", lambda one: one.id, _machine)
LINK = Part("link", lambda one: one.number, _link)
LEAVING = Part("address", lambda one: one.address, _leaving)
CAPS = Part("capabilities", _plain_caps, _caps)
SAID = Part("messages", _plain_said, _said, _pack_said)
CONTENTS = Part("contents", lambda some: [[one[0], _plain_caps(one[1])] for one in some], _contents)
ENDPOINT = Part("endpoint", lambda one: [one.ip, one.port], _endpoint)
MODE = Part("mode", lambda one: one.value, _mode)
ABOUT = Part("text by text", lambda about: [list(pair) for pair in sorted(about.items())], _about)
IDENTITY = Part(
    "identity",
    lambda one: one.to_bytes(),
    lambda host, plain: parse_identity_untrusted(_bytes(host, plain)),
)
FETCH = Part("fetch", list, _fetch)
SPAN = Part("span", lambda one: [one.machine, one.start, one.stop, one.group], _span)
FOUND = Part("verdict", lambda one: [one.verdict.value, one.turns, one.why], _found)
STATE = Part("state", list, _state)
HEAD = Part("end of a journal", list, _head)
UNPACKED = Part("machine out of a file", dump_unpacked, _unpacked)
CERTIFICATE = Part("certificate of a host's key, or nothing", _same, _certificate)
CLAIM = Part("claim", lambda one: [one.host, one.record], _claim)

__all__ = ["Absent", "Malformed", "Part", "cap_untrusted"]
