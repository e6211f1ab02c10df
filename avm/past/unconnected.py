"""No sockets in this process: what is only told again must reach nobody. Shell.

Beside the journey. An audit hook, which cannot be taken away again, raises at every use that Python
makes of a socket.
"""

import socket
import sys

from avm.errors import AvmError

LOCAL = getattr(socket, "AF_UNIX", None)
# A pair of local sockets is a pipe to a worker; nothing can be reached by it that was not given it.
ALLOWED = ("socket.gethostname",)


class Unconnected(AvmError):
    """Something here wanted a socket, while what is told again must reach nobody."""


def block_sockets(local: bool = False) -> None:
    """From here on this process makes no socket and uses none; with `local` it may have local ones."""

    def hook(event: str, args: tuple[object, ...]) -> None:
        if not event.startswith("socket.") or event in ALLOWED:
            return
        if local and event == "socket.__new__" and args[1] == LOCAL:
            return
        if local and event == "socket.sendmsg" and getattr(args[0], "family", None) == LOCAL:
            return
        raise Unconnected(f"{Unconnected.__doc__} ({event})")

    sys.addaudithook(hook)
