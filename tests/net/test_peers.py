"""Peers of real host processes: told of, linked again after a restart, given up, banned by typed words."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from avm.plugin.session import Client, OperatorRefused
from caps.map import Map
from tests.net.hosts import RunningHost, wait_until
from tests.net.spread import free_endpoint, listening, route_of
from tests.net.test_cli_verbs import Shell, one_line

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=1", "limits.rerun_share=0")


class Crowd:
    """Hosts that start alone: nobody has a bootstrap."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hosts: list[RunningHost] = []

    def host(self, *settings: str) -> RunningHost:
        one = listening(self.path / f"h{len(self.hosts)}", *SETTINGS, *settings)
        self.hosts.append(one)
        one.start()
        return one


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    one = Crowd(tmp_path)
    yield one
    for host in one.hosts:
        host.close()


def asking(host: RunningHost) -> Client:
    return host.client("peers")


def peers(client: Client) -> dict[str, dict[str, Any]]:
    return {one["host"]: one for one in client.operate("peers")}


def linked(client: Client) -> set[str]:
    return {host for host, one in peers(client).items() if one["state"] == "linked"}


def address(route: str) -> str:
    return route.partition("@")[0]


def dial(client: Client, route: str) -> None:
    client.operate("peers", act="dial", host=route)


def test_s09_a_host_is_told_whom_its_peer_reached_and_links_it(crowd: Crowd) -> None:
    hub, one, other = (crowd.host() for _ in range(3))
    asks = [asking(host) for host in (hub, one, other)]
    route = route_of(hub)
    for client in asks[1:]:
        dial(client, route)
    there = address(route_of(other))
    wait_until(lambda: there in peers(asks[1]), "one is not told of the other")
    known = wait_until(lambda: there in linked(asks[1]) and peers(asks[1])[there])
    assert known["endpoints"][0] == route_of(other).partition("@")[2]
    counts = asks[0].operate("status")["counts"]
    assert counts["peers_told"] <= 4, "each is told of the other once"


def test_s10_a_restart_links_its_peers_again_without_a_bootstrap(crowd: Crowd) -> None:
    here, there = crowd.host(), crowd.host()
    maker = there.client("maker")
    names = there.create(maker, "orchard.py", "orchard-0", 0)
    report = maker.wire(names["report"])
    client = asking(here)
    dial(client, route_of(there))
    assert isinstance(client.call(report), Map)
    wait_until(lambda: row(here, "peers") and row(there, "peers"), "the roster is not written")
    here.kill()
    # Without what its node of the DHT knew: the roster alone leads back.
    store = apsw.Connection(str(here.directory.store))
    store.execute("DELETE FROM meta WHERE key = 'node'")
    store.close()
    here.start()
    client.connect()
    wait_until(lambda: linked(client) == {address(route_of(there))}, "it does not link again")
    assert isinstance(client.call(report), Map), "its node has joined again by the peer"


