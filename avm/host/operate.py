"""What an operator does to a machine: create, upgrade, edit, suspend, resume, halt, remove.

Each is an act: it waits until nothing of the machine is in flight, and is done as a whole in one
commit, with its entry in the journal, or refused as a whole.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from avm.host import journal
from avm.host.about import Unspeakable
from avm.host.acts import Act, Needs, Signal, holds_references, keep_snapshot
from avm.host.arrivals import close_channels
from avm.host.audited import granted, named, note
from avm.host.capability import Cap, Reply
from avm.host.creating import Unborn, begin_life, birth_of, conceive, first_turn, why_unsayable
from avm.host.effects import Done, Publish, ToWorker
from avm.host.entry import append
from avm.host.fold import suspend
from avm.host.outbox import make_ready, outcomes, void
from avm.host.placing import forget
from avm.host.refer import collect, intern, slots_in, to_reference
from avm.host.state import Flight, Host, Machine, Mode, Status, Worker
from avm.machine import frames
from caps.light import dataclass, field

REMOVE_ALL = 2**40


@dataclass(frozen=True, slots=True)
class Created:
    """What became of a creation: the machine, and what its `init` answered."""

    machine: Machine
    content: bytes | None
    caps: tuple[Cap, ...]
    names: dict[str, Cap]


def done(host: Host, request: int, value: Any = None) -> None:
    """Answers an operator's request once it is committed."""
    host.group.after.append(Done(request, value))


def refuse(host: Host, request: int, why: str, code: int = 1) -> None:
    """Refuses an operator's request; nothing has changed."""
    host.group.after.append(Done(request, None, why, code))


def act_on(host: Host, machine: Machine, *acts: Act) -> None:
    """Lines up acts behind those that wait for the machine."""
    if machine.acts is None:
        machine.acts = deque()
    machine.acts.extend(acts)
    make_ready(host, machine)


def tell_of(host: Host, machine: Machine, event: str) -> None:
    """Has a machine hear of an event in its life before its next batch, also where the host dies first."""
    machine.untold = (*machine.untold, event)
    act_on(host, machine, Signal(event))


@dataclass(slots=True)
class Create:
    """Takes a new machine's first turn, `init`; without it there is no machine.

    `more` are bundles that it comes with beside its own, by their hashes.
    """

    request: int
    sender: bytes
    bundle: bytes
    content: bytes
    caps: tuple[Cap, ...]
    more: dict[bytes, bytes] = field(default_factory=dict)
    needs: Needs = Needs.WORKER
    kind: int = frames.TURN
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        worker = machine.worker
        assert worker is not None
        deadline_ms = host.now_ms + round(host.limits.ask_s * 1000)
        reply = Reply(host.address, self.request, deadline_ms)
        place = (frames.channel_name(self.sender, machine.address), 0)
        told = first_turn(host, flight, place, reply, self.content, self.caps)
        return to_worker(worker, machine.code, self.bundle, told)

    def finish(self, host: Host, flight: Flight) -> bool:
        machine, answer = flight.machine, flight.answer
        assert answer is not None
        if answer[0]:
            word = f": {answer[2]}" if answer[2] else ""
            said = "refused" if answer[0] == 1 else "failed"
            detail = f"\n{answer[3]}" if answer[3] else ""
            self.refuse(host, machine, f"{said} to be created{word}{detail}")
            return False
        try:
            birth = birth_of(host, flight)
            own = birth.plan.batches.pop(host.address, [])
            if any(type(said.to) is not Reply for said in own):
                raise Unborn("the host's own capabilities are not for a first turn")
            if why := why_unsayable(birth.names):
                raise Unborn(why)
        except Unborn as error:
            self.refuse(host, machine, f"failed to be created: {error}")
            return False
        begin_life(host, flight, self.sender, birth)
        for code, bundle in ((machine.code, self.bundle), *self.more.items()):
            host.group.dirty[("code", code)] = bundle
        given = {"by": self.sender, "code": machine.code, "granted": granted(self.caps)}
        note(host, "created", machine, **given, names=named(birth.names))
        content = own[0].content if own else None
        answered = own[0].caps if own else ()
        done(host, self.request, Created(machine, content, answered, birth.names))
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        self.refuse(host, machine, f"cannot be created: {why}")

    def refuse(self, host: Host, machine: Machine, why: str) -> None:
        """Undoes what there is of the machine and tells why."""
        erase(host, machine)
        refuse(host, self.request, f"{machine.name} {why}")


