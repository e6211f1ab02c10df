"""A full disk under a real host: clients wait, nothing is lost, and it goes on once there is room."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from avm.plugin.session import Client
from tests.net.hosts import RunningHost
from tests.net.judge import judge

pytestmark = pytest.mark.net
SIZE_BYTES = 6 * 1024 * 1024
TEXT = "x" * 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "none", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def crowded(small_disk: Path) -> Iterator[RunningHost]:
    host = RunningHost(small_disk)
    host.log = small_disk.parent / "host.log"
    yield host
    host.close()


def fill(file: Path) -> None:
    """Writes until there is no room left."""
    with file.open("ab", buffering=0) as out, suppress(OSError):
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while out.write(b"\0" * size):
                    pass


def is_full(client: Client) -> bool:
    return bool(client.operate("status")["store_full"])


def put_until_full(client: Client, cap: Any) -> list[tuple[bytes, int]]:
    """Sends until the host says that its disk is full; the places of all batches."""
    places = []
    while not is_full(client):
        places.append(client.offer(cap, TEXT))
        client.pump(0.01)
    return places


def test_a_full_disk_stops_accepting_and_loses_nothing(crowded: RunningHost) -> None:
    host = crowded
    host.start()
    client = host.client("filler")
    hoard: Any = host.create(client, "hoard.py")
    ballast = host.directory.path.parent / "ballast"
    for times in (1, 2):
        fill(ballast)
        places = put_until_full(client, hoard["put"])
        places.append(client.offer(hoard["put"], TEXT))
        client.pump(0.3)
        assert is_full(client)
        assert places[-1] not in client.settled, "acknowledged without room"
        os.unlink(ballast)
        client.wait(lambda places=places: all(one in client.settled for one in places))  # type: ignore[misc]
        assert not is_full(client)
        assert client.call(hoard["read"])[0] == client.senders[places[0][0]].sent - times  # type: ignore[index]
    assert host.said().count("store.full") >= 2
    assert host.stop() == 0
    judge(host.directory.store)


def test_a_crash_on_a_full_disk_loses_nothing_that_was_acknowledged(crowded: RunningHost) -> None:
    host = crowded
    host.start()
    client = host.client("filler")
    hoard: Any = host.create(client, "hoard.py")
    ballast = host.directory.path.parent / "ballast"
    fill(ballast)
    places = put_until_full(client, hoard["put"])
    settled = set(client.settled)
    host.kill()
    host.start()
    if host.ended:
        assert host.exit_code() in (1, 5)
        last = host.said().splitlines()[-1]
        assert "full" in last and "Traceback" not in host.said(), host.said()
    os.unlink(ballast)
    if host.ended:
        host.start()
    client.connect()
    client.wait(lambda: all(one in client.settled for one in places))
    assert settled <= set(client.settled)
    assert client.call(hoard["read"])[0] == client.senders[places[0][0]].sent - 1  # type: ignore[index]
    assert host.stop() == 0
    judge(host.directory.store)