def row(host: RunningHost, key: str) -> bool:
    store = apsw.Connection(str(host.directory.store), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return bool(list(store.execute("SELECT 1 FROM meta WHERE key = ?", (key,))))
    finally:
        store.close()


def test_a_host_that_listens_everywhere_has_a_route_once_another_has_seen_it(
    tmp_path: Path,
) -> None:
    shell, other = Shell(tmp_path), None
    try:
        shell.start(*SETTINGS, options=("--listen", "0.0.0.0:0"))
        told = json.loads(shell.ok("status", "--json"))
        port = told["listens"].rpartition(":")[2]
        assert (told["route"], told["listens"]) == (None, f"0.0.0.0:{port}")
        said = (tmp_path / "host.log").read_text()
        assert f" listens at 0.0.0.0:{port}; " in said and "is reached at" not in said
        route = f"{told['address']}@127.0.0.1:{port}"
        other = listening(tmp_path / "b", *SETTINGS, through=route)
        other.start()
        dial(asking(other), route)
        wait_until(lambda: host_of(shell) == route, "it does not learn where it is reached")
        assert f"  route     {route}\n" in shell.ok("status")
        unknown = "ab" * 32
        for host in (address(route_of(other)), unknown):
            shell.ok("peers", "trust", f"{host}@127.0.0.1:{port}")
        rows = json.loads(shell.ok("peers", "--json"))
        assert {one["host"] for one in rows if one["trusted"]} >= {unknown}
        assert all(one["trusted"] for one in rows)
        code, _, err = shell("peers", "trust", f"ab@127.0.0.1:{port}")
        assert code == 2 and "64 lower-case hexadecimal digits" in one_line(err)
    finally:
        shell.kill()
        if other is not None:
            other.close()


def test_hosts_of_one_network_find_each_other_by_the_beacon(crowd: Crowd) -> None:
    group = f'network.beacon="239.192.77.1:{free_endpoint().rpartition(":")[2]}"'
    here, there = crowd.host(group), crowd.host(group)
    client = asking(here)
    wait_until(lambda: linked(client) == {address(route_of(there))}, "they do not find each other")
    maker = there.client("maker")
    report = maker.wire(there.create(maker, "orchard.py", "orchard-0", 0)["report"])
    assert isinstance(client.call(report), Map), "the node of each has joined by the other"


def test_t06_the_worst_idle_link_goes_when_a_better_peer_returns(crowd: Crowd) -> None:
    hub = crowd.host("limits.links=1", "limits.peers_dialed=1")
    good, bad = (crowd.host("limits.peers_dialed=1") for _ in range(2))
    client = asking(hub)
    for _ in range(2):
        dial(client, route_of(bad))
        assert bad.stop() == 0
        wait_until(lambda: not linked(client), "the end of the link is not noticed")
        bad.start()
    wait_until(lambda: linked(client) == {address(route_of(bad))}, "the bad one is not back")
    dial(client, route_of(good))
    wait_until(lambda: linked(client) == {address(route_of(good))}, "the worst stays")
    rows = peers(client)
    assert rows[address(route_of(good))]["score"] > rows[address(route_of(bad))]["score"]


def test_t08_dial_drop_ban_and_unban_take_effect_and_a_ban_lasts(
    tmp_path: Path, crowd: Crowd
) -> None:
    there = crowd.host("limits.peers_dialed=1")
    route = route_of(there)
    shell = Shell(tmp_path)
    settings = ("host.workers=1", f'network.listen="{free_endpoint()}"')
    try:
        shell.start(*settings)
        assert "no other hosts are known" in shell.ok("peers")
        assert "is linked" in shell.ok("peers", "dial", route)
        table = shell.ok("peers")
        assert "direct, dialed" in table and route.partition("@")[2] in table
        start = route[:10]
        assert "1 link closed" in shell.ok("peers", "drop", start)
        assert state(shell) in ("dropped", "linked")
        shell.ok("peers", "ban", start)
        assert state(shell) == "banned"
        code, _, err = shell("peers", "dial", route)
        assert code == 1 and "unban" in one_line(err)
        with suppress(OperatorRefused):  # when it has gone before it was noted as up
            dial(asking(there), host_of(shell))
        wait_until(lambda: not linked(asking(there)), "the banned host keeps its link")
        assert state(shell) == "banned"
        shell.kill()
        shell.start(*settings)
        assert state(shell) == "banned"
        shell.ok("peers", "unban", start)
        assert "is linked" in shell.ok("peers", "dial", route)
        assert state(shell) == "linked"
        for words in (("peers", "ban"), ("peers", "hug", start), ("peers", "dial", "192.0.2.7:1")):
            code, _, err = shell(*words)
            assert code == 2 and one_line(err)
        code, _, err = shell("peers", "unban", "ffff")
        assert code == 1 and "no known host" in one_line(err)
    finally:
        shell.kill()


def state(shell: Shell) -> str:
    (only,) = json.loads(shell.ok("peers", "--json"))
    said: str = only["state"]
    return said


def host_of(shell: Shell) -> str:
    route: str = json.loads(shell.ok("status", "--json"))["route"]
    return route
