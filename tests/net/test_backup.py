"""A backup holds the keys, and a host comes to life from it with every capability still good."""

import stat
from pathlib import Path
from typing import Any

import pytest

from avm.plugin.session import OperatorRefused
from caps.locked import ENTROPY_BYTES, lock
from tests.net.hosts import RunningHost


def test_a_host_comes_back_from_its_backup_with_its_keys(host: RunningHost, tmp_path: Path) -> None:
    host.start()
    client = host.client()
    trouble: Any = host.create(client, "trouble.py")
    assert client.send(trouble["count"], 3) == ["applied"]
    copy = tmp_path / "monday.avm"
    client.operate("backup", path=str(copy))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert client.send(trouble["count"], 4) == ["applied"]
    host.kill()

    place = tmp_path / "restored"
    (place / "host").mkdir(mode=0o700, parents=True)
    copy.rename(place / "host" / "store.db")
    restored = RunningHost(place)
    restored.start()
    try:
        again = restored.client()
        assert again.call(again.hold(client.wire(trouble["read"]))) == 3, "the capability is good"
        key = restored.directory.key_file
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert key.read_bytes() not in restored.directory.store.read_bytes()
    finally:
        restored.close()


def test_a_backup_never_replaces_a_file(host: RunningHost, tmp_path: Path) -> None:
    host.start()
    there = tmp_path / "there"
    there.write_text("mine")
    with pytest.raises(OperatorRefused, match="exists: name another file"):
        host.client().operate("backup", path=str(there))
    with pytest.raises(OperatorRefused, match="the keys cannot go into a backup"):
        host.client().operate("backup", path=str(tmp_path / "no"), keys=b"junk")
    with pytest.raises(OperatorRefused, match="the keys are of another host"):
        other = lock(b"x" * 64, bytes(32), b"phrase", bytes(ENTROPY_BYTES)).to_bytes()
        host.client().operate("backup", path=str(tmp_path / "no"), keys=other)
    assert not (tmp_path / "no").exists()
    assert there.read_text() == "mine"
