"""What a host announces in the network: where it is, and that its machines and listeners live here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from avm.host.core import Core
from avm.host.keys import Keyring
from avm.host.links import prove
from caps.certificate import parse_certificate_untrusted
from caps.identity import parse_identity_untrusted
from dht.errors import DhtError
from dht.proofs import Kind
from dht.record import Place
from dht.udp import NodeShell

RENEW_S = 24 * 60 * 60.0
# To sign thousands of records takes seconds: so many at a time, and a pause for all else.
SIGNED_AT_ONCE = 20
PAUSE_S = 0.02


class Announcer:
    """Publishes location records: at the start, when one changes, and anew each day."""

    def __init__(
        self,
        core: Core,
        keys: Keyring,
        routes: Callable[[], tuple[Place, ...]],
        shell: NodeShell,
        start: Callable[..., None],
        note: Callable[..., None],
    ) -> None:
        """`routes` tells how the host is reached; `start` runs a task beside the others."""
        self._core = core
        self._keys = keys
        self._routes = routes
        self._shell = shell
        self._start = start
        self._note = note
        self._crowded = False

    def publish_all(self) -> None:
        """Announces the host, its machines and its listeners."""
        self.publish_host()
        self._start(self._publish_each)

    async def _publish_each(self) -> None:
        """They have seldom changed, and are put when their turn comes; see `dht.publishing`."""
        host = self._core.host
        listeners = [client.address for client in host.clients.values() if client.name]
        addresses = [*host.machines, *listeners]
        for start in range(0, len(addresses), SIGNED_AT_ONCE):
            for address in addresses[start : start + SIGNED_AT_ONCE]:
                self._publish(address, at_once=False)
            await trio.sleep(PAUSE_S)

    def publish_host(self) -> None:
        """Announces where the host is, once it is known.

        At once: of two tasks, each with its places, the one with the older might be the last.
        """
        places = self._routes()
        if places:
            with self._as_there_is_room(self._core.host.address):
                self._shell.announce_host(self._keys.proof, places)

    async def renew(self) -> None:
        """Announces everything anew with new certificates, long before the old ones end."""
        while True:
            await trio.sleep(RENEW_S)
            self.publish_all()

    async def publish(self, address: bytes) -> None:
        """Announces that an address lives here, or no more."""
        self._publish(address, at_once=True)

    def _publish(self, address: bytes, at_once: bool) -> None:
        owner = self._core.host.owner(address)
        proof = None if owner is None else self._core.do(prove, address)
        if proof is None:
            self._shell.node.withdraw(Kind.LOCATION, address)
            return
        identity = parse_identity_untrusted(proof.identity)
        certificate = parse_certificate_untrusted(proof.certificate)
        with self._as_there_is_room(address):
            incarnation = certificate.terms.incarnation
            self._shell.announce_location(identity, incarnation, certificate, at_once)

    @contextmanager
    def _as_there_is_room(self, address: bytes) -> Iterator[None]:
        """What finds no room is not announced, and told of: once for all."""
        try:
            yield
        except DhtError as error:
            if not self._crowded:
                self._note("publish.failed", address=address.hex(), why=str(error))
            self._crowded = True
