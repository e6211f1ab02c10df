"""How long the host's own key still holds, and from when on that is told. Pure.

Beside the journey. A root key has no end. A certified one ends with its certificate: from then on other
hosts take nothing from this one, and nothing of what it is owed or owes is lost.
"""

from typing import Any

from caps.hostproof import HostProof
from caps.light import dataclass

DAY_MS = 24 * 60 * 60 * 1000
# So long before its end a certificate is to be renewed; of one with a short life in its last third.
ENDING_MS = 30 * DAY_MS
SHARE = 3
ROTATE, REQUEST = "`avm-host keys rotate --host`", "`avm-host keys request FILE`"
RENEW = f"`avm-host stop`, then {ROTATE}, or {REQUEST} where the root key is away"
# What a host is to do whose keys are of before others were shown a later one: a copy that was restored.
RENEW_REPLACED = (
    f"`avm-host stop`, then {ROTATE}, or {REQUEST[:-1]} --new` where the root key is away"
)


@dataclass(frozen=True, slots=True)
class KeyLife:
    """The key in use; `until_ms` is None for a root key."""

    key: bytes
    until_ms: int | None
    ending: bool
    ended: bool

    def told(self) -> dict[str, Any]:
        """The same in plain values, for the operator."""
        named = {"key": self.key.hex(), "until_ms": self.until_ms}
        return {**named, "ending": self.ending, "ended": self.ended}


def key_life(proof: HostProof, now_ms: int) -> KeyLife:
    """How it stands with the key that a host proves itself by."""
    certificate = proof.certificate
    if certificate is None:
        return KeyLife(proof.key, None, False, False)
    until_ms = certificate.expiry_ms
    ending_ms = min(ENDING_MS, (until_ms - certificate.terms.not_before_ms) // SHARE)
    return KeyLife(proof.key, until_ms, until_ms - now_ms <= ending_ms, until_ms <= now_ms)
