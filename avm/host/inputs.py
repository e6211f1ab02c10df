"""The input of a turn: what a batch is to the machine that takes it.

Between steps 3 and 4 of the journey. Capabilities become the machine's own references here, a
reply finds its open ask, and what is not valid is judged without a worker.
"""

from avm.host.batch import Batch
from avm.host.capability import NULL, Local, Reply
from avm.host.judging import is_good, patterns_of
from avm.host.outbox import withdraw
from avm.host.refer import to_reference
from avm.host.state import Flight, Host
from avm.machine import frames, pack


def prepare(host: Host, flight: Flight, batch: Batch) -> bool:
    """Makes the input of a turn; False when it is judged without a worker."""
    machine = flight.machine
    if batch.died_of:
        flight.judged = (batch.died_of, batch.come_to)
        return False
    if batch.deadline_ms <= host.now_ms:
        withdraw(host, batch)
    given: list[bytes] = []
    places: list[int] = []
    good: Local | None = None
    shared: dict[tuple[bytes, ...], int] = {}
    for index, (to, content, caps, back) in enumerate(batch.messages):
        if type(to) is Local:
            if to is not good:
                if not is_good(host, flight, batch.sender, to):
                    flight.judged = ("capability", index)
                    return False
                good = None if to.caveats else to  # What counts is judged each time.
            context, context_caps = to.context, to.caps
        elif type(to) is Reply:
            found = _claim(host, flight, to, batch)
            if found is None:
                given.append(b"\x80")
                continue
            context, context_caps = found.context, found.caps
        else:
            flight.judged = ("capability", index)
            return False
        places.append(index)
        patterns = patterns_of(to) if type(to) is Local and to.caveats else ()
        if not patterns and not caps and not context_caps and (back is None or back == NULL):
            given.append(pack.plain_message(context, content))
            continue
        flight.replies = flight.replies or type(back) is Reply
        reply = to_reference(machine, back or NULL, flight)
        inner = [to_reference(machine, cap, flight) for cap in caps]
        context_inner = [to_reference(machine, cap, flight) for cap in context_caps]
        message = [context, content, reply, inner, context_inner]
        if patterns and type(to) is Local:
            # A few bytes that say no more than those before are not to be as many as all caveats.
            place = shared.setdefault(to.caveats, len(given))
            message.append(list(patterns) if place == len(given) else place)
        given.append(frames.pack(message))
    if len(places) < len(batch.messages):
        flight.places = places
    channel = host.channels.get((batch.sender, batch.receiver))
    text = (channel and channel.text) or channel_text(host, batch)
    from_host = batch.sender == host.address
    flight.given = pack.given(flight.now_ms, text, batch.ordinal, from_host, given, len(given))
    if places:
        return True
    flight.answer = [0, False, []]
    flight.output = frames.pack(flight.answer)
    return False


def _claim(host: Host, flight: Flight, to: Reply, batch: Batch) -> Local | None:
    """The context of an open ask, once; None when the reply capability is used or expired.

    One of another deadline is of an ask of that number which a restored copy does not know.
    """
    machine = flight.machine
    ask = (machine.asks or {}).get(to.ask)
    from_host = batch.sender == host.address
    taken = machine.claimed is not None and to.ask in machine.claimed
    late = not from_host and to.deadline_ms <= flight.now_ms
    other = ask is not None and ask.deadline_ms != to.deadline_ms
    if ask is None or ask.to is None or taken or late or other or (ask.closing and not from_host):
        host.counts["inert"] += 1
        return None
    if machine.claimed is None:
        machine.claimed = set()
    machine.claimed.add(to.ask)
    flight.claimed.append(to.ask)
    return ask.to


def channel_text(host: Host, batch: Batch) -> bytes:
    """The packed name of a batch's channel, as it stands in message ids."""
    channel = host.channel(batch.sender, batch.receiver)
    if not channel.text:
        channel.text = frames.pack_text(frames.channel_name(batch.sender, batch.receiver))
    return channel.text
