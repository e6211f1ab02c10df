"""Many datagrams in one system call, by UDP segmentation, where the kernel has it. Part of the shell.

Linux cuts one buffer into datagrams of a size when it sends (UDP_SEGMENT), and puts datagrams of one
sender together when it receives (UDP_GRO). Elsewhere each datagram has a system call of its own.
"""

import socket
import sys
from collections.abc import Iterator, Sequence

from avm.link.interface import Address

# A run is at most 64 datagrams, and fits into one IP packet before it is cut.
RUN_DATAGRAMS = 40
RUN_BYTES_MAX = 65_535
_UDP_SEGMENT = 103
_UDP_GRO = 104
_SIZE_BYTES = 4


def can_send_runs(sock: socket.socket) -> bool:
    """Tell whether the kernel cuts runs into datagrams."""
    return _set(sock, _UDP_SEGMENT, 0)


def can_receive_runs(sock: socket.socket) -> bool:
    """Have the kernel put datagrams together, and tell whether it does."""
    return _set(sock, _UDP_GRO, 1)


def _set(sock: socket.socket, option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.IPPROTO_UDP, option, value)
    except OSError:
        return False
    return True


def runs(datagrams: Sequence[tuple[bytes, Address]]) -> Iterator[tuple[list[bytes], Address]]:
    """Put together what can go in one system call: one target, and all but the last of one size."""
    run: list[bytes] = []
    target: Address = ("", 0)
    for datagram, address in datagrams:
        fits = address == target and len(run) < RUN_DATAGRAMS and len(datagram) <= len(run[0])
        if run and not (fits and len(run[-1]) == len(run[0])):
            yield run, target
            run = []
        run.append(datagram)
        target = address
    if run:
        yield run, target


def send_run(sock: socket.socket, run: list[bytes], address: Address) -> None:
    """Send a run in one system call; raises `OSError`."""
    size = len(run[0]).to_bytes(2, sys.byteorder)
    sock.sendmsg(run, [(socket.IPPROTO_UDP, _UDP_SEGMENT, size)], 0, address)


def receive_run(sock: socket.socket) -> tuple[list[bytes], Address]:
    """Receive what one system call gives: datagrams of one sender; raises `OSError`."""
    body, ancillary, _, source = sock.recvmsg(RUN_BYTES_MAX, socket.CMSG_SPACE(_SIZE_BYTES))
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
            size = int.from_bytes(value[:_SIZE_BYTES], sys.byteorder)
            return [body[at : at + size] for at in range(0, len(body), size)], source[:2]
    return [body], source[:2]
