"""Address tokens: whoever returns one has received a datagram at the endpoint it sends from.

They come before any public-key work and before any answer longer than three times its question. A
token is a keyed hash of the endpoint; its key changes every epoch and the one before still holds.
"""

from hashlib import blake2b
from hmac import compare_digest

from caps.identity import Endpoint
from dht.wire import TOKEN_BYTES

SECRET_BYTES = 32


class Tokens:
    """Makes and checks tokens without remembering any."""

    __slots__ = ("_epoch_ms", "_secret")

    def __init__(self, secret: bytes, epoch_ms: int) -> None:
        assert len(secret) == SECRET_BYTES
        self._secret = secret
        self._epoch_ms = epoch_ms

    def make(self, endpoint: Endpoint, now_ms: int) -> bytes:
        """Return the token of an endpoint: it holds for one to two epochs."""
        return self._token(endpoint, now_ms // self._epoch_ms)

    def holds_untrusted(self, token: bytes, endpoint: Endpoint, now_ms: int) -> bool:
        """Tell whether a stranger's token was made for its endpoint lately."""
        if not token:
            return False
        epoch = now_ms // self._epoch_ms
        return any(
            compare_digest(token, self._token(endpoint, made)) for made in (epoch, epoch - 1)
        )

    def _token(self, endpoint: Endpoint, epoch: int) -> bytes:
        named = epoch.to_bytes(8, "big", signed=True) + endpoint.port.to_bytes(2, "big")
        body = named + endpoint.ip
        return blake2b(
            body, digest_size=TOKEN_BYTES, key=self._secret, person=b"avm token"
        ).digest()
