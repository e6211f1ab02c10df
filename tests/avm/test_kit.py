"""The verb `kit`: its table, its JSON, machines of others, and what is no command."""

import json
from pathlib import Path

import pytest

from avm.cli.main import main
from avm.kit.playing import SCENES

ROOT = Path(__file__).parents[2]
CARETAKER = """
from avm import Capability, Me, Message, Refused, Send, Step, record


@record
class State:
    me: Me
    target: Capability


def init(message, me):
    return message.answer({"access": me("access"), "revoke": me("revoke")}), State(
        me, message.content["target"]
    )


def step(message, state):
    match message.context:
        case "access":
            return [Send(state.target, message.content, reply=message.reply)], state
        case "revoke" if message.content is None:
            return message.answer(None), state
    raise Refused
"""


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["kit", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_x03_the_kit_prints_a_table_of_what_holds_where(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = said(capsys, "caretaker", "sealer", "--on", "process,dht,faults")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["process", "dht", "faults"],
        ["caretaker", "ok", "ok", "ok"],
        ["sealer", "ok", "ok", "ok"],
    ]


def test_x03_the_kit_plays_all_in_memory_and_tells_it_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = said(capsys, "--on", "process", "--json")
    told = json.loads(out)
    assert code == 0 and told["ok"]
    assert {one["pattern"]: one["scenes"] for one in told["results"]} == {
        name: len(scenes) for name, scenes in SCENES.items()
    }
    assert all(one["on"] == "process" and not one["failed"] for one in told["results"])


@pytest.mark.parametrize("pattern", ["mint", "escrow"])
def test_x03_the_kit_is_played_with_a_machine_of_ones_own(
    pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(ROOT / "examples" / f"{pattern}.py")
    assert said(capsys, pattern, "--machine", file, "--on", "process,faults")[0] == 0


def test_x03_a_machine_that_does_not_keep_a_promise_is_told_with_the_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(CARETAKER)
    code, out, err = said(capsys, "caretaker", "--machine", str(file), "--on", "process,faults")
    assert (code, err) == (1, "")
    assert out.splitlines()[1].split() == ["caretaker", "failed", "failed"]
    revoked = "a caretaker gives access until it is revoked"
    assert f"caretaker --on process: {revoked}: {{'to': <capability>, 'say': 'three'}} was" in out
    assert f"caretaker --on faults --seed 1: {revoked}: " in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["caretakr"], "there is no pattern 'caretakr': did you mean caretaker?"),
        (["x9"], "there is no pattern 'x9': they are facet, caretaker, "),
        (["--on", "process,moon"], "'moon' is none of process,host,hosts,dht,faults"),
        (["--on", ""], "'' is none of"),
        (["--machine", "mine.py"], "--machine keeps one pattern"),
        (["caretaker", "mint", "--machine", "mine.py"], "--machine keeps one pattern"),
        (["caretaker", "--machine", "none.py"], "none.py: there is no such file"),
        (["caretaker", "--seed", "-1"], "--seed is a number from 0"),
    ],
)
def test_what_is_no_command_is_told_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("avm-host: ") and err.count("\n") == 1 and says in err


@pytest.mark.net
def test_x03_every_pattern_keeps_its_scenes_on_a_host_that_runs_and_between_two(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = said(capsys, "--on", "host,hosts")
    assert (code, err) == (0, ""), out + err
    rows = [line.split() for line in out.splitlines()]
    assert rows[1:] == [[pattern, "ok", "ok"] for pattern in SCENES]
