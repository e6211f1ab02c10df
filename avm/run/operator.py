"""What an operator asks of a running host, and what the core is told of it.

Step 1 of the journey for what is no message. Some requests are answered at once; the others name
the request to the core, and are answered when what they ask for is committed.
"""

from collections.abc import Callable
from typing import Any, Protocol

from avm.host.audited import handed
from avm.host.capability import INVALID, Cap, Local, from_bytes
from avm.host.clients import OPERATOR, ear
from avm.host.core import ENTROPY_BYTES, Core
from avm.host.failed import no_failed
from avm.host.generations import GRACE_MS_MAX, revoke_generation, rotate
from avm.host.journal import hash_of_code
from avm.host.making import AT_MOST_MAX, create_factory
from avm.host.moves import NAMELESS, gone_by
from avm.host.passage import NAME
from avm.host.rebuild import rebuild
from avm.host.state import Machine, Mode
from avm.near import did_you_mean
from avm.run.parts import BadFrame, bytes_in, number_in, text_in, texts_in
from avm.store.interface import Store
from caps.codec import encode_state

OPERATOR_CONTEXT = encode_state(OPERATOR)[0]
SHOWN_MAX = 10
Entropy = Callable[[int], bytes]
Answer = Callable[[Any, str], None]
Outside = Callable[[str, dict[str, Any], Callable[[], int], Answer], Any]


def _rebuild(core: Core, request: int, machine: Machine, params: dict[str, Any]) -> None:
    """Has put in place what a client's frame says."""
    bundle, body = bytes_in(params["bundle"]), bytes_in(params["body"])
    references = params["references"]
    if type(references) is not list:
        raise BadFrame("not references")
    made_of = number_in(params["head"]), bytes_in(params["chain"])
    code = hash_of_code(bundle)
    core.do(rebuild, request, machine, code, bundle, (body, references), made_of)


def _grace(value: object) -> int | None:
    if value is None:
        return None
    if not 0 <= number_in(value) <= GRACE_MS_MAX:
        raise BadFrame("no such grace")
    return number_in(value)


class Files(Protocol):
    """What is done with files beside the host."""

    def act(
        self, verb: str, params: dict[str, Any], request: Callable[[], int], answer: Answer
    ) -> None:
        """Copies the host into a file, or has a machine come out of one."""

    def export(self, machine: Machine, params: dict[str, Any], request: Callable[[], int]) -> None:
        """Has a machine go into a file."""


def operator_capability(address: bytes) -> Local:
    """The capability to all that an operator may do."""
    return Local(address, 0, 0, 0, None, OPERATOR_CONTEXT, ())


