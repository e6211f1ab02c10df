"""The promises as people see them: typed commands, a real host, `kill -9`, and what is printed."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.net.hosts import MACHINES, wait_until
from tests.net.test_cli_verbs import WITHIN_S, Shell, one_line

pytestmark = pytest.mark.net

REJECTED = "avm-host: rejected: `avm-host failed ls impure` has why\n"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    try:
        one.start("host.workers=1")
        for name in ("tot", "wide", "impure"):
            one.ok("create", str(MACHINES / f"{name}.py"))
        yield one
    finally:
        one.kill()


def called(shell: Shell, cap: str, content: object = None) -> Any:
    return json.loads(shell.ok("call", cap, json.dumps(content), "--json"))


def names(shell: Shell, machine: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell.ok("show", machine, "--json"))["names"]
    return found


def again(shell: Shell) -> None:
    shell.kill()
    shell.start("host.workers=1")


def ticks(pid: int) -> int:
    """What a process has computed, in hundredths of a second."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def test_w01_a_step_that_looks_outside_or_changes_what_it_was_given_fails_its_batch(
    shell: Shell,
) -> None:
    outside = shell.path / "secret"
    outside.write_text("canary")
    tries: tuple[tuple[str, object, str], ...] = (
        ("clock", None, "use message.now"),
        ("file", str(outside), "pass the content in with a message"),
        ("module", None, "os"),
        ("state", None, "cannot assign to field"),
        ("content", {"a": 1}, "does not support item assignment"),
    )
    called(shell, "impure.add", 5)
    for name, content, why in tries:
        lines = "\n".join(map(json.dumps, (content, content)))
        code, out, err = shell("send", f"impure.{name}", "--jsonl", "-", given=lines)
        assert code == 1 and "rejected" in err and "canary" not in out + err
        last = json.loads(shell.ok("failed", "ls", "--json"))[-1]
        assert why in shell.ok("failed", "show", "impure", str(last["turn"]))
    again(shell)
    assert called(shell, "impure.read") == 5
    assert "every digest agrees" in shell.ok("replay", "impure")


def test_x02_a_step_makes_no_capability_of_bytes_and_no_bytes_of_a_capability(
    shell: Shell,
) -> None:
    text = names(shell, "tot")["add"]["$cap"]
    assert called(shell, "impure.keep", {"$cap": text}) == "kept"
    for name in ("bytes", "reduce"):
        assert shell("call", f"impure.{name}")[0::2] == (1, REJECTED)
    assert called(shell, "impure.text") == ["<capability>"] * 3
    shell.ok("call", "impure.print")
    assert "<capability>" in shell.ok("log", "impure")
    secret = text.removeprefix("avm:")
    tries = [("from-text", text), ("from-text", secret), ("from-bytes", {"$bytes": secret[:64]})]
    tries += [(name, n) for name in ("from-number", "write") for n in (0, 1, 2, 3)]
    for name, content in tries:
        code, _, err = shell("call", f"impure.{name}", json.dumps(content))
        assert (code, err) == (1, REJECTED), (name, content)
    assert shell.total() == [0, 0]
    state = shell.ok("state", "impure") + shell.ok("log", "impure") + shell.ok("failed", "ls")
    assert secret not in state


def test_w12_a_suspended_machine_holds_or_fails_over_a_restart_as_chosen(shell: Shell) -> None:
    shell.ok("suspend", "tot")
    assert shell("send", "tot.add", "1")[0] == 4
    again(shell)
    status = {one["name"]: one["status"] for one in json.loads(shell.ok("ls", "--json"))}
    assert status == {"tot": "suspended", "wide": "running", "impure": "running"}
    assert shell("send", "tot.add", "2")[0] == 4
    shell.ok("resume", "tot")
    wait_until(lambda: shell.total() == [3, 2])
    shell.ok("suspend", "tot", "--fail")
    again(shell)
    code, _, err = shell("call", "tot.add", "4")
    assert code == 1 and "undelivered" in one_line(err)
    shell.ok("resume", "tot")
    assert shell.total() == [3, 2]


