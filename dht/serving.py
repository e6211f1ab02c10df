"""What a node answers strangers: contacts, the records it holds, and whether it kept one.

Step 7 of the journey, at the far end. The order is the defence: rates, then the address token, and
only for an endpoint that returned its token a signature is checked. To all others an answer is at
most three times as long as the question, so nobody is flooded by our answers.
"""

from caps.identity import Endpoint
from dht.contact import subnet_of
from dht.effects import Effect, Evidence, Send
from dht.errors import InvalidRecord
from dht.lookup import Near
from dht.proofs import Proofs
from dht.rates import Rates
from dht.settings import CLOSEST, Settings
from dht.shelf import Shelf
from dht.tokens import Tokens
from dht.wire import (
    PACKET_BYTES_MAX,
    Answer,
    Find,
    Get,
    Put,
    Request,
    Status,
    Stored,
    encode_answer,
    encode_stored,
)

UNPROVEN_TIMES = 3


class Server:
    """Answers requests from table and shelf; it asks nothing and waits for nothing."""

    __slots__ = ("_near", "_proofs", "_rates", "_shelf", "_tokens")

    def __init__(
        self, settings: Settings, near: Near, shelf: Shelf, proofs: Proofs, secret: bytes
    ) -> None:
        self._near = near
        self._shelf = shelf
        self._proofs = proofs
        self._rates = Rates(settings)
        self._tokens = Tokens(secret, settings.token_ms)

    def answer_untrusted(
        self, now_ms: int, request: Request, budget: int, endpoint: Endpoint, node_record: bytes
    ) -> list[Effect]:
        """Return what a request is answered; nothing when it is over its rate.

        Without a good token the answer stays within the budget, in bytes.
        """
        if not self._rates.allows(endpoint, now_ms):
            return []
        proven = self._tokens.holds_untrusted(request.token, endpoint, now_ms)
        token = self._tokens.make(endpoint, now_ms)
        if isinstance(request, Put):
            return self._put(now_ms, request, proven, token, endpoint)
        bytes_max = PACKET_BYTES_MAX if proven else budget
        answer = Answer(
            request.nonce,
            endpoint,
            token,
            node_record,
            self._records(request, now_ms),
            tuple(self._near.closest(int.from_bytes(request.near, "big"), CLOSEST)),
        )
        return [Send(encode_answer(answer, bytes_max), endpoint)]

    def _records(self, request: Find | Get, now_ms: int) -> tuple[bytes, ...]:
        if isinstance(request, Find):
            return ()
        held = self._shelf.get(request.kind, request.key, now_ms)
        return tuple(record.body for record in held)

    def _put(
        self, now_ms: int, put: Put, proven: bool, token: bytes, endpoint: Endpoint
    ) -> list[Effect]:
        def stored(status: Status, body: bytes = b"") -> Effect:
            return Send(encode_stored(Stored(put.nonce, token, status, body)), endpoint)

        if not proven:
            return [stored(Status.TOKEN)]
        try:
            record = self._proofs.record_untrusted(put.kind, put.key, put.body, now_ms)
        except InvalidRecord:
            return [stored(Status.REFUSED)]
        kept = self._shelf.put(record, now_ms, subnet_of(endpoint))
        if kept.standing is None:
            return [stored(kept.status)]
        effects: list[Effect] = [stored(kept.status, kept.standing.body)]
        if kept.standing.contradicts(record):
            effects.append(Evidence(kept.standing, record))
        return effects
