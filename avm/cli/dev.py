"""`dev`: a host in `./.avm` with one machine, a prompt for it, and its code reloaded on save.

Around the journey. Everything here goes through the same doors as the other verbs: the host is a
child process, and may be killed at the prompt to see that nothing is lost.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from select import select
from time import monotonic

from avm.cli.call import Call
from avm.cli.errors import REFUSED, CliError, Lost, NoHost, Usage
from avm.cli.given import add_given, check_given, create, environment, options_given
from avm.cli.link import ask
from avm.cli.main import main
from avm.cli.output import one_line, safe
from avm.cli.values import Holder
from avm.errors import AvmError
from avm.host import journal
from avm.machine.bundle import BundleRefused
from avm.machine.source import NotParsed, parse
from avm.near import did_you_mean
from avm.past.reading import NoSuchMachine, Reader
from avm.run.child import HostProcess
from avm.run.directory import Directory
from avm.run.errors import none_at
from avm.run.files import bundle_of
from avm.run.parts import NAME
from avm.run.watching import Watch
from caps.errors import CapsError
from caps.value import Failed, Value

POLL_S = 0.2
CALL_S = 60.0
ENDING_S = 5.0
# A closed terminal is an end too: no host is left behind.
ENDINGS = (signal.SIGTERM, signal.SIGHUP)
READ_BYTES = 64 * 1024
HELP = """\
NAME [JSON]  calls NAME with a value; words that are no JSON are a text
:names       what can be called
:state       the machine's state
:log         its journal
:crash       kills the host with -9 and brings it back
:quit        ends; .avm keeps the machine"""


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    help_text = "the machine's file (default: the only one here with a `step`)"
    parser.add_argument("file", metavar="FILE", nargs="?", help=help_text)
    add_given(parser)


def run(args: argparse.Namespace, directory: Directory) -> int:
    """Runs until the end of what is typed."""
    file = _the_file(Path.cwd()) if args.file is None else Path(args.file)
    if not file.is_file():
        raise Usage(f"{file}: {none_at(file)}")
    name = file.name.removesuffix(".py")
    if not NAME.fullmatch(name):
        raise Usage(f"{file}: a machine's name is small letters, digits and -: rename the file")
    check_given(args)
    if sys.stdin is None:
        raise Usage("`dev` takes what is typed from standard input, and that is closed")
    if args.dir is None:
        directory = Directory(Path.cwd() / ".avm")
    directory.create()
    # The keys of a host do not belong into a repository.
    (directory.path / ".gitignore").write_text("*\n", encoding="ascii")
    before = {number: signal.signal(number, _end) for number in ENDINGS}
    session = Session(directory, file, name, args)
    try:
        is_refused = session.run()
    finally:
        session.host.stop()
        for number, earlier in before.items():
            signal.signal(number, earlier)
    return REFUSED if is_refused else 0


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _the_file(folder: Path) -> Path:
    """The only file of a folder that is a machine's."""
    found = [path for path in sorted(folder.glob("*.py")) if _has_step(path)]
    if len(found) == 1:
        return Path(found[0].name)
    if not found:
        raise Usage("no file here has a `step`: `avm-host new NAME` makes one")
    names = ", ".join(path.name for path in found)
    raise Usage(f"several files here have a `step` ({names}): `avm-host dev {found[0].name}`")


def _has_step(path: Path) -> bool:
    try:
        return "step" in parse(path.read_text("utf-8"), "").bound
    except (OSError, UnicodeDecodeError, NotParsed):
        return False


