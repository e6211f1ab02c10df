"""Two hosts as their operators type: a machine that moves, a host that drains, one that nobody answers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import MACHINES, RunningHost, wait_until
from tests.net.spread import listening, route_of
from tests.net.test_cli_verbs import Shell, one_line
from tests.net.test_records_verbs import asked, shell_of

pytestmark = pytest.mark.net
LINKS = ("links.idle_s=3.0", "links.keep_alive_s=1.0")
SETTINGS = ("host.workers=1", "limits.rerun_share=0", "limits.snapshot_turns=1", *LINKS)
LINES = 12
LINE_BYTES = 200_000


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningHost]:
    one = listening(tmp_path / "a", *SETTINGS)
    one.start()
    yield one
    one.close()


@pytest.fixture
def there(tmp_path: Path, here: RunningHost) -> Iterator[RunningHost]:
    one = listening(tmp_path / "b", *SETTINGS, through=route_of(here))
    one.start()
    yield one
    one.close()


def moved(ours: Shell, theirs: Shell, there: RunningHost) -> str:
    """A machine with some mebibytes of journal is made and moves; what `move` said."""
    ours.ok("create", str(MACHINES / "hoard.py"))
    lines = "".join(chr(ord("a") + n) * LINE_BYTES + "\n" for n in range(LINES))
    ours.ok("send", "hoard.put", "--lines", "-", given=lines)
    theirs.ok("peers", "trust", asked(ours, "status")["address"])
    return ours.ok("move", "hoard", "--to", route_of(there))


def test_a_machine_with_a_long_history_moves_and_both_hosts_tell_of_it(
    here: RunningHost, there: RunningHost, tmp_path: Path
) -> None:
    ours, theirs = shell_of(tmp_path, here), shell_of(tmp_path, there)
    host = asked(theirs, "status")["address"]
    assert moved(ours, theirs, there).startswith(f"hoard lives at host {host[:12]}")
    assert asked(theirs, "call", "hoard.read") == [LINES, LINES * LINE_BYTES]
    log = [line.split()[2:] for line in theirs.ok("log", "hoard").splitlines()]
    assert ["incarnation", "2"] in log and ["generation", "1"] in log
    shown = asked(theirs, "show", "hoard")
    assert (shown["incarnation"], shown["generation"]) == (2, 1)
    theirs.ok("replay", "hoard")
    for shell in (ours, theirs):
        assert not asked(shell, "verify")["problems"]
    assert asked(ours, "ls") == []
    for verb in ("show", "state", "log", "replay", "halt", "rm"):
        for named in ("hoard", shown["address"][:16]):
            code, _, err = ours(verb, named)
            assert code == 1 and f"hoard has moved to host {host}" in one_line(err), verb


def test_a_machine_that_is_on_its_way_to_a_host_that_died_is_told_of_and_taken_back(
    here: RunningHost, there: RunningHost, tmp_path: Path
) -> None:
    ours, theirs = shell_of(tmp_path, here), shell_of(tmp_path, there)
    host, own = asked(theirs, "status")["address"], asked(ours, "status")["address"]
    client = here.client("one")
    put = client.wire(here.create(client, "hoard.py")["put"])
    for n in range(20):  # Each has a turn of its own, and a snapshot to be fetched.
        assert client.send(put, str(n % 10)) == ["applied"]
    theirs.ok("peers", "trust", own)
    there.kill()
    there.start("committed, not told", 10)
    cap = asked(ours, "show", "hoard")["names"]["read"]["$cap"]
    moving = ours.begin("move", "hoard", "--to", route_of(there))
    wait_until(lambda: there.ended, "it does not die on the way")
    (listed,) = asked(ours, "ls")
    assert (listed["status"], listed["to"]) == ("moving", host)
    code, _, err = ours("state", "hoard")
    assert code == 1 and f"hoard is on its way to host {host}" in one_line(err)
    assert not asked(ours, "verify")["problems"] and asked(ours, "verify")["entries"] > 20
    code, _, err = ours("drain", "--timeout", "0.1")
    assert code == 4 and "1 machine still on the way to another host" in one_line(err)
    assert here.stop() == 0
    _, err_bytes = moving.communicate(timeout=30)
    assert moving.returncode == 4 and b"while it is on its way" in err_bytes
    here.start()
    assert "hoard lives here again, under incarnation 3" in ours.ok("move", "hoard", "--back")
    assert asked(ours, "call", cap) == [20, 20]
    assert "back of" in ours.ok("channels", "cases")
    there.start()
    assert asked(theirs, "ls") == [] and asked(theirs, "call", cap) == [20, 20]
    ours.ok("replay", "hoard")
    code, _, err = ours("move", "hoard", "--back")
    assert code == 1 and "no machine hoard is on its way" in one_line(err)
    for words in (("--back", "--as", "a"), ("--back", "--to", own), ()):
        assert ours("move", "hoard", *words)[0] == 2


def test_t08_a_host_that_drains_says_so_and_what_it_did_not_take_is_undelivered(
    here: RunningHost, tmp_path: Path
) -> None:
    shell = shell_of(tmp_path, here)
    shell.ok("create", str(MACHINES / "tot.py"))
    assert asked(shell, "status")["draining"] is False
    shell.ok("drain")
    assert asked(shell, "status")["draining"] is True
    assert "takes no new work" in shell.ok("status")
    code, out, err = shell("call", "tot.add", "1", "--timeout", "1")
    assert (code, out) == (1, "") and "undelivered: the host took nothing" in one_line(err)
    code, out, err = shell("send", "tot.add", "1", "--timeout", "1")
    assert (code, out) == (1, "") and "undelivered: the host took nothing for 1 s" in one_line(err)
    lines = ("send", "tot.add", "--lines", "-", "--batch-size", "1", "--timeout", "1", "--json")
    code, out, err = shell(*lines, given="1\n2\n")
    told = json.loads(out)
    assert (code, told["unsent"], told["unknown"], told["committed"]) == (1, 2, 0, 0)
    assert "undelivered" in one_line(err)
    assert here.stop() == 0
    here.start()
    assert json.loads(shell.ok("call", "tot.add", "2")) == 2


def test_a_host_that_nobody_answers_says_so_until_somebody_does(tmp_path: Path) -> None:
    here = listening(tmp_path / "a", *SETTINGS)
    here.start()
    route = route_of(here)
    assert here.stop() == 0
    alone = listening(tmp_path / "b", *SETTINGS, through=route)
    alone.start()
    shell = shell_of(tmp_path, alone)
    try:
        assert asked(shell, "status")["contacts"] == 0
        assert asked(shell, "status")["met"] is False
        assert "no other host has answered yet" in shell.ok("status")
        here.start()
        wait_until(lambda: asked(shell, "status")["contacts"], "the bootstrap is not asked again")
        assert "no other host" not in shell.ok("status")
        assert asked(shell, "status")["met"] is True
    finally:
        alone.close()
        here.close()
