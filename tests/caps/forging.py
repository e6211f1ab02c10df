"""Capabilities that nobody may be let in by: forged, spliced, stale and widened, from a seed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from avm.host.capability import Local, from_wire_untrusted
from avm.host.judging import is_good
from avm.host.keys import Keyring
from avm.host.state import End, Flight, Host, Machine, Status
from avm.limits import Limits
from caps import caveats
from caps.capability import SealedCapability, narrow, parse_text, parse_wire_untrusted, to_text
from caps.caveats import CAVEATS_MAX, Caveat
from caps.errors import InvalidCapability, Malformed, Mistyped
from caps.identity import RootKey
from caps.sealing import MachineKeys, pack_context, pack_reply

NOW_MS = 1_700_000_000_000
SENDER, OTHER = b"s" * 32, b"o" * 32
# What is revoked, what ends in time to come, and what is sealed under now.
REVOKED, ENDING, IN_USE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Forged:
    """Bytes or a text that must not be accepted, and how they were made."""

    how: str
    wire: bytes
    text: str = ""


class Forger:
    """A host with two machines, genuine capabilities to them, and forgeries of these."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.keys = Keyring(b"h" * 32, b"k" * 32)
        self.host = Host(self.keys.address, Limits(), self.keys, now_ms=NOW_MS)
        self.machines = [self._machine(number) for number in (1, 2)]
        self.genuine: list[SealedCapability] = []
        self.stale: list[SealedCapability] = []
        for machine in self.machines:
            self._seal_some(machine)
        self.known = {one.wire() for one in (*self.genuine, *self.stale)}

    def _machine(self, number: int) -> Machine:
        root, secret = RootKey(bytes([number]) * 32), bytes([number + 8]) * 32
        identity = root.identity({})
        sealed = self.keys.close_machine(bytes([number]) * 32, secret, bytes(24))
        self.keys.add_machine(identity.address, sealed)
        name, body = f"m{number}", identity.to_bytes()
        machine = Machine(number, identity.address, name, Status.RUNNING, b"", sealed, body)
        machine.generation, machine.revoked = IN_USE, REVOKED
        machine.ends = (End(ENDING, NOW_MS + 1),)
        self.host.machines[machine.address] = machine
        return machine

    def _seal_some(self, machine: Machine) -> None:
        keys = self.keys(machine.address)
        assert keys is not None
        for _ in range(12):
            generation = self.random.choice((0, REVOKED, ENDING, IN_USE))
            base = self._base(keys, generation)
            row = [base]
            for caveat in self._chain(self.random.randrange(4)):
                row.append(narrow(row[-1], caveat))
            fresh = generation > REVOKED and (base.expires_ms is None or base.expires_ms > NOW_MS)
            (self.genuine if fresh else self.stale).extend(row)
            if fresh:
                self.stale.extend(narrow(row[-1], one) for one in self._over())
        self.stale.append(keys.seal(b"\x07", generation=9, priority=0, kind=0, expires_ms=None))

    def _base(self, keys: MachineKeys, generation: int) -> SealedCapability:
        kind, priority = self.random.randrange(4), self.random.choice((-1000, 0, 5, 1000))
        expires_ms = self.random.choice((None, None, 0, NOW_MS, NOW_MS + 1, NOW_MS * 2))
        plain = pack_context(self.random.randbytes(self.random.randrange(1, 40)), [])
        return keys.seal(
            plain, generation=generation, priority=priority, kind=kind, expires_ms=expires_ms
        )

    def _chain(self, size: int) -> list[Caveat]:
        good = (
            caveats.until(NOW_MS + 1),
            caveats.uses(3, self.random.randbytes(4), NOW_MS + 1),
            caveats.only(["int", 0, self.random.randrange(100)]),
            caveats.holder(SENDER),
        )
        return [self.random.choice(good) for _ in range(size)]

    @staticmethod
    def _over() -> tuple[Caveat, ...]:
        return caveats.until(NOW_MS), caveats.uses(1, b"", NOW_MS), caveats.holder(OTHER)

    def forged(self) -> Forged:
        """One more, as the seed has it."""
        ways: tuple[Callable[[], Forged], ...] = (
            self._noise, self._flipped, self._cut, self._spliced, self._again, self._other,
            self._rechained, self._proof, self._text,
        )  # fmt: skip
        while True:
            one = self.random.choice(ways)()
            if one.wire not in self.known or one.how == "stale":
                return one

    def is_let_in(self, forged: Forged) -> bool:
        """Whether it opens to a capability of a machine here, and that is good at the turn."""
        wire = forged.wire
        if forged.text:
            try:
                wire = parse_text(forged.text).wire()
            except Mistyped:
                return False
        return self.lets_in(wire)

    def lets_in(self, wire: bytes) -> bool:
        """The same of bytes."""
        try:
            cap = from_wire_untrusted(wire, self.keys)
        except InvalidCapability:
            return False
        if not isinstance(cap, Local):
            return cap.__class__.__name__ == "Reply"
        flight = Flight(self.host.machines[cap.address], 1, now_ms=NOW_MS)
        return is_good(self.host, flight, SENDER, cap)

    # The ways.

    def _one(self) -> SealedCapability:
        return self.random.choice(self.genuine)

    def _noise(self) -> Forged:
        body = self.random.randbytes(self.random.randrange(0, 200))
        head = self._one().wire()[: self.random.randrange(0, 60)]
        return Forged("noise", self.random.choice((body, b"\x01" + body, head + body)))

    def _flipped(self) -> Forged:
        wire = bytearray(self._one().wire())
        for _ in range(self.random.randrange(1, 4)):
            bit = self.random.randrange(len(wire) * 8)
            wire[bit // 8] ^= 1 << bit % 8
        return Forged("flipped bits", bytes(wire))

    def _cut(self) -> Forged:
        wire = self._one().wire()
        at = self.random.randrange(len(wire))
        more = self.random.randbytes(self.random.randrange(1, 5))
        return Forged(
            "cut or longer",
            self.random.choice((wire[:at], wire + more, wire[:at] + wire[at + 1 :])),
        )

    def _spliced(self) -> Forged:
        """Fields of two genuine ones; the whole of one would be genuine."""
        one, other = self._one(), self.random.choice((*self.genuine, *self.stale))
        names = ["address", "generation", "priority", "kind", "expires_ms", "sealed"]
        names += ["caveats", "proof"]
        taken = self.random.sample(names, self.random.randrange(1, len(names)))
        return self._if_new(
            "spliced", replace(one, **{name: getattr(other, name) for name in taken})
        )

    def _again(self) -> Forged:
        """Re-kinded, re-prioritised, of another generation or a later expiry."""
        one = self._one()
        changed = self.random.choice(
            (
                {"kind": (one.kind + self.random.randrange(1, 4)) % 4},
                {"priority": self.random.randrange(-1000, 1001)},
                {"generation": self.random.randrange(0, 5)},
                {"expires_ms": self.random.choice((None, NOW_MS * 3))},
                {"sealed": self.random.randbytes(len(one.sealed))},
            )
        )
        return self._if_new("other attributes", replace(one, **changed))

    def _other(self) -> Forged:
        """To another machine, of another secret, or genuine and over."""
        one = self._one()
        way = self.random.randrange(3)
        if way == 0:
            addresses = [machine.address for machine in self.machines]
            elsewhere = addresses[addresses.index(one.address) - 1]
            return Forged("another machine's", replace(one, address=elsewhere).wire())
        if way == 1:
            keys = MachineKeys(self.random.randbytes(32), one.address)
            plain = self.random.choice((pack_context(b"\x01", []), pack_reply(1, NOW_MS * 2)))
            made = keys.seal(plain, generation=IN_USE, priority=0, kind=0, expires_ms=None)
            return Forged("another secret's", made.wire())
        return Forged("stale", self.random.choice(self.stale).wire())

    def _rechained(self) -> Forged:
        """Caveats removed, reordered, widened, doubled, taken from others, too many, or unknown."""
        one = self._one()
        chain = list(one.caveats)
        way = self.random.randrange(7)
        if way == 0 and chain:
            del chain[self.random.randrange(len(chain))]
        elif way == 1:
            self.random.shuffle(chain)
        elif way == 2 and chain:
            chain[self.random.randrange(len(chain))] = caveats.until(NOW_MS * 2)
        elif way == 3:
            chain += chain or [caveats.until(NOW_MS * 2)]
        elif way == 4:
            chain = list(self._one().caveats)
        elif way == 5:
            made = one
            while len(made.caveats) < CAVEATS_MAX:
                made = narrow(made, caveats.until(NOW_MS + 1))
            last = caveats.until(NOW_MS + 1)
            extended = narrow(replace(made, caveats=()), last)
            longer = replace(made, caveats=(*made.caveats, last), proof=extended.proof)
            return Forged("17 caveats", longer.wire())
        else:
            unknown = Caveat(self.random.choice((0, 5, 6, 2**32 - 1)), NOW_MS * 2)
            return Forged("an unknown caveat", narrow(one, unknown).wire())
        return self._if_new("another chain", replace(one, caveats=tuple(chain)))

    def _proof(self) -> Forged:
        """A proof of nothing, of another, or extended from one that is not known."""
        one = self._one()
        guessed = replace(one, proof=self.random.randbytes(16), caveats=())
        return Forged(
            "a forged proof",
            self.random.choice(
                (
                    replace(one, proof=bytes(16)),
                    replace(one, proof=self.random.choice(self.genuine).proof),
                    guessed,
                    narrow(guessed, caveats.until(NOW_MS * 2)),
                )
            ).wire(),
        )

    def _text(self) -> Forged:
        text = to_text(self._one())
        at = self.random.randrange(4, len(text))
        char = self.random.choice("AZaz09-_=. ")
        if char == text[at]:
            return self._flipped()
        changed = self.random.choice((text[:at] + char + text[at + 1 :], text[:at], text + char))
        return Forged("a mistyped text", b"", changed)

    def _if_new(self, how: str, made: SealedCapability) -> Forged:
        """The forgery; one more of its kind when it came out genuine."""
        wire = made.wire()
        return Forged(how, wire) if wire not in self.known else self._flipped()


def reads(wire: bytes) -> bool:
    """Whether bytes are those of a capability at all, forged or not."""
    try:
        parse_wire_untrusted(wire)
    except Malformed:
        return False
    return True
