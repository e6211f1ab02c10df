"""What somebody meets who comes from outside: each sentence of an error is true, and leads on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.net.hosts import MACHINES, wait_until
from tests.net.test_cli_verbs import WITHIN_S, Shell, one_line
from tests.net.test_from_outside import ticks

pytestmark = pytest.mark.net

# It answers its creator with one capability, which has no name, and keeps whom it was asked by.
KEEPER = """\
def init(message, me):
    return message.answer(me("keep")), ()


def step(message, state):
    match message.content:
        case "state":
            return [], object()
        case "sends":
            return iter(message.answer(1)), state
        case "lines":
            raise ValueError("the first line\\n" + "the second " * 20)
        case "open":
            open("/etc/passwd")
        case "count":
            return message.answer(len(state)), state
    return [], (*state, message.reply)
"""

SPUN_TICKS = 10
SPIN = """\
def init(message, me):
    return message.answer(me("spin")), 0


def step(message, state):
    while True:
        pass
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    one = Shell(tmp_path_factory.mktemp("met"))
    try:
        one.start("host.workers=1", "limits.snapshot_turns=10")
        yield one
    finally:
        one.kill()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for this test's machine."""
    return "k" + re.sub(r"[^a-z0-9]+", "-", request.node.name)[-40:].rstrip("-")


@pytest.fixture
def keep(shell: Shell, name: str) -> str:
    """The one capability of a machine of this test."""
    Path(shell.path / "keeper.py").write_text(KEEPER)
    found: str = json.loads(shell.ok("create", "keeper.py", "--name", name, "--json"))["$cap"]
    return found


def entries(shell: Shell, machine: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shell.ok("log", machine, "--json").splitlines()]


def test_s01_who_gets_no_answer_is_told_the_turn(shell: Shell, keep: str, name: str) -> None:
    shell.ok("send", keep, "1")
    code, _, err = shell("call", keep, "5", "--timeout", "0.3")
    assert code == 4 and one_line(err).endswith(f": turn 2 of {name}\n")
    assert entries(shell, name)[2]["messages"][0]["content"] == 5


