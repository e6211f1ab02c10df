"""Values and capabilities between JSON, the command's arguments, and the bytes of a message."""

import argparse
import re
import shlex
from collections.abc import Sequence
from typing import Any, Protocol

from avm.cli.errors import CliError, NoValue, Usage
from avm.cli.link import ask
from avm.cli.output import safe
from avm.host.refer import COMMONS
from avm.run.directory import Directory
from caps import jsonform
from caps.capability import CommonName, parse_text, parse_wire_untrusted, to_text
from caps.codec import decode_content_untrusted, encode_content, encode_state
from caps.errors import CapsError, Malformed
from caps.slots import Common, Foreign
from caps.value import Capability, Value

SHOWN_MAX = 200
NAMED = re.compile(r"([a-z0-9][a-z0-9-]*)\.(.+)")
Encoded = tuple[bytes, list[bytes]]


class Bound(Protocol):
    """Where the names of machines are looked up."""

    def __call__(self, machine: str, name: str) -> bytes:
        """The wire form of MACHINE.name."""
        ...


class Holder:
    """The capabilities of one command: handles in values, wire bytes in messages."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._wires: list[bytes] = []
        self._slots: dict[bytes, int] = {}
        self._named: dict[str, bytes] = {}

    def resolve(self, text: str) -> bytes:
        """The wire form of `avm:...`, MACHINE.name, `{"$cap": ...}` or a common capability."""
        text = bare(text)
        if text.startswith("avm:") or text.endswith("~"):
            return parse_text(text).wire()
        found = self._named.get(text)
        if found is None:
            found = self._named[text] = self.look_up(text)
        return found

    def look_up(self, text: str) -> bytes:
        """The wire form of MACHINE.name, which the host knows."""
        match = NAMED.fullmatch(text)
        if match is None:
            form = "write avm:..., or MACHINE.name like counter.add"
            raise Usage(f"{text!r} is no capability: {form}")
        machine, name = match.groups()
        wire = ask(self._directory, "name", {"machine": machine, "name": name})
        assert isinstance(wire, bytes)
        return wire

    def hold(self, wire: bytes) -> Capability:
        """The handle of a capability."""
        parsed = parse_wire_untrusted(wire)
        if isinstance(parsed, CommonName):
            return Common(parsed.name)
        slot = self._slots.setdefault(wire, len(self._wires))
        if slot == len(self._wires):
            self._wires.append(wire)
        return Foreign(slot)

    def handle(self, text: str) -> Capability:
        """The handle of what `resolve` finds."""
        return self.hold(self.resolve(text))

    def wire_of(self, handle: Capability) -> bytes:
        """The wire form behind a handle."""
        if isinstance(handle, Common):
            return CommonName(handle._name).wire()
        assert isinstance(handle, Foreign), "a client has no capabilities of its own making"
        return self._wires[handle._slot]

    def text_of(self, handle: Capability) -> str:
        """The text behind a handle."""
        return to_text(parse_wire_untrusted(self.wire_of(handle)))

    def from_json(self, text: str) -> Value:
        """The value of a JSON text."""
        return jsonform.loads(text, resolve=self.handle)

    def encode(self, value: Value) -> Encoded:
        """A message's content and the capabilities beside it."""
        body, caps = encode_content(value)
        return body, [self.wire_of(cap) for cap in caps]

    def encode_state(self, value: Value) -> Encoded:
        """A state's body and the capabilities beside it."""
        body, caps = encode_state(value)
        return body, [self.wire_of(cap) for cap in caps]

    def decode(self, body: bytes, wires: Sequence[bytes]) -> Value:
        """The value of a message's content; NoValue for what no honest host sends."""
        try:
            return decode_content_untrusted(body, [self.hold(wire) for wire in wires])
        except Malformed as error:
            raise NoValue(f"what came is no value: {error}") from None

    def to_json(self, value: Value) -> str:
        """The JSON text of a value, on one line that a terminal can show."""
        return safe(jsonform.dumps(value, name_of=self.text_of))


def wire_text(wire: bytes) -> str:
    """The text of a capability."""
    return to_text(parse_wire_untrusted(wire))


def receiver_of(wire: bytes) -> bytes:
    """The address that a capability names; the common ones take no lines."""
    address = asked_of(wire)
    if not address:
        name = to_text(parse_wire_untrusted(wire))
        raise CliError(f"{name} only answers: `avm-host call {name}`")
    return address


def asked_of(wire: bytes) -> bytes:
    """The address that a capability names; none for a common one, which the host answers."""
    parsed = parse_wire_untrusted(wire)
    if not isinstance(parsed, CommonName):
        return parsed.address
    if parsed.name not in COMMONS:
        raise Usage(f"there is no {parsed.name}; the common ones are {', '.join(sorted(COMMONS))}")
    return b""


def bare(text: str) -> str:
    """A capability's text without blanks around it, and out of its JSON."""
    text = text.strip()
    return _cap_object(text).strip() if text.startswith("{") else text


def is_named(text: str) -> bool:
    """Whether a capability is given as MACHINE.name, which only the operator can."""
    return NAMED.fullmatch(bare(text)) is not None


def _cap_object(text: str) -> str:
    said = jsonform.parse(text)
    if isinstance(said, dict) and list(said) == ["$cap"] and isinstance(said["$cap"], str):
        return said["$cap"]
    raise Malformed('a capability in JSON is {"$cap": "avm:..."}')


def add_content(parser: argparse.ArgumentParser) -> None:
    """`CAP [JSON] [--text T]`."""
    help_text = "avm:..., or MACHINE.name like counter.add"
    parser.add_argument("cap", metavar="CAP", help=help_text)
    parser.add_argument("value", metavar="JSON", nargs="?", help="the content; null if left out")
    parser.add_argument("--text", metavar="T", help="the content, as text")


def content_of(args: argparse.Namespace, holder: Holder) -> Value:
    """The content that is meant; Usage with the command as it should be."""
    if args.text is not None:
        if args.value is not None:
            raise Usage("JSON and --text are two contents: give one of them")
        return str(args.text)
    if args.value is None:
        return None
    try:
        return holder.from_json(args.value)
    except CapsError as error:
        words = ["avm-host", args.verb, args.cap, "--text", args.value]
        if len(args.value) > SHOWN_MAX:
            raise Usage(f"the content: {error}; a text goes with --text") from None
        raise Usage(f"{args.value!r}: {error}; for text: `{shlex.join(words)}`") from None


def json_of(parsed: Any) -> Any:
    """A value's JSON text as an object, to be put into a larger one."""
    return jsonform.parse(parsed)
