"""The documents: what they say is so, what they point at is there, and what they show runs."""

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from avm import __all__ as face
from avm.cli.arguments import load, options_of, verb_parser
from avm.cli.verbs import VERBS, Verb
from avm.kit.playing import SCENES
from avm.run.config import Config
from tests.net.test_tutorial import BLOCK, Reader, expected

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.md")])
PAGES += sorted((ROOT / "bench").glob("*.md"))
GUARANTEES = (DOCS / "guarantees.md").read_text()

LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED_TEST = re.compile(r"`(test_[a-z0-9_]+)`")
TEST = re.compile(r"def (test_[a-z0-9_]+)")
ROWS = "W01 W02 W03 W04 W06 W12 W13 W14 W15 W19 W21 W22 W28 S01 S03 C01 C02 C03 C04 C06 P01 P06"
ROWS += " T01 T02 X02 X10 W05 S02 S04 S05 S06 S07 S08 S09 S10 S11 T03 T04 T06 T08 W18 C08 P08 X05 X06 P02 C05 P03 P04 P05 P07"
ROWS += " X01 X03 X04 W11 W16 W17 W20 W26 T05"
OUTSIDE = re.compile(
    r"\b[A-Z]{4,}\.md\b(?<!README\.md)(?<!CHANGELOG\.md)(?<!RESULTS\.md)|(?<![\w.])/(root|home|Users)/|"
    r"\bbrief\b|\bthe issue\b|(?<![.\w])issue #?[0-9]|\bTBD\b"
)
HOW_TO = sorted(page for page in (DOCS / "how-to").glob("*.md") if "```console" in page.read_text())
SESSION = re.compile(r"<!-- session -->\n```sh\n(.*?)```", re.DOTALL)
PRINTED = re.compile(r"<!-- printed -->\n```text\n(.*?)```", re.DOTALL)
PART = re.compile(r"<!-- part of: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
SESSION_S_MAX = 60.0


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def existing_tests() -> set[str]:
    return {
        name for path in (ROOT / "tests").rglob("*.py") for name in TEST.findall(path.read_text())
    }


def anchor(heading: str) -> str:
    """The anchor of a heading, as the usual renderers make it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def headings(page: Path) -> set[str]:
    without_code = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return {anchor(line) for line in re.findall(r"^#+ (.+)$", without_code, flags=re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, part = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if part:
            assert part in headings(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_names_what_is_outside_of_the_project(page: Path) -> None:
    found = OUTSIDE.search(page.read_text())
    assert found is None, found


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in LINK.findall(page.read_text()):
            target = (page.parent / link.partition("#")[0]).resolve()
            if not link.startswith("https://") and target.suffix == ".md":
                waiting.append(target)
    assert not {page.resolve() for page in PAGES} - {page.resolve() for page in reached}


def test_every_promise_names_tests_that_exist_and_has_one_named_after_its_row() -> None:
    tests = existing_tests()
    threats = (DOCS / "threat-model.md").read_text()
    missing = {*NAMED_TEST.findall(GUARANTEES), *NAMED_TEST.findall(threats)} - tests
    assert not missing
    paragraphs = re.findall(
        r"^\*\*([A-Z][0-9]{2})\.(.*?)\n\n", GUARANTEES, re.DOTALL | re.MULTILINE
    )
    assert {row for row, _text in paragraphs} == set(ROWS.split())
    for row, text in paragraphs:
        named_here = NAMED_TEST.findall(text)
        assert any(f"_{row.lower()}_" in name for name in named_here), f"{row} has no test here"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb.name))
def test_each_verb_and_option_is_in_the_reference(verb: Verb) -> None:
    lines = (REFERENCE / "command-line.md").read_text().splitlines()
    heads = [line for line in lines if line.startswith("### ") and f"`{verb.name}" in line]
    assert heads, f"{verb.name} is not in the reference"
    for option in options_of(verb_parser(verb, load(verb))):
        if option.startswith("--") and option not in ("--help", "--dir"):
            assert any(option in line for line in heads), f"{verb.name} {option}"


def test_each_key_is_in_the_reference_with_its_default() -> None:
    text = (REFERENCE / "configuration.md").read_text()
    rows = re.findall(r"^(\| `.*?` \| .*? \|)", text, re.MULTILINE)
    assert rows == [f"| `{key}` | {value} |" for key, value in Config().items()]


def test_every_name_of_the_step_authors_face_is_documented() -> None:
    text = (REFERENCE / "step.md").read_text()
    for name in face:
        assert re.search(rf"\b{name}\b", text), f"{name} is not documented"


def test_parts_that_the_readme_shows_are_what_the_files_say() -> None:
    parts = PART.findall((ROOT / "README.md").read_text())
    assert parts
    for file, text in parts:
        assert text in (ROOT / file).read_text()


@pytest.mark.net
def test_the_readmes_session_works_when_pasted(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    (session,), (printed,) = SESSION.findall(readme), PRINTED.findall(readme)
    reader = Reader(tmp_path)
    ran = subprocess.run(
        ["bash"],
        cwd=tmp_path,
        env=reader.environment,
        input=session,
        capture_output=True,
        text=True,
        timeout=SESSION_S_MAX,
        check=False,
    )
    assert re.fullmatch(expected(printed), ran.stdout), ran.stdout + ran.stderr
    assert ran.returncode == 0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    yield one
    one.close()


@pytest.mark.net
@pytest.mark.parametrize("page", HOW_TO, ids=named)
def test_a_how_to_does_what_it_says(page: Path, reader: Reader) -> None:
    for block in BLOCK.finditer(page.read_text()):
        reader.follow(block)
    assert reader.commands == page.read_text().count("\n$ ")


def test_the_house_is_not_named() -> None:
    assert f"{ROOT}/" not in "".join(page.read_text() for page in PAGES)
    assert sys.prefix not in "".join(page.read_text() for page in PAGES)


PATTERN_PAGES = sorted((DOCS / "how-to" / "patterns").glob("*.md"))
PYTHON = re.compile(r"(?:<!-- file: (\S+) -->\n)?```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PATTERN_PAGES, ids=named)
def test_x03_what_a_pattern_s_page_shows_is_so(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown: dict[str, object] = {}
    for number, (file, text) in enumerate(PYTHON.findall(page.read_text())):
        if file:
            (tmp_path / file).write_text(text)
        else:
            session = doctest.DocTestParser().get_doctest(text, shown, page.name, None, number)
            result = doctest.DocTestRunner(verbose=False).run(session, clear_globs=False)
            shown.update(session.globs)
            assert not result.failed


def test_x03_each_pattern_has_a_page_that_can_be_found() -> None:
    index = (DOCS / "how-to" / "patterns" / "README.md").read_text()
    assert all(f"]({name}.md)" in index for name in SCENES)
    assert {page.stem for page in PATTERN_PAGES} == {*SCENES, "README", "passing", "kit"}
