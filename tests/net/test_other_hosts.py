"""Other hosts that are not what they should be: impostors, old copies, twins, noise, wrong clocks."""

import random
import shutil
import socket
from pathlib import Path
from typing import Any

import cbor2
import pytest

from avm.host.journal import TURN
from avm.host.rows import decode_machine
from avm.host.verdicts import BACK_HERE, BACK_THERE, TWO_VERSIONS
from avm.plugin.session import Client
from avm.store.sqlite import SqliteStore
from caps.identity import Endpoint
from caps.value import Failed
from tests.net.hosts import wait_until
from tests.net.judge import judge
from tests.net.post import Post
from tests.net.spread import SETTINGS, endpoint_of, free_endpoint
from tests.net.weather import Front, Weather

pytestmark = pytest.mark.net
FROZEN = (BACK_HERE, BACK_THERE, TWO_VERSIONS)


def posted(post: Post, first: int, count: int) -> None:
    """The first host's machine posts letters to the second's."""
    client = post.clients[0]
    to = client.hold(post.caps[1]["take"])
    assert client.send(post.caps[0]["post"], (to, first, count)) == ["applied"]


def frozen(post: Post) -> list[str]:
    """Why channels are frozen, at any of the hosts."""
    found: list[str] = []
    for client in post.clients:
        found += reasons(client)
    return found


@pytest.mark.parametrize("back", [0, 1], ids=["sender", "receiver"])
def test_c08_an_old_copy_that_was_put_back_is_noticed_and_its_channel_frozen(
    pair: list[Front], tmp_path: Path, back: int
) -> None:
    post = Post(pair)
    posted(post, 1, 3)
    wait_until(lambda: post.read(1)[0] == 3)
    host, client = pair[back], post.clients[back]
    copy = tmp_path / "copy"
    assert host.stop() == 0
    shutil.copytree(host.directory.path, copy)
    host.start()
    client.connect()
    posted(post, 4, 3)
    wait_until(lambda: post.read(1)[0] == 6, "no more comes")
    # Only a sender that has heard of it knows that a receiver of before took more.
    wait_until(lambda: not owed(post.clients[0]), "the sender does not hear")
    host.kill()
    shutil.rmtree(host.directory.path)
    shutil.copytree(copy, host.directory.path)
    host.start()
    # The clerk of before knows better than its host now: another takes over.
    post.clients[back] = host.client("auditor", durable=True)
    posted(post, 70, 2)
    why = wait_until(lambda: frozen(post), "nobody notices")
    assert set(why) <= set(FROZEN)
    last, _, wrong, _, _ = post.read(1)
    assert (last, wrong) == ((6, ()) if back == 0 else (3, ())), "nothing is taken after it"


def test_of_two_hosts_on_copies_of_one_directory_each_number_is_taken_from_and_by_one(
    pair: list[Front], tmp_path: Path, weather: Weather
) -> None:
    post = Post(pair)
    owner = post.clients[1]
    back = owner.hold(post.caps[0]["take"])
    posted(post, 1, 3)
    assert owner.send(post.caps[1]["post"], (back, 1, 3)) == ["applied"]
    wait_until(lambda: post.read(0)[0] == post.read(1)[0] == 3)
    there = pair[1]
    assert there.stop() == 0
    bootstrap = [one for one in there.settings if "bootstrap" in one]
    twin = Front(tmp_path / "twin", weather, *SETTINGS, *bootstrap)
    shutil.copytree(there.directory.path, twin.directory.path)
    try:
        there.start()
        owner.connect()
        assert owner.send(post.caps[1]["post"], (back, 4, 1)) == ["applied"]
        wait_until(lambda: post.read(0)[0] == 4)
        twin.start()
        other = twin.client("the other")
        to = other.hold(post.caps[0]["take"])
        assert other.send(post.caps[1]["post"], (to, 40, 1)) == ["applied"]
        why = wait_until(lambda: reasons(other) or frozen(post), "nobody notices")
        assert set(why) <= set(FROZEN)
        assert post.read(0)[:3] == (4, 0, ()), "the second version is not taken"
        posted(post, 4, 1)

        def taken_by(client: Client) -> Any:
            read: Any = client.call(post.caps[1]["read"])
            return read[0]

        wait_until(lambda: taken_by(other) + taken_by(owner) == 7)
        (there if taken_by(owner) == 4 else twin).kill()
        posted(post, 5, 1)
        why = wait_until(lambda: reasons(post.clients[0]), "nobody notices")
        assert set(why) <= set(FROZEN)
        there.kill()
        twin.kill()
        copies = [taken_of(one, pair[0]) for one in (there, twin)]
        assert not (copies[0] & copies[1]) - {1, 2, 3}, "a number is taken by both"
    finally:
        twin.close()


def reasons(client: Client) -> list[str]:
    """Why channels are frozen at a client's host."""
    return [row["frozen"] for row in client.operate("channels") if row["frozen"]]


def owed(client: Client) -> int:
    """How many batches of a client's host are not known there to be taken."""
    return sum(row["waiting"] for row in client.operate("channels") if row["way"] == "out")


def taken_of(host: Front, sender: Front) -> set[int]:
    """The numbers that the machine at a host has taken of the machine at another."""
    peers = addresses(sender)
    store = SqliteStore.open_readonly(host.directory.store)
    try:
        found: set[int] = set()
        for (number,), _body in store.rows("machine"):
            assert isinstance(number, int)
            for _n, entry, _printed in store.entries(number):
                form, _before, *rest = cbor2.loads(entry)
                if form == TURN and rest[0] in peers:
                    found.add(rest[1])
        return found
    finally:
        store.close()


