"""The tutorials, from the first command to the last: what they say is what happens."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.commands import commands

pytestmark = pytest.mark.net

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(
    r"(?:<!-- (?P<use>file|part of): (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```\n",
    re.DOTALL,
)
COMMAND_S_MAX = 60.0
# What only a shell understands.
SHELL = re.compile(r"[|<>&;$`*?~\\(\n]")


class Reader:
    """Somebody who does what the tutorial says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.background: list[subprocess.Popen[bytes]] = []
        self.commands = 0
        tools = str(Path(sys.executable).parent)
        kept = {name: value for name, value in os.environ.items() if name != "AVM_HOST_DIR"}
        self.environment = {**kept, "PATH": tools + os.pathsep + os.environ["PATH"]}

    def follow(self, block: re.Match[str]) -> None:
        """Saves a file, compares a part of one, or runs commands."""
        match block["use"], block["kind"]:
            case "file", _:
                (self.folder / block["file"]).write_text(block["text"])
            case "part of", _:
                assert block["text"] in (self.folder / block["file"]).read_text()
            case _, "console":
                for session in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                    command, _, said = session.partition("\n")
                    self.run(command, said)
            case other:
                raise AssertionError(f"a block of no known kind: {other}")

    def run(self, command: str, said: str) -> None:
        self.commands += 1
        if command.startswith("cd "):
            self.folder = self.folder / command.removeprefix("cd ")
            return
        if command.endswith(" &"):
            started = subprocess.Popen(
                ["bash", "-c", f"exec {command.removesuffix(' &')}"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self.background.append(started)
            return
        typed = "".join(f"{line[2:]}\n" for line in said.splitlines() if line.startswith("> "))
        if command.startswith("avm-host ") and not SHELL.search(command):
            words = shlex.split(command)[1:]
            how = (typed.encode(), self.folder, self.environment, COMMAND_S_MAX)
            printed = commands().run(words, *how, mixed=True)[1].decode()
        else:
            printed = self._in_shell(command, typed)
        assert re.fullmatch(expected(said), printed), (command, said, printed)

    def _in_shell(self, command: str, typed: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        return ran.stdout

    def close(self) -> None:
        for process in self.background:
            process.terminate()
            process.wait(COMMAND_S_MAX)


def expected(said: str) -> str:
    """The pattern for what a command says: three dots stand for anything."""
    return "(?s:.*?)".join(re.escape(part) for part in said.split("..."))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    yield one
    one.close()


@pytest.mark.parametrize("page", ["tutorial.md", "delegating.md"])
def test_the_tutorial_does_what_it_says(reader: Reader, page: str) -> None:
    text = (DOCS / page).read_text()
    for block in BLOCK.finditer(text):
        reader.follow(block)
    assert reader.commands == text.count("\n$ ")
    assert reader.background[0].wait(COMMAND_S_MAX) == 0
