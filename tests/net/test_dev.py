"""`dev`: a real host, a machine and a prompt, driven through its standard input."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from select import select
from time import monotonic

import pytest

from avm.run.directory import Directory
from tests.net.hosts import wait_until

pytestmark = pytest.mark.net

COUNTER = (Path(__file__).parents[2] / "examples" / "counter.py").read_text()
SHOP = """\
from avm import Send

def init(message, me):
    given = message.content
    return message.answer({"pay": me("pay"), "open": me("open")}), (given["bank"], given["open"])

def step(message, state):
    bank, is_open = state
    if message.context == "open":
        return message.answer(is_open), state
    return [Send(bank, message.content, reply=message.reply)], state
"""
PATIENCE_S = 30.0
COMMAND = [sys.executable, "-m", "avm.cli.main"]


class Dev:
    """A running `dev`, and what it has said."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.said: list[str] = []
        self._rest = b""
        self.process = subprocess.Popen(
            [*COMMAND, "dev", *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait_for(self, text: str) -> str:
        """The first line from now on that holds the text."""
        until = monotonic() + PATIENCE_S
        while (line := self._line(until)) is not None:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said: {self.said}")

    def ask(self, line: str) -> str:
        """Types a line and returns the line after its echo."""
        self.type(line)
        self.wait_for(f"> {line}")
        return self.wait_for("")

    def _line(self, until: float) -> str | None:
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            readable, _, _ = select([self.process.stdout], [], [], max(0.0, until - monotonic()))
            received = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            if not received:
                return None
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def end(self) -> int:
        """Ends what is typed, and waits for the end; the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "counter.py").write_text(COUNTER)
    return tmp_path


@pytest.fixture
def dev(folder: Path) -> Iterator[Dev]:
    one = Dev(folder)
    yield one
    one.end()


def host_pid(folder: Path) -> int:
    return int(Directory(folder / ".avm").lock_file.read_text())


def test_calls_are_answered_and_survive_a_crash(dev: Dev, folder: Path) -> None:
    dev.wait_for("counter is created")
    dev.wait_for("it has: add, read")
    assert dev.ask("add 5") == "5"
    assert dev.ask("add -2") == "3"
    assert dev.ask("add five") == "refused"
    assert "not JSON" in dev.ask('add {"a"')
    assert dev.ask("ad 1") == "there is no ad; did you mean add? it has: add, read"
    assert dev.ask("sub 1") == "there is no sub; it has: add, read"
    assert dev.ask(":what") == "there is no :what; :help shows what there is"
    before = host_pid(folder)
    assert "killed (-9), and is back" in dev.ask(":crash")
    assert host_pid(folder) != before
    assert dev.ask("read") == "3"
    assert dev.end() == 0


def test_a_saved_file_is_taken_with_its_state_and_a_broken_one_is_not(
    dev: Dev, folder: Path
) -> None:
    dev.wait_for("it has: add, read")
    assert dev.ask("add 5") == "5"
    (folder / "counter.py").write_text("def step(:\n")
    assert "does not parse" in dev.wait_for("the old code goes on")
    assert dev.ask("add 5") == "10"
    (folder / "counter.py").write_text(COUNTER.replace("state.total + n", "state.total + 2 * n"))
    dev.wait_for("counter runs the new code from turn")
    assert dev.ask("add 5") == "20"
    (folder / "counter.py").write_text(COUNTER.replace("total: int", "sum: int"))
    assert "keeps its code" in dev.wait_for("the old code goes on")
    assert dev.ask("add 5") == "30"


def test_what_is_printed_and_what_breaks_is_shown(dev: Dev, folder: Path) -> None:
    dev.wait_for("it has: add, read")
    text = COUNTER.replace(
        "total = state", "print('adding', n)\n            total = 1 // n + state"
    )
    (folder / "counter.py").write_text(text)
    dev.wait_for("counter runs the new code")
    assert dev.ask("add 1") == "2"
    dev.wait_for("  | adding 1")
    assert dev.ask("add 0") == "rejected"
    dev.wait_for("  | ZeroDivisionError")


def test_a_second_dev_goes_on_where_the_first_was(dev: Dev, folder: Path) -> None:
    dev.wait_for("it has: add, read")
    refused = subprocess.run(
        [*COMMAND, "dev"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert f"is in use by pid {host_pid(folder)}" in refused.stderr
    assert dev.ask("add 5") == "5"
    assert dev.end() == 0
    second = Dev(folder, "counter.py")
    second.wait_for("counter goes on where it was")
    assert second.ask("read") == "5"
    assert second.end() == 0


def test_a_host_that_died_by_itself_is_brought_back(dev: Dev, folder: Path) -> None:
    dev.wait_for("it has: add, read")
    assert dev.ask("add 5") == "5"
    pid = host_pid(folder)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: ") Z " in Path(f"/proc/{pid}/stat").read_text())
    assert "the host had ended, and is back" in dev.ask("read")
    assert dev.wait_for("") == "5"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_dev_that_is_ended_leaves_no_host(dev: Dev, folder: Path, number: int) -> None:
    dev.wait_for("it has: add, read")
    pid = host_pid(folder)
    dev.process.send_signal(number)
    assert dev.process.wait(PATIENCE_S) == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_program_is_told_by_the_exit_code_that_a_file_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    done = subprocess.run(
        [*COMMAND, "dev", "a.py"],
        check=False,
        cwd=tmp_path,
        input=b":names\n",
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1 and b"a.py: has no `step`" in done.stdout


def test_init_is_given_params_and_what_an_earlier_dev_made(folder: Path) -> None:
    first = Dev(folder, "counter.py")
    first.wait_for("it has: add, read")
    assert first.end() == 0
    (folder / "shop.py").write_text(SHOP.replace("def step(", "def stop("))
    given = ("--params", '{"open": [1, 2]}', "--grant", "bank=counter.add")
    shop = Dev(folder, "shop.py", *given)
    assert "has no `step`" in shop.wait_for("shop.py")
    (folder / "shop.py").write_text(SHOP)
    shop.wait_for("shop is created")
    assert shop.ask("open") == "[1, 2]"
    assert shop.ask("pay 7") == "7"
    (folder / "shop.py").write_text(SHOP + "# saved again\n")
    shop.wait_for("shop runs the new code from turn")
    assert shop.ask("open") == "[1, 2]"
    assert shop.end() == 0
    again = Dev(folder, "shop.py", *given)
    late = "--params and --grant had no effect, as it was created before: `avm-host halt shop`"
    assert late in again.wait_for("shop goes on where it was")
    assert again.end() == 0


def test_init_that_is_not_given_what_it_takes_is_told_with_the_option(folder: Path) -> None:
    (folder / "shop.py").write_text(SHOP)
    (folder / "bare.py").write_text(
        "def init(message, me):\n    return (message.answer({}), 0) if message.content is None else None"
        "\n\ndef step(message, state):\n    return [], state\n"
    )

    def said(*words: str) -> str:
        one = Dev(folder, *words)
        line = one.wait_for("to be created" if "=" not in words[-1] else "machine")
        assert one.end() == 1
        return line

    needs = said("shop.py")
    assert "subscriptable (shop.py, line 5); init was given null: `--params JSON`" in needs
    given = "; init was given --params: give it what it takes, or nothing"
    assert said("shop.py", "--params", "{}").endswith("KeyError: 'bank' (shop.py, line 5)" + given)
    assert said("bare.py", "--params", "1") == "bare refused to be created" + given
    assert "there is no machine bank" in said("shop.py", "--grant", "bank=bank.pay")
    ran = subprocess.run(
        [*COMMAND, "dev", "shop.py", "--params", '{"a"'],
        cwd=folder,
        capture_output=True,
        text=True,
        input="",
        check=False,
    )
    assert ran.returncode == 2 and "--params '{\"a\"': not JSON" in ran.stderr


def test_which_file_is_meant_is_found_or_asked_for(tmp_path: Path) -> None:
    def said() -> str:
        ran = subprocess.run(
            [*COMMAND, "dev"], cwd=tmp_path, capture_output=True, text=True, input="", check=False
        )
        assert ran.returncode == 2
        assert not (tmp_path / ".avm").exists()
        return ran.stderr

    assert "no file here has a `step`" in said()
    (tmp_path / "one.py").write_text(COUNTER)
    (tmp_path / "two.py").write_text(COUNTER)
    (tmp_path / "notes.py").write_text("x = 1\n")
    assert "(one.py, two.py): `avm-host dev one.py`" in said()
