"""What an operator is told who sends to a host that is gone, and to an address that is not who is there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.net.hosts import MACHINES, wait_until
from tests.net.spread import endpoint_of, route_of
from tests.net.test_cli_verbs import Shell, one_line
from tests.net.test_records_verbs import Pair, asked, shell_of

pytestmark = pytest.mark.net

SOON = ("links.idle_s=2", "links.keep_alive_s=0.5", "links.handshake_s=2")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    one = Pair(tmp_path, *SOON)
    yield one
    one.close()


def waiting(shell: Shell) -> list[dict[str, Any]]:
    """The channels on which something waits."""
    return [row for row in asked(shell, "channels") if row["waiting"]]


def test_who_sends_to_a_host_that_is_gone_is_told_so_and_what_was_sent_is_taken_when_it_is_back(
    pair: Pair, tmp_path: Path
) -> None:
    there, here = pair.shell, shell_of(tmp_path, pair.here)
    made = there.ok("create", str(MACHINES / "tot.py"), "--name", "far", "--json")
    cap = json.loads(made)["add"]["$cap"]
    assert here.ok("call", cap, "5") == "5\n"
    other = asked(there, "status")["address"]
    pair.there.kill()
    silent = f"host {other[:12]}.. does not answer"

    # Its end may be noticed only while the command waits, which is then told that first.
    code, out, err = here("send", cap, "1", "--timeout", "3")
    kept = "the host keeps what was sent, until its time is over: `avm-host channels`"
    told = err.splitlines()
    assert code == 4 and not out and told[-1] == f"avm-host: unknown: {silent}; {kept}"
    where = "`avm-host channels` shows when that changes"
    assert told[-2] == f"avm-host: waiting: {silent}; {where}"

    code, _, err = here("call", cap, "1", "--timeout", "3")
    over = "avm-host: undelivered: the deadline passed"
    # After each few tries it is looked up, and dialed for a first time.
    whys = (silent, silent.replace("does not answer", "is dialed"))
    assert code == 1 and err.splitlines()[-1] in [
        f"{over}; {why}: `avm-host channels`" for why in whys
    ]
    # What was asked has its time behind it: its asker has heard so, and nothing of it is owed.
    stuck = {"waiting": 1, "stuck": 1, "frozen": 0}
    wait_until(lambda: asked(here, "status")["owed"] == stuck, "it is not stuck")
    wait_until(lambda: {row["why"] for row in waiting(here)} == {silent}, "nobody says why")
    assert {row["at"] for row in waiting(here)} <= {other, None}
    still = "1 batch still waits for other hosts"
    why = "`avm-host channels` has why; `avm-host stop` keeps what waits in the store"
    assert here("drain", "--timeout", "0") == (4, "", f"avm-host: {still}: {why}\n")
    line = "  others    1 batch waits (1 gets no further): `avm-host channels` has why"
    wait_until(lambda: line in here.ok("status").splitlines(), "status does not say so")
    pair.there.start()
    wait_until(lambda: not waiting(here), "it is not taken")
    assert asked(there, "state", "far")["$record"][1]["total"] == 6


def test_lines_for_a_host_that_is_gone_end_when_there_is_no_room_for_more_of_them(
    tmp_path: Path,
) -> None:
    pair = Pair(tmp_path, *SOON, "limits.outbox_bytes=65536")
    try:
        here = shell_of(tmp_path, pair.here)
        made = pair.shell.ok("create", str(MACHINES / "tot.py"), "--name", "far", "--json")
        cap = json.loads(made)["add"]["$cap"]
        assert here.ok("call", cap, "5") == "5\n"
        pair.there.kill()
        lines = ("send", cap, "--lines", "-", "--batch-size", "1", "--window", "64", "--json")
        text = "".join("x" * 9_000 + "\n" for _ in range(32))
        code, out, err = here(*lines, "--timeout", "1", given=text)
        told = json.loads(out)
        assert code == 4 and "unknown: the host took nothing for 1 s" in err.splitlines()[-1]
        assert told["unknown"] and told["unsent"] and not told["undelivered"]
        assert told["unknown"] + told["unsent"] == told["lines"] == 32
    finally:
        pair.close()


def test_a_route_that_is_wrong_is_told_by_what_is_wrong_with_it(pair: Pair) -> None:
    shell = pair.shell
    other, at = "ab" * 32, str(endpoint_of(pair.here))
    code, _, err = shell("peers", "dial", f"{other}@{at}")
    what = f"another host answers at {at}: compare the route with that host's `status`"
    assert (code, one_line(err).rstrip()) == (
        1,
        f"avm-host: abababababab.. could not be reached: {what}",
    )
    (row,) = [one for one in asked(shell, "peers") if one["host"] == other]
    assert row["failed_at"] == {at: what}
    assert f"abababababab: {what}" in shell.ok("peers").splitlines()
    route = route_of(pair.here)
    known = route.partition("@")[0]
    shell.ok("peers", "dial", route)
    shell.ok("peers", "drop", known)
    assert shell.ok("peers", "dial", known[:8]) == f"{known[:12]}.. is linked\n"
    assert "nobody knows" not in shell.ok("locate", "tot")
    code, _, err = shell("locate", "nowhere")
    said = "no known address starts with nowhere: locate needs all its 64 digits"
    assert (code, one_line(err).rstrip()) == (1, f"avm-host: {said}")
