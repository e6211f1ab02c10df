"""`dht` and `publish` as typed words: what is printed of the contacts, the records held and those announced."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.net.hosts import MACHINES, RunningHost, wait_until
from tests.net.spread import listening, route_of
from tests.net.test_cli_verbs import Shell, one_line

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=1", "limits.rerun_share=0")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"


class Pair:
    """Two hosts that know each other, a machine at the second, and commands about the second."""

    def __init__(self, path: Path, *settings: str) -> None:
        settings = (*SETTINGS, *settings)
        self.here = listening(path / "a", *settings)
        self.here.start()
        self.there = listening(path / "b", *settings, through=route_of(self.here))
        self.there.start()
        self.shell = shell_of(path, self.there)
        self.shell.ok("create", str(MACHINES / "tot.py"))

    def close(self) -> None:
        for host in (self.here, self.there):
            host.close()


def shell_of(path: Path, host: RunningHost) -> Shell:
    shell = Shell(path)
    shell.environ["AVM_HOST_DIR"] = str(host.directory.path)
    return shell


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    one = Pair(tmp_path)
    yield one
    one.close()


def asked(shell: Shell, *words: str) -> Any:
    return json.loads(shell.ok(*words, "--json"))


def kept(shell: Shell) -> Any:
    """The announced records, once each has a holder."""
    rows = asked(shell, "publish")
    return rows if len(rows) == 2 and all(one["kept"] for one in rows) else None


def test_w18_publish_lists_what_is_announced_and_by_how_many_it_is_kept(pair: Pair) -> None:
    shell = pair.shell
    host, machine = wait_until(lambda: kept(shell), "nobody keeps it")
    route = route_of(pair.there)
    assert (host["name"], machine["name"]) == ("host", "tot")
    assert host["address"] == route.partition("@")[0] and host["kind"] == "location"
    assert all(one["next_ms"] - one["put_ms"] == 3_600_000 for one in (host, machine))
    lines = shell.ok("publish").splitlines()
    assert lines[0].split() == [
        "name",
        "kind",
        "address",
        "incarnation",
        "sequence",
        "expires",
        "holders",
        "next",
    ]
    row = (
        rf"tot +location +{machine['address'][:12]} +1 +{machine['sequence']} +{TIME} +1 of 1 +in "
    )
    assert re.match(row, lines[2]), lines
    assert asked(shell, "publish", "tot")[0]["address"] == machine["address"]
    start = machine["address"][:20]
    assert asked(shell, "publish", start) == asked(shell, "publish", "tot")
    code, _, err = shell("publish", "nobody")
    assert code == 1 and "this host announces no nobody: `avm-host publish` lists" in one_line(err)


def test_w18_publish_now_puts_a_record_again_and_says_when_nobody_keeps_it(pair: Pair) -> None:
    shell = pair.shell
    before = {one["name"]: one for one in wait_until(lambda: kept(shell))}
    (row,) = asked(shell, "publish", "tot", "--now")
    assert row["answered"] and (row["kept"], row["asked"]) == (1, 1)
    assert row["put_ms"] > before["tot"]["put_ms"] and row["sequence"] == before["tot"]["sequence"]
    now = {one["name"]: one for one in asked(shell, "publish")}
    assert now["host"]["put_ms"] == before["host"]["put_ms"], "the others wait for their hour"
    assert all(one["answered"] for one in asked(shell, "publish", "--now"))
    pair.here.kill()
    code, _, err = shell("publish", "tot", "--now")
    assert code == 1 and "nobody keeps 1 record: `avm-host dht table`" in one_line(err)
    code, _, err = shell("publish", "tot", "--now", "--timeout", "-1")
    assert code == 2 and "--timeout" in one_line(err)


def test_dht_shows_contacts_records_and_counters(pair: Pair) -> None:
    shell = pair.shell
    wait_until(lambda: kept(shell))
    (contact,) = asked(shell, "dht", "table")
    assert contact["endpoint"] == route_of(pair.here).partition("@")[2]
    assert 1 <= contact["bucket"] <= 256 and contact["unanswered"] == 0
    assert contact["age_s"] < 60 and contact["since_ms"] <= contact["heard_ms"]
    head, row = shell.ok("dht", "table").splitlines()
    assert head.split() == ["bucket", "node", "endpoint", "heard", "round", "trip", "unanswered"]
    assert re.fullmatch(
        rf" *{contact['bucket']}  {contact['id'][:12]}  \S+  +\d+ s ago +\d+ ms +0", row
    )
    held = asked(shell_of(pair.shell.path, pair.here), "dht", "records")
    announced = {one["address"]: one for one in asked(shell, "publish")}
    assert {one["address"] for one in held} == set(announced)
    for one in held:
        own = announced[one["address"]]
        assert one["sequence"] == own["sequence"] and one["bytes"] == own["bytes"]
        assert one["until_ms"] <= one["expiry_ms"] == own["expiry_ms"]
    assert len(shell_of(pair.shell.path, pair.here).ok("dht", "records").splitlines()) == 3
    stats = asked(shell, "dht")
    assert stats == asked(shell, "dht", "stats") | {"counts": stats["counts"]} | {
        "requests": stats["requests"]
    }
    assert (stats["contacts"], stats["published"], stats["hosts"]) == (1, 2, 2)
    assert stats["counts"]["publications.kept"] >= 2 and stats["counts"]["answers.received"]
    assert "publications.kept " in shell.ok("dht")
    code, _, err = shell("dht", "tables")
    assert (code, one_line(err)) == (
        2,
        "avm-host: `avm-host dht tables`: it is one of table, records, stats\n",
    )


def test_without_a_network_dht_and_publish_say_how_to_join_one(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        shell.start()
        for words in (("dht",), ("dht", "table"), ("publish",), ("publish", "--now")):
            code, _, err = shell(*words)
            assert code == 1 and "in no network: start it with `avm-host run --listen" in err
    finally:
        shell.kill()
