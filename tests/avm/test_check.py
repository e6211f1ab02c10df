"""`check` and `new`: what is told of a file before it becomes a machine."""

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.cli.main import main
from avm.run import samples
from avm.run.findings import findings
from caps.value import freeze

EXAMPLES = [
    path
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
    if not path.stem.startswith("demo")
]

HEAD = """\
from avm import Me, Message, Refused, Send, Step, record

def init(message, me):
    return message.answer({name: me(name) for name in ("add", "tags", "read")}), (me, ())

"""


def findings_of(body: str) -> list[tuple[int, bool, str]]:
    return [(one.line, one.error, one.text) for one in findings(HEAD + dedent(body))]


def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str) -> tuple[int, list[str]]:
    file = tmp_path / "machine.py"
    file.write_text(HEAD + dedent(body))
    code = main(["check", str(file)])
    lines = capsys.readouterr().out.splitlines()
    return code, [line.removeprefix(str(file)) for line in lines]


# The file's text.


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_is_found_in_the_examples(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"file": str(path), "ok": True, "findings": []}


def test_a_case_that_captures_is_an_error() -> None:
    ((line, error, text),) = findings_of("""\
        ADD = "add"
        def step(message, state):
            match message.context, message.content:
                case ADD, int(n):
                    return message.answer(n), state
            raise Refused
        """)
    assert (line, error) == (9, True)
    assert "`case ADD` takes anything" in text


def test_a_context_that_is_taken_and_not_used_is_a_warning() -> None:
    ((line, error, text),) = findings_of("""\
        def step(message, state):
            match message.context, message.content:
                case add, int(n):
                    return message.answer(n), state
                case name, str(text):
                    return message.answer(name), state
                case _, None:
                    return [], state
            raise Refused
        """)
    assert (line, error) == (8, False)
    assert '"add" in quotes' in text


def test_sends_over_many_capabilities_without_apart_are_a_warning() -> None:
    found = findings_of("""\
        def step(message, state):
            me, ears = state
            one = [Send(ear, 1) for ear in ears]
            two = [Send(ear, 1, apart=True) for ear in ears]
            three = [Send(message.reply, ear) for ear in ears]
            for name, ear in ears:
                one.append(Send(to=ear, content=name))
            return one, state
        """)
    assert [(line, error) for line, error, _ in found] == [(8, False), (12, False)]
    assert all("apart=True" in text for _, _, text in found)


def test_names_that_hide_others_are_told() -> None:
    found = findings_of("""\
        LIMIT = 3
        def max(a, b):
            return a
        def step(message, state):
            record = message.content
            return [], record
        def twice(LIMIT):
            return LIMIT
        def twice(n):
            return n
        """)
    assert [(line, error) for line, error, _ in found] == [
        *((7, False), (10, False), (12, False), (14, True)),
    ]


def test_what_is_changed_outside_the_state_is_an_error() -> None:
    found = findings_of("""\
        SEEN = []
        TABLE = {"a": 1}
        COUNT = 0
        def step(message, state):
            global COUNT
            COUNT = 1
            SEEN.append(1)
            TABLE["b"] = 2
            return [], TABLE["a"]
        def pure(message):
            SEEN = []
            SEEN.append(1)
            return SEEN
        """)
    errors = [(line, text) for line, error, text in found if error]
    assert [line for line, _ in errors] == [10, 12, 13]
    assert all("keep it in the state" in text for _, text in errors)


# What is probed.


@settings(max_examples=30)
@given(st.sampled_from([path.read_text() for path in EXAMPLES]))
def test_samples_are_values_of_a_bounded_number(text: str) -> None:
    for values in (samples.contents(text), samples.environments(text)):
        assert 0 < len(values) <= samples.SAMPLES_MAX
        for value in values:
            freeze(value)


def test_cases_are_looked_for_where_the_step_comes_from() -> None:
    texts = {
        "shop": "from caps.patterns.mint import init, step\n",
        "caps.patterns.mint": "def step(message, state): ...\n",
        "own": "from caps.patterns.mint import step as theirs\ndef step(m, s): ...\n",
        "round": "from round import step\n",
    }
    assert samples.written(texts, "shop") == texts["caps.patterns.mint"]
    assert samples.written(texts, "own") == texts["own"]
    assert samples.written(texts, "round") == texts["round"]