def test_w19_a_step_sees_its_life_and_no_stranger_can_tell_it_of_one(shell: Shell) -> None:
    called(shell, "wide.read")
    for words in (("suspend", "wide"), ("resume", "wide")):
        shell.ok(*words)
    shell.ok("upgrade", "wide", str(MACHINES / "wide.py"))
    assert shell.host is not None
    shell.host.terminate()
    assert shell.host.wait(WITHIN_S) == 0
    again(shell)
    for cap in ("wide.put", "wide.cancel"):
        shell("send", cap, json.dumps({"signal": "halted"}))
    wanted = ["suspended", "resumed", "upgraded", "will-stop", "restarted"]
    assert called(shell, "wide.read")["seen"] == wanted


def test_w21_the_next_batch_takes_the_new_code_and_a_running_one_ends_on_the_old(
    shell: Shell,
) -> None:
    old = (MACHINES / "wide.py").read_text()
    file = shell.path / "wide.py"
    called(shell, "wide.slow", 3)
    worker = json.loads(shell.ok("status", "--json"))["workers"][0]["pid"]
    before = ticks(worker)
    running = shell.begin("call", "wide.slow", "60000000", "--timeout", "50")
    wait_until(lambda: ticks(worker) > before + 10, "the step does not begin")
    file.write_text(old.replace('answer("old")', 'answer("new")'))
    shell.ok("upgrade", "wide", str(file))
    out, _ = running.communicate(timeout=WITHIN_S)
    assert out == b'"old"\n'
    assert called(shell, "wide.slow", 3) == "new"
    for text in ("def step(", "import os\n" + old, old + "\n1 / 0\n"):
        file.write_text(text)
        assert shell("upgrade", "wide", str(file))[0] in (1, 2)
        assert called(shell, "wide.slow", 3) == "new"


MIGRATE = """

def migrate(old: Any) -> Wide:
    assert old.name == "Wide"
    return Wide(old.fields["me"], (*old.fields["seen"], "migrated"), old.fields["bag"], 9)
"""


def test_w21_a_field_may_be_added_and_a_state_migrated_in_the_commit_of_the_code(
    shell: Shell,
) -> None:
    file = shell.path / "wide.py"
    added = (MACHINES / "wide.py").read_text()
    added = added.replace(
        "    bag: Map[str, Any] = Map()\n", "    bag: Map[str, Any] = Map()\n    extra: int = 7\n"
    )
    added = added.replace('"bag": state.bag}', '"bag": state.bag, "extra": state.extra}')
    called(shell, "wide.put", {"a": [1, 2]})
    for text, extra in ((added, 7), (added + MIGRATE, 9)):
        file.write_text(text)
        shell.ok("upgrade", "wide", str(file))
        again(shell)
        read = called(shell, "wide.read")
        assert (read["extra"], read["bag"]) == (extra, {"a": [1, 2]})
    assert read["seen"] == ["upgraded", "restarted", "migrated", "upgraded", "restarted"]
    file.write_text(added + MIGRATE.replace("9)", "1 / 0)"))
    code, _, err = shell("upgrade", "wide", str(file))
    assert code == 1 and "migrate raised ZeroDivisionError" in one_line(err)
    assert called(shell, "wide.read")["extra"] == 9
    assert "every digest agrees" in shell.ok("replay", "wide")


def test_w22_a_state_edited_by_hand_is_journaled_and_replay_still_agrees(shell: Shell) -> None:
    called(shell, "tot.add", 5)
    state = json.loads(shell.ok("state", "tot"))
    state["$record"][1]["total"] = 100
    shell.ok("edit", "tot", json.dumps(state))
    again(shell)
    assert called(shell, "tot.add", 1) == 101
    assert " edit " in shell.ok("log", "tot")
    assert json.loads(shell.ok("state", "tot", "--at", "1"))["$record"][1]["total"] == 5
    assert "every digest agrees" in shell.ok("replay", "tot")
    assert shell("verify")[0] == 0


def test_p06_a_timer_is_renewed_cancelled_and_fires_once_though_the_host_is_killed(
    shell: Shell,
) -> None:
    shell.ok("send", "wide.later", '[600, "too late"]')
    shell.ok("send", "wide.later", '[1, "rings"]')
    again(shell)
    wait_until(lambda: "rings" in called(shell, "wide.read")["seen"])
    shell.ok("send", "wide.later", '[60, "never"]')
    shell.ok("send", "wide.cancel")
    shell.ok("send", "wide.later", '[0, "last"]')
    again(shell)
    wait_until(lambda: "last" in called(shell, "wide.read")["seen"])
    rung = [one for one in called(shell, "wide.read")["seen"] if one != "restarted"]
    assert rung == ["rings", "last"]


