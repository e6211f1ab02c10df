"""The stories: each tells what stands at its head, also where the host dies whenever somebody asks."""

import ast
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from avm.kit.playing import SCENES
from avm.testing import Asked, Client, World
from caps.value import Capability

EXAMPLES = Path(__file__).parents[2] / "examples"
STORIES = sorted(one for one in (EXAMPLES / "stories").glob("*.py") if one.stem != "telling")
DEMOS = {"demo.py", "demo_hosts.py"}
LINES_MAX = 80
Story = Callable[[World], Iterator[str]]


class Interrupted(Client):
    """A client during whose asks the host dies, each time a little later."""

    def ask(self, to: Capability, content: object = None, *, timeout_s: float = 60.0) -> Asked:
        asked = super().ask(to, content, timeout_s=timeout_s)
        assert isinstance(self._world, Mortal)
        self._world.asks += 1
        for _ in range(self._world.asks % self._world.apart):
            self._world.step()
        self._world.crash()
        return asked


class Mortal(World):
    """A world whose host dies at each ask; the seed says how much is done by then, and in which order."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, shuffled=True)
        self.asks, self.apart = seed, 3 + seed

    def client(self, name: str | None = None, *, on: str | None = None) -> Client:
        client = super().client(name, on=on)
        client.__class__ = Interrupted
        return client


def told_at_the_head(path: Path) -> tuple[Story, list[str]]:
    """The story in a file, and the lines of it that stand in the file's docstring."""
    module = import_module(f"examples.stories.{path.stem}")
    lines = (module.__doc__ or "").splitlines()
    return module.story, [line[4:] for line in lines if line.startswith("    ")]


def patterns_in(path: Path) -> set[str]:
    """The patterns that a file uses."""
    used = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "caps.patterns":
                used |= {one.name for one in node.names}
            elif node.module.startswith("caps.patterns."):
                used.add(node.module.rpartition(".")[2])
    return used


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_x03_a_story_goes_as_it_is_told_at_its_head(path: Path) -> None:
    story, lines = told_at_the_head(path)
    assert lines and list(story(World())) == lines


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_x03_a_story_goes_the_same_though_the_host_dies_at_each_ask(path: Path, seed: int) -> None:
    story, lines = told_at_the_head(path)
    assert list(story(Mortal(seed))) == lines


def test_x03_each_pattern_is_used_by_an_example_that_the_list_names() -> None:
    rows = re.findall(
        r"^\| `(\S+\.py)` \| (.*) \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE
    )
    named = {
        file: set(re.findall(r"\(\.\./docs/how-to/patterns/(\w+)\.md\)", text))
        for file, text in rows
    }
    files = [one for one in EXAMPLES.rglob("*.py") if one.name not in {*DEMOS, "telling.py"}]
    used = {
        str(one.relative_to(EXAMPLES)): patterns_in(one)
        for one in files
        if one.parent.name != "logs"
    }
    assert named == used
    assert {*SCENES} - {"factory"} <= set().union(*used.values())


def test_x03_the_page_of_the_patterns_leads_to_an_example_of_each() -> None:
    page = EXAMPLES.parent / "docs" / "how-to" / "patterns" / "README.md"
    rows = re.findall(r"\| \[\w+\]\((\w+)\.md\) \| (.*) \|$", page.read_text(), re.MULTILINE)
    for pattern, example in rows:
        for file in re.findall(r"\]\(\.\./\.\./\.\./examples/(\S+)\)", example):
            assert pattern in patterns_in(EXAMPLES / file), file
    shown = {pattern for pattern, example in rows if "examples/" in example}
    assert shown | {"factory"} == {*SCENES, "passing"}


def test_each_example_is_one_file_of_at_most_80_lines() -> None:
    for path in EXAMPLES.rglob("*.py"):
        if path.name not in DEMOS and path.parent.name != "logs":
            assert len(path.read_text().splitlines()) <= LINES_MAX, path
