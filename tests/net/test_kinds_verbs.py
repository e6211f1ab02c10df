"""Kinds and commons by the command line of a real host."""

import json
import time
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
    one.ok("create", str(MACHINES / "pouch.py"))
    yield one
    one.kill()


def test_w16_failed_show_names_the_coin_and_where_it_was(shell: Shell) -> None:
    shell.ok("call", "pouch.make", "1")
    code, _, err = shell("call", "pouch.lose")
    assert code == 1 and "rejected" in one_line(err)
    (row,) = json.loads(shell.ok("failed", "ls", "--json"))
    told = shell.ok("failed", "show", "pouch", str(row["turn"]))
    assert "Linear(1) of state.coins[0] was dropped: keep it, send it on" in told
    assert '"$linear": 1' in shell.ok("state", "pouch", "--json")
    shell.kill()
    shell.start()
    assert shell("call", "pouch.lose")[0] == 1
    shell.ok("replay", "pouch")


def test_w17_a_command_asks_a_common_and_a_setting_switches_it_off(shell: Shell) -> None:
    for cap in ("time~", "pouch.when"):
        assert abs(float(shell.ok("call", cap)) - time.time()) < 60
    assert len(json.loads(shell.ok("call", "random~", "3"))["$bytes"]) == 4
    told = json.loads(shell.ok("call", "inspect~", '{"$cap": "pouch.make"}'))
    assert told["kind"] == "" and told["own"] is False and told["common"] is None
    code, _, err = shell("call", "random~", "5000")
    assert code == 1 and "random~ takes null or how many bytes" in one_line(err)
    code, _, err = shell("call", "clock~")
    assert code == 2 and "there is no clock~" in one_line(err)
    code, _, err = shell("send", "time~")
    assert code == 1 and "`avm-host call time~`" in one_line(err)
    shell.kill()
    shell.start("commons.time=off")
    for cap in ("time~", "pouch.when"):
        code, _, err = shell("call", cap)
        assert code == 1 and "time~ is switched off at this host" in one_line(err)
    code, _, err = shell("config", "--set", 'commons.origin="time~"')
    assert code != 0 and "the origin is a capability" in one_line(err)
