"""The verbs against a real host: what is printed, the exit codes, and the host's death in the middle."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from avm.plugin.session import Client
from avm.run.directory import Directory
from caps.capability import parse_text
from tests.net.commands import commands
from tests.net.hosts import MACHINES, ROOT, wait_until
from tests.net.started import Started, hosts

pytestmark = pytest.mark.net
COMMAND = (sys.executable, "-m", "avm.cli.main")
WITHIN_S = 60.0


class Shell:
    """Commands about one directory, and the host that runs on it."""

    def __init__(self, path: Path, prepared: bool = True) -> None:
        self.path = path
        self.prepared = prepared
        self.directory = path / "host"
        self.host: Started | subprocess.Popen[bytes] | None = None
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.environ["AVM_HOST_DIR"] = str(self.directory)

    def begin(self, *words: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        command = [*COMMAND, *words]
        return subprocess.Popen(
            command, stdin=stdin, stdout=pipe, stderr=pipe, cwd=self.path, env=self.environ
        )

    def __call__(self, *words: str, given: str | None = None) -> tuple[int, str, str]:
        typed = (given or "").encode()
        if self.prepared:
            code, out, err = commands().run(words, typed, self.path, self.environ, WITHIN_S)
        else:
            process = self.begin(*words, stdin=subprocess.PIPE)
            out, err = process.communicate(typed, WITHIN_S)
            code = process.returncode
        return code, out.decode(), err.decode()

    def ok(self, *words: str, given: str | None = None) -> str:
        code, out, err = self(*words, given=given)
        assert code == 0, err
        return out

    def start(self, *settings: str, options: Sequence[str] = ()) -> None:
        log = (self.path / "host.log").open("ab")
        with log:
            words = ["run", *options, *(f"--set={one}" for one in settings)]
            self.host = self._started(words, log)
        code, _, err = self("status", "--wait", "30")
        assert code == 0, err + (self.path / "host.log").read_text()

    def _started(self, words: list[str], log: IO[bytes]) -> Started | subprocess.Popen[bytes]:
        if self.prepared:
            return hosts().command(words, log.fileno(), self.path, self.environ)
        return subprocess.Popen(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.path,
            env=self.environ,
        )

    def kill(self) -> None:
        if self.host is not None:
            self.host.kill()
            self.host.wait(WITHIN_S)
            self.host = None

    def total(self) -> list[int]:
        read: list[int] = json.loads(self.ok("call", "tot.read"))
        return read

    def wait_for(self, count: int) -> None:
        """Until so many numbers were added."""
        wait_until(lambda: self.total()[1] >= count)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    one.start()
    one.ok("create", str(MACHINES / "tot.py"))
    yield one
    one.kill()


def one_line(text: str) -> str:
    assert text.startswith("avm-host: ") and text.count("\n") == 1, text
    return text


def test_create_prints_what_init_answered_and_names_it(shell: Shell) -> None:
    out = shell.ok("create", str(MACHINES / "tot.py"), "--name", "other", "--json")
    names = json.loads(out)
    assert sorted(names) == ["add", "mute", "read", "tell"]
    cap = names["add"]["$cap"]
    assert cap.startswith("avm:")
    assert shell.ok("call", cap, "2").strip() == "2"
    assert shell.ok("call", json.dumps({"$cap": cap}), "3").strip() == "5"
    assert shell.ok("call", json.dumps({"$cap": "other.add"}), "1").strip() == "6"
    code, _, err = shell("create", str(MACHINES / "tot.py"))
    assert code == 1 and "exists; `upgrade tot FILE`" in one_line(err)
    code, _, err = shell("create", str(MACHINES / "tot.py"), "--name", "Other_1")
    assert code == 2 and "--name other-1" in one_line(err)


INIT = "def init(message, me):\n    return message.answer(None), 0\n"
STEP = "def step(message, state):\n    return (), state\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"1 / 0\n{INIT}{STEP}", "made.py:1: ZeroDivisionError: division by zero"),
        (f"open('x')\n{INIT}{STEP}", "made.py:1: open() is not allowed in a step"),
        (f"step = 3\n{INIT}", "made.py: has no function `step`"),
        (f"def init(message, me):\n    return 1 / 0\n{STEP}", "(made.py, line 2)"),
        (f"def init(message, me):\n    raise SystemExit\n{STEP}", "SystemExit (made.py, line 2)"),
        (f"def init(message, me):\n    return 3\n{STEP}", "not int\n"),
    ],
)
def test_why_a_machine_is_not_created_is_told(shell: Shell, text: str, says: str) -> None:
    (shell.path / "made.py").write_text(text)
    code, _, err = shell("create", "made.py")
    assert code == 1 and says in one_line(err), err
    code, out, err = shell("check", "made.py")
    assert "Traceback" not in err and (code == 1 or "warning" in out)


def test_what_a_suspended_machine_is_sent_is_told_in_one_line(shell: Shell) -> None:
    shell.ok("suspend", "tot")
    code, _, err = shell("send", "tot.add", "1")
    assert code == 4 and "kept by the host" in one_line(err)
    code, _, err = shell("call", "tot.read", "--timeout", "0.5")
    assert code in (1, 4) and len(one_line(err)) > 30
    shell.ok("resume", "tot")


def test_a_damaged_operator_capability_is_named(shell: Shell) -> None:
    (shell.directory / "operator.cap").write_text("junk\n")
    code, _, err = shell("call", "tot.read")
    assert code == 1 and "operator.cap is damaged" in one_line(err)


def test_a_long_content_is_not_repeated(shell: Shell) -> None:
    code, _, err = shell("call", "tot.add", "[" * 20_000)
    assert code == 2 and len(one_line(err)) < 300


def test_call_prints_the_answer_or_says_the_outcome(shell: Shell) -> None:
    assert shell.ok("call", "tot.add", "5").strip() == "5"
    assert shell("call", "tot.add", "-5")[0::2] == (1, "avm-host: refused: negative\n")
    assert shell("call", "tot.add", "-5.5e3")[0::2] == (1, "avm-host: refused\n")
    code, _, err = shell("call", "tot.add", "1000000")
    has_why = "avm-host: rejected: `avm-host failed ls tot` has why\n"
    assert (code, err) == (1, has_why)
    assert shell("send", "tot.add", "1000000")[0::2] == (1, has_why)
    pasted = json.loads(shell.ok("show", "tot", "--json"))["names"]["add"]["$cap"]
    for verb in ("call", "send"):
        assert shell(verb, pasted, "1000000")[0::2] == (1, "avm-host: rejected\n")
    code, _, err = shell("call", "tot.add", "five")
    assert code == 2 and "`avm-host call tot.add --text five`" in one_line(err)
    assert shell("call", "tot.mute", "--timeout", "0.3")[0] in (1, 4)


def test_what_is_not_there_is_told_with_what_is(shell: Shell) -> None:
    code, _, err = shell("send", "nobody.add", "1")
    assert code == 1 and "there are: tot" in one_line(err)
    code, _, err = shell("suspend", "")
    assert code == 1 and "no machine with an empty name; there are: tot" in one_line(err)
    code, _, err = shell("send", "tot.sub", "1")
    assert code == 1 and "tot has no name sub; it has: add" in one_line(err)
    code, _, err = shell("send", "tot.ad", "1")
    assert code == 1 and "tot has no name ad; did you mean add? it has: " in one_line(err)
    code, _, err = shell("send", "tott.add", "1")
    assert code == 1 and "no machine tott; did you mean tot? there are: tot" in one_line(err)
    cap = json.loads(shell.ok("create", str(MACHINES / "tot.py"), "--name", "b", "--json"))
    text = cap["add"]["$cap"]
    code, _, err = shell("send", text[:-1] + ("a" if text[-1] != "a" else "b"), "1")
    assert code == 2
    assert "mistyped" in one_line(err)


def test_lines_are_sent_and_the_bad_ones_listed(shell: Shell) -> None:
    lines = [str(n) for n in range(1, 501)]
    lines[99], lines[249] = "-1", "1000000"
    lines.insert(10, "  ")
    code, out, err = shell("send", "tot.add", "--jsonl", "-", "--json", given="\n".join(lines))
    assert code == 1
    assert err.splitlines() == [
        "avm-host: line 101: refused: negative",
        "avm-host: line 251: rejected",
    ]
    told = json.loads(out)
    assert told["first_error"] == "line 101: refused: negative"
    counted = {key: told[key] for key in ("lines", "committed", "refused", "rejected", "unknown")}
    assert counted == {"lines": 500, "committed": 498, "refused": 1, "rejected": 1, "unknown": 0}
    assert shell.total() == [sum(range(1, 501)) - 100 - 250, 498]
    assert json.loads(shell.ok("status", "--json"))["failed"] == 1


def test_a_malformed_line_stops_there(shell: Shell) -> None:
    code, _, err = shell("send", "tot.add", "--jsonl", "-", given="1\n2\n{\n4\n")
    assert code == 2
    assert re.search(r"line 3: .*2 lines before it were committed", one_line(err))
    assert shell.total() == [3, 2]


def test_a_stream_is_flushed_when_it_pauses(shell: Shell) -> None:
    process = shell.begin("send", "tot.add", "--jsonl", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"1\n")
    process.stdin.flush()
    wait_until(lambda: shell.total() == [1, 1])
    process.stdin.close()
    assert process.wait(WITHIN_S) == 0
    process.stdout and process.stdout.close()
    process.stderr and process.stderr.close()


def test_each_line_is_taken_once_though_the_host_is_killed(shell: Shell) -> None:
    file = shell.path / "lines"
    file.write_text("".join(f"{n}\n" for n in range(1, 20_001)))
    process = shell.begin("send", "tot.add", "--jsonl", str(file), "--batch-size", "20", "--json")
    for at in (500, 5_000, 12_000):
        shell.wait_for(at)
        shell.kill()
        shell.start()
    out, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0, err
    assert json.loads(out)["committed"] == 20_000
    assert shell.total() == [sum(range(1, 20_001)), 20_000]


def test_with_resume_the_same_command_goes_on_after_its_death(shell: Shell) -> None:
    file = shell.path / "lines"
    numbers = [(-1 if n % 1000 == 0 else n) for n in range(1, 20_001)]
    file.write_text("".join(f"{n}\n" for n in numbers))
    words = ("send", "tot.add", "--jsonl", str(file), "--resume", "k", "--json")
    for at in (500, 6_000, 13_000):
        process = shell.begin(*words, "--batch-size", str(10 + at % 7))
        shell.wait_for(at)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=WITHIN_S)
    code, out, err = shell(*words)
    assert code in (0, 1), err
    told = json.loads(out)
    assert told["lines"] == 20_000
    assert told["skipped"] + told["committed"] + told["refused"] == 20_000
    assert shell.total() == [sum(n for n in numbers if n > 0), 19_980]
    code, out, err = shell(*words)
    assert (code, json.loads(out)["skipped"]) == (0, 20_000), err


def test_a_call_lives_through_the_hosts_death(shell: Shell) -> None:
    shell.ok("suspend", "tot")
    process = shell.begin("call", "tot.add", "7", "--timeout", "30")
    wait_until(lambda: json.loads(shell.ok("status", "--json"))["waiting"] >= 1)
    shell.kill()
    shell.start()
    shell.ok("resume", "tot")
    out, err = process.communicate(timeout=WITHIN_S)
    assert (process.returncode, out) == (0, b"7\n"), err


def test_listen_prints_what_comes(shell: Shell) -> None:
    ear = shell.begin("listen", "door", "--count", "2")
    assert ear.stdout is not None
    text = ear.stdout.readline().decode().strip()
    assert text.startswith("avm:")
    for what in ({"a": [1, 2.5]}, "hello"):
        shell.ok("send", "tot.tell", json.dumps({"ear": {"$cap": text}, "what": what}))
    out, err = ear.communicate(timeout=WITHIN_S)
    assert ear.returncode == 0, err
    assert out.decode().splitlines() == ['{"a": [1, 2.5]}', '"hello"']


def test_s06_what_is_no_value_is_passed_over_by_who_listens(shell: Shell) -> None:
    """The host decodes no content: one that lies, or a worker, may send what is none."""
    ear = shell.begin("listen", "door", "--count", "1")
    assert ear.stdout is not None
    wire = parse_text(ear.stdout.readline().decode().strip()).wire()
    liar = Client(Directory(shell.directory), "liar")
    liar.connect()
    other = Client(Directory(shell.directory), "other")
    other.connect()
    to = [wire, other.wire(other.ear())]
    for one in to:
        place = liar.offer_raw([one], [[0, b"\xff", [], None]])
        while place not in liar.settled:
            liar.pump(0.02)
        assert liar.send(one, "well") == ["applied"]
    out, err = ear.communicate(timeout=WITHIN_S)
    assert (ear.returncode, out) == (0, b'"well"\n')
    sender = liar.address.hex()[:8]
    why = "what came is no value: not CBOR of our kind"
    assert err.decode().startswith(f"avm-host: a message of {sender} is passed over: {why}")
    other.wait(lambda: other.heard)
    assert [content for _sender, _name, content in other.heard] == ["well"]
    liar.close()
    other.close()


def test_a_named_listener_hears_what_came_while_it_was_away(shell: Shell) -> None:
    first = shell.begin("listen", "door", "--count", "1", "--json")
    assert first.stdout is not None
    said = json.loads(first.stdout.readline())
    tell = json.dumps({"ear": said, "what": 1})
    shell.kill()
    shell.start()
    shell.ok("send", "tot.tell", tell)
    out, err = first.communicate(timeout=WITHIN_S)
    assert (first.returncode, out) == (0, b"1\n"), err
    for what in (2, 3):
        shell.ok("send", "tot.tell", json.dumps({"ear": said, "what": what}))
    again = shell.ok("listen", "door", "--count", "2", "--json")
    assert [json.loads(line) for line in again.splitlines()] == [said, 2, 3]


def test_what_is_too_large_for_the_host_is_told_alone(shell: Shell) -> None:
    shell.kill()
    shell.start("limits.batch_bytes=150")
    lines = [str(n) for n in range(1, 121)]
    lines[60] = json.dumps("x" * 200)
    code, out, err = shell("send", "tot.add", "--jsonl", "-", "--json", given="\n".join(lines))
    assert (code, err) == (1, "avm-host: line 61: too large\n")
    assert json.loads(out)["committed"] == 119
    assert shell.total() == [sum(range(1, 121)) - 61, 119]
    for verb in ("send", "call"):
        code, _, err = shell(verb, "tot.add", "--text", "x" * 200)
        assert code == 2
        one_line(err)


def test_lines_wait_for_a_suspended_machine(shell: Shell) -> None:
    shell.ok("suspend", "tot")
    code, out, err = shell("send", "tot.add", "--jsonl", "-", "--json", given="1\n2\n")
    told = json.loads(out)
    assert (code, told["held"], told["unknown"]) == (4, 2, 0), err
    file = shell.path / "lines"
    file.write_text("".join(f"{n}\n" for n in range(1, 301)))
    process = shell.begin("send", "tot.add", "--jsonl", str(file), "--batch-size", "10")
    wait_until(lambda: json.loads(shell.ok("status", "--json"))["waiting"] >= 9)
    shell.ok("resume", "tot")
    _, err_bytes = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0, err_bytes
    assert shell.total() == [3 + sum(range(1, 301)), 302]


def test_a_host_that_stays_away_is_told_after_the_time_out(shell: Shell) -> None:
    words = ("send", "tot.add", "--jsonl", "-", "--timeout", "0.2", "--json")
    process = shell.begin(*words, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"1\n")
    process.stdin.flush()
    shell.wait_for(1)
    shell.kill()
    out, err = process.communicate(timeout=WITHIN_S)
    told = json.loads(out)
    # The verdict may have been on its way when the host was killed.
    assert told["committed"] + told["unknown"] == 1
    assert process.returncode == (4 if told["unknown"] else 3), err


def test_a_machines_life(shell: Shell) -> None:
    assert json.loads(shell.ok("suspend", "tot", "--json"))["status"] == "suspended"
    assert shell("send", "tot.add", "1")[0] == 4
    assert shell("rm", "tot")[0] == 1
    shell.ok("resume", "tot")
    wait_until(lambda: shell.total() == [1, 1])
    assert "turn" in json.loads(shell.ok("upgrade", "tot", str(MACHINES / "tot.py"), "--json"))
    state = {"$record": ["Tot", {"me": {"$me": []}, "total": 9, "count": 4, "echo": 0}]}
    shell.ok("edit", "tot", json.dumps(state))
    assert shell.total() == [9, 4]
    assert shell("edit", "tot", "{")[0] == 2
    kept = shell.ok("prune", "tot", "--keep", "1")
    assert kept == "tot keeps its turns from 6 on: what its newest snapshot needs stays\n"
    shell.ok("halt", "tot")
    code, _, err = shell("send", "tot.add", "1")
    assert code == 1 and "undelivered" in one_line(err)
    shell.ok("rm", "tot")
    assert shell("send", "tot.add", "1")[0] == 1


def test_what_broke_a_machine_can_be_sent_again(shell: Shell) -> None:
    assert shell("send", "tot.add", "1000000")[0] == 1
    failed = json.loads(shell.ok("failed", "ls", "--json"))
    turn = str(failed[0]["turn"])
    shell.ok("failed", "edit", "tot", turn, "[5]")
    wait_until(lambda: shell.total() == [5, 1])
    assert json.loads(shell.ok("failed", "ls", "--json")) == []
    assert shell("failed", "drop", "tot", turn)[0] == 1
    assert shell("failed", "keep", "tot", turn)[0] == 2


def test_backup_is_the_owners_alone(shell: Shell) -> None:
    out = json.loads(shell.ok("backup", "copy.avm", "--json"))
    path = Path(out["file"])
    assert path == shell.path / "copy.avm" and path.stat().st_size == out["bytes"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert shell("backup", "copy.avm")[0] == 1


def test_status_has_its_keys_and_stop_frees_the_directory(shell: Shell) -> None:
    status = json.loads(shell.ok("status", "--json"))
    keys = "version dir pid address route uptime_s machines workers store rates failed refused"
    assert set(status) >= {*keys.split(), "waiting"}
    assert set(status["workers"][0]) >= {"pid", "turns", "restarts", "rss_bytes"}
    assert set(status["store"]) >= {"kind", "bytes", "turns"}
    code, _, err = shell("run")
    assert code == 1 and f"in use by pid {status['pid']}" in one_line(err)
    shell.ok("stop")
    assert shell("status")[0] == 3
    assert shell("stop")[0] == 3
