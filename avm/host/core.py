"""The host core: one object without input or output of its own. Pure.

In: a client's batch, a worker's answer, committed, commit refused, the time, an operator's act.
Out: `effects` for the shell to carry out, `take_commit` for the store, `next_wake_ms`. It waits for
nothing, and all it knows is plain values. The runtime and the simulator drive the same object, and
change it by its methods alone: so a recording of them is a recording of everything.
"""

from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec, TypeVar

from avm.host import (
    audited,
    capability,
    carrying,
    clients,
    clock,
    delays,
    dispatch,
    due,
    failed,
    hearing,
    links,
    moving,
    operate,
    peering,
    rows,
    verdicts,
    workers,
)
from avm.host.about import NOTHING
from avm.host.acts import Act, Signal
from avm.host.away import leave, offer_all, wake
from avm.host.batch import Batch, Said
from avm.host.capability import Cap
from avm.host.creating import ENTROPY_BYTES
from avm.host.dispatch import pump
from avm.host.effects import Done, Verdict
from avm.host.keys import Keyring
from avm.host.moves import Leaving
from avm.host.outbox import make_ready
from avm.host.passage import Fetch
from avm.host.placing import kill
from avm.host.state import Client, Group, Host, Key, Machine, Mode, Status
from avm.limits import Limits
from avm.machine import frames
from caps.hostproof import proof_of
from caps.identity import Endpoint, Identity

P = ParamSpec("P")
T = TypeVar("T")


