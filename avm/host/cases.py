"""What is kept for the operator about channels and addresses that other hosts do not agree on. Pure.

Beside the journey. Each decision of the operator with the evidence that it was about, and the records
of two hosts that claim one address under one incarnation. One row of the store, bounded: the oldest
go first.
"""

import cbor2

from caps.light import dataclass, field

ROW = ("meta", "cases")


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator decided on a channel: `act` is restart or accept, `was` why it was frozen."""

    at_ms: int
    act: str
    sender: bytes
    receiver: bytes
    was: str
    evidence: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """One host's signed word that an address lives there."""

    host: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two hosts that claim one address under one incarnation; the first stays."""

    at_ms: int
    address: bytes
    incarnation: int
    first: Claim
    second: Claim


@dataclass(slots=True)
class Cases:
    """The newest decisions and contradictions, one of an address and incarnation."""

    decisions: list[Decision] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)

    def decided(self, decision: Decision, most: int) -> None:
        """Keeps a decision."""
        self.decisions.append(decision)
        del self.decisions[:-most]

    def contradicted(self, one: Contradiction, most: int) -> bool:
        """Keeps a contradiction; False when this one is known."""
        place = (one.address, one.incarnation)
        if any((known.address, known.incarnation) == place for known in self.contradictions):
            return False
        self.contradictions.append(one)
        del self.contradictions[:-most]
        return True

    def of_channel(self, sender: bytes, receiver: bytes) -> list[Decision]:
        """What was decided on a channel, the oldest first."""
        return [one for one in self.decisions if (one.sender, one.receiver) == (sender, receiver)]

    def of_address(self, address: bytes) -> list[Contradiction]:
        """Who claims an address that somebody else claims too."""
        return [one for one in self.contradictions if one.address == address]


def to_bytes(cases: Cases) -> bytes:
    """The row."""
    decisions = [
        [one.at_ms, one.act, one.sender, one.receiver, one.was, one.evidence]
        for one in cases.decisions
    ]
    contradictions = [
        [one.at_ms, one.address, one.incarnation, *_packed(one.first), *_packed(one.second)]
        for one in cases.contradictions
    ]
    return cbor2.dumps([decisions, contradictions])


def _packed(claim: Claim) -> tuple[bytes, bytes]:
    return claim.host, claim.record


def from_bytes(body: bytes) -> Cases:
    """The cases of a row."""
    decisions, contradictions = cbor2.loads(body)
    cases = Cases([Decision(*row) for row in decisions])
    for at_ms, address, incarnation, host, record, other, second in contradictions:
        claims = Claim(host, record), Claim(other, second)
        cases.contradictions.append(Contradiction(at_ms, address, incarnation, *claims))
    return cases