def test_samples_fit_the_cases() -> None:
    text = HEAD + dedent("""\
        def step(message, state):
            match message.context, message.content:
                case "add" | "sub", {"amount": int(), "from": Capability()}:
                    return [], state
                case "tag" as name, ("x", str()) | None:
                    return [], state
        """)
    contents = samples.contents(text)
    assert any(isinstance(one, dict) and set(one) == {"amount", "from"} for one in contents)
    assert any(isinstance(one, tuple) and one[:1] == ("x",) for one in contents)
    assert samples.contexts(text) == ["add", "sub", "tag"]


IMPURE = {
    "hash order": (
        """\
        def step(message, state):
            me, tags = state
            if isinstance(message.content, str):
                return [], (me, tuple({*tags, message.content}))
            return message.answer(tags), state
        """,
        "under another hash seed",
    ),
    "a global": (
        """\
        class Seen:
            count = 0
        def step(message, state):
            Seen.count += 1
            return message.answer(Seen.count), state
        """,
        "in a second machine of the same code",
    ),
    "an import": (
        """\
        def step(message, state):
            import random
            return [], state
        """,
        "`import random` is not allowed in a step: use message.id",
    ),
    "no value": (
        """\
        def step(message, state):
            return message.answer(object()), state
        """,
        "object is no value",
    ),
    "no step": (
        """\
        def step(message, state):
            return state
        """,
        "a step returns (sends, state): the sends are a list or a tuple, not Me",
    ),
}


@pytest.mark.parametrize("name", IMPURE)
def test_w01_what_is_not_pure_is_found(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body, said = IMPURE[name]
    code, lines = checked(tmp_path, capsys, body)
    assert code == 1
    assert any(said in line and "warning" not in line for line in lines), lines


def test_a_step_that_breaks_on_what_strangers_send_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = checked(
        tmp_path,
        capsys,
        """\
        def step(message, state):
            match message.context, message.content:
                case "add", _:
                    return message.answer(message.content + 1), state
            raise Refused
        """,
    )
    assert code == 0
    assert len(lines) == 1
    assert lines[0].startswith(":9: warning: 'add' with ")
    assert "TypeError" in lines[0]


def test_an_init_that_takes_nothing_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "machine.py"
    file.write_text(
        "from avm import Refused\ndef init(message, me):\n    raise Refused\n"
        "def step(message, state):\n    raise Refused\n"
    )
    assert main(["check", str(file)]) == 0
    assert "warning: init takes none" in capsys.readouterr().out


def test_a_file_that_does_not_load_is_an_error_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "machine.py"
    bad = ("def init(:\n", 1), (f"{HEAD}import os\nstep = 1\n", 6), (f"{HEAD}step = 1 / 0\n", 6)
    for text, line in bad:
        file.write_text(text)
        assert main(["check", str(file)]) == 1
        assert capsys.readouterr().out.startswith(f"{file}:{line}: ")
    assert main(["check", str(tmp_path / "none.py")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_an_import_inside_a_step_of_a_file_that_is_not_there_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "one.py").write_text("two = 2\n")
    body = """
        def step(message, state):
            if message.context == "never":
                import away
                import beside.gone
            from beside.one import two
            return message.answer(two), state
    """
    code, lines = checked(tmp_path, capsys, body)
    assert code == 1 and len(lines) == 2
    assert lines[0].startswith(
        ":9: `import away`: there is no away.py beside the machine's file; be"
    )
    assert (
        lines[1]
        == ":10: `import beside.gone`: there is no beside/gone.py beside the machine's file"
    )


# A new machine.


def test_a_new_machine_passes_its_test_at_once_and_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my-shop", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    names = ["my-shop.py", "test_my_shop.py", "test_my_shop_delegation.py", "README.md"]
    assert made == {"folder": "my-shop", "files": [f"my-shop/{name}" for name in names]}
    assert sorted(path.name for path in (tmp_path / "my-shop").iterdir()) == sorted(names)
    for words, said in ((["unittest"], "Ran 2 tests"), (["pytest", "-q"], "3 passed")):
        tested = subprocess.run(
            [sys.executable, "-W", "error", "-m", *words],
            cwd=tmp_path / "my-shop",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert tested.returncode == 0 and said in tested.stdout, tested.stdout
    assert main(["check", "my-shop/my-shop.py"]) == 0
    assert main(["new", "my-shop"]) == 1
    assert "my-shop exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Shop", "1st", "a_b", "../up", "", "json", "avm", "-x"])
def test_a_bad_name_is_usage(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
