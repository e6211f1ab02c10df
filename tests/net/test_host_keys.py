"""A host whose root key is kept away, with real processes: it changes its key, dies, and goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from avm.cli.main import main
from tests.net.hosts import MACHINES, wait_until
from tests.net.spread import free_endpoint
from tests.net.test_cli_verbs import Shell

pytestmark = pytest.mark.net


class Networked(Shell):
    """A host at an endpoint of its own, which may know another from the first start on."""

    def __init__(self, path: Path, through: str = "") -> None:
        path.mkdir()
        super().__init__(path)
        self.endpoint = str(free_endpoint())
        self.through = through

    def run(self) -> None:
        bootstrap = ("--bootstrap", self.through) if self.through else ()
        self.start(options=("--listen", self.endpoint, *bootstrap))

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.ok("status", "--json"))
        return told

    def keys(self, *words: str, said: str = "") -> None:
        """A command about its keys, in this process."""
        read, write = os.pipe()
        os.write(write, said.encode() + b"\n")
        os.close(write)
        option = ["--passphrase-fd", str(read)] if said else []
        assert main(["--dir", str(self.directory), "keys", *words, *option]) == 0
        if not said:
            os.close(read)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Networked, Networked]]:
    far = Networked(tmp_path / "far")
    far.run()
    near = Networked(tmp_path / "near", str(far.status()["route"]))
    near.run()
    yield near, far
    near.kill()
    far.kill()


def test_s07_hosts_go_on_when_one_changes_its_key_parts_from_its_root_key_and_is_killed(
    pair: tuple[Networked, Networked], tmp_path: Path
) -> None:
    near, far = pair
    made = json.loads(near.ok("create", str(MACHINES / "tot.py"), "--json"))
    add, before = made["add"]["$cap"], near.status()
    assert far.ok("call", add, "1").strip() == "1"
    key_file = near.directory / "keys" / "host.key"
    first = key_file.read_bytes()
    root = first[:32]

    near.kill()
    near.keys("rotate", "--host", "--life", "40d")
    near.run()
    assert far.ok("call", add, "2", "--timeout", "30").strip() == "3"

    near.kill()
    near.keys("detach", str(tmp_path / "root.locked"), said="away")
    for path in near.directory.rglob("*"):
        assert not path.is_file() or root not in path.read_bytes(), path
    for number in (4, 8):
        near.run()
        after = 2 * number - 1
        assert far.ok("call", add, str(number), "--timeout", "30").strip() == str(after)
        if number == 4:
            near.kill()

    after_all = near.status()
    assert after_all["address"] == before["address"] and after_all["key"] != before["key"]
    assert after_all["key"]["until_ms"] and not after_all["key"]["ending"]
    for one in (far.status(), after_all):
        assert not one["counts"].get("contradicted") and not one["counts"].get("replaced")
    assert not after_all["key"]["replaced"]

    near.kill()
    key_file.write_bytes(first)
    near.run()
    wait_until(lambda: near.status()["key"]["replaced"])
    assert "other hosts know a later key of this one" in near.ok("status")


def test_s07_an_end_that_comes_near_is_told_by_the_host_and_its_log(tmp_path: Path) -> None:
    host = Networked(tmp_path / "host")
    (host.directory / "keys").mkdir(parents=True, mode=0o700)
    host.directory.chmod(0o700)
    key = host.directory / "keys" / "host.key"
    key.touch(0o600)
    key.write_bytes(bytes(range(64)))
    host.keys("rotate", "--host", "--life", "50ms")
    try:
        host.start()
        assert host.status()["key"]["ended"]
        told = host.ok("status")
        assert "its certificate ended at" in told and "keys rotate --host" in told
        assert '"event": "key.ended"' in (host.path / "host.log").read_text()
        host.ok("create", str(MACHINES / "tot.py"))
        assert host.ok("call", "tot.add", "2").strip() == "2", "at home it goes on"
    finally:
        host.kill()
