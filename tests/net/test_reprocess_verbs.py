"""`reprocess` against a real host: what is printed, the exit codes, and the switch in one commit."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import MACHINES
from tests.net.test_cli_verbs import Shell, one_line

pytestmark = pytest.mark.net


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    one.start()
    one.ok("create", str(MACHINES / "tot.py"))
    for n in (1, 2, 3):
        one.ok("call", "tot.add", str(n))
    one("call", "tot.add", "-1")
    text = (MACHINES / "tot.py").read_text()
    text = text.replace("state.total + n,", "state.total + 2 * n,").replace("n < 0", "n == 3")
    (tmp_path / "new.py").write_text(text.replace("negative", "three"))
    yield one
    one.kill()


def test_c05_a_state_is_rebuilt_shown_and_switched(shell: Shell) -> None:
    printed = shell.ok("reprocess", "tot", "--code", "new.py")
    assert printed.splitlines() == [
        "tot: 5 turns from turn 0 on taken by the new code",
        "tot: 1 turn is not applied any more",
        "  turn 3, message 0  refused: three",
        "tot: 1 turn is applied that had failed",
        "tot: 2 turns would have sent something else; nothing was sent",
        "               present  rebuilt",
        "  state.total        6        4",
        "tot: kept aside; `avm-host reprocess tot --switch` puts it in place, `--drop` forgets it",
    ]
    (kept,) = (shell.directory / "reprocess").iterdir()
    assert os.stat(kept).st_mode & 0o777 == 0o600
    assert os.stat(kept.parent).st_mode & 0o777 == 0o700
    shell.ok("call", "tot.add", "10")
    printed = shell.ok("reprocess", "tot")
    assert ", 1 turn behind\n" in printed and "state.total       16        4\n" in printed
    assert json.loads(shell.ok("call", "tot.read"))[0] == 16, "nothing has changed"
    printed = shell.ok("reprocess", "tot", "--switch")
    assert printed == (
        "tot runs the new code with the rebuilt state from turn 7 on, 2 turns since caught up\n"
    )
    assert json.loads(shell.ok("call", "tot.read"))[0] == 24
    assert not list(kept.parent.iterdir())
    assert shell.ok("replay", "tot") == "tot: 8 turns, every digest agrees\n"
    assert "every chain, seal and reference holds" in shell.ok("verify")
    assert "its state rebuilt)" in shell.ok("log", "tot")
    shell.kill()
    shell.start()
    assert json.loads(shell.ok("call", "tot.read"))[0] == 24


def test_c05_a_dry_run_keeps_nothing_and_what_is_kept_can_be_dropped(shell: Shell) -> None:
    shell.kill()
    found = json.loads(
        shell.ok("reprocess", "tot", "--code", "new.py", "--from", "2", "--dry-run", "--json")
    )
    found.pop("code")
    assert found == {
        "machine": "tot",
        "first": 2,
        "behind": 0,
        "turns": 3,
        "left_out": 0,
        "trusted": 0,
        "applied": 1,
        "otherwise": 1,
        "not_applied": 1,
        "not_applied_turns": [{"turn": 3, "message": 0, "why": "refused: three"}],
        "fields": [{"path": "state.total", "present": "6", "rebuilt": "3"}],
        "kept": False,
    }
    assert not (shell.directory / "reprocess").exists()
    printed = shell.ok("reprocess", "tot", "--code", "new.py", "--sender", "host", "--since", "1h")
    assert printed.startswith("tot: 1 turn from turn 0 on taken by the new code, 4 left out\n")
    code, _out, err = shell("reprocess", "tot", "--switch")
    assert code == 3 and "no host is running" in one_line(err)
    assert "is forgotten; nothing else has changed" in shell.ok("reprocess", "tot", "--drop")
    for words, code, text in (
        (("--drop",), 1, "no state of tot is kept aside"),
        (("--switch",), 1, "no state of tot is kept aside: `avm-host reprocess tot --code FILE`"),
        (("--switch", "--drop"), 2, "say `--code FILE` with what it is made by"),
        (("--code", "new.py", "--from", "99"), 1, "its newest is 4"),
        (("--code", "new.py", "--since", "2999-01-01"), 1, "has taken no turn since then"),
        (("--code", "new.py", "--sender", "nobody"), 1, "no sender nobody in the journal of tot"),
    ):
        got, out, err = shell("reprocess", "tot", *words)
        assert (got, out) == (code, "") and text in one_line(err), (words, err)
    shell.ok("reprocess", "tot", "--code", "new.py")
    (kept,) = (shell.directory / "reprocess").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    got, _out, err = shell("reprocess", "tot")
    assert got == 5 and "is damaged" in one_line(err)
