"""A share of the turns is run again beside a real host: what is not pure is found and suspended."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avm.host.state import Status
from avm.past.reading import Reader
from avm.run.directory import Directory
from tests.net.hosts import MACHINES, ROOT, wait_until
from tests.net.test_cli_verbs import Shell

pytestmark = pytest.mark.net


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    try:
        one.start("host.workers=1")
        yield one
    finally:
        one.kill()


def shown(shell: Shell, machine: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell.ok("show", machine, "--json"))
    return found


def is_suspended(shell: Shell, machine: str) -> bool:
    """Read beside the host: a command takes longer than what is waited for."""
    with Reader.open(Directory(shell.directory)) as reader:
        return reader.machine(machine).status is Status.SUSPENDED


def reruns(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell.ok("status", "--json"))["reruns"]
    return found


def sent(shell: Shell, cap: str, count: int = 1) -> None:
    """Sends so many messages, each a batch of its own; a machine may be suspended meanwhile."""
    lines = "\n".join(["null"] * count)
    code, _, err = shell("send", cap, "--jsonl", "-", "--batch-size", "1", given=lines)
    assert code in (0, 4), err


def soon(condition: Callable[[], Any]) -> Any:
    """Polls for what a process does that yields to all others, also those of other tests."""
    return wait_until(condition, within_s=150.0)


LEAKS = {
    "set": r"turn \d+, message 0: sends\[0\].content\[\d\] was ",
    "keep": r"turn \d+: state.order was ",
    "global": r"turn \d+, message 0: sends\[0\].content was \d+, now \d+$",
    "change": r"turn \d+: state.total, which the turn kept, was \d+, now \d+$",
}


# Each of the four is found in this process too, in tests/avm/test_again.py.
SELDOM = ("keep", "global")


@pytest.mark.parametrize(
    "leak",
    [pytest.param(leak, marks=pytest.mark.slow if leak in SELDOM else ()) for leak in LEAKS],
)
def test_w01_a_machine_that_is_not_pure_is_suspended_and_its_value_named(
    shell: Shell, leak: str
) -> None:
    shell.ok("create", str(MACHINES / "leaky.py"))
    shell.ok("create", str(MACHINES / "tot.py"))
    for name in ("add", leak, leak, "add", leak):
        shell("call", f"leaky.{name}", "--timeout", "3")  # it may be suspended already
        shell.ok("call", "tot.add", "1")
    soon(lambda: is_suspended(shell, "leaky"))
    why = shown(shell, "leaky")["why"]
    assert why.startswith("nondeterministic: ")
    assert re.match(LEAKS[leak], why.removeprefix("nondeterministic: ")), why
    log = (shell.path / "host.log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [one["machine"] for one in events if one["event"] == "machine.nondeterministic"] == [
        "leaky"
    ]
    assert "nondeterministic" in shell.ok("status")
    assert shell("send", "leaky.add", "1")[0] == 4
    assert shell.total()[1] == 5


def test_w01_what_an_operator_resumed_is_not_suspended_for_the_same_turns_again(
    shell: Shell,
) -> None:
    shell.ok("create", str(MACHINES / "leaky.py"))
    for name in ("global", "global", "add"):
        shell("call", f"leaky.{name}", "--timeout", "3")  # it may be suspended already
    soon(lambda: is_suspended(shell, "leaky"))
    shell.ok("resume", "leaky")
    shell.kill()
    shell.start("host.workers=1")
    before = reruns(shell)["spans"]
    for _ in range(12):
        shell.ok("call", "leaky.add")
    soon(lambda: reruns(shell)["spans"] > before or shown(shell, "leaky")["snapshot"])
    assert shown(shell, "leaky")["status"] == "running"


def test_w01_a_machine_in_a_busy_host_is_found_before_its_first_snapshot(shell: Shell) -> None:
    shell.ok("create", str(MACHINES / "leaky.py"))
    sent(shell, "leaky.add", 60)
    sent(shell, "leaky.change", 90)  # more than what it had at the last look
    soon(lambda: is_suspended(shell, "leaky"))
    assert shown(shell, "leaky")["snapshot"] is None


def test_w01_pure_machines_of_the_examples_are_run_again_and_never_suspended(
    shell: Shell,
) -> None:
    for name in ("counter", "mint", "todo", "chat"):
        shell.ok("create", str(ROOT / "examples" / f"{name}.py"))
    for _ in range(3):
        shell.ok("call", "counter.add", "2")
    soon(lambda: reruns(shell)["spans"] >= 1)
    found = reruns(shell)
    assert found["without_verdict"] == 0 and found["nondeterministic"] == 0
    assert {one["status"] for one in json.loads(shell.ok("ls", "--json"))} == {"running"}


def test_w01_a_killed_rerun_changes_nothing_and_is_counted(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.start("host.workers=1", "limits.rerun_share=1", "limits.snapshot_turns=50")
    try:
        shell.ok("create", str(MACHINES / "tot.py"))
        for _ in range(3):
            shell.ok("call", "tot.add", "1")
        pid = soon(lambda: reruns(shell)["pid"])
        lost = reruns(shell)["without_verdict"]
        os.kill(pid, signal.SIGKILL)
        lines = "\n".join(["1"] * 300)
        shell.ok("send", "tot.add", "--jsonl", "-", "--batch-size", "1", given=lines)
        soon(lambda: reruns(shell)["without_verdict"] > lost)
        before = reruns(shell)["spans"]
        soon(lambda: reruns(shell)["spans"] > before)
        assert shell.total() == [303, 303]
        assert shown(shell, "tot")["status"] == "running"
        assert reruns(shell)["nondeterministic"] == 0
    finally:
        shell.kill()


def test_w01_a_share_of_none_runs_nothing_again(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.start("host.workers=1", "limits.rerun_share=0", "limits.snapshot_turns=2")
    try:
        shell.ok("create", str(MACHINES / "leaky.py"))
        for _ in range(5):
            shell.ok("call", "leaky.global")
        found = reruns(shell)
        assert found["spans"] == 0 and found["pid"] is None
    finally:
        shell.kill()
