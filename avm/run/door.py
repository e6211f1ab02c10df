"""The door of a host: the control socket in its directory, at which its clients knock. A shell."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio

from avm.run.control import Connection, Control
from avm.run.directory import Directory
from avm.run.protocol import BadFrame
from avm.run.reactor import Reactor
from avm.run.stream import Stream

RETRY_S = 0.2
BACKLOG = 128


class Door:
    """A socket that only its owner may open; what comes by it goes to `control`."""

    def __init__(
        self, directory: Directory, control: Control, reactor: Reactor, note: Callable[..., None]
    ) -> None:
        self._directory = directory
        self._control = control
        self._reactor = reactor
        self._note = note
        self._listener = self._listen()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            self._directory.socket.unlink()
        before = os.umask(0o177)
        try:
            with self._directory.reachable_socket() as path:
                listener.bind(path)
        finally:
            os.umask(before)
        listener.setblocking(False)
        listener.listen(BACKLOG)
        return listener

    async def accept(self, nursery: trio.Nursery) -> None:
        """Lets clients in, for as long as the host runs."""
        while True:
            await trio.lowlevel.wait_readable(self._listener)
            try:
                accepted, _address = self._listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                self._note("socket.refused", text=str(error))
                await trio.sleep(RETRY_S)
                continue
            connection = Connection(Stream(accepted))
            nursery.start_soon(connection.stream.write)
            self._reactor.watch(connection.stream, partial(self._take, connection))

    def close(self) -> None:
        """Lets nobody in any more."""
        self._listener.close()
        with suppress(FileNotFoundError):
            self._directory.socket.unlink()

    def _take(self, connection: Connection, received: bytes) -> None:
        """Takes what a client said; one that is gone or says nonsense is let go."""
        try:
            self._control.take(connection, received)
        except BadFrame as error:
            self._note("client.broken", text=str(error))
            received = b""
        if not received:
            self._control.closed(connection)
            connection.stream.flush()
            connection.stream.close()
