"""A link whose packets go through a relay, over real UDP on loopback: one relay, two ends, no router."""

from collections import Counter

import pytest

from avm.nat.effects import Effect, Send
from avm.nat.limits import NatLimits
from avm.nat.packets import RELAYED, Relayed, parse_packet_untrusted
from avm.nat.relay import RelayingHost
from caps.identity import Endpoint
from tests.link.worlds import credentials
from tests.net.test_link_udp import Host, running, until

pytestmark = pytest.mark.net
TUNNEL = 7


def joined(relay: Host, near: Host, far: Host) -> Counter[str]:
    """Two ends with a tunnel each to a relay between them; what it counts."""
    out: list[Effect] = []
    counts: Counter[str] = Counter()
    numbers = iter(range(1, 100))
    between = RelayingHost(NatLimits(), lambda size: bytes([next(numbers)]) * size, counts, out)
    tokens = between.begin((b"n" * 32, near.port.endpoint), (b"f" * 32, far.port.endpoint), 0.0)
    assert tokens is not None

    def pass_on(datagram: bytes, source: Endpoint) -> None:
        packet = parse_packet_untrusted(datagram)
        assert isinstance(packet, Relayed)
        assert between.take(packet, source, 0.0)
        for effect in out:
            assert isinstance(effect, Send)
            relay.port.send(*effect)
        out.clear()

    def take(end: Host) -> None:
        def hear(datagram: bytes, source: Endpoint) -> None:
            assert source == relay.port.endpoint
            end.port.hear(datagram[17:], TUNNEL)

        end.port.serve(end.quic, hear)

    relay.port.serve(relay.quic, pass_on)
    for end, token in zip((near, far), tokens, strict=True):
        take(end)
        end.port.dig(TUNNEL, RELAYED + token, relay.port.endpoint)
    return counts


async def test_s08_a_link_comes_up_through_a_relay_and_carries_frames() -> None:
    relay, near, far = Host.make(1), Host.make(2), Host.make(3)
    async with running(relay, near, far):
        counts = joined(relay, near, far)
        near.port.hear_clock()
        host = credentials(far.seed).identity.address
        link = near.quic.dial_at_nowait(host, near.port.tunnel_address(TUNNEL))
        await until(lambda: near.ear.up and far.ear.up)
        for number in range(8):
            link.send_nowait(1, bytes([number]) * 10_000)
        await until(lambda: len(far.ear.frames) == 8)
        assert far.ear.frames == [(1, bytes([number]) * 10_000) for number in range(8)]
        for end in (near, far):
            address = end.quic.address_of(end.ear.up[0])
            assert address is not None and end.port.tunnel_at(address) == TUNNEL
        assert counts["relayed.bytes"] > 80_000
        assert relay.ear.up == []


async def test_s08_packets_for_a_tunnel_that_was_filled_are_lost() -> None:
    relay, near, far = Host.make(1), Host.make(2), Host.make(3)
    async with running(relay, near, far):
        joined(relay, near, far)
        near.port.fill(TUNNEL)
        near.port.hear_clock()
        host = credentials(far.seed).identity.address
        near.quic.dial_at_nowait(host, near.port.tunnel_address(TUNNEL))
        await until(lambda: near.port.lost_datagrams)
        assert not near.ear.up


async def test_s08_a_probe_comes_from_another_port() -> None:
    near, far = Host.make(1), Host.make(2)
    heard: list[tuple[bytes, Endpoint]] = []
    far.port.serve(far.quic, lambda datagram, endpoint: heard.append((datagram, endpoint)))
    async with running(near, far):
        near.port.send_aside((b"\x30 one", b"\x30 two"), far.port.endpoint)
        await until(lambda: len(heard) == 2)
        (_, one), (_, two) = heard
        assert one == two != near.port.endpoint
        assert one.ip == near.port.endpoint.ip
