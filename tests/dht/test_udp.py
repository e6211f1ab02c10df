"""Real nodes on real sockets: five of them find what one of them publishes."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from caps.identity import Endpoint, RootKey
from dht.effects import Effect
from dht.node import Node
from dht.proofs import Kind
from dht.record import LocationRecord
from dht.udp import NodeShell, UdpPort

pytestmark = pytest.mark.net
LOOPBACK = b"\x7f\0\0\1"


class Running:
    def __init__(self, number: int, *, serving: bool = True) -> None:
        self.key = RootKey(bytes([number]) * 32)
        self.home = self.key.identity({"name": f"host {number}"})
        self.port = UdpPort(LOOPBACK)
        self.changed = trio.Event()
        node = Node(
            self.key,
            Random(number).randbytes,
            endpoints=(self.port.endpoint,),
            serving=serving,
        )
        now_ms = time.time_ns() // 1_000_000
        self.shell = NodeShell(node, self.port.send, self.tell, began_ms=now_ms)

    def tell(self, effect: Effect) -> None:
        self.changed.set()


@asynccontextmanager
async def network(*nodes: Running) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for running in nodes:
            nursery.start_soon(running.port.run, running.shell.receive_untrusted)
            nursery.start_soon(running.shell.run)
        for running in nodes[1:]:
            running.shell.join((nodes[0].port.endpoint,))
        yield
        nursery.cancel_scope.cancel()
    for running in nodes:
        running.port.close()


async def knows(running: Running, most: int) -> None:
    with trio.fail_after(20):
        while len(running.shell.node.table) < most:
            running.changed = trio.Event()
            await running.changed.wait()


async def test_w18_five_nodes_find_a_host_that_publishes_and_again_on_its_new_port() -> None:
    nodes = [Running(number) for number in range(1, 6)]
    client = Running(6, serving=False)
    async with network(*nodes, client):
        for running in (*nodes, client):
            await knows(running, 4)
        first, reader = nodes[2], nodes[4]
        old = (Endpoint(LOOPBACK, 4001),)
        new = (Endpoint(LOOPBACK, 4002),)
        for where in (old, new):
            with trio.fail_after(20):
                published = await first.shell.publish_location(first.home, 1, where)
                assert published.kept >= 3
                for one in (reader, client):
                    ended = await one.shell.locate(first.home.address)
                    content = ended.records[0].content
                    assert isinstance(content, LocationRecord)
                    assert content.location.where == where
        found = await client.shell.locate_first(first.home.address)
        assert found is not None and found.order == (1, 2)
        assert all(client.shell.node.id != c.id for n in nodes for c in n.shell.node.table)


async def test_an_address_that_nobody_published_is_a_miss_and_asked_for_once() -> None:
    nodes = [Running(number) for number in range(1, 6)]
    async with network(*nodes):
        await knows(nodes[4], 4)
        with trio.fail_after(20):
            ended = await nodes[4].shell.locate(bytes(32), Kind.IDENTITY)
            assert ended.records == () and not ended.cached and len(ended.trace) == 4
            again = await nodes[4].shell.locate(bytes(32), Kind.IDENTITY)
            assert again.records == () and again.cached