class Core:
    """A host, driven by events; see the module."""

    __slots__ = ("__dict__", "host")

    def __init__(
        self, keys: Keyring, limits: Limits, *, now_ms: int, python: str = "", version: str = ""
    ) -> None:
        self.host = Host(keys.address, limits, keys, python, version, now_ms, now_ms)

    def do(self, what: Callable[Concatenate[Host, P], T], *args: P.args, **more: P.kwargs) -> T:
        """Does to the host what has no method of its own."""
        return what(self.host, *args, **more)

    # What the store holds.

    def load(self, read: rows.Rows) -> None:
        """Takes up what a store holds; called once, before anything else."""
        host = self.host
        rows.load(host, read)
        host.keys.add_machines({one.address: one.sealed_keys for one in host.machines.values()})
        for address, client in host.clients.items():
            host.keys.add_client(address, client.tag)
        carrying.begin(host)
        audited.begin(host)

    def take_commit(self) -> Group | None:
        """The next group to be committed, its rows encoded in `dirty`; None when there is none.

        Only one group is with the store at a time.
        """
        host = self.host
        if host.committing is not None or not host.group:
            return None
        group = host.committing = host.group
        host.group = Group(group.number + 1)
        deadlines = host.deadlines
        for key, thing in group.dirty.items():
            if type(thing) is Batch:
                deadlines.put(_place(thing), thing.again_ms or thing.deadline_ms)
            group.dirty[key] = rows.encode(thing)
        return group

    def committed(self) -> None:
        """The group with the store is durable: what waited for it leaves the host."""
        host = self.host
        group, host.committing = host.committing, None
        assert group is not None, "only what was taken can be committed"
        host.committed = group.number
        host.full = False
        host.effects.extend(group.after)
        for outgoing, seq in group.heard:
            outgoing.confirmed = max(outgoing.confirmed, seq)
        if group.away:
            leave(host, group.away)
        unloaded, host.unloaded = host.unloaded, []
        for machine in unloaded:
            machine.listed = False
            make_ready(host, machine)
        self.pump()

    def refused(self) -> None:
        """The store has no room: nothing new is accepted until a commit succeeds."""
        self.host.full = True

    # Time.

    def tick(self, now_ms: int) -> None:
        """The time is now this, in milliseconds since 1970: what is due happens."""
        host = self.host
        self.hear_clock(now_ms)
        workers.watch(host)
        for key in host.deadlines.due(host.now_ms):
            due.fall_due(host, key)
        self.pump()

    def hear_clock(self, now_ms: int) -> None:
        """Takes the time from a clock; see `clock.hear`."""
        clock.hear(self.host, now_ms)

    def until_ms(self, due_ms: int, now_ms: int) -> int:
        """How long it is from a clock's `now_ms` until a moment of the host's time."""
        return max(0, due_ms - now_ms - self.host.ahead_ms)

    def next_wake_ms(self) -> int | None:
        """When `tick` is needed next in the host's time, at the latest."""
        times = (self.host.deadlines.next_ms(), workers.next_watch_ms(self.host))
        return min((time for time in times if time is not None), default=None)

    # Workers.

    def worker_up(self, number: int) -> None:
        """A worker has been started."""
        workers.worker_up(self.host, number)

    def worker_down(self, number: int, why: str) -> None:
        """A worker is dead, and nothing more will come from it."""
        workers.worker_down(self.host, number, why)

    def answer(self, number: int, frame: bytes) -> None:
        """A frame from a worker; one that is none has the worker killed."""
        worker = self.host.workers.get(number)
        if worker is None or worker.killed_for:
            return
        try:
            dispatch.answered(self.host, worker, frame)
        except frames.BadFrame as error:
            kill(self.host, worker, f"broken: {error}")

    def pump(self) -> None:
        """Gives out work; called after a run of events."""
        pump(self.host)
        if self.host.links:
            offer_all(self.host)

    # Other hosts.

    def join(self) -> None:
        """There is a network: what waits for other hosts is on its way."""
        self.host.networked = True
        for outgoing in list(self.host.outgoing.values()):
            wake(self.host, outgoing)
        peering.begin(self.host)
        moving.begin(self.host)

    def link_up(
        self,
        number: int,
        identity: Identity,
        room: int,
        endpoint: Endpoint | None = None,
        round_trip_ms: float = 0.0,
        certificate: bytes = b"",
    ) -> None:
        """A link is up to another host, proven, also by `certificate`; it takes `room` bytes now."""
        proof = proof_of(identity, certificate)
        hearing.link_up(self.host, number, proof, room, endpoint, round_trip_ms)

    def link_down(self, number: int, fouled: bool = False) -> None:
        """A link is gone; `fouled` when nonsense came by it."""
        hearing.link_down(self.host, number, fouled)

    def link_room(self, number: int, room: int) -> None:
        """A link takes so many bytes now."""
        link = self.host.links.get(number)
        if link is not None:
            link.room = room

    def found(self, address: bytes, where: bytes) -> None:
        """The network says at which host an address lives."""
        if where == self.host.address:
            links.not_found(self.host, address)
        else:
            verdicts.place_found(self.host, address, where)

    def not_found(self, address: bytes) -> None:
        """The network does not know where an address lives."""
        links.not_found(self.host, address)

    def no_link(self, address: bytes) -> None:
        """Another host could not be reached."""
        links.no_link(self.host, address)
        peering.not_made(self.host, address)
        moving.link_lost(self.host, address)

    def move(
        self,
        request: int,
        machine: Machine,
        to: bytes,
        name: str,
        endpoint: Endpoint | None = None,
    ) -> None:
        """Has a machine move to another host, which may be told to be at an endpoint."""
        moving.move(self.host, request, machine, to, name, endpoint)

    def take_back(self, request: int, left: Leaving) -> None:
        """Has a machine that has left, and whose new host is not heard of any more, live here again."""
        moving.back(self.host, request, left)

    def carried(self, link: int, fetch: Fetch, item: bytes, following: int) -> None:
        """An item of a machine's history was read for another host; see `history.pack`."""
        moving.carried(self.host, link, fetch, item, following)

    def owes(self) -> int:
        """How many batches other hosts are owed."""
        return delays.owed_by_channel(self.host).total()

    def frame(self, number: int, body: bytes) -> None:
        """A frame from another host; a link by which nonsense comes is closed."""
        hearing.hear(self.host, number, body)

    # Clients.

    def open_client(
        self, address: bytes, durable: bool = False, name: str = "", tag: bytes = b""
    ) -> Client:
        """A client connects; see `clients.open_client`."""
        self.host.keys.add_client(address, tag)
        return clients.open_client(self.host, address, durable, name, tag)

    def offer(
        self,
        client: bytes,
        receiver: bytes,
        seq: int,
        messages: list[Said],
        *,
        deadline_ms: int | None = None,
        position: bytes = b"",
        splits: bool = False,
    ) -> None:
        """A client offers a batch; see `clients.offer`."""
        host = self.host
        if deadline_ms is None:
            deadline_ms = host.now_ms + round(host.limits.send_s * 1000)
        known = host.clients[client]
        clients.offer(host, known, receiver, seq, messages, deadline_ms, position, splits)

    def refuse_offer(self, client: bytes, receiver: bytes, seq: int, index: int) -> None:
        """A client's batch presents a capability that is not valid: rejected, with no more said."""
        after = self.host.group.after
        after.append(Verdict(client, receiver, seq, ["rejected", index]))

    def received(self, client: bytes, sender: bytes, seq: int) -> None:
        """A client has taken what was delivered to it."""
        clients.received(self.host, self.host.clients[client], sender, seq)

    def confirm(self, client: bytes, receiver: bytes, seq: int) -> None:
        """A client has heard its verdicts up to here."""
        clients.confirm(self.host, self.host.clients[client], receiver, seq)

    def close_client(self, address: bytes, ended: bool) -> None:
        """A client's connection is gone."""
        client = self.host.clients.get(address)
        if client is not None:
            clients.close_client(self.host, client, ended)

    # Capabilities at the host's edge.

    def seal(self, cap: Cap) -> bytes:
        """A capability for the outside, also one to a machine or client that is gone."""
        return capability.to_wire(cap, self.host.keys.to_seal)

    def unseal_untrusted(self, wire: bytes) -> Cap:
        """A capability from the outside; `InvalidCapability` for every cause."""
        return self.host.keys.open_untrusted(wire)

    # The operator.

    def create(
        self,
        request: int,
        sender: bytes,
        name: str,
        code: bytes,
        bundle: bytes,
        content: bytes,
        caps: tuple[Cap, ...],
        entropy: bytes,
        about: Mapping[str, str] = NOTHING,
    ) -> None:
        """Creates a machine; see `operate.create`."""
        create = operate.Create(request, sender, bundle, content, caps)
        operate.create(self.host, create, name, code, entropy, about)

    def upgrade(self, request: int, machine: Machine, code: bytes, bundle: bytes) -> None:
        """Switches a machine to new code."""
        if machine.status is Status.HALTED:
            operate.refuse(self.host, request, f"{machine.name} is halted for good")
            return
        operate.act_on(self.host, machine, operate.Upgrade(request, code, bundle))

    def edit(self, request: int, machine: Machine, body: bytes, caps: tuple[Cap, ...]) -> None:
        """Puts another state in the place of a machine's."""
        operate.act_on(self.host, machine, operate.Edit(request, body, caps))

    def change(self, request: int, machine: Machine, verb: str, mode: Mode = Mode.HOLD) -> None:
        """Suspends, resumes, halts or removes (`rm`) a machine."""
        acts: list[Act] = []
        if verb == "suspend" and machine.has_signal and machine.status is Status.RUNNING:
            acts.append(Signal("suspended"))
        operate.act_on(self.host, machine, *acts, operate.Change(request, verb, mode))

    def retry(
        self,
        request: int,
        machine: Machine,
        n: int,
        row: bytes | None,
        edited: list[tuple[bytes, tuple[Cap, ...]]] | None = None,
    ) -> None:
        """Offers a failed batch again; see `failed.retry`."""
        failed.retry(self.host, request, machine, n, row, edited)

    def drop_failed(self, request: int, machine: Machine, n: int) -> None:
        """Takes a failed batch off the list; see `failed.drop_failed`."""
        failed.drop_failed(self.host, request, machine, n)

    def prune(self, request: int, machine: Machine, keep_from: int) -> None:
        """Drops journal entries before `keep_from`, never past the newest snapshot."""
        host = self.host
        first = min(keep_from, machine.snapshot_at)
        if first > 0:
            host.group.cuts.append((machine.id, first))
            audited.note(host, "pruned", machine, kept_from=first)
        value = {"machine": machine.name, "kept_from": max(first, 0)}
        host.group.after.append(Done(request, value))

    def drain(self) -> None:
        """Takes no new work, and tells the machines that are loaded that the host will stop."""
        host = self.host
        host.draining = True
        audited.keep(host)
        for machine in host.machines.values():
            if machine.loaded and machine.has_signal and machine.status is Status.RUNNING:
                operate.act_on(host, machine, Signal("will-stop"))
        pump(host)

    def is_busy(self) -> bool:
        """Whether a worker has something to answer."""
        return any(worker.flights for worker in self.host.workers.values())

    def is_drained(self) -> bool:
        """Whether nothing is in flight or uncommitted any more."""
        host = self.host
        return not self.is_busy() and not host.group and host.committing is None


def _place(batch: Batch) -> Key:
    return ("batch", batch.sender, batch.receiver, batch.seq)


__all__ = ["ENTROPY_BYTES", "Core"]
