"""The keys of what lives here: the host, its machines and its clients, all from one secret. Pure.

The host proves itself by its root key, or by an operational key that its root key certifies; see
`caps.hostproof`. A machine's keys are its own (they go where it goes) and are kept encrypted under a
key that is derived of the host's secret; a client's are derived from the host's secret and its address.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise

from nacl.secret import SecretBox

from avm.host.capability import INVALID, Cap, open_untrusted
from caps.certificate import Certificate, Terms, issue
from caps.errors import InvalidCapability, Malformed
from caps.hostproof import HostProof, proof_of
from caps.identity import Identity, RootKey, parse_identity_untrusted
from caps.sealing import MachineKeys

SEED_BYTES = SECRET_BYTES = 32
LATER_BYTES = 8 + SECRET_BYTES
# So often a machine can move.
MOVES_MAX = 1_000
CACHED = 10_000
# What comes again and again is opened once, also what is refused; long ones are not kept.
OPENED = 4_096
OPENED_BYTES_MAX = 512
DAY_MS = 24 * 60 * 60 * 1000
# A certificate holds so long, and from so far back: clocks of two hosts differ.
CERTIFIED_MS = 30 * DAY_MS
CLIENT = {"type": "client"}
HOST = {"type": "avm-host"}


class Keyring:
    """Finds the sealing keys of an address of this host, opening each when it is first needed."""

    def __init__(self, seed: bytes, secret: bytes, proof: HostProof | None = None) -> None:
        """`seed` is that of the host's key, `secret` seals everything else; 32 bytes each.

        `proof` has the certificate of the key; without one it is the host's root key. A `ValueError`
        where the key is not the one that is certified.
        """
        self._seed = seed
        self.key = RootKey(seed)
        self.proof = proof or HostProof(self.key.identity(HOST))
        if self.proof.key != self.key.public_key:
            raise ValueError("the key is not the one that is certified")
        self.identity = self.proof.identity
        self.address = self.identity.address
        self._secret = secret
        self._box = SecretBox(_derive(secret, b"keys at rest", b""))
        self._sealed: dict[bytes, bytes] = {}
        self._clients: dict[bytes, bytes] = {}
        self._left: dict[bytes, bytes] = {}
        self._open: OrderedDict[bytes, MachineKeys] = OrderedDict()
        self._opened: dict[bytes, Cap] = {}
        # Counts the times that a machine's keys came or went.
        self.changes = 0

    @classmethod
    def of(
        cls, seed: bytes, secret: bytes, identity: bytes = b"", certificate: bytes = b"", *_: bytes
    ) -> "Keyring":
        """The keys of their parts as bytes; raises `Malformed`, and a `ValueError`."""
        if not certificate:
            return cls(seed, secret)
        return cls(seed, secret, proof_of(parse_identity_untrusted(identity), certificate))

    def close_machine(self, seed: bytes, secret: bytes, nonce: bytes) -> bytes:
        """A machine's root seed and secret, encrypted for the store; `nonce` is 24 bytes."""
        return bytes(self._box.encrypt(seed + secret, nonce))

    @property
    def reset_key(self) -> bytes:
        """Of what the tokens are made by which a host says that it has forgotten a link."""
        return _derive(self._secret, b"link reset", b"")

    def add_machine(self, address: bytes, sealed: bytes) -> None:
        """Makes the keys of a machine known."""
        self.add_machines({address: sealed})

    def add_machines(self, sealed: Mapping[bytes, bytes]) -> None:
        """Makes the keys of machines known, by their addresses."""
        self._sealed.update(sealed)
        for address in self._left.keys() & sealed.keys():
            del self._left[address]
        self._opened.clear()
        self.changes += 1

    # A host that is saved.

    @property
    def secrets(self) -> tuple[bytes, bytes]:
        """What it is made of: the seed of the host's key, and the secret of everything else."""
        return self._seed, self._secret

    def known(self) -> tuple[tuple[tuple[bytes, bytes], ...], ...]:
        """What it knows beside its own two secrets: the machines' sealed keys, the clients' tags."""
        every = (self._sealed, self._clients, self._left)
        return (*(tuple(one.items()) for one in every), ((b"", self.changes.to_bytes(8, "big")),))

    def knowing(self, *known: tuple[tuple[bytes, bytes], ...]) -> "Keyring":
        """Itself, with what `known` told of another of the same host."""
        sealed, clients, left, ((_, changes),) = known
        self._sealed, self._clients, self._left = dict(sealed), dict(clients), dict(left)
        self._open.clear()
        self._opened.clear()
        self.changes = int.from_bytes(changes, "big")
        return self

    # A machine that moves.

    def open_machine(self, sealed: bytes) -> bytes:
        """The keys of a machine for the host it goes to: seed, secret, and those of later hosts."""
        return bytes(self._box.decrypt(sealed))

    def take_machine(self, address: bytes, keys: bytes, generation: int) -> bytes:
        """The keys of a machine that has come, encrypted for the store.

        From `generation` on its capabilities are sealed under a secret that its old host does not know.
        """
        secret = _derive(self._secret, b"machine", address + generation.to_bytes(8, "big"))
        keys += generation.to_bytes(8, "big") + secret
        return bytes(self._box.encrypt(keys, _derive(self._secret, b"machine nonce", keys)[:24]))

    def leave(self, address: bytes) -> None:
        """A machine lives here no more: what holds its capabilities unsealed can still seal them."""
        sealed = self._sealed.get(address)
        self.drop(address)
        if sealed is not None:
            self._left[address] = sealed

    def drop(self, address: bytes) -> None:
        """Forgets the keys of a machine or a client."""
        self._sealed.pop(address, None)
        self._clients.pop(address, None)
        self._open.pop(address, None)
        self._opened.clear()
        self.changes += 1

    def add_client(self, address: bytes, tag: bytes = b"") -> None:
        """Makes an address one of this host's clients; its key is derived from the tag."""
        if self._clients.get(address) != tag:
            self._clients[address] = tag
            self._opened.clear()

    def client(self, key: str) -> tuple[bytes, bytes]:
        """The address and the tag of the client that is known by this key."""
        tag = _derive(self._secret, b"client", key.encode("utf-8", "replace"))
        return self._client_root(tag).identity(CLIENT).address, tag

    def _client_root(self, tag: bytes) -> RootKey:
        return RootKey(_derive(self._secret, b"client root", tag))

    def speak_for(
        self, address: bytes, identity: bytes, incarnation: int, now_ms: int
    ) -> tuple[Identity, Certificate] | None:
        """What proves to other hosts that this one speaks for an address; None when it does not.

        `identity` is a machine's identity in bytes, empty for a client.
        """
        found = self._root_of(address)
        if found is None:
            return None
        known = parse_identity_untrusted(identity) if identity else found.identity(CLIENT)
        until_ms = now_ms + CERTIFIED_MS
        if self.proof.expiry_ms is not None:  # nothing that names a key outlives it
            until_ms = min(until_ms, self.proof.expiry_ms)
        if until_ms <= now_ms:
            return None
        terms = Terms(
            machine=address,
            host=self.address,
            host_key=self.key.public_key,
            incarnation=incarnation,
            sequence=now_ms // 1000,
            not_before_ms=max(0, now_ms - DAY_MS),
            expiry_ms=until_ms,
            renew_until_ms=until_ms,
        )
        return known, issue(found, terms)

    def _root_of(self, address: bytes) -> RootKey | None:
        sealed = self._sealed.get(address)
        if sealed is not None:
            return RootKey(self._box.decrypt(sealed)[:SECRET_BYTES])
        tag = self._clients.get(address)
        return self._client_root(tag) if tag else None

    def open_untrusted(self, wire: bytes) -> Cap:
        """What a stranger presents, opened; `InvalidCapability` for every cause."""
        known = self._opened.get(wire)
        if known is None:
            known = open_untrusted(wire, self)
            if len(self._opened) >= OPENED:
                self._opened.clear()
            if len(wire) <= OPENED_BYTES_MAX:
                self._opened[wire] = known
        # What is refused is kept like the others, or a second time would tell.
        if known is INVALID:
            raise InvalidCapability
        return known

    def to_seal(self, address: bytes) -> MachineKeys:
        """The keys that seal capabilities to an address, also to one that is gone."""
        return self(address) or self._of_left(address) or self.of_gone(address)

    def _of_left(self, address: bytes) -> MachineKeys | None:
        sealed = self._left.get(address)
        if sealed is None:
            return None
        secret, later = secrets_of(self._box.decrypt(sealed))
        return MachineKeys(secret, address, later)

    def of_gone(self, address: bytes) -> MachineKeys:
        """Keys that seal capabilities to what lived here once; with them nothing is opened."""
        return MachineKeys(_derive(self._secret, b"client keys", address), address)

    def has_sealed(self, address: bytes, wire: bytes) -> bool:
        """Whether a capability to what lives here no more was sealed by this host, as a client's is."""
        gone = self.of_gone(address)
        return open_untrusted(wire, lambda one: gone if one == address else None) is not INVALID

    def __call__(self, address: bytes) -> MachineKeys | None:
        """The keys of an address; None when it does not live here."""
        found = self._open.get(address)
        if found is not None:
            self._open.move_to_end(address)
            return found
        secrets = self._find(address)
        if secrets is None:
            return None
        found = self._open[address] = MachineKeys(secrets[0], address, secrets[1])
        if len(self._open) > CACHED:
            self._open.popitem(last=False)
        return found

    def _find(self, address: bytes) -> tuple[bytes, list[tuple[int, bytes]]] | None:
        sealed = self._sealed.get(address)
        if sealed is not None:
            return secrets_of(self._box.decrypt(sealed))
        if address == self.address:
            return _derive(self._secret, b"host", b""), []
        if address in self._clients:
            return _derive(self._secret, b"client keys", address), []
        return None


