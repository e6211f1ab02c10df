"""What falls due: timers, deadlines of batches and asks, clients that are gone, searches.

The core calls it with each key whose time has come; what is stored about it changes in the next
commit.
"""

from avm.host import audited, clients, hearing, landing, making, moving, peering, verdicts
from avm.host.outbox import outcome, outcomes, settle, void, withdraw
from avm.host.plan import fire_timer
from avm.host.state import Ask, Client, Host, Key, Machine


def fall_due(host: Host, key: Key) -> None:
    """What waited for its time happens now, whatever it is."""
    match key:
        case "timer", int(number), bytes(name):
            fire_timer(host, host.by_id[number], name)
        case "batch", bytes(sender), bytes(receiver), int(seq):
            _batch_due(host, sender, receiver, seq)
        case "ask", int(number), int(ask):
            _ask_due(host, number, ask)
        case "client", bytes(address):
            clients.expire_client(host, address)
        case "seek", bytes(address):
            hearing.wake_all(host, address)
        case "dial", bytes(address):
            moving.go_on(host, address)
            peer = host.peers.get(address)
            for place in list(peer.places) if peer is not None else ():
                hearing.wake_all(host, place)
        case "ready", bytes(address):
            moving.say_again(host, address)
        case "landing", bytes(address):
            landing.overdue(host, address)
        case "redirect", bytes(address):
            moving.forget_redirect(host, address)
        case "key", int(number):
            peering.key_over(host, number)
        case "peers", str(what):
            peering.due(host, what)
        case ("audit",):
            audited.hour_is_over(host)
        case "offer", bytes(sender), bytes(receiver):
            verdicts.offer_again(host, sender, receiver)


def _batch_due(host: Host, sender: bytes, receiver: bytes, seq: int) -> None:
    owner = host.owner(receiver)
    if isinstance(owner, Machine):
        queued = owner.queue or ()
        batch = next((b for b in queued if b.sender == sender and b.seq == seq), None)
        if batch is None or not batch.messages:
            return
        withdraw(host, batch)
        if not owner.flights:
            _void_headers(host, owner, sender)
        return
    if receiver == host.address:
        making.overdue(host, sender, seq)
        return
    batch = host.outbox.get((sender, receiver, seq))
    if batch is None:
        return
    if isinstance(owner, Client):
        owner.waiting.pop((sender, seq), None)
    elif batch.header:
        verdicts.withdraw_away(host, batch)
        return
    else:
        outcomes(host, batch, "undelivered", "the deadline passed")
    settle(host, batch)


def _waits_here(host: Host, owner: Machine | Client, ask: Ask) -> bool:
    """Whether a client's ask is of a batch that was for another host, whose machine has come here."""
    channel = host.channels.get((owner.address, ask.receiver))
    is_here = isinstance(owner, Client) and isinstance(host.owner(ask.receiver), Machine)
    return is_here and channel is not None and channel.taken < ask.seq


def _void_headers(host: Host, machine: Machine, sender: bytes) -> None:
    """Voids the withdrawn batches of a sender that are next in line at an idle machine."""
    queue = machine.queue
    while queue and (head := queue.first_of(sender)) is not None and not head.messages:
        queue.discard(head)
        void(host, machine, head)


def _ask_due(host: Host, number: int, ask_number: int) -> None:
    """An ask without an answer at its deadline; undecided while its batch is in flight."""
    owner: Machine | Client | None = host.by_id.get(number)
    if owner is None:
        owner = next((one for one in host.clients.values() if one.id == number), None)
    ask = (owner.asks or {}).get(ask_number) if owner is not None else None
    if owner is None or ask is None:
        return
    batch = host.outbox.get((owner.address, ask.receiver, ask.seq))
    # Where a receiver was removed, what is sent to its address is numbered anew: the number may be another's.
    if batch is not None and any(reply.ask == ask_number for _, reply in batch.own_replies()):
        _batch_due(host, owner.address, ask.receiver, ask.seq)
        return
    if _waits_here(host, owner, ask):
        _batch_due(host, owner.address, ask.receiver, ask.seq)
        return
    outcome(host, owner, ask_number, "late", "applied, without an answer by the deadline")