def create(
    host: Host, act: Create, name: str, code: bytes, entropy: bytes, about: Mapping[str, str]
) -> None:
    """Creates a machine; `entropy` is ENTROPY_BYTES fresh random bytes.

    `about` is what its identity says about it beside its name and type.
    """
    if name in host.names:
        refuse(host, act.request, f"{name} exists; `upgrade {name} FILE`")
        return
    try:
        machine = conceive(host, name, code, entropy, about)
    except Unspeakable as error:
        refuse(host, act.request, f"{name} is not created: {error}", 2)
        return
    act_on(host, machine, act)


def erase(host: Host, machine: Machine) -> None:
    """Takes a machine out of the core's tables."""
    host.machines.pop(machine.address, None)
    host.by_id.pop(machine.id, None)
    if host.names.get(machine.name) is machine:
        del host.names[machine.name]
    host.keys.drop(machine.address)
    host.proofs.pop(machine.address, None)
    machine.status = Status.HALTED
    acts, machine.acts = machine.acts, None
    for act in acts or ():
        act.abandon(host, machine, "it is gone")


@dataclass(slots=True)
class Upgrade:
    """Switches a machine to new code, its state migrated in the same commit."""

    request: int
    code: bytes
    bundle: bytes
    needs: Needs = Needs.STATE
    kind: int = frames.MIGRATE
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        worker = machine.worker
        assert worker is not None
        migrate = [frames.MIGRATE, machine.id, flight.token, self.code]
        return to_worker(worker, self.code, self.bundle, [migrate])

    def finish(self, host: Host, flight: Flight) -> bool:
        assert flight.answer is not None
        _kind, _id, _token, body, references, why, has_signal = flight.answer
        machine = flight.machine
        if why:
            refuse(host, self.request, f"{machine.name} keeps its code: {why}")
            return True
        if not holds_references(host, flight, references):
            refuse(host, self.request, f"{machine.name} keeps its code: its worker is broken")
            return False
        machine.code, machine.has_signal = self.code, has_signal
        host.group.dirty[("code", self.code)] = self.bundle
        digest = journal.digest_of(body, references)
        n = append(host, machine, journal.CODE, host.now_ms, self.code, digest)
        keep_snapshot(host, machine, body, references, digest)
        note(host, "upgraded", machine, code=self.code, turn=n)
        if has_signal:
            tell_of(host, machine, "upgraded")
        done(host, self.request, {"machine": machine.name, "turn": n})
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        refuse(host, self.request, f"{machine.name} cannot be upgraded: {why}")


def to_worker(worker: Worker, code: bytes, bundle: bytes, told: list[list[Any]]) -> list[ToWorker]:
    """Frames for a worker, the code before them when it does not have it."""
    if code not in worker.codes:
        worker.codes.add(code)
        told = [[frames.CODE, code, bundle], *told]
    return [ToWorker(worker.id, frames.pack(frame)) for frame in told]


@dataclass(slots=True)
class Edit:
    """Puts another state in the place of a machine's; the journal keeps it whole."""

    request: int
    body: bytes
    caps: tuple[Cap, ...]
    needs: Needs = Needs.STATE
    kind: int = frames.EDIT
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        assert machine.worker is not None
        flight.fresh, flight.fresh_of = [], {}
        inner = [to_reference(machine, cap, flight) for cap in self.caps]
        frame = frames.pack([frames.EDIT, machine.id, flight.token, self.body, inner])
        return [ToWorker(machine.worker.id, frame)]

    def finish(self, host: Host, flight: Flight) -> bool:
        assert flight.answer is not None
        _kind, _id, _token, body, references, why, _has_signal = flight.answer
        machine = flight.machine
        if why:
            refuse(host, self.request, f"the state of {machine.name} stays: {why}", 2)
            return True
        intern(host, machine, flight)
        if not holds_references(host, flight, references):
            refuse(host, self.request, f"the state of {machine.name} stays: broken worker")
            return False
        digest = journal.digest_of(body, references)
        n = append(host, machine, journal.EDIT, host.now_ms, body, references, digest)
        keep_snapshot(host, machine, body, references, digest)
        gone = collect(host, machine, slots_in(references))
        if gone:
            append(host, machine, journal.COLLECT, gone)
        note(host, "edited", machine, turn=n, granted=granted(self.caps))
        done(host, self.request, {"machine": machine.name, "turn": n})
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        refuse(host, self.request, f"the state of {machine.name} cannot be edited: {why}")