def secrets_of(keys: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The secret in a machine's keys, and the later ones with the generations they begin with."""
    later = keys[SEED_BYTES + SECRET_BYTES :]
    rows = [later[at : at + LATER_BYTES] for at in range(0, len(later), LATER_BYTES)]
    pairs = [(int.from_bytes(row[:8], "big"), row[8:]) for row in rows]
    return keys[SEED_BYTES : SEED_BYTES + SECRET_BYTES], pairs


def are_keys(keys: bytes, address: bytes, identity: bytes, generation: int) -> bool:
    """Whether a stranger's bytes are the keys of the machine of this identity, before a generation."""
    size = len(keys) - SEED_BYTES - SECRET_BYTES
    if size < 0 or size % LATER_BYTES or size // LATER_BYTES > MOVES_MAX:
        return False
    since = [0, *(one for one, _ in secrets_of(keys)[1]), generation]
    try:
        known = parse_identity_untrusted(identity)
    except Malformed:
        return False
    public = RootKey(keys[:SEED_BYTES]).public_key
    ascending = all(one < other for one, other in pairwise(since))
    return known.address == address and known.public_key == public and ascending


def _derive(secret: bytes, domain: bytes, name: bytes) -> bytes:
    digest = hashlib.blake2b(key=secret, digest_size=32, person=b"avm host keys")
    digest.update(len(domain).to_bytes(1, "big") + domain + name)
    return digest.digest()
