"""Links over real UDP: one socket for QUIC and the DHT, a bad network between, a new port on the way."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pytest
import trio

from avm.link.interface import Link, Moment, Why
from avm.link.limits import LinkLimits
from avm.link.quic import QuicListener
from avm.link.udp import FIXED_BIT, UdpPort, moment
from avm.run.reactor import Reactor
from caps.identity import Endpoint, Route
from tests.link.worlds import Ear, credentials
from tests.net.udp_proxy import Faults, UdpProxy

pytestmark = pytest.mark.net

DEADLINE_S = 30.0
POLL_S = 0.005


@dataclass
class Host:
    """A host's links on a real port."""

    seed: int
    ear: Ear
    port: UdpPort
    quic: QuicListener

    @classmethod
    def make(cls, seed: int, limits: LinkLimits | None = None) -> "Host":
        port, ear = UdpPort(), Ear()
        made = QuicListener(
            port.endpoint,
            credentials(seed),
            ear,
            os.urandom,
            limits or LinkLimits(),
            moment(),
            port.wake,
        )
        port.serve(made)
        return cls(seed, ear, port, made)

    def dial(self, other: "Host", endpoint: Endpoint | None = None) -> Link:
        self.port.hear_clock()
        address = credentials(other.seed).identity.address
        return self.quic.dial_nowait(Route(address, endpoint or other.port.endpoint))


@asynccontextmanager
async def running(*hosts: Host) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(host.port.run)
        try:
            yield nursery
        finally:
            for host in hosts:
                host.quic.close()
                host.port.close()
            nursery.cancel_scope.cancel()


def has_frames(ear: Ear, count: int) -> bool:
    return len(ear.frames) == count


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - a condition in another task's objects
            await trio.sleep(POLL_S)


async def test_t04_two_hosts_link_over_udp_and_exchange_frames() -> None:
    near, far = Host.make(1), Host.make(2)
    async with running(near, far):
        link = near.dial(far)
        await until(lambda: near.ear.up and far.ear.up)
        link.send_nowait(1, b"there")
        far.ear.up[0].send_nowait(2, b"and back")
        link.send_datagram_nowait(b"small")
        await until(lambda: near.ear.frames and far.ear.frames and far.ear.datagrams)
        assert far.ear.frames == [(1, b"there")] and near.ear.frames == [(2, b"and back")]
        link.close()
        await until(lambda: far.ear.down)
        assert far.ear.whys == [Why.LEFT]


async def test_t04_the_dht_and_quic_share_one_port() -> None:
    near, far = Host.make(1), Host.make(2)
    heard: list[tuple[bytes, Endpoint]] = []
    far.port.serve(far.quic, lambda datagram, endpoint: heard.append((datagram, endpoint)))
    async with running(near, far):
        near.dial(far)
        near.port.send(b"\x01 a question", far.port.endpoint)
        await until(lambda: near.ear.up and heard)
        assert heard == [(b"\x01 a question", near.port.endpoint)]
        with pytest.raises(AssertionError):
            near.port.send(bytes([FIXED_BIT]), far.port.endpoint)


async def test_t04_all_of_a_links_packets_have_the_fixed_bit() -> None:
    near, far = Host.make(1), Host.make(2)
    asked: list[bytes] = []
    for host in (near, far):
        host.port.serve(host.quic, lambda datagram, _: asked.append(datagram))
    async with running(near, far):
        link = near.dial(far)
        await until(lambda: near.ear.up)
        for _ in range(50):
            link.send_nowait(1, bytes(10_000))
        await until(lambda: len(far.ear.frames) == 50)
        link.close()
        await until(lambda: far.ear.down)
    assert asked == []


