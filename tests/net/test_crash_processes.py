"""Single deaths and long recoveries: of a worker at work, of the prepared process, of clients."""

import os
import signal
from typing import Any

import pytest

from avm.past.reading import Reader
from tests.net.hosts import RunningHost, prepared_of, wait_until
from tests.net.judge import judge

pytestmark = pytest.mark.net
TEXT = "x" * 50_000


def test_c04_a_long_recovery_holds_up_nobody_and_loses_nothing(host: RunningHost) -> None:
    host.settings += ["host.workers=1", "limits.snapshot_bytes=100000000"]
    host.start()
    client = host.client()
    hoard: Any = host.create(client, "hoard.py")
    small: Any = host.create(client, "hoard.py", "small")
    for _ in range(6):
        assert client.send(hoard["put"], *[TEXT] * 20) == ["applied"]
    assert client.send(small["put"], "a") == ["applied"]
    for count in (2, 3):
        host.kill()
        host.start()
        client.connect()
        places = [client.offer(small["put"], "a"), client.offer(hoard["read"], None)]
        client.wait(lambda places=places: all(one in client.settled for one in places))  # type: ignore[misc]
        assert client.call(hoard["read"]) == (120, 120 * len(TEXT))
        assert client.call(small["read"])[0] == count  # type: ignore[index]
    worker = client.operate("status")["workers"][0]
    assert worker["restarts"] == 0, "a recovery is taken for a broken worker"


def test_w28_an_ask_has_its_one_outcome_though_its_worker_dies(host: RunningHost) -> None:
    host.settings += ["host.workers=1", "limits.turn_s=60"]
    host.start()
    client = host.client()
    trouble: Any = host.create(client, "trouble.py")
    client.offer(trouble["loop"], None, asks=True)
    ask = client.next_ask
    for _ in range(3):
        busy = wait_until(host.workers)[0]
        client.pump(0.1)
        host.kill_worker(busy)
        wait_until(lambda busy=busy: host.workers() and busy not in host.workers())  # type: ignore[misc]
    client.wait(lambda: client.outcomes[ask])
    assert client.call(trouble["count"], 4) == 4
    assert len(client.outcomes[ask]) == 1
    assert host.stop() == 0
    assert judge(host.directory.store).left["failed"] == 1


def test_the_process_that_makes_workers_is_made_anew_when_it_is_killed(host: RunningHost) -> None:
    host.start()
    client = host.client()
    trouble: Any = host.create(client, "trouble.py")
    assert client.send(trouble["count"], 3) == ["applied"]
    (prepared,) = prepared_of(host.pid)
    os.kill(prepared, signal.SIGKILL)
    place = client.offer(trouble["count"], 4)
    client.wait(lambda: place in client.settled)
    assert client.call(trouble["read"]) == 7


def test_c02_a_client_that_comes_again_sends_nothing_twice(host: RunningHost) -> None:
    host.start()
    client = host.client("again")
    trouble: Any = host.create(client, "trouble.py")
    for _ in range(10):
        client.offer(trouble["count"], 1, asks=True)
        client.connect()
    client.wait(lambda: client.idle)
    assert client.call(trouble["read"]) == 10
    assert all(len(outcomes) == 1 for outcomes in client.outcomes.values())


def test_w12_a_suspended_machine_holds_what_comes_through_a_crash(host: RunningHost) -> None:
    host.start()
    client = host.client("holder")
    trouble: Any = host.create(client, "trouble.py")
    client.operate("suspend", machine="trouble", mode="hold")
    place = client.offer(trouble["count"], 1)
    sender = client.senders[place[0]]
    client.wait(lambda: place[1] in sender.held)
    host.kill()
    host.start()
    client.connect()
    client.pump(0.2)
    assert place not in client.settled
    client.operate("resume", machine="trouble")
    client.wait(lambda: place in client.settled)
    assert client.call(trouble["read"]) == 1
    client.operate("suspend", machine="trouble", mode="fail")
    assert client.send(trouble["count"], 1)[0] == "undelivered"
    host.kill()
    host.start()
    client.connect()
    assert client.send(trouble["count"], 1)[0] == "undelivered"
    client.operate("resume", machine="trouble")
    assert client.call(trouble["read"]) == 1


def test_a_host_that_is_told_to_stop_while_it_starts_stops(host: RunningHost) -> None:
    host.start()
    assert host.stop() == 0
    assert judge(host.directory.store).entries == {}


def test_what_a_named_listener_is_given_holds_though_the_host_is_killed_at_once(
    host: RunningHost,
) -> None:
    for number in range(6):
        host.start()
        client = host.client(f"door {number}", durable=True)
        client.ear()
        host.kill()
        with Reader.open(host.directory) as reader:
            assert client.address in reader.clients()
