"""Everything that can be told to a host core, by name: the one list of its inputs. Pure.

Beside the journey, at its only door: the shells change a host by these methods and functions and by
nothing else, so what is told here again comes to the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from avm.host import (
    acquaintance,
    audited,
    carrying,
    clients,
    commons,
    deciding,
    doubt,
    generations,
    links,
    making,
    operate,
    peering,
)
from avm.host import rebuild as rebuilding
from avm.host.about import NOTHING
from avm.host.core import Core
from avm.host.state import Host, Mode
from avm.recording import parts
from avm.recording.packing import of_array
from avm.recording.parts import (
    ABOUT,
    BOOL,
    BYTES,
    CAPS,
    CERTIFICATE,
    CLAIM,
    CONTENTS,
    ENDPOINT,
    FETCH,
    FLOAT,
    FOUND,
    HEAD,
    IDENTITY,
    INT,
    LEAVING,
    LINK,
    MACHINE,
    MODE,
    SAID,
    SPAN,
    STATE,
    TEXT,
    UNPACKED,
    Part,
)
from caps import shape

REQUIRED = object()
MAYBE_INT, MAYBE_BYTES = parts.optional(INT), parts.optional(BYTES)
MAYBE_ENDPOINT, MAYBE_CONTENTS = parts.optional(ENDPOINT), parts.optional(CONTENTS)
Does = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Param:
    """An argument by its name; `default` is REQUIRED where there is none.

    A `late` one, the last, is not written where it is the default: older recordings do not have it.
    """

    name: str
    part: Part
    default: Any = REQUIRED
    late: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """One way to tell a core something: a method of it, or a function over its host."""

    name: str
    params: tuple[Param, ...]
    function: Does | None = None

    def params_of(self, count: int) -> tuple[Param, ...]:
        """The parameters of so many arguments: all, or all but a late one that was not written."""
        is_short = bool(self.params) and self.params[-1].late and count == len(self.params) - 1
        return self.params[:-1] if is_short else self.params

    def packed(self, args: tuple[Any, ...], more: dict[str, Any]) -> bytes:
        """The arguments of a call, packed."""
        found = [param.part.packed(one) for param, one in zip(self.params, args, strict=False)]
        for param in self.params[len(args) :]:
            found.append(param.part.packed(more.get(param.name, param.default)))
        last = self.params[-1] if self.params else None
        if last is not None and last.late and found[-1] == last.part.packed(last.default):
            found.pop()
        return of_array(found)

    def arguments(self, host: Host, plain: object) -> list[Any]:
        """The arguments again; raises Malformed, or Absent."""
        row = shape.items(plain, len(self.params), f"arguments of {self.name}")
        params = self.params_of(len(row))
        row = shape.array(row, len(params), f"arguments of {self.name}")
        found = [param.part.again(host, one) for param, one in zip(params, row, strict=True)]
        return [*found, *(param.default for param in self.params[len(params) :])]

    def prepared(self, core: Core, plain: object) -> Callable[[], Any]:
        """Has it at hand to be told to a core; raises Malformed or Absent."""
        arguments = self.arguments(core.host, plain)
        if self.function is not None:
            return partial(self.function, core.host, *arguments)
        named = {param.name: one for param, one in zip(self.params, arguments, strict=True)}
        return partial(getattr(core, self.name), **named)


def _method(name: str, *params: Param) -> Input:
    return Input(name, params)


def _function(name: str, function: Does, *params: Param) -> Input:
    return Input(name, params, function)


def _of(part: Part, *names: str) -> tuple[Param, ...]:
    return tuple(Param(name, part) for name in names)


REQUEST, ADDRESS, ENDPOINT_AT = (
    Param("request", INT),
    Param("address", BYTES),
    Param("endpoint", ENDPOINT),
)
ON = Param("machine", MACHINE)
PAIR = (REQUEST, *_of(BYTES, "sender", "receiver"))

METHODS = (
    _method("take_commit"),
    _method("committed"),
    _method("refused"),
    _method("tick", Param("now_ms", INT)),
    _method("hear_clock", Param("now_ms", INT)),
    _method("worker_up", Param("number", INT)),
    _method("worker_down", Param("number", INT), Param("why", TEXT)),
    _method("answer", Param("number", INT), Param("frame", BYTES)),
    _method("pump"),
    _method("join"),
    _method(
        "link_up",
        Param("number", INT),
        Param("identity", IDENTITY),
        Param("room", INT),
        Param("endpoint", MAYBE_ENDPOINT, None),
        Param("round_trip_ms", FLOAT, 0.0),
        Param("certificate", CERTIFICATE, b"", late=True),
    ),
    _method("link_down", Param("number", INT), Param("fouled", BOOL, False)),
    _method("link_room", *_of(INT, "number", "room")),
    _method("found", *_of(BYTES, "address", "where")),
    _method("not_found", ADDRESS),
    _method("no_link", ADDRESS),
    _method(
        "move",
        REQUEST,
        ON,
        Param("to", BYTES),
        Param("name", TEXT),
        Param("endpoint", MAYBE_ENDPOINT, None),
    ),
    _method("take_back", REQUEST, Param("left", LEAVING)),
    _method(
        "carried",
        Param("link", INT),
        Param("fetch", FETCH),
        Param("item", BYTES),
        Param("following", INT),
    ),
    _method("frame", Param("number", INT), Param("body", BYTES)),
    _method(
        "open_client",
        ADDRESS,
        Param("durable", BOOL, False),
        Param("name", TEXT, ""),
        Param("tag", BYTES, b""),
    ),
    _method(
        "offer",
        *_of(BYTES, "client", "receiver"),
        Param("seq", INT),
        Param("messages", SAID),
        Param("deadline_ms", MAYBE_INT, None),
        Param("position", BYTES, b""),
        Param("splits", BOOL, False),
    ),
    _method("refuse_offer", *_of(BYTES, "client", "receiver"), *_of(INT, "seq", "index")),
    _method("received", *_of(BYTES, "client", "sender"), Param("seq", INT)),
    _method("confirm", *_of(BYTES, "client", "receiver"), Param("seq", INT)),
    _method("close_client", ADDRESS, Param("ended", BOOL)),
    _method(
        "create",
        REQUEST,
        Param("sender", BYTES),
        Param("name", TEXT),
        *_of(BYTES, "code", "bundle", "content"),
        Param("caps", CAPS),
        Param("entropy", BYTES),
        Param("about", ABOUT, NOTHING, late=True),
    ),
    _method("upgrade", REQUEST, ON, *_of(BYTES, "code", "bundle")),
    _method("edit", REQUEST, ON, Param("body", BYTES), Param("caps", CAPS)),
    _method("change", REQUEST, ON, Param("verb", TEXT), Param("mode", MODE, Mode.HOLD)),
    _method(
        "retry",
        REQUEST,
        ON,
        Param("n", INT),
        Param("row", MAYBE_BYTES),
        Param("edited", MAYBE_CONTENTS, None),
    ),
    _method("drop_failed", REQUEST, ON, Param("n", INT)),
    _method("prune", REQUEST, ON, Param("keep_from", INT)),
    _method("drain"),
)
FUNCTIONS = (
    _function("restart_channel", deciding.restart_channel, *PAIR),
    _function("accept_channel", deciding.accept_channel, *PAIR),
    _function(
        "contradicted",
        deciding.contradicted,
        ADDRESS,
        Param("incarnation", INT),
        *_of(CLAIM, "first", "second"),
    ),
    _function("learn", acquaintance.learn, ADDRESS, ENDPOINT_AT),
    _function("dial", acquaintance.dial, REQUEST, ADDRESS, ENDPOINT_AT),
    _function("drop", acquaintance.drop, REQUEST, ADDRESS),
    _function("ban", acquaintance.ban, REQUEST, ADDRESS),
    _function("unban", acquaintance.unban, REQUEST, ADDRESS),
    _function("trust", acquaintance.trust, REQUEST, ADDRESS, Param("trusted", BOOL, True)),
    _function("distrust", acquaintance.distrust, REQUEST, ADDRESS),
    _function("seen", peering.seen, ADDRESS, ENDPOINT_AT),
    _function("retire", peering.close, Param("link", LINK), Param("why", TEXT)),
    _function("hide", peering.hide, Param("link", LINK), ENDPOINT_AT),
    _function("keep_node", peering.keep_node, Param("saved", BYTES)),
    _function("keys_stand", audited.keys_stand, *_of(TEXT, "how", "act")),
    _function("refused_here", audited.refused, Param("cause", TEXT)),
    _function("handed", audited.handed, ON, Param("name", TEXT)),
    _function("mark", clients.mark, Param("client", BYTES), REQUEST, Param("receiver", BYTES)),
    _function("ear", clients.ear, Param("client", BYTES), REQUEST, Param("context", BYTES)),
    _function(
        "furnish",
        commons.furnish,
        Param("entropy", BYTES),
        Param("off", TEXT, ""),
        Param("origin", BYTES, b""),
    ),
    _function(
        "create_factory",
        making.create_factory,
        REQUEST,
        Param("sender", BYTES),
        Param("name", TEXT),
        *_of(BYTES, "bundle", "makes"),
        Param("stem", TEXT),
        Param("at_most", INT),
        Param("entropy", BYTES),
        Param("about", ABOUT, NOTHING, late=True),
    ),
    _function("prove", links.prove, ADDRESS),
    _function("run_again", doubt.run_again, Param("share", INT)),
    _function("next_span", doubt.next_span),
    _function("refuse", operate.refuse, REQUEST, Param("why", TEXT), Param("code", INT, 1)),
    _function("export", carrying.export, REQUEST, ON, Param("file", TEXT), Param("whole", BOOL)),
    _function("written", carrying.written, ADDRESS),
    _function("unwritten", carrying.unwritten, ADDRESS, Param("why", TEXT)),
    _function("named", carrying.named, ADDRESS, REQUEST),
    _function("number_for", carrying.number_for),
    _function(
        "take_up", carrying.take_up, REQUEST, Param("unpacked", UNPACKED), Param("name", TEXT, "")
    ),
    _function(
        "rebuild",
        rebuilding.rebuild,
        REQUEST,
        ON,
        *_of(BYTES, "code", "bundle"),
        Param("state", STATE),
        Param("made_of", HEAD),
    ),
    _function("rotate", generations.rotate, REQUEST, ON, Param("grace_ms", MAYBE_INT)),
    _function(
        "revoke_generation", generations.revoke_generation, REQUEST, ON, Param("generation", INT)
    ),
    _function("concluded", doubt.concluded, Param("span", SPAN), Param("found", FOUND)),
)

# Those that tell what the host's clock says, first of what they are told.
CLOCKS = ("tick", "hear_clock")
INPUTS = {one.name: one for one in (*METHODS, *FUNCTIONS)}
BY_FUNCTION = {one.function: one for one in FUNCTIONS}
# Read and never change what the core decides: told again, they would say the same.
READS: tuple[str, ...] = ("host", "load", "do", "seal", "unseal_untrusted", "next_wake_ms")
READS += ("until_ms", "owes", "is_busy", "is_drained")
