"""`check` of the mistakes that are made first: functions a host cannot call, changes that change nothing."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from avm.cli.main import main
from avm.run import probe
from avm.run.entrance import entrance
from avm.run.findings import findings
from avm.testing import World
from avm.testing.ground import NotCreated

HEAD = """\
from dataclasses import replace
from avm import Map, Me, Message, Refused, Send, Step, record

@record
class State:
    me: Me
    total: int = 0
    names: tuple = ()
    table: Map = Map()

def init(message, me):
    return message.answer({name: me(name) for name in ("add", "read")}), State(me)

"""


def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str) -> tuple[int, str]:
    file = tmp_path / "machine.py"
    file.write_text(HEAD + dedent(body))
    code = main(["check", str(file)])
    return code, capsys.readouterr().out.replace(str(tmp_path) + "/", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def init(): return [], 0", "`init` is called with (message, me)"),
        ("def init(message, me, more): return [], 0", "`init` is called with (message, me)"),
        ("def step(message): return [], 0", "`step` is called with (message, state)"),
        ("def step(message, state, *, more): return [], 0", "`step` is called with"),
        ("def signal(event): return [], 0", "`signal` is called with (event, state)"),
        ("def migrate(old, me): return 0", "`migrate` is called with (old)"),
        ("async def signal(event, state): return [], 0", "`signal` is async: a step never waits"),
        ("async def migrate(old): return 0", "`migrate` is async: a step never waits"),
        (
            "def step(message, state):\n    yield 1",
            "`step` returns what it has, and does not yield",
        ),
        ("def migrate(old):\n    return [], old", "`migrate` returns the new state alone"),
    ],
)
def test_what_a_host_cannot_call_is_an_error(text: str, said: str) -> None:
    (found,) = entrance(text)
    assert found.error
    assert said in found.text


@pytest.mark.parametrize(
    "text",
    [
        "def init(message, me, more=3): return [], 0",
        "def step(*both): return [], both[1]",
        "def step(message, state): raise Refused",
        "def step(message, state):\n    if state:\n        return [], state\n    raise Refused",
        "step = Cases[int]()",
        "def migrate(old): return (), old",
        "def step(message, state):\n    def inner():\n        yield 1\n    return list(inner()), state",
        "@wrapped\ndef step(anything): return [], 0",
    ],
)
def test_what_can_be_called_is_no_finding(text: str) -> None:
    assert entrance(text) == []


def test_a_function_that_returns_nothing_is_a_warning() -> None:
    (found,) = entrance("def step(message, state):\n    state + 1")
    assert (found.error, found.text) == (
        False,
        "`step` returns no (sends, state), and so refuses everything",
    )


def test_a_change_that_changes_nothing_is_a_warning() -> None:
    found = findings(
        HEAD
        + dedent("""\
        def step(message, state):
            state.table.put("a", 1)
            state.table.drop("a")
            replace(state, total=1)
            message.answer(1)
            Send(message.reply, 1)
            table = state.table.put("a", 1)
            return [], replace(state, table=table)
        """)
    )
    assert [(one.line, one.error) for one in found] == [(line, False) for line in range(15, 20)]
    assert all("is not used" in one.text for one in found)


def test_a_reply_that_is_narrowed_is_an_error_at_its_line() -> None:
    def of(*lines: str) -> list[tuple[int, bool]]:
        text = "\n".join(("def step(message, state):", *(f"    {line}" for line in lines)))
        return [(one.line, one.error) for one in findings(text) if "narrowed" in one.text]

    assert of("x = 1", "return [Send(state, narrow(message.reply, until=9))], state") == [(3, True)]
    assert of("back = message.reply", "return [Send(state, avm.narrow(back, uses=1))]") == [
        (3, True)
    ]
    assert of("if (back := message.reply):", "    kept = narrow(back, until=9)") == [(3, True)]
    assert of("back = message.reply", "back = state", "x = narrow(back, uses=1)") == []
    assert of("back = message.content", "return [Send(message.reply, narrow(back, until=9))]") == []


def test_a_whole_context_held_against_a_mere_name_is_a_warning() -> None:
    found = findings(
        HEAD
        + dedent("""\
        def step(message, state):
            match message.context:
                case add:
                    return message.answer(1), state
        def other(message, state):
            match message.context:
                case "add":
                    return [], state
                case unknown:
                    raise Refused
        def third(message, state):
            match message.context:
                case name:
                    return message.answer(name), state
        """)
    )
    assert [(one.line, one.error) for one in found] == [(16, False)]
    assert '"add" in quotes' in found[0].text


def test_functions_named_by_an_underscore_may_be_many() -> None:
    assert findings("def _(a): return a\ndef _(b): return b\n") == []


NO_FIELD = "'totl': there is no such field or parameter"
if sys.version_info >= (3, 13):
    NO_FIELD = "'totl'. Did you mean 'total'?\n"


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ('state.table["a"] = 1', False, "a Map does not change: `put` and `drop` give another"),
        ("state.table.update(a=1)", False, "a Map does not change"),
        ("state.names.append(1)", False, "lists are tuples in states and contents"),
        ("state = replace(state, totl=1)", False, NO_FIELD),
        ("totl", True, "NameError: name 'totl' is not defined"),
        ("{}[message.content]", False, "`raise Refused` would tell the sender"),
    ],
)
def test_what_breaks_a_step_is_told_with_what_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, error: bool, said: str
) -> None:
    body = f"def step(message, state):\n    {line}\n    return [], state\n"
    code, out = checked(tmp_path, capsys, body)
    assert (code, said in out) == (int(error), True), out
    assert ("`raise Refused` would" in out) == ("{}" in line)


def test_init_is_told_of_at_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "machine.py"
    file.write_text(
        "def init(message, me):\n    return 5\n\ndef step(message, state): return [], 0\n"
    )
    assert main(["check", str(file)]) == 1
    assert "machine.py:1: init with None: a step returns (sends, state)" in capsys.readouterr().out


def test_a_slow_step_is_probed_only_so_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_S", 0.2)
    body = "def step(message, state):\n    sum(range(3_000_000))\n    return [], state\n"
    code, out = checked(tmp_path, capsys, body)
    assert code == 0
    assert "warning: slow: only " in out


@pytest.mark.parametrize("name", ["", "a\tb", "end\n", "blank ", "now~"])
def test_what_init_names_so_that_nobody_can_say_it_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text = f"def init(message, me):\n    return message.answer({{{name!r}: me('x')}}), 1\n"
    file = tmp_path / "machine.py"
    file.write_text(text + "\ndef step(message, state):\n    return message.answer(1), state\n")
    assert main(["check", str(file)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{file}:1: init answers a capability as ") and said.count("\n") == 1
    with pytest.raises(NotCreated, match=r"is no MACHINE\.name: a name is not empty"):
        World().machine(file)
    file.write_text(file.read_text().replace(f"{name!r}: me", "'a.b c': me"))
    assert main(["check", str(file)]) == 0
    World().machine(file).cap("a.b c")