def test_s01_who_gets_no_answer_is_told_the_turn_though_its_host_is_gone(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        shell.start("host.workers=1")
        Path(tmp_path / "keeper.py").write_text(KEEPER)
        cap = json.loads(shell.ok("create", "keeper.py", "--json"))["$cap"]
        waiting = shell.begin("call", cap, "5", "--timeout", "2")
        wait_until(lambda: json.loads(shell.ok("show", "keeper", "--json"))["turns"] == 2)
    finally:
        shell.kill()
    _, err = waiting.communicate(timeout=WITHIN_S)
    assert waiting.returncode == 4
    assert ": turn 1 of keeper; no host is running" in one_line(err.decode())


def test_a_capability_without_a_name_is_shown_so_that_it_can_be_used(shell: Shell) -> None:
    Path(shell.path / "keeper.py").write_text(KEEPER)
    out = shell.ok("create", "keeper.py", "--name", "unnamed")
    answered = json.loads(out.partition("it answered ")[2])
    assert shell.ok("call", answered["$cap"], '"count"') == "0\n"


def test_c06_why_a_batch_failed_is_whole_for_programs_and_short_for_people(
    shell: Shell, keep: str, name: str
) -> None:
    shell("send", keep, '"lines"')
    (row,) = json.loads(shell.ok("failed", "ls", name, "--json"))
    assert row["why"] == "ValueError: the first line"
    shell("send", keep, '"open"')
    row = json.loads(shell.ok("failed", "ls", name, "--json"))[-1]
    assert row["why"].startswith("NotAllowed: open() is not allowed in a step: pass the content")
    assert "grant" in row["why"]
    assert shell.ok("failed", "ls", name).splitlines()[-1].endswith("..")


@pytest.mark.parametrize("said", ["open", "state", "sends", "lines"])
def test_c06_a_traceback_is_the_machines_own_and_names_no_file_of_the_host(
    shell: Shell, keep: str, name: str, said: str
) -> None:
    shell("send", keep, json.dumps(said))
    told = json.loads(shell.ok("failed", "show", name, "1", "--json"))
    assert "/avm/" not in told["detail"] and "/caps/" not in told["detail"]
    assert "avm." not in told["detail"] and "caps." not in told["detail"]


def test_an_init_that_keeps_no_value_is_told_without_a_file_of_the_host(shell: Shell) -> None:
    Path(shell.path / "odd.py").write_text(KEEPER.replace('me("keep")), ()', "1), object()"))
    code, _, err = shell("create", "odd.py")
    assert code == 1 and one_line(err).endswith(": the state: a object is no value\n")


def test_a_pruned_journal_has_no_entry_of_1970(shell: Shell, keep: str, name: str) -> None:
    shell.ok("send", keep, "--jsonl", "-", "--batch-size", "1", given="1\n" * 40)
    shell.ok("prune", name, "--keep", "1")
    told = entries(shell, name)
    assert told[0]["turn"] and told[0]["form"] == "snapshot"
    times = [one["now_ms"] for one in told]
    assert times == sorted(times) and times[0] > 1_000_000_000_000


def test_a_malformed_line_is_told_again_with_what_an_earlier_run_committed(
    shell: Shell, keep: str
) -> None:
    words = ("send", keep, "--jsonl", "-", "--resume", "twice", "--json")
    given = "1\n2\n{bad\n3\n"
    code, out, err = shell(*words, given=given)
    assert code == 2 and one_line(err).endswith("; 2 lines before it were committed\n")
    assert json.loads(out)["first_error"].startswith("line 3: not JSON")
    code, out, err = shell(*words, given=given)
    told = "; 0 lines before it were committed, 2 by an earlier run\n"
    assert code == 2 and one_line(err).endswith(told)
    assert json.loads(out)["skipped"] == 2


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "1e300"])
def test_a_wait_that_is_no_time_is_refused_by_every_verb(shell: Shell, said: str) -> None:
    for words in (
        ("stop", "--timeout"),
        ("status", "--wait"),
        ("listen", "--timeout"),
        ("call", "k.x", "--timeout"),
        ("send", "avm:AAAA", "1", "--timeout"),
    ):
        code, _, err = shell(*words, said)
        assert code == 2 and "is a number of seconds" in one_line(err), words


def test_keys_that_others_can_read_are_no_reason_to_restore_a_backup(shell: Shell) -> None:
    key = shell.directory / "keys" / "host.key"
    key.chmod(0o644)
    code, out, err = shell("verify")
    key.chmod(0o600)
    assert code == 5 and "chmod 600" in out
    assert one_line(err) == f"avm-host: 1 problem in {shell.directory}\n"


def test_a_unique_start_of_an_address_does_for_verbs_that_act_as_for_those_that_read(
    shell: Shell, keep: str, name: str
) -> None:
    addresses = [row["address"] for row in json.loads(shell.ok("ls", "--json"))]
    mine = json.loads(shell.ok("show", name, "--json"))["address"]
    starts = (mine[:length] for length in range(1, 64))
    start = next(s for s in starts if sum(one.startswith(s) for one in addresses) == 1)
    assert shell.ok("show", start).startswith(f"name: {name}\n")
    assert json.loads(shell.ok("suspend", start, "--json"))["machine"] == name
    shell.ok("resume", start)


