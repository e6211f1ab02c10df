"""A simulated host's own key: another one, and whether the handshake of a link would take it. Pure.

In a world links begin above the handshake, so what that would refuse is asked here.
"""

from avm.host.keys import Keyring
from avm.sim.host import SimHost
from caps.certificate import InvalidCertificate
from caps.hostproof import certify_host
from caps.identity import RootKey

YEAR_MS = 365 * 24 * 60 * 60 * 1000


def rotate_key(host: SimHost, life_ms: int = YEAR_MS) -> None:
    """A host is given another operational key, which it uses from its next start on."""
    seed, secret, *more = host.keyring_seeds
    root, key = RootKey(more[2] if more else seed), host.entropy.bytes(32)
    before, until_ms = Keyring.of(*host.keyring_seeds).proof, host.now_ms + life_ms
    made = certify_host(
        root,
        before.identity,
        RootKey(key).public_key,
        host.now_ms,
        until_ms,
        before.certificate,
    )
    parts = (made.identity.to_bytes(), made.certificate_bytes, more[2] if more else seed)
    host.keyring_seeds = (key, secret, *parts)


def prove_each_other(one: SimHost, other: SimHost) -> bool:
    """Whether each takes the other's key now, by its own clock."""
    try:
        one.core.host.keys.proof.check(other.core.host.now_ms)
        other.core.host.keys.proof.check(one.core.host.now_ms)
    except InvalidCertificate:
        return False
    return True
