"""Macaroons and biscuits beside our capabilities: `python -m bench.peer_tokens TIMES SECONDS` prints one JSON line.

The same work for each, from bytes to bytes: a token is minted, a holder narrows it by a time, and whoever
issued it verifies what comes back, the time with it.
"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from biscuit_auth import AuthorizerBuilder, Biscuit, BiscuitBuilder, BlockBuilder, KeyPair
from pymacaroons import MACAROON_V2, Macaroon, Verifier

from bench.authority_costs import LATER_MS, NOW_MS, Issuer
from bench.cost import best_us, calls
from caps import caveats
from caps.capability import SealedCapability, narrow, parse_wire_untrusted

NOW, LATER = (datetime.fromtimestamp(at / 1000, UTC) for at in (NOW_MS, LATER_MS))
KEY = b"k" * 32
BEFORE = "time < "

Work = tuple[Callable[[], object], Callable[[], object], Callable[[], object]]


def ours() -> Work:
    """A capability, narrowed by `until`."""
    issuer = Issuer()
    whole = issuer.seal().wire()

    def attenuate() -> bytes:
        found = parse_wire_untrusted(whole)
        assert isinstance(found, SealedCapability), "it was sealed"
        return narrow(found, caveats.until(LATER_MS)).wire()

    narrowed = attenuate()

    def verify() -> None:
        if not issuer.is_taken(narrowed):
            raise AssertionError("a good one is refused")

    return lambda: issuer.seal().wire(), attenuate, verify


def macaroon() -> Work:
    """A macaroon with a first-party caveat."""

    def mint() -> str:
        made = Macaroon(location="", identifier="deposit", key=KEY, version=MACAROON_V2)
        return str(made.serialize())

    whole = mint()

    def attenuate() -> str:
        found = Macaroon.deserialize(whole)
        found.add_first_party_caveat(f"{BEFORE}{LATER_MS}")
        return str(found.serialize())

    narrowed = attenuate()

    def is_kept(caveat: str) -> bool:
        return caveat.startswith(BEFORE) and int(caveat[len(BEFORE) :]) > NOW_MS

    def verify() -> None:
        verifier = Verifier()
        verifier.satisfy_general(is_kept)
        verifier.verify(Macaroon.deserialize(narrowed), KEY)

    return mint, attenuate, verify


def biscuit() -> Work:
    """A biscuit with a block that checks a time; signatures are Ed25519."""
    root = KeyPair()

    def mint() -> bytes:
        return bytes(BiscuitBuilder('right("deposit")').build(root.private_key).to_bytes())

    whole = mint()

    def attenuate() -> bytes:
        block = BlockBuilder("check if time($time), $time < {later}", {"later": LATER})
        return bytes(Biscuit.from_bytes(whole, root.public_key).append(block).to_bytes())

    narrowed = attenuate()
    # Its own is a millisecond, which a busy machine goes beyond.
    authorizer: Any = AuthorizerBuilder  # Its stubs know no limits.
    limits = authorizer("").limits()
    limits.max_time = timedelta(seconds=10)

    def verify() -> None:
        token = Biscuit.from_bytes(narrowed, root.public_key)
        builder = authorizer('time({now}); allow if right("deposit")', {"now": NOW})
        builder.set_limits(limits)
        builder.build(token).authorize()

    return mint, attenuate, verify


def main() -> int:
    """Prints microseconds of processor time: of each, for its three kinds of work."""
    times, spread_s = int(sys.argv[1]), float(sys.argv[2])
    makers = {"ours": ours, "pymacaroons": macaroon, "biscuit-python": biscuit}
    works = {
        f"{name} {what}": calls(once)
        for name, make in makers.items()
        for what, once in zip(("mint", "attenuate", "verify"), make(), strict=True)
    }
    print(json.dumps(best_us(works, times, spread_s)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
