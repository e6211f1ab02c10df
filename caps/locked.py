"""Keys under a passphrase: what lies in a file cannot be read by whoever has the file alone. Pure.

Before the journey, for a host's keys at rest and for what is carried out of it. Argon2id (RFC 9106)
makes a key of the passphrase; it wraps a master key, and that encrypts the body, both by AES-SIV
(RFC 5297), which needs no nonce. What is in the open, whose keys they are, is bound to both. The
costs are those of version 1 and are read from no file, so that a stranger's file cannot choose them.
"""

from importlib import import_module

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import CapsError, Malformed
from caps.identity import ADDRESS_BYTES
from caps.light import dataclass

# A host whose keys are in the open needs none of it.
ARGON2 = "cryptography.hazmat.primitives.kdf.argon2"
MEMORY_KIB = 64 * 1024
PASSES = 3
LANES = 4
SALT_BYTES = 16
MASTER_BYTES = 64
TAG_BYTES = 16
ENTROPY_BYTES = SALT_BYTES + MASTER_BYTES
BODY_BYTES_MAX = 4_096
PASSPHRASE_BYTES_MAX = 1_024
LOCKED_BYTES_MAX = BODY_BYTES_MAX + 512

MAGIC = b"avm-host keys, locked\n"
_VERSION = 1


class WrongPassphrase(CapsError):
    """The passphrase does not open the keys."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A body under a passphrase; `address` says whose it is, and anybody can read that."""

    address: bytes
    salt: bytes
    wrapped: bytes
    sealed: bytes

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most `LOCKED_BYTES_MAX`."""
        fields = [_VERSION, self.address, self.salt, self.wrapped, self.sealed]
        return MAGIC + dumps_plain(fields)


def lock(body: bytes, address: bytes, passphrase: bytes, entropy: bytes) -> Locked:
    """Put a body under a passphrase; `entropy` is ENTROPY_BYTES fresh random bytes.

    Takes 64 MiB and some tenths of a second. A `ValueError` for a passphrase of a wrong length.
    """
    assert len(entropy) == ENTROPY_BYTES and len(body) <= BODY_BYTES_MAX
    salt, master = entropy[:SALT_BYTES], entropy[SALT_BYTES:]
    about = [MAGIC, address]
    wrapped = AESSIV(_stretch(passphrase, salt)).encrypt(master, about)
    return Locked(address, salt, wrapped, AESSIV(master).encrypt(body, about))


def unlock(locked: Locked, passphrase: bytes) -> bytes:
    """Return the body; raises `WrongPassphrase`, also where the bytes are not what was locked."""
    about = [MAGIC, locked.address]
    try:
        master = AESSIV(_stretch(passphrase, locked.salt)).decrypt(locked.wrapped, about)
        return AESSIV(master).decrypt(locked.sealed, about)
    except (InvalidTag, ValueError):
        raise WrongPassphrase(WrongPassphrase.__doc__) from None


def is_locked(body: bytes) -> bool:
    """Tell whether these are keys under a passphrase, or mean to be."""
    return body.startswith(MAGIC)


def parse_locked_untrusted(body: bytes) -> Locked:
    """Read what somebody's file says is locked; raises `Malformed` only."""
    if not is_locked(body):
        raise Malformed("these are no keys under a passphrase")
    plain = loads_plain_untrusted(body[len(MAGIC) :], max_bytes=LOCKED_BYTES_MAX, depth=2)
    version, address, salt, wrapped, sealed = shape.array(plain, 5, "locked keys")
    shape.version(version, _VERSION, "locked keys")
    return Locked(
        shape.octets(address, ADDRESS_BYTES, "locked keys: address"),
        shape.octets(salt, SALT_BYTES, "locked keys: salt"),
        shape.octets(wrapped, MASTER_BYTES + TAG_BYTES, "locked keys: master key"),
        shape.some_octets(sealed, TAG_BYTES + 1, TAG_BYTES + BODY_BYTES_MAX, "locked keys: body"),
    )


def _stretch(passphrase: bytes, salt: bytes) -> bytes:
    if not 0 < len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise ValueError(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    made = import_module(ARGON2).Argon2id(
        salt=salt, length=MASTER_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
    )
    key: bytes = made.derive(passphrase)
    return key