def test_a_verb_that_finds_a_machine_as_it_would_make_it_says_so_and_does_nothing(
    shell: Shell, keep: str, name: str
) -> None:
    def told(status: str, already: bool) -> str:
        rows = {"machine": name, "status": status, "already": already}
        return json.dumps(rows) + "\n"

    assert shell("resume", name) == (0, f"machine {name} is not suspended\n", "")
    assert shell("resume", name, "--json") == (0, told("running", True), "")
    assert shell("suspend", name, "--json") == (0, told("suspended", False), "")
    before = len(entries(shell, name))
    assert shell("suspend", name) == (0, f"machine {name} is already suspended\n", "")
    assert shell("suspend", name, "--hold", "--json") == (0, told("suspended", True), "")
    assert len(entries(shell, name)) == before
    assert shell("suspend", name, "--fail") == (0, f"{name} is suspended\n", "")
    assert len(entries(shell, name)) == before + 1
    assert shell("suspend", name, "--fail") == (0, f"machine {name} is already suspended\n", "")
    assert shell("resume", name) == (0, f"{name} is running\n", "")
    assert shell("halt", name, "--json") == (0, told("halted", False), "")
    before = len(entries(shell, name))
    assert shell("halt", name) == (0, f"machine {name} is already halted\n", "")
    assert shell("halt", name, "--json") == (0, told("halted", True), "")
    for verb in ("suspend", "resume"):
        assert shell(verb, name) == (1, "", f"avm-host: {name} is halted for good\n")
    assert len(entries(shell, name)) == before
    assert shell("rm", name, "--json") == (0, told("removed", False), "")


def test_more_machines_than_are_listed_are_counted(shell: Shell) -> None:
    Path(shell.path / "keeper.py").write_text(KEEPER)
    for number in range(11):
        shell.ok("create", "keeper.py", "--name", f"many{number}")
    there = len(json.loads(shell.ok("ls", "--json")))
    code, _, err = shell("suspend", "nobody")
    assert code == 1 and one_line(err).endswith(f" and {there - 10} more\n")


def test_w22_a_state_too_large_for_the_control_socket_is_told_with_the_remedy(
    shell: Shell, keep: str, name: str
) -> None:
    code, _, err = shell("edit", name, "-", given=f'"{"x" * 17_000_000}"')
    assert code == 2 and ", more than 16,777,216; have a `migrate` change it" in one_line(err)
    assert f"`avm-host upgrade {name} FILE`" in err
    assert shell.ok("call", keep, '"count"') == "0\n"


def test_show_tells_no_size_before_it_knows_one(shell: Shell, keep: str, name: str) -> None:
    assert json.loads(shell.ok("show", name, "--json"))["state_bytes"] is None
    assert "state bytes" not in shell.ok("show", name)
    shell.ok("send", keep, "--jsonl", "-", "--batch-size", "1", given="1\n" * 30)
    assert json.loads(shell.ok("show", name, "--json"))["state_bytes"] > 0


def test_the_host_is_called_the_host_by_every_verb(shell: Shell) -> None:
    for file in ("tot", "wide"):
        shell.ok("create", str(MACHINES / f"{file}.py"))
    add = json.loads(shell.ok("show", "tot", "--json"))["names"]["add"]
    shell.ok("send", "wide.ask", json.dumps({"to": add, "n": -1}))
    wait_until(lambda: " host: " in shell.ok("log", "wide"))
    channels = json.loads(shell.ok("show", "wide", "--json"))["channels"]
    assert "host" in [one["from"] for one in channels]


def test_a_stop_that_takes_longer_than_one_waits_says_that_it_goes_on(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        shell.start("host.workers=1", "limits.turn_s=2", "limits.turn_tries=2")
        Path(tmp_path / "spin.py").write_text(SPIN)
        cap = json.loads(shell.ok("create", "spin.py", "--json"))["$cap"]
        spinning = shell.begin("send", cap, "--timeout", "1")
        (worker,) = json.loads(shell.ok("status", "--json"))["workers"]
        before = ticks(worker["pid"])
        wait_until(lambda: ticks(worker["pid"]) > before + SPUN_TICKS)
        # With no time at all it is told all the same.
        code, _, err = shell("stop", "--timeout", "0")
        assert code == 4 and one_line(err).endswith("it ends without being told again\n")
        assert shell.host is not None and shell.host.wait(WITHIN_S) == 0
        spinning.communicate(timeout=WITHIN_S)
    finally:
        shell.kill()