@pytest.mark.parametrize(
    "faults",
    [
        Faults(loss=0.1),
        Faults(double=0.3, late=0.3),
        Faults(corrupt=0.05, loss=0.05, late=0.2, double=0.1),
        Faults(delay_s=0.02, late=0.1),
    ],
    ids=["loss", "reordered", "all", "far"],
)
async def test_s06_frames_come_through_a_bad_network_whole_and_in_order(faults: Faults) -> None:
    near, far = Host.make(1), Host.make(2)
    proxy = UdpProxy(far.port.endpoint, 7, faults)
    async with running(near, far) as nursery:
        nursery.start_soon(proxy.run)
        link = near.dial(far, proxy.endpoint)
        await until(lambda: near.ear.up)
        sent = [bytes([n]) * 5_000 for n in range(60)]
        for frame in sent:
            link.send_nowait(1, frame)
        await until(lambda: len(far.ear.frames) == len(sent))
        assert far.ear.of(1) == sent
        assert link.is_up


async def test_t04_a_link_survives_that_its_port_changes_on_the_way() -> None:
    near, far = Host.make(1), Host.make(2)
    proxy = UdpProxy(far.port.endpoint, 7)
    async with running(near, far) as nursery:
        nursery.start_soon(proxy.run)
        link = near.dial(far, proxy.endpoint)
        await until(lambda: near.ear.up and far.ear.up)
        for number in range(5):
            proxy.rebind()
            link.send_nowait(1, bytes([number]))
            await until(partial(has_frames, far.ear, number + 1))
            far.ear.up[0].send_nowait(1, bytes([number]))
            await until(partial(has_frames, near.ear, number + 1))
        assert len(far.ear.up) == 1 and not far.ear.down


async def test_t04_a_dialed_link_survives_that_its_host_takes_another_port() -> None:
    near, far = Host.make(1), Host.make(2)
    async with running(near, far):
        link = near.dial(far)
        await until(lambda: near.ear.up and far.ear.up)
        before = near.port.endpoint
        near.port.rebind()
        assert near.port.endpoint != before
        link.send_nowait(1, b"from elsewhere")
        await until(lambda: far.ear.frames)
        far.ear.up[0].send_nowait(1, b"found")
        await until(lambda: near.ear.frames)


async def test_t04_a_partition_shorter_than_the_idle_time_is_outlived_and_a_longer_one_not() -> (
    None
):
    limits = LinkLimits(idle_s=1.0, keep_alive_s=0.2)
    near, far = Host.make(1, limits), Host.make(2, limits)
    proxy = UdpProxy(far.port.endpoint, 7)
    async with running(near, far) as nursery:
        nursery.start_soon(proxy.run)
        link = near.dial(far, proxy.endpoint)
        await until(lambda: near.ear.up and far.ear.up)
        proxy.faults.parted = True
        link.send_nowait(1, b"held back")
        await until(lambda: proxy.lost >= 4)
        proxy.faults.parted = False
        await until(lambda: far.ear.frames)
        proxy.faults.parted = True
        await until(lambda: near.ear.down and far.ear.down)
        assert near.ear.whys == far.ear.whys == [Why.TIMED_OUT]


async def test_t04_a_reactor_drives_links_in_its_own_passes() -> None:
    near, far = Host.make(1), Host.make(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.port.run)
        reactor = Reactor(near.port.begin_pass, near.port.settle)
        reactor.watch(cast(Any, near.port), lambda _: None)
        nursery.start_soon(reactor.run)
        links: list[Link] = []
        reactor.call_soon(lambda: links.append(near.dial(far)))
        await until(lambda: near.ear.up)
        reactor.call_soon(lambda: links[0].send_nowait(1, b"in a pass"))
        await until(lambda: far.ear.frames)
        assert far.ear.frames == [(1, b"in a pass")]
        reactor.call_soon(near.quic.close)
        await until(lambda: far.ear.down)
        near.port.close()
        far.quic.close()
        far.port.close()
        nursery.cancel_scope.cancel()


def test_the_moment_has_both_clocks() -> None:
    first, second = moment(), moment()
    assert isinstance(first, Moment) and second.now_s >= first.now_s
    assert second.now_ms >= first.now_ms