@dataclass(slots=True)
class Change:
    """Suspends, resumes, halts or removes a machine; needs no worker."""

    request: int
    verb: str
    mode: Mode = Mode.HOLD
    needs: Needs = Needs.NOTHING
    kind: int = -1
    again: bool = True

    def start(self, host: Host, flight: Flight) -> list[Any]:
        machine = flight.machine
        if host.by_id.get(machine.id) is not machine:
            refuse(host, self.request, f"there is no machine {machine.name} any more")
            return []
        already = _is_so(machine, self.verb, self.mode)
        verbs = {"suspend": _suspend, "resume": _resume, "halt": _halt, "rm": _remove}
        why = "" if already else verbs[self.verb](host, machine, self.mode)
        if why:
            refuse(host, self.request, why)
        else:
            told = {"machine": machine.name, "status": self.verb, "already": already}
            done(host, self.request, told)
        return []

    def finish(self, host: Host, flight: Flight) -> bool:
        return True

    def abandon(self, host: Host, machine: Machine, why: str) -> None:
        self.start(host, Flight(machine, 0))


def _is_so(machine: Machine, verb: str, mode: Mode) -> bool:
    """Whether a machine is already what a verb would make of it."""
    match verb:
        case "suspend":
            return machine.status is Status.SUSPENDED and machine.mode is mode
        case "resume":
            return machine.status is Status.RUNNING
        case "halt":
            return machine.status is Status.HALTED
    return False


def _suspend(host: Host, machine: Machine, mode: Mode) -> str:
    if machine.status is Status.HALTED:
        return f"{machine.name} is halted for good"
    suspend(host, machine, mode, "")
    if mode is Mode.FAIL:
        void_all(host, machine, "the machine is suspended")
    return ""


def _resume(host: Host, machine: Machine, _mode: Mode) -> str:
    if machine.status is not Status.SUSPENDED:
        return f"{machine.name} is halted for good"
    machine.status, machine.why = Status.RUNNING, ""
    append(host, machine, journal.RESUME, host.now_ms)
    note(host, "resumed", machine)
    if machine.has_signal:
        tell_of(host, machine, "resumed")
    return ""


def _halt(host: Host, machine: Machine, _mode: Mode) -> str:
    machine.status, machine.why = Status.HALTED, ""
    append(host, machine, journal.HALT, host.now_ms)
    note(host, "halted", machine)
    void_all(host, machine, "the machine is halted")
    for kind, keys in (("timer", list(machine.timers or ())), ("ask", list(machine.asks or ()))):
        for key in keys:
            host.group.dirty[(kind, machine.id, key)] = None
            host.deadlines.drop((kind, machine.id, key))
    machine.timers = machine.asks = machine.signals = None
    forget(host, machine)
    return ""


def void_all(host: Host, machine: Machine, why: str) -> None:
    """Gives up everything that waits for a machine; its senders hear *undelivered*.

    What the host tells a machine that may still be resumed waits on: each ask has its outcome.
    """
    for batch in list(machine.queue or ()):
        if batch.sender == host.address and machine.status is not Status.HALTED:
            continue
        outcomes(host, batch, "undelivered", why)
        batch.messages = ()
        assert machine.queue is not None
        machine.queue.discard(batch)
        void(host, machine, batch, why)


def _remove(host: Host, machine: Machine, _mode: Mode) -> str:
    if machine.status is not Status.HALTED:
        return f"{machine.name} is not halted: `halt {machine.name}` first"
    outbox = host.outbox.items()
    if away := sum(key[0] == machine.address and bool(one.body) for key, one in outbox):
        on_way = f"{away} batch{'es' * (away > 1)} of {machine.name} for other hosts"
        return f"{on_way} not taken yet: remove it when they are, or their time is over"
    dirty = host.group.dirty
    for number in machine.slots or ():
        dirty[("slot", machine.id, number)] = None
    for proof in machine.uses or ():
        dirty[("use", machine.id, proof)] = None
    for bound, name in [key for key in host.bound if key[0] == machine.id]:
        del host.bound[(bound, name)]
        dirty[("name", bound, name)] = None
    for key in [key for key in host.channels if machine.address in key]:
        channel = host.channels[key]
        if key[0] not in host.clients and (
            channel.sent == channel.taken or key[1] == machine.address
        ):
            del host.channels[key]
            dirty[("channel", *key)] = None
    close_channels(host, machine.address)
    erase(host, machine)
    note(host, "removed", machine)
    dirty[("machine", machine.id)] = None
    host.group.cuts.append((machine.id, REMOVE_ALL))
    host.group.after.append(Publish(machine.address))
    return ""
