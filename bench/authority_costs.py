"""What capabilities cost the host: sealed, opened, narrowed, written as a text, judged. Processor time."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from avm.host.capability import Local, open_untrusted
from avm.host.judging import is_good
from avm.host.keys import Keyring
from avm.host.state import Flight, Host, Machine, Status
from avm.limits import Limits
from bench.cost import best_us, calls
from bench.figures import Figure, Section
from bench.scale import Scale
from caps import caveats
from caps.capability import SealedCapability, narrow, parse_text, to_text
from caps.identity import RootKey
from caps.sealing import MachineKeys, pack_context

A_SECOND_MIN = 200_000.0
CHAINS = (0, 1, 4, 16)
NOW_MS = 1_700_000_000_000
LATER_MS = NOW_MS * 2
SENDER = b"s" * 32
# What a machine seals for most of its capabilities: a short name.
PLAIN = pack_context(b"\x67deposit", [])


class Issuer:
    """A host of one machine, whose capabilities it seals, opens and judges."""

    def __init__(self) -> None:
        self.keyring = Keyring(b"h" * 32, b"k" * 32)
        identity = RootKey(b"m" * 32).identity({})
        sealed = self.keyring.close_machine(b"m" * 32, b"s" * 32, bytes(24))
        self.keyring.add_machine(identity.address, sealed)
        self.host = Host(self.keyring.address, Limits(), self.keyring, now_ms=NOW_MS)
        self.machine = Machine(
            1, identity.address, "m", Status.RUNNING, b"", sealed, identity.to_bytes()
        )
        self.host.machines[identity.address] = self.machine
        keys = self.keyring(identity.address)
        if keys is None:
            raise AssertionError("the machine lives here")
        self.keys: MachineKeys = keys

    def seal(self) -> SealedCapability:
        """A capability that does not expire, of the newest generation."""
        return self.keys.seal(PLAIN, generation=0, priority=0, kind=0, expires_ms=None)

    def narrowed(self, chain: int) -> SealedCapability:
        """One with so many caveats, each a time."""
        made = self.seal()
        for at in range(chain):
            made = narrow(made, caveats.until(LATER_MS + at))
        return made

    def is_taken(self, wire: bytes) -> bool:
        """Whether a message to it may be taken: opened anew from its bytes, and judged."""
        to = open_untrusted(wire, self.keyring)
        flight = Flight(self.machine, 1, now_ms=NOW_MS)
        return type(to) is Local and is_good(self.host, flight, SENDER, to)


def measure(_directory: Path, scale: Scale) -> Section:
    """Each of it many times, through what the host itself calls."""
    issuer = Issuer()
    made = issuer.seal()
    text = to_text(made)
    until = caveats.until(LATER_MS)
    works: dict[str, Callable[[], object]] = {
        "seal": issuer.seal,
        "unseal": partial(issuer.keys.unseal, made),
        "written as a text": partial(to_text, made),
        "read from a text": partial(parse_text, text),
        "narrowed by a caveat": partial(narrow, made, until),
    }
    for chain in CHAINS:
        wire = issuer.narrowed(chain).wire()
        if not issuer.is_taken(wire):
            raise AssertionError("a good capability is refused")
        what = f"opened from its bytes and judged, {chain} caveat{'s'[: chain != 1]}"
        works[what] = partial(issuer.is_taken, wire)
    rounds = {what: calls(once) for what, once in works.items()}
    took_us = best_us(rounds, scale.primitives, scale.spread_s)
    figures = [
        Figure(what, 1e6 / took_us.pop(what), "a second", least=A_SECOND_MIN)
        for what in ("seal", "unseal")
    ]
    figures += [Figure(what, one, "us") for what, one in took_us.items()]
    about = (
        "Processor time of one core, the best of many short rounds by turns; targets are those of the "
        "machine above. What comes again and again is opened once: here nothing is kept."
    )
    return Section("Authority", about, figures)