def addresses(host: Front) -> set[bytes]:
    """Of a host's machines."""
    store = SqliteStore.open_readonly(host.directory.store)
    try:
        return {decode_machine(n, body).address for (n,), body in store.rows("machine")}  # type: ignore[arg-type]
    finally:
        store.close()


def test_w13_a_host_with_another_key_at_a_known_endpoint_is_told_nothing(
    pair: list[Front], tmp_path: Path, weather: Weather
) -> None:
    post = Post(pair)
    here, there = pair
    posted(post, 1, 1)
    wait_until(lambda: post.read(1)[0] == 1)
    there.kill()
    impostor = Front(tmp_path / "impostor", weather, *SETTINGS)
    impostor.start()
    try:
        there.front.target = endpoint_of(impostor)
        weather.rebind(there.front)
        posted(post, 2, 3)
        wait_until(lambda: "another key" in here.said() or "another address" in here.said())
        client = impostor.client("spy")
        assert client.operate("links") == [] and client.operate("channels") == []
        assert impostor.stop() == 0
        assert not judge(impostor.directory.store).marks
        there.start()
        post.clients[1].connect()
        wait_until(lambda: post.read(1)[0] == 4, "it does not go on")
    finally:
        impostor.close()


def test_w18_a_host_on_a_new_port_is_found_again_by_one_that_was_away_meanwhile(
    pair: list[Front], weather: Weather
) -> None:
    post = Post(pair)
    here, there = pair
    posted(post, 1, 1)
    wait_until(lambda: post.read(1)[0] == 1)
    here.kill()
    there.kill()
    there.settings = [one for one in there.settings if "listen" not in one and "adv" not in one]
    there.settings.append(f'network.listen="{free_endpoint()}"')
    there.front = weather.front_of(endpoint_of(there))
    there.settings.append(f'network.advertise="{there.front.endpoint}"')
    for host, client in zip(pair, post.clients, strict=True):
        host.start()
        client.connect()
    posted(post, 2, 1)
    wait_until(lambda: post.read(1)[0] == 2, "it is not found")


def test_p08_noise_at_a_hosts_port_does_no_harm_and_is_counted(pair: list[Front]) -> None:
    post = Post(pair)
    rng = random.Random("noise")
    target: Endpoint = endpoint_of(pair[1])
    place = (target.host_text, target.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        for n in range(3_000):
            datagram = bytearray(rng.randbytes(rng.randrange(1, 1_300)))
            if n % 3 == 0:
                datagram[0] |= 0xC0  # A long header of QUIC.
            noise.sendto(datagram, place)
            if n % 100 == 0:
                assert post.read(1)[0] == n // 100
                posted(post, n // 100 + 1, 1)
                post.await_letter(1, n // 100 + 1)
    counts: Any = post.clients[1].operate("status")["counts"]
    assert counts["datagrams.dropped"] + counts["packets.malformed"] > 2_000
    assert "Traceback" not in pair[1].said()


@pytest.mark.parametrize("off_s", [-3600.0, 3600.0], ids=["behind", "ahead"])
def test_a_host_whose_clock_is_an_hour_off_takes_letters_and_each_ask_has_one_outcome(
    pair: list[Front], off_s: float
) -> None:
    there = pair[1]
    there.kill()
    there.faults += ["--clock-off", str(off_s)]
    there.start()
    post = Post(pair)
    posted(post, 1, 20)
    wait_until(lambda: post.read(1)[0] == 20, "letters do not come")
    client = post.clients[0]
    client.offer(post.caps[1]["take"], 21, asks=True, deadline_ms=5_000)
    ask = client.next_ask
    client.wait(lambda: client.outcomes[ask], 20.0)
    (said,) = client.outcomes[ask]
    if off_s < 0:
        assert said == 21
    else:
        assert isinstance(said, Failed) and said.why == "undelivered"
    assert post.read(1)[0] == (21 if off_s < 0 else 20)


def test_s05_a_suspended_machine_stops_its_senders_alone_and_costs_no_memory(
    pair: list[Front],
) -> None:
    for host in pair:
        host.kill()
        host.settings.append("limits.outbox_bytes=1000000")
        host.start()
    post = Post(pair)
    there = pair[1]
    asker, owner = post.clients
    other: Any = there.create(owner, "mail.py", "other")
    take = owner.wire(other["take"])
    assert asker.call(post.caps[1]["take"], 1) == 1
    owner.operate("suspend", machine="mail", mode="hold")
    before = [rss_kib(host.pid) for host in pair]
    text = "x" * 250_000
    for _ in range(60):
        asker.offer(post.caps[1]["bulk"], text)
    for number in range(1, 11):
        assert asker.call(take, number) == number
    grown = [rss_kib(host.pid) - was for host, was in zip(pair, before, strict=True)]
    assert max(grown) < 8 * 1024, grown
    assert asker._retry, "it is told that there is no room"
    owner.operate("resume", machine="mail")
    wait_until(lambda: asker.pump() or asker.idle, "it does not go on", 60.0)
    asker.wait(lambda: asker.idle, 60.0)
    assert post.read(1)[1] == 60 * 250_000


def rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no such process")
