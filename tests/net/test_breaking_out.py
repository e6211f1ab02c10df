"""A step that breaks out of Python at a real host: it finds nothing there, and the host goes on."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from avm.machine.confined import available
from avm.run.spawn import INHERITED
from tests.net.hosts import MACHINES
from tests.net.test_cli_verbs import Shell
from tests.net.test_rerun_share import reruns, shown, soon

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(not (available().files and available().calls), reason="no such kernel"),
]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    try:
        one.start("host.workers=1", "limits.rerun_share=1", "limits.snapshot_turns=20")
        one.ok("create", str(MACHINES / "breaker.py"))
        yield one
    finally:
        one.kill()


def run(shell: Shell, text: str) -> str:
    """What comes of a program that the step runs."""
    found: str = json.loads(shell.ok("call", "breaker.run", "--text", text))
    return found


def test_x01_a_step_that_breaks_out_of_python_finds_no_key_and_no_way_out(shell: Shell) -> None:
    """It is no mistake of the test that nothing is found: the step runs what it is sent."""
    assert run(shell, "import os; found = os.getcwd()") == "found /"
    kept = [path for path in sorted(shell.directory.rglob("*")) if path.is_file()]
    assert len(kept) >= 4, "keys, the operator's capability, the store, the lock"
    for path in kept:
        assert run(shell, f"open({str(path)!r}, 'rb')").startswith("PermissionError")
    assert run(shell, f"import os; os.listdir({str(shell.directory)!r})").startswith("Permission")
    host = json.loads(shell.ok("status", "--json"))["pid"]
    assert run(shell, f"import os; os.kill({host}, 9)").startswith("PermissionError")
    names = run(shell, "import os; found = ' '.join(sorted(os.environ))")
    started = {"LC_ALL", "PYTHONHASHSEED", "PYTHONPATH", "TZ"}
    found = set(names.split()[1:])
    assert started <= found <= {*started, *INHERITED}, "nothing of the host's"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        call = f"import socket; socket.create_connection({server.getsockname()!r})"
        assert run(shell, call).startswith("PermissionError")
        door = f"import socket; socket.socket(1).connect({str(shell.directory / 'socket')!r})"
        assert run(shell, door).startswith("PermissionError")
        for _ in range(20):
            run(shell, call)
        # Its spans are run again by another process, and that is as closed.
        soon(lambda: reruns(shell)["spans"] >= 1)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert run(shell, "found = 1") == "found 1"
    assert shown(shell, "breaker")["status"] == "running"


def test_x01_status_tells_what_the_system_keeps_workers_from(shell: Shell) -> None:
    assert json.loads(shell.ok("status", "--json"))["confined"] == {"files": True, "calls": True}
    assert "kept from" not in shell.ok("status")
