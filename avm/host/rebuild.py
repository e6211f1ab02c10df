"""New code and a state that it came to elsewhere, put in the place of a machine's in one commit.

The last step of a `reprocess`: the machine has not taken a turn since the state was made of its
journal, or it is refused. The journal keeps the state whole beside the code.
"""

from typing import Any

from avm.host import journal
from avm.host.acts import Needs, holds_references, keep_snapshot
from avm.host.audited import note
from avm.host.entry import append
from avm.host.operate import act_on, done, refuse, tell_of, to_worker
from avm.host.refer import collect, slots_in
from avm.host.state import Flight, Host, Machine, Status
from avm.machine import frames
from caps.light import dataclass

# The machine has gone on: what was to be put in place can catch up, and be tried again.
WENT_ON = "it has taken turns meanwhile"


@dataclass(slots=True)
class Rebuild:
    """Switches a machine to new code and a given state, made of the `head` entries that end with `chain`."""

    request: int
    code: bytes
    bundle: bytes
    body: bytes
    references: list[Any]
    head: int
    chain: bytes
    needs: Needs = Needs.STATE
    kind: int = frames.EDIT
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        worker = machine.worker
        assert worker is not None
        flight.fresh, flight.fresh_of = [], {}
        place = [machine.id, self.code, None, [], machine.next_slot, machine.generation]
        put = [machine.id, flight.token, self.body, self.references]
        return to_worker(
            worker, self.code, self.bundle, [[frames.LOAD, *place], [frames.EDIT, *put]]
        )

    def finish(self, host: Host, flight: Flight) -> bool:
        assert flight.answer is not None
        _kind, _id, _token, body, references, why, has_signal = flight.answer
        machine = flight.machine
        if (machine.head, machine.chain) != (self.head, self.chain):
            why = WENT_ON
        if why:
            refuse(host, self.request, f"{machine.name} keeps its code and state: {why}")
            return False
        if not holds_references(host, flight, references):
            why = "the state holds a capability that the machine does not hold any more"
            refuse(host, self.request, f"{machine.name} keeps its code and state: {why}")
            return False
        machine.code, machine.has_signal = self.code, has_signal
        host.group.dirty[("code", self.code)] = self.bundle
        digest = journal.digest_of(body, references)
        n = append(host, machine, journal.CODE, host.now_ms, self.code, digest, body, references)
        keep_snapshot(host, machine, body, references, digest)
        gone = collect(host, machine, slots_in(references))
        if gone:
            append(host, machine, journal.COLLECT, gone)
        note(host, "rebuilt", machine, code=self.code, turn=n)
        if has_signal:
            tell_of(host, machine, "upgraded")
        done(host, self.request, {"machine": machine.name, "turn": n})
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        refuse(host, self.request, f"{machine.name} keeps its code and state: {why}")


def rebuild(
    host: Host,
    request: int,
    machine: Machine,
    code: bytes,
    bundle: bytes,
    state: tuple[bytes, list[Any]],
    made_of: tuple[int, bytes],
) -> None:
    """An operator has a rebuilt state and its code put in place.

    `state` is its body and references; it was `made_of` so many entries, which end with this hash.
    """
    if machine.status is Status.HALTED:
        refuse(host, request, f"{machine.name} is halted for good")
        return
    act_on(host, machine, Rebuild(request, code, bundle, *state, *made_of))


__all__ = ["WENT_ON", "Rebuild", "rebuild"]
