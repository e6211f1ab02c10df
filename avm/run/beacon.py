"""The beacon: says on the local network that this host is there, and hears others say so. The shell.

Beside the journey. Plain multicast, off unless `network.beacon` names a group. What comes is given on
as it is; datagrams beyond what is read are dropped by the system.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

import trio

from avm.host.beacon import BEACON_BYTES_MAX, pack_beacon, read_beacon_untrusted
from avm.link.errors import EndpointInUse
from caps.errors import Malformed
from caps.identity import Endpoint

SAY_S = 10.0
# No more than one datagram is read in this time, however many come.
GAP_S = 0.01
ANY = bytes(4)

Hear = Callable[[bytes, Endpoint], None]


class Beacon:
    """A host's place in a multicast group of the local network."""

    def __init__(self, group: Endpoint, listen: Endpoint, address: bytes) -> None:
        """Joins at the interface of `listen`, at the system's choice when that is any.

        Raises `EndpointInUse`.
        """
        interface = listen.ip if len(listen.ip) == len(ANY) else ANY
        self._group = group
        self._said = pack_beacon(address, listen.port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((group.host_text, group.port))
            member = group.ip + interface
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            if interface != ANY:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        except OSError as error:
            self._socket.close()
            text = f"network.beacon: {group} cannot be joined here: {error.strerror}"
            raise EndpointInUse(text) from error
        self._socket.setblocking(False)

    async def say(self) -> None:
        """Says it now and again; a network that is down is waited for."""
        while True:
            with suppress(OSError):
                self._socket.sendto(self._said, (self._group.host_text, self._group.port))
            await trio.sleep(SAY_S)

    async def listen(self, hear: Hear) -> None:
        """Gives on what others say, one after the other."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            with suppress(OSError, Malformed):
                body, (ip, _port) = self._socket.recvfrom(BEACON_BYTES_MAX + 1)
                address, port = read_beacon_untrusted(body)
                hear(address, Endpoint(socket.inet_aton(ip), port))
            await trio.sleep(GAP_S)

    def close(self) -> None:
        """Leaves the group."""
        self._socket.close()