class NotDone(Exception):
    """An operator's request that cannot be done: one line, and the exit code that fits."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Operator:
    """Does what operators ask."""

    def __init__(
        self,
        core: Core,
        store: Store,
        entropy: Entropy,
        status: Callable[[], dict[str, Any]],
        stop: Callable[[], None],
        files: Files,
        open_untrusted: Callable[[bytes], Cap],
        outside: Outside,
    ) -> None:
        """`open_untrusted` gives `INVALID` for a capability that is not valid."""
        self._core = core
        self._store = store
        self._entropy = entropy
        self._status = status
        self._stop = stop
        self._files = files
        self._open = open_untrusted
        self._outside = outside

    def act(
        self,
        client: bytes,
        verb: str,
        params: dict[str, Any],
        request: Callable[[], int],
        answer: Answer,
    ) -> Any:
        """Does what the operator asks; None when the answer comes later.

        `request` names the request to the core, `answer` is for what the core has no part in.
        Raises `NotDone`, and `KeyError` or `BadFrame` for a request that lacks a part.
        """
        core = self._core
        match verb:
            case "status":
                return self._status()
            case "stop":
                self._stop()
                return {}
            case "ear":
                core.do(ear, client, request(), bytes_in(params["context"]))
                return None
            case "names":
                return self._names(self._machine(params["machine"]))
            case "name":
                return self._name(self._machine(params["machine"]), params["name"])
            case "create":
                self._create(client, params, request)
                return None
            case "factory":
                self._factory(client, params, request)
                return None
            case "links" | "channels" | "locate" | "dht" | "drain" | "peers" | "publish":
                return self._outside(verb, params, request, answer)
            case "move" if params.get("back"):
                return self._outside(verb, params, request, answer)
            case "move":
                machine = self._machine(params["machine"])
                return self._outside(verb, {**params, "machine": machine.name}, request, answer)
            case "backup" | "import":
                self._files.act(verb, params, request, answer)
                return None
            case "export":
                self._files.export(self._machine(params["machine"]), params, request)
                return None
        return self._act_on(self._machine(params["machine"]), verb, params, request)

    def _act_on(
        self, machine: Machine, verb: str, params: dict[str, Any], request: Callable[[], int]
    ) -> None:
        core = self._core
        match verb:
            case "upgrade":
                bundle = bytes_in(params["bundle"])
                core.upgrade(request(), machine, hash_of_code(bundle), bundle)
            case "edit":
                body, caps = bytes_in(params["body"]), self._caps(params["caps"])
                core.edit(request(), machine, body, caps)
            case "rebuild":
                _rebuild(core, request(), machine, params)
            case "suspend":
                mode = Mode.FAIL if params.get("mode") == "fail" else Mode.HOLD
                core.change(request(), machine, verb, mode)
            case "rotate":
                core.do(rotate, request(), machine, _grace(params["grace_ms"]))
            case "revoke":
                core.do(revoke_generation, request(), machine, number_in(params["generation"]))
            case "resume" | "halt" | "rm":
                core.change(request(), machine, verb)
            case "retry":
                self._retry(request, machine, params)
            case "drop":
                turn = number_in(params["turn"])
                if self._store.get(("failed", machine.id, turn)) is None:
                    raise NotDone(no_failed(machine.name, turn))
                core.drop_failed(request(), machine, turn)
            case "prune":
                keep_from = number_in(params["keep_from"])
                core.prune(request(), machine, keep_from)
            case _:
                raise NotDone(f"this host knows no verb {verb}", 2)
        core.pump()

    def _machine(self, name: str) -> Machine:
        host = self._core.host
        found = host.names.get(name)
        if found is not None:
            return found
        wanted = text_in(name)
        matches = [one for one in host.machines.values() if one.address.hex().startswith(wanted)]
        if wanted and len(matches) == 1:
            return matches[0]
        if wanted and matches:
            raise NotDone(f"several machines' addresses start with {wanted}: type more of it")
        gone = gone_by(host.moves, wanted) if wanted else ""
        if gone:
            raise NotDone(gone)
        there = ", ".join(sorted(host.names)[:SHOWN_MAX]) or "none yet: `avm-host create FILE`"
        more = len(host.names) - SHOWN_MAX
        rest = f" and {more:,} more" if more > 0 else ""
        mark = did_you_mean(wanted, host.names)
        raise NotDone(f"there is no machine {wanted or NAMELESS}{mark} there are: {there}{rest}")

    def _names(self, machine: Machine) -> dict[str, bytes]:
        bound = self._core.host.bound.items()
        found = {name: row for (n, name), row in bound if n == machine.id}
        for name in found:
            self._core.do(handed, machine, name)
        return {name: self._core.seal(from_bytes(row)) for name, row in found.items()}

    def _name(self, machine: Machine, name: str) -> bytes:
        row = self._core.host.bound.get((machine.id, name))
        if row is None:
            has = [one for number, one in self._core.host.bound if number == machine.id]
            mark = did_you_mean(text_in(name), has)
            raise NotDone(
                f"{machine.name} has no name {name}{mark} it has: {', '.join(has) or 'none'}"
            )
        self._core.do(handed, machine, name)
        return self._core.seal(from_bytes(row))

    def _caps(self, wires: list[bytes]) -> tuple[Cap, ...]:
        caps = tuple(self._open(wire) for wire in wires)
        if INVALID in caps:
            raise NotDone("a capability is not valid", 1)
        return caps

    def _create(self, client: bytes, params: dict[str, Any], request: Callable[[], int]) -> None:
        name, content = text_in(params["name"]), bytes_in(params["content"])
        bundle = bytes_in(params["bundle"])
        caps = self._caps(params["caps"])
        code, entropy = hash_of_code(bundle), self._entropy(ENTROPY_BYTES)
        about = texts_in(params.get("about", {}))
        self._core.create(request(), client, name, code, bundle, content, caps, entropy, about)
        self._core.pump()

    def _factory(self, client: bytes, params: dict[str, Any], request: Callable[[], int]) -> None:
        name, stem = text_in(params["name"]), text_in(params["stem"])
        bundle, makes = bytes_in(params["bundle"]), bytes_in(params["makes"])
        at_most = number_in(params["at_most"])
        if not NAME.fullmatch(name) or not NAME.fullmatch(stem) or not 1 <= at_most <= AT_MOST_MAX:
            raise BadFrame("not a factory")
        entropy = self._entropy(ENTROPY_BYTES)
        about = texts_in(params.get("about", {}))
        made = (name, bundle, makes, stem, at_most, entropy, about)
        self._core.do(create_factory, request(), client, *made)
        self._core.pump()

    def _retry(self, request: Callable[[], int], machine: Machine, params: dict[str, Any]) -> None:
        turn = number_in(params["turn"])
        row = self._store.get(("failed", machine.id, turn))
        contents = params.get("contents")
        edited = None
        if contents is not None:
            edited = [(bytes_in(body), self._caps(wires)) for body, wires in contents]
        self._core.retry(request(), machine, turn, row, edited)
