"""The keys of what lives here: the host, its machines and its clients, all from one secret. Pure.

A machine's keys are its own (they go where it goes) and are kept encrypted under the host's; a
client's are derived from the host's secret and its address.
"""

import hashlib
from collections import OrderedDict

from nacl.secret import SecretBox

from caps.identity import RootKey
from caps.sealing import MachineKeys

SECRET_BYTES = 32
CACHED = 10_000


class Keyring:
    """Finds the sealing keys of an address of this host, opening each when it is first needed."""

    def __init__(self, seed: bytes, secret: bytes) -> None:
        """`seed` is that of the host's root key, `secret` seals everything else; 32 bytes each."""
        self.identity = RootKey(seed).identity({"type": "avm-host"})
        self.address = self.identity.address
        self._secret = secret
        self._box = SecretBox(_derive(secret, b"keys at rest", b""))
        self._sealed: dict[bytes, bytes] = {}
        self._clients: set[bytes] = set()
        self._open: OrderedDict[bytes, MachineKeys] = OrderedDict()

    def close_machine(self, seed: bytes, secret: bytes, nonce: bytes) -> bytes:
        """A machine's root seed and secret, encrypted for the store; `nonce` is 24 bytes."""
        return bytes(self._box.encrypt(seed + secret, nonce))

    def add_machine(self, address: bytes, sealed: bytes) -> None:
        """Makes the keys of a machine known."""
        self._sealed[address] = sealed

    def drop(self, address: bytes) -> None:
        """Forgets the keys of a machine or a client."""
        self._sealed.pop(address, None)
        self._clients.discard(address)
        self._open.pop(address, None)

    def add_client(self, address: bytes) -> None:
        """Makes an address one of this host's clients."""
        self._clients.add(address)

    def client_address(self, key: str) -> bytes:
        """The address of the durable client that is known by this key."""
        return _derive(self._secret, b"client", key.encode("utf-8", "replace"))

    def of_gone(self, address: bytes) -> MachineKeys:
        """Keys that seal capabilities to what lived here once; with them nothing is opened."""
        return MachineKeys(_derive(self._secret, b"client keys", address), address)

    def __call__(self, address: bytes) -> MachineKeys | None:
        """The keys of an address; None when it does not live here."""
        found = self._open.get(address)
        if found is not None:
            self._open.move_to_end(address)
            return found
        secret = self._find(address)
        if secret is None:
            return None
        found = self._open[address] = MachineKeys(secret, address)
        if len(self._open) > CACHED:
            self._open.popitem(last=False)
        return found

    def _find(self, address: bytes) -> bytes | None:
        sealed = self._sealed.get(address)
        if sealed is not None:
            return self._box.decrypt(sealed)[SECRET_BYTES:]
        if address == self.address:
            return _derive(self._secret, b"host", b"")
        if address in self._clients:
            return _derive(self._secret, b"client keys", address)
        return None


def _derive(secret: bytes, domain: bytes, name: bytes) -> bytes:
    digest = hashlib.blake2b(key=secret, digest_size=32, person=b"avm host keys")
    digest.update(len(domain).to_bytes(1, "big") + domain + name)
    return digest.digest()
