"""What goes into the audit log, decided in the fold or act that it tells of. Over a `Host`; pure.

Beside the journey: the entry is in the same commit as what it is about, so that there is none without
the other. Contents, contexts and capabilities stay out; addresses, names and numbers go in.
"""

from collections.abc import Iterable

from avm.host.auditlog import HOUR_MS, AuditLog, Rows, cut
from avm.host.batch import Said
from avm.host.capability import Cap, Local, Named
from avm.host.revoking import is_revoked
from avm.host.state import Flight, Host, Machine

ROW = ("meta", "audit")
HOUR = ("audit",)
# Of a list so many are named, with how many there were.
LISTED_MAX = 32
# What a host says of keys that were there when it started.
FOUND = "found"


def note(host: Host, what: str, machine: Machine | None = None, /, **about: object) -> None:
    """Tells of an act in the commit that holds it."""
    if machine is not None:
        about = {"machine": cut(machine.name), "address": machine.address, **about}
    _write(host, host.audit.append(host.now_ms, what, about, host.limits.audit_entries))


def _write(host: Host, rows: Rows) -> None:
    for n, entry in rows:
        host.group.dirty[("audit", n)] = entry
    host.group.dirty[ROW] = host.audit


def named(names: Iterable[str]) -> list[str]:
    """Names as an entry has them: cut, and not too many."""
    every = sorted(names)
    shown = [cut(one) for one in every[:LISTED_MAX]]
    return [*shown, f"and {len(every) - LISTED_MAX} more"] if len(every) > LISTED_MAX else shown


def granted(caps: Iterable[Cap]) -> list[str]:
    """To whom capabilities are that were handed on: addresses, and names of common ones."""
    return named(cap.name if isinstance(cap, Named) else cap.address.hex() for cap in caps)


# The host's keys.


def keys_stand(host: Host, how: str, act: str) -> None:
    """The host starts with its keys open or locked; told where that is news, or they are."""
    log = host.audit
    if log.keys != how or act != FOUND:
        _write(host, log.keys_are(how, act, host.now_ms, host.limits.audit_entries))


# What is counted.


def refused(host: Host, cause: str) -> None:
    """Somebody was refused who needs no more than this answer; the operator sees how often."""
    host.counts["turned_away"] += 1
    _count(host, host.audit, host.audit.refused, cause)


def handed(host: Host, machine: Machine, name: str) -> None:
    """The operator was given a machine's capability by its name."""
    _count(host, host.audit, host.audit.handed, f"{machine.name}.{name}")


def refused_capability(host: Host, flight: Flight, said: Said) -> None:
    """A message was refused for the capabilities in it: counted by why, which its sender never hears."""
    refused(host, _cause(flight.machine, flight.now_ms, said.to))


def _cause(machine: Machine, now_ms: int, to: Cap) -> str:
    if not isinstance(to, Local):
        return "not valid"
    if to.generation > machine.generation or is_revoked(machine, to.generation, now_ms):
        return "of another generation"
    if to.expires_ms is not None and to.expires_ms <= now_ms:
        return "expired"
    return "narrowed to less" if to.caveats else "not valid"


def _count(host: Host, log: AuditLog, counts: dict[str, int], name: str) -> None:
    if log.count(counts, name, host.now_ms):
        host.deadlines.put(HOUR, log.since_ms + HOUR_MS)
    # Where nothing is written anyway, a stranger's refusal writes nothing either.
    if host.group.dirty or host.group.journal:
        host.group.dirty[ROW] = log


def keep(host: Host) -> None:
    """The host is about to end: what was counted goes into the store."""
    if host.audit.since_ms:
        host.group.dirty[ROW] = host.audit


def hour_is_over(host: Host) -> None:
    """What was counted becomes an entry."""
    _write(host, host.audit.hour_over(host.now_ms, host.limits.audit_entries))


def begin(host: Host) -> None:
    """The host has what its store held: the hour that was under way goes on."""
    if host.audit.since_ms:
        host.deadlines.put(HOUR, host.audit.since_ms + HOUR_MS)