def test_cases_maps_records_as_contexts_and_me_within_work_over_a_crash(shell: Shell) -> None:
    assert called(shell, "wide.put", {"b": 1, "a": [2]}) == {"a": [2], "b": 1}
    assert called(shell, "wide.put", {"a": None}) == {"b": 1}
    assert shell("call", "wide.put", "7")[0::2] == (1, "avm-host: refused\n")
    voucher = called(shell, "wide.voucher", 12)
    narrow = called(shell, "wide.narrow", "shop")
    assert narrow["opened"] == ["inside", ["shop", "inside"], None]
    again(shell)
    assert called(shell, voucher["$cap"]) == 12
    assert called(shell, narrow["cap"]["$cap"]) == ["shop", "inside"]


def test_apart_keeps_one_bad_recipient_from_the_others(shell: Shell) -> None:
    to = [names(shell, "tot")[name] for name in ("add", "mute", "add")]
    for apart, total in ((False, [0, 0]), (True, [4, 2])):
        shell.ok("send", "wide.each", json.dumps({"to": to, "n": 2, "apart": apart}))
        wait_until(lambda: json.loads(shell.ok("status", "--json"))["waiting"] == 0)
        assert shell.total() == total


def test_w28_a_machine_hears_each_outcome_once_and_so_does_a_command(shell: Shell) -> None:
    tot = names(shell, "tot")
    asks = (("add", 2), ("add", -1), ("add", 1_000_000), ("tell", None), ("mute", None))
    for name, n in asks:
        shell.ok("send", "wide.ask", json.dumps({"to": tot[name], "n": n}))
    shell.ok("create", str(MACHINES / "tot.py"), "--name", "gone")
    gone = names(shell, "gone")["add"]
    shell.ok("halt", "gone")
    shell.ok("send", "wide.ask", json.dumps({"to": gone, "n": 1}))
    wait_until(lambda: len(called(shell, "wide.read")["seen"]) == len(asks) + 1)
    again(shell)
    heard = [one for one in called(shell, "wide.read")["seen"] if one != "restarted"]
    assert sorted(map(str, heard)) == sorted(
        ["2", "refused", "rejected", "refused", "dropped", "undelivered"]
    )
    told = {
        "tot.add -1": (1, "refused: negative"),
        "tot.add 1000000": (1, "rejected"),
        "tot.mute": (1, "dropped"),
        "gone.add 1": (1, "undelivered"),
    }
    for words, (exit_code, word) in told.items():
        code, _, err = shell("call", *words.split())
        assert code == exit_code and word in one_line(err)


def test_a_malformed_line_5001_of_10000_stops_there_and_the_rest_can_follow(shell: Shell) -> None:
    file = shell.path / "lines"
    lines = ["1"] * 10_000
    lines[5000] = '{"n":'
    file.write_text("\n".join(lines))
    words = ("send", "tot.add", "--jsonl", str(file), "--resume", "k", "--json")
    code, out, err = shell(*words)
    assert code == 2 and json.loads(out)["committed"] == 5000
    assert re.search(r"line 5001: .*5,000 lines before it were committed", one_line(err))
    assert shell.total() == [5000, 5000]
    lines[5000] = "1"
    file.write_text("\n".join(lines))
    assert shell(*words)[0] == 0
    assert shell.total() == [10_000, 10_000]


@pytest.mark.parametrize("size", [8, 24, 1000, 4119])
def test_a_torn_last_write_loses_nothing_that_was_acknowledged(shell: Shell, size: int) -> None:
    """A write that was on its way when the power went: part of a frame behind the last commit."""
    shell.ok("send", "tot.add", "--jsonl", "-", given="1\n" * 50)
    shell.kill()
    log = shell.directory / "store.db-wal"
    body = log.read_bytes()
    frame = 24 + int.from_bytes(body[8:12], "big")
    log.write_bytes(body + body[-frame:][:size])
    shell.start()
    assert shell.total() == [50, 50]
    assert shell("verify")[0] == 0


def test_a_store_of_a_newer_version_is_told_by_every_verb(shell: Shell) -> None:
    shell.ok("stop")
    change = "import apsw, sys; apsw.Connection(sys.argv[1]).execute('pragma user_version=99')"
    store = str(shell.directory / "store.db")
    subprocess.run([sys.executable, "-c", change, store], check=True)
    for verb in ("run", "ls", "verify"):
        code, _, err = shell(verb)
        assert code == 5 and "newer avm-host" in one_line(err)
