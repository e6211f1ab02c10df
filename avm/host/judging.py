"""What a capability is good for at a turn: generation, expiry and caveats. Pure.

Between steps 3 and 4 of the journey, by the turn's recorded time. A refusal has no reason, so that nobody
learns one. What a caveat counts is taken from the flight, and counted when the turn is applied; patterns
of contents go along to the worker, which has the content.
"""

from functools import lru_cache

from avm.host.capability import Local, seal
from avm.host.revoking import is_revoked
from avm.host.state import Flight, Host, Machine, Use
from caps.capability import extend_proof
from caps.caveats import HOLDER, ONLY, UNTIL, USES, Caveat, Plain, parse_caveat_untrusted

READ = 4_096

_read = lru_cache(READ)(parse_caveat_untrusted)


def is_good(host: Host, flight: Flight, sender: bytes, to: Local) -> bool:
    """Whether a message to a machine may be taken, as far as the host can tell."""
    machine, now_ms = flight.machine, flight.now_ms
    # All of it is looked at whatever the first says: how long a refusal takes is not to tell its cause.
    good = to.generation <= machine.generation
    good &= not is_revoked(machine, to.generation, now_ms)
    good &= to.expires_ms is None or to.expires_ms > now_ms
    if not to.caveats or not good:
        return good
    good = len(to.caveats) <= host.limits.caveats
    caveats = [_read(encoded) for encoded in to.caveats]
    for caveat in caveats:
        good &= _is_kept(caveat, sender, now_ms)
    if not good:
        return False
    return all(caveat.number != USES for caveat in caveats) or _count(host, flight, to, caveats)


def _is_kept(caveat: Caveat, sender: bytes, now_ms: int) -> bool:
    value = caveat.value
    match caveat.number:
        case 1:
            return type(value) is int and now_ms < value
        case 2:
            return isinstance(value, tuple) and type(value[2]) is int and now_ms < value[2]
        case 4:
            return value == sender
        case _:
            return caveat.number == ONLY


def _count(host: Host, flight: Flight, to: Local, caveats: list[Caveat]) -> bool:
    """Takes one use of each that counts; False when there is none left."""
    machine = flight.machine
    taken: dict[bytes, Use] = dict(flight.uses or {})
    proof = seal(to, host.keys.to_seal).proof
    for caveat in caveats:
        proof = extend_proof(proof, caveat)
        if caveat.number != USES:
            continue
        assert isinstance(caveat.value, tuple), "its value was checked"
        most, _nonce, expires_ms = caveat.value
        assert type(most) is int and type(expires_ms) is int, "its value was checked"
        known = (machine.uses or {}).get(proof)
        before = (known.taken if known else 0) + (taken[proof].taken if proof in taken else 0)
        if before >= most:
            return False
        taken[proof] = Use(taken[proof].taken + 1 if proof in taken else 1, expires_ms)
    new = sum(proof not in (machine.uses or {}) for proof in taken)
    if len(machine.uses or ()) + new > host.limits.uses:
        drop_expired(host, machine, machine.now_ms)
        if len(machine.uses or ()) + new > host.limits.uses:
            return False
    flight.uses = taken
    return True


def counts(to: Local) -> bool:
    """Whether messages by it are counted; a number below 24 is the second byte of a caveat."""
    return bool(to.caveats) and any(encoded[1] == USES for encoded in to.caveats)


def patterns_of(to: Local) -> list[Plain]:
    """The patterns that a content has to fit, for the worker."""
    return [one.value for one in map(_read, to.caveats) if one.number == ONLY]


def note_uses(host: Host, flight: Flight) -> None:
    """Counts what the messages of an applied turn used."""
    machine = flight.machine
    for proof, use in (flight.uses or {}).items():
        machine.uses = machine.uses or {}
        before = machine.uses.get(proof)
        counted = Use((before.taken if before else 0) + use.taken, use.expires_ms)
        machine.uses[proof] = host.group.dirty[("use", machine.id, proof)] = counted


def drop_expired(host: Host, machine: Machine, now_ms: int) -> None:
    """Forgets the counts whose caveats nobody can use any more, by the machine's recorded time."""
    uses = machine.uses or {}
    for proof in [proof for proof, use in uses.items() if use.expires_ms <= now_ms]:
        del uses[proof]
        host.group.dirty[("use", machine.id, proof)] = None


def good_for_client(to: Local, sender: bytes, now_ms: int) -> bool:
    """Whether a message to a client may be taken: there is no turn, so nothing counts or is read."""
    caveats = [_read(encoded) for encoded in to.caveats]
    return all(one.number in (UNTIL, HOLDER) and _is_kept(one, sender, now_ms) for one in caveats)


__all__ = ["counts", "drop_expired", "good_for_client", "is_good", "note_uses", "patterns_of"]