class Session:
    """A host, a machine and somebody at the prompt."""

    def __init__(
        self, directory: Directory, file: Path, name: str, args: argparse.Namespace
    ) -> None:
        """`args` has what `init` is given, each time that the machine is created."""
        self._args = args
        self._directory = directory
        self._file = file
        self._name = name
        self._watch = Watch(file)
        self._names: list[str] = []
        self._seen = 0
        self._is_refused = False
        self.host = HostProcess.start(directory)

    def run(self) -> bool:
        """Takes line after line, and looks at the files in between.

        Tells whether the lines came from a program and the file, as it is at their end, is refused.
        """
        _say(f"{self._name} in {self._directory.path}; :help shows what can be typed")
        with Reader.open(self._directory) as reader:
            known = [one for one in reader.machines() if one.name == self._name]
            self._seen = reader.head(known[0]) if known else 0
        self._reload()
        terminal = sys.stdin.isatty()
        for line in self._lines(terminal):
            self._reload()
            if not terminal:
                _say(f"> {line}")
            if line.strip() in (":quit", ":q"):
                break
            try:
                self._take(line.strip())
            except (AvmError, CapsError) as error:
                _say(one_line(str(error)))
            self._show_news()
        return self._is_refused and not terminal

    def _lines(self, terminal: bool) -> Iterator[str]:
        """What is typed, by lines; while nothing is, the files are looked at."""
        source = sys.stdin.fileno()
        rest = b""
        self._prompt(terminal)
        while True:
            readable, _, _ = select([source], [], [], POLL_S)
            if not readable:
                if self._watch.has_changed():
                    if terminal:
                        print()
                    self._update()
                    self._prompt(terminal)
                continue
            received = os.read(source, READ_BYTES)
            if not received:
                if rest:
                    yield rest.decode("utf-8", "replace")
                return
            *whole, rest = (rest + received).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
                self._prompt(terminal)

    def _prompt(self, terminal: bool) -> None:
        if terminal:
            print("> ", end="", flush=True)

    def _take(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if not line:
            return
        if self.host.has_ended_within(0):
            self._restart("the host had ended")
        match name:
            case ":help":
                print(HELP, flush=True)
            case ":names":
                self._show_names()
            case ":state" | ":log":
                main(["--dir", str(self._directory.path), name[1:], self._name])
            case ":crash":
                self._crash()
            case _ if name.startswith(":"):
                _say(f"there is no {name}; :help shows what there is")
            case _:
                self._call_again(name, rest.strip())

    def _call_again(self, name: str, said: str) -> None:
        """Calls, once more when the host died before it was offered anything."""
        try:
            self._call(name, said)
        except (NoHost, Lost):
            if not self.host.has_ended_within(ENDING_S):
                raise
            self._restart("the host had ended")
            self._call(name, said)

    def _call(self, name: str, said: str) -> None:
        if name not in self._names:
            mark = did_you_mean(name, self._names)
            _say(f"there is no {name}{mark} it has: {', '.join(self._names) or 'nothing'}")
            return
        holder = Holder(self._directory)
        wire = holder.resolve(f"{self._name}.{name}")
        content = holder.encode(_content(said, holder))
        body, wires = Call(self._directory, wire, content, CALL_S).run()
        answer = holder.decode(body, wires)
        if isinstance(answer, Failed):
            _say(f"{answer.why}: {answer.detail}" if answer.detail else answer.why)
        else:
            print(holder.to_json(answer), flush=True)

    # The host.

    def _crash(self) -> None:
        self.host.kill()
        self._restart("the host was killed (-9)")

    def _restart(self, why: str) -> None:
        start = monotonic()
        self.host = HostProcess.start(self._directory)
        _say(f"{why}, and is back after {monotonic() - start:.1f} s")

    # The code.

    def _reload(self) -> None:
        if self._watch.has_changed():
            self._update()

    def _update(self) -> None:
        """Creates the machine, or upgrades it when its code is another; tells what came of it."""
        said = ""
        self._is_refused = False
        try:
            bundle = bundle_of(str(self._file))
            self._watch.follow(bundle)
            running = self._code_now()
            if running == bundle.hash:
                if not self._names:
                    said = f"{self._name} goes on where it was" + self._not_given()
            elif running is None:
                self._create(bundle.encode())
                said = f"{self._name} is created"
            else:
                params = {"machine": self._name, "bundle": bundle.encode()}
                done = ask(self._directory, "upgrade", params)
                said = f"{self._name} runs the new code from turn {done['turn']} on"
                said += "" if self._names else self._not_given()
        except (BundleRefused, CliError, CapsError) as error:
            said, self._is_refused = one_line(str(error)), True
            if self._names:
                said += "; the old code goes on"
        if said:
            _say(said)
        if not self._names:
            self._show_names()
        self._show_news()

    def _create(self, bundle: bytes) -> None:
        holder = Holder(self._directory)
        content, caps = holder.encode(environment(self._args, holder.handle))
        params = {"name": self._name, "bundle": bundle, "content": content, "caps": caps}
        create(self._directory, params, self._args)

    def _not_given(self) -> str:
        """What to do about options that come too late."""
        options = options_given(self._args)
        if not options:
            return ""
        again = f"`avm-host halt {self._name}`, `avm-host rm {self._name}` and `dev` again"
        return f"; {options} had no effect, as it was created before: {again}"

    def _code_now(self) -> bytes | None:
        with Reader.open(self._directory) as reader:
            try:
                return reader.machine(self._name).code
            except NoSuchMachine:
                return None

    def _show_names(self) -> None:
        if self._code_now() is not None:
            self._names = sorted(ask(self._directory, "names", {"machine": self._name}))
            _say(f"it has: {', '.join(self._names) or 'no names'}")

    def _show_news(self) -> None:
        """What was printed and what broke since the last look."""
        with Reader.open(self._directory) as reader:
            try:
                machine = reader.machine(self._name)
            except NoSuchMachine:
                return
            for n, body, printed in reader.store.entries(machine.id, self._seen):
                self._seen = n + 1
                if printed:
                    _say_lines(printed)
                entry = journal.decode(n, body)
                if entry.form == journal.FAILED and entry["detail"]:
                    _say_lines(str(entry["detail"]))


def _content(said: str, holder: Holder) -> Value:
    """The value that is typed: JSON, or a text where it does not look like JSON."""
    if not said:
        return None
    try:
        return holder.from_json(said)
    except CapsError:
        if said[0] in '{["':
            raise
        return said


def _say(text: str) -> None:
    print(safe(text), flush=True)


def _say_lines(text: str) -> None:
    for line in text.rstrip("\n").split("\n"):
        _say(f"  | {line}")
