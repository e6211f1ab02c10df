"""A host whose root key is kept away, with real processes: it changes its key, dies, and goes on."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import MACHINES, wait_until
from tests.net.spread import free_endpoint
from tests.net.test_cli_verbs import Shell

pytestmark = pytest.mark.net


def with_passphrase(shell: Shell, phrase: str, *words: str) -> str:
    return shell.ok(*words, "--passphrase-fd", "0", given=f"{phrase}\n")


class Networked(Shell):
    """A host at an endpoint of its own, which knows another from the first start on."""

    def __init__(self, path: Path, through: str = "") -> None:
        path.mkdir()
        super().__init__(path)
        self.endpoint = str(free_endpoint())
        self.through = through

    def run(self) -> None:
        bootstrap = ("--bootstrap", self.through) if self.through else ()
        self.start(options=("--listen", self.endpoint, *bootstrap))

    def status(self) -> dict[str, object]:
        told: dict[str, object] = json.loads(self.ok("status", "--json"))
        return told

    def stop(self) -> None:
        self.ok("stop")
        assert self.host is not None and self.host.wait(30) == 0


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
    add = made["add"]["$cap"]
    address = near.status()["address"]
    assert far.ok("call", add, "1").strip() == "1"
    root = bytes((near.directory / "keys" / "host.key").read_bytes()[:32])

    near.stop()
    near.ok("keys", "rotate", "--host")
    near.run()
    first = near.status()["key"]
    assert far.ok("call", add, "2", "--timeout", "30").strip() == "3"

    near.stop()
    away = tmp_path / "root.locked"
    with_passphrase(near, "away", "keys", "detach", str(away), "--life", "8s")
    for path in near.directory.rglob("*"):
        assert not path.is_file() or root not in path.read_bytes(), path
    near.run()
    assert near.status()["key"] != first and near.status()["address"] == address
    near.stop()

    asked, certificate = tmp_path / "asked", tmp_path / "certificate"
    near.ok("keys", "request", str(asked), "--new")
    words = ("keys", "certify", str(asked), str(away), str(certificate), "--life", "20d")
    with_passphrase(far, "away", *words)
    near.ok("keys", "import", str(certificate))
    near.run()
    assert near.status()["key"]["ending"] is False  # type: ignore[index]
    assert far.ok("call", add, "4", "--timeout", "30").strip() == "7"

    assert near.host is not None
    near.host.send_signal(signal.SIGKILL)
    near.host.wait(30)
    near.run()
    assert far.ok("call", add, "8", "--timeout", "30").strip() == "15"
    contradicted = [one.status()["counts"].get("contradicted", 0) for one in pair]  # type: ignore[attr-defined]
    replaced = [one.status()["counts"].get("replaced", 0) for one in pair]  # type: ignore[attr-defined]
    assert contradicted == replaced == [0, 0]
    cases = json.loads(far.ok("channels", "cases", "--json"))
    assert not cases, cases


def test_s07_an_end_that_comes_near_is_told_by_the_host_and_its_log(tmp_path: Path) -> None:
    host = Networked(tmp_path / "host")
    host.start()
    host.stop()
    host.ok("keys", "rotate", "--host", "--life", "3s")
    host.start()
    try:
        wait_until(lambda: host.status()["key"]["ended"], "it ends")  # type: ignore[index]
        assert "its certificate ended at" in host.ok("status")
        assert "keys rotate --host" in host.ok("keys")
        host.stop()
        host.start()
        assert '"event": "key.ended"' in (host.path / "host.log").read_text()
        host.ok("create", str(MACHINES / "tot.py"))
        assert host.ok("call", "tot.add", "2").strip() == "2", "at home it goes on"
    finally:
        host.kill()
