"""The examples on a real host, by the commands their page gives."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.net.hosts import RunningHost, wait_until

pytestmark = pytest.mark.net

EXAMPLES = Path(__file__).parents[2] / "examples"
ODD = [1200, 3456, 5000, 7777, 9001]


class Shell:
    """The command line, in the folder of the examples."""

    def __init__(self, host: RunningHost) -> None:
        self.command = [sys.executable, "-m", "avm.cli.main", "--dir", str(host.directory.path)]

    def run(self, *words: str, code: int = 0) -> str:
        ran = subprocess.run(
            [*self.command, *words], cwd=EXAMPLES, capture_output=True, text=True, check=False
        )
        assert ran.returncode == code, ran.stderr
        return ran.stdout if code == 0 else ran.stderr

    def call(self, cap: str, said: object = None) -> Any:
        return json.loads(self.run("call", cap, json.dumps(said)))


@pytest.fixture
def shell(host: RunningHost) -> Shell:
    host.start()
    return Shell(host)


def test_the_shipped_log_is_counted_once_though_the_host_is_killed(
    host: RunningHost, shell: Shell
) -> None:
    shell.run("create", "logstats.py")
    log = gzip.decompress((EXAMPLES / "logs" / "access.log.gz").read_bytes()).splitlines(True)
    sending = subprocess.Popen(
        [*shell.command, "send", "logstats.line", "--lines", "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert sending.stdin is not None
    sending.stdin.write(b"".join(log[:6000]))
    sending.stdin.flush()
    wait_until(lambda: shell.call("logstats.summary")["lines"] > 1000)
    host.kill()
    host.start()
    out, errors = sending.communicate(b"".join(log[6000:]))
    assert sending.returncode == 1
    summary = json.loads(out)
    assert (summary["lines"], summary["committed"], summary["refused"]) == (10_000, 9_995, 5)
    lines = errors.decode().splitlines()
    assert lines == [f"avm-host: line {odd}: refused: {WORD}" for odd in ODD]
    assert shell.call("logstats.summary")["lines"] == 9_995


WORD = "not a line of the combined format"


def test_two_sides_exchange_by_the_commands_of_the_page(host: RunningHost, shell: Shell) -> None:
    for name in ("euro", "points"):
        shell.run("create", "mint.py", "--name", name)
    euro, points = (shell.call(f"{name}.issue", 10) for name in ("euro", "points"))
    brands = [f"{side}={purse['$cap']}" for side, purse in (("a", euro), ("b", points))]
    prices = ("--params", '{"prices": [7, 3]}')
    shell.run("create", "escrow.py", *prices, "--grant", brands[0], "--grant", brands[1])
    assert shell.call("escrow.a", {"pay": euro}) == "paid"
    assert "not both have paid" in shell.run("call", "escrow.a", "--text", "claim", code=1)
    host.kill()
    host.start()
    assert shell.call("escrow.b", {"pay": points}) == "paid"
    assert shell.call(shell.call("escrow.b", "claim")["$cap"]) == 7
    assert shell.call(shell.call("escrow.a", "claim")["$cap"]) == 3
    assert [shell.call(purse["$cap"]) for purse in (euro, points)] == [3, 7]


def test_a_plan_is_lent_and_taken_back_by_the_commands_of_the_page(
    host: RunningHost, shell: Shell
) -> None:
    shell.run("create", "plan.py")
    shell.call("plan.plan", {"draw": "kitchen", "with": "a stove"})
    shell.run("create", "wall.py", "--grant", "target=plan.plan")
    kitchen = shell.call("wall.access", {"take": "kitchen"})["$cap"]
    assert shell.call(kitchen, {"with": "a stove and a bar"}) is None
    host.kill()
    host.start()
    shell.call("wall.revoke")
    for cap in (kitchen, "wall.access"):
        assert shell.run("call", cap, code=1) == "avm-host: refused: revoked\n"
    assert shell.call("plan.plan") == {"kitchen": "a stove and a bar"}
