"""Where others see us: a node's own endpoint, when enough of them, far enough apart, agree.

A node must sign only endpoints that are its own, or it lends its id to whoever made it believe
otherwise; so one observer, or several in one subnet, decide nothing.
"""

from caps.identity import Endpoint
from dht.contact import subnet_of

OBSERVERS_MIN = 3
OBSERVERS_MAX = 16


class Observed:
    """The last endpoint that each subnet of observers saw us at, at most `OBSERVERS_MAX` of them."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[bytes, Endpoint] = {}

    def see(self, observer: Endpoint, seen: Endpoint) -> bool:
        """Note at which endpoint an observer saw us, and tell whether that is news of its subnet."""
        subnet = subnet_of(observer)
        before = self._seen.pop(subnet, None)
        self._seen[subnet] = seen
        if len(self._seen) > OBSERVERS_MAX:
            del self._seen[next(iter(self._seen))]
        return before != seen

    def endpoint(self) -> Endpoint | None:
        """Return the endpoint that at least three observers and more than half of them agree on."""
        votes = list(self._seen.values())
        for endpoint in set(votes):
            count = votes.count(endpoint)
            if count >= OBSERVERS_MIN and count * 2 > len(votes):
                return endpoint
        return None
