"""Benches of real hosts for the kit: one, or two that talk over loopback, in directories that are thrown away.

The hosts are what `avm-host run` starts; machines are created and asked as `create` and `call` do it.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep

from avm.cli.call import Call
from avm.cli.errors import CliError
from avm.cli.link import ask
from avm.cli.values import Holder
from avm.host.about import NOTHING
from avm.kit.stage import HERE, THERE, NoAnswer
from avm.run.child import HostProcess
from avm.run.directory import Directory
from avm.run.files import bundle_of
from caps.value import Capability, Failed, Value

TIMEOUT_S = 60.0
LISTEN = "127.0.0.1:0"


class Running:
    """Hosts that run, by place."""

    unit_s = 2.0

    def __init__(self, directories: dict[str, Directory]) -> None:
        self._directories = directories
        self._holder = Holder(directories[HERE])
        self._made = 0

    def machine(
        self, source: str, place: str, environment: Value, about: Mapping[str, str] = NOTHING
    ) -> Value:
        """Creates a machine; see `Bench`."""
        self._made += 1
        body, caps = self._holder.encode(environment)
        given = {"name": f"m{self._made}", "bundle": bundle_of(source).encode()}
        params = {**given, "content": body, "caps": caps, "about": dict(about)}
        try:
            made = ask(self._directories[place], "create", params)
        except CliError as error:
            raise _no_answer(error) from None
        if made["content"] is None:
            return None
        return self._holder.decode(made["content"], made["caps"])

    def call(self, to: Capability, content: Value, place: str) -> Value:
        """Asks; see `Bench`."""
        wire = self._holder.wire_of(to)
        said = self._holder.encode(content)
        try:
            body, wires = Call(self._directories[place], wire, said, TIMEOUT_S).run()
        except CliError as error:
            raise _no_answer(error) from None
        answer = self._holder.decode(body, wires)
        if isinstance(answer, Failed):
            raise NoAnswer(answer.why, answer.detail)
        return answer

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        sleep(seconds)


@contextmanager
def running(places: tuple[str, ...] = (HERE, THERE)) -> Iterator[Running]:
    """Hosts at these places, the one that is not among them being the other; stopped at the end."""
    with ExitStack() as stack:
        directories: dict[str, Directory] = {}
        route = ""
        for place in places:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="avm-kit-"))
            directories[place] = directory = Directory(Path(folder) / "host")
            directory.create()
            directory.config_file.write_text(_config(route if len(places) > 1 else None), "utf-8")
            host = HostProcess.start(directory)
            stack.callback(host.stop)
            route = ask(directory, "status", {})["route"] or ""
        yield Running({place: directories.get(place, directory) for place in (HERE, THERE)})


def _config(route: str | None) -> str:
    """The configuration of a host: without a route to join by it is the first, without None alone."""
    lines = ["[host]", "workers = 1"]
    if route is not None:
        bootstrap = json.dumps([route] if route else [])
        lines += ["[network]", f'listen = "{LISTEN}"', f"bootstrap = {bootstrap}"]
    return "\n".join(lines) + "\n"


def _no_answer(error: CliError) -> NoAnswer:
    why, _, detail = str(error).partition(": ")
    return NoAnswer(why, detail)
