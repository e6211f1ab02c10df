"""What other hosts say of the batches that were offered to them: marks, verdicts, and withdrawal.

Step 8 of the journey: the acknowledgement. Each verdict ends its batch in one commit: the mark goes
on, the row leaves the outbox, and the asks in it that will have no answer get their outcome. A host
that has gone back in time, here or there, has its channel frozen, and an operator decides.
"""

from avm.host import ending
from avm.host.audited import refused
from avm.host.away import outgoing_of, unlink, wake
from avm.host.batch import Batch
from avm.host.channel import Again, Gone, Mark, Told, Verdict
from avm.host.effects import Frozen
from avm.host.header import NO_DIGEST, parse_header_untrusted
from avm.host.links import not_found, place_of, proven, set_place
from avm.host.outbox import bare, forget_channel, outcome, outcomes, settle, take_mark, tell
from avm.host.passage import Moved
from avm.host.peers import Link, Outgoing
from avm.host.returning import own_copy
from avm.host.state import Channel, Host

# How long a receiver that is busy is left alone: at first; up to the second of these twice as long each
# time, then longer by a sixteenth, which stays a small part of how long it has been busy; and at most.
BUSY_MS, BUSY_DOUBLED_MS, BUSY_MS_MAX = 100, 1_600, 12_800
BUSY_PART = 16
SEQ_BYTES = 8
BACK_THERE = "the receiver's host has gone back in time: it took less than it had said"
BACK_HERE = "this host has gone back in time: the receiver took more than was sent"
TWO_VERSIONS = "the two hosts know different batches under one number"


def freeze(host: Host, channel: Channel, why: str, evidence: bytes) -> None:
    """Stops a channel until an operator decides; the evidence is kept with it."""
    channel.frozen, channel.evidence = why, evidence
    host.touch(channel)
    host.counts["frozen"] += 1
    host.group.after.append(Frozen(channel.sender, channel.receiver, why))


def restart(host: Host, channel: Channel) -> None:
    """An operator has a channel begin anew from this end; the other end has to agree.

    What was taken counts as taken. The end of the sender says so; that of the receiver forgets where
    it stood, and believes the sender.
    """
    pair = (channel.sender, channel.receiver)
    channel.frozen, channel.evidence = "", b""
    host.counts["restarted"] += 1
    if host.owner(channel.sender) is None:
        host.arriving.pop(pair, None)
        forget_channel(host, pair)
        return
    channel.base = channel.taken
    host.touch(channel)
    outgoing = outgoing_of(host, *pair)
    unlink(outgoing)
    wake(host, outgoing)


def of_link(host: Host, link: Link, frame: Mark | Told | Again | Gone | Moved) -> Outgoing | None:
    """The channel a frame is about, when it is open on the link that the frame came by.

    One that comes by another is of before a change of links. The other end may have taken the two
    in another order and believe that the channel is open there: it is opened again.
    """
    outgoing = host.outgoing.get((frame.sender, frame.receiver))
    if outgoing is not None and outgoing.link == link.number:
        return outgoing
    host.counts["stray"] += 1
    if outgoing is not None and outgoing.link and not isinstance(frame, Gone | Moved):
        unlink(outgoing)
        wake(host, outgoing)
    return None


def marked(host: Host, link: Link, mark: Mark) -> None:
    """The receiver's host says how far it took the channel."""
    outgoing = of_link(host, link, mark)
    if outgoing is None:
        return
    incarnation = proven(host, link, mark.receiver, mark.identity, mark.certificate)
    channel = host.channel(mark.sender, mark.receiver)
    if incarnation is None or incarnation < channel.epoch:
        host.counts["unproven" if incarnation is None else "outdated"] += 1
        refused(host, "not proven to speak for a machine")
        leave_place(host, outgoing)
        return
    if incarnation != channel.epoch:
        channel.epoch = incarnation
        host.touch(channel)
    place_of(host, mark.receiver).tries = 0
    why = _why_frozen(host, channel, mark)
    if why:
        freeze(host, channel, why, mark.taken.to_bytes(SEQ_BYTES, "big") + mark.digest)
        unlink(outgoing)
        return
    known = dict(mark.verdicts)
    for seq in range(channel.taken + 1, mark.taken + 1):
        if not end_batch(host, outgoing, seq, known.get(seq, ["applied"])):
            return
    outgoing.marked, outgoing.room, outgoing.waited_ms = True, mark.room, 0
    outgoing.next, outgoing.at = mark.taken + 1, 0
    wake(host, outgoing)


def _why_frozen(host: Host, channel: Channel, mark: Mark) -> str:
    if mark.taken > channel.sent:
        return BACK_HERE
    if mark.taken < channel.taken:
        return BACK_THERE
    known = _digest_at(host, channel, mark.taken)
    if NO_DIGEST != mark.digest != known and known is not None:
        return TWO_VERSIONS
    return ""


def _digest_at(host: Host, channel: Channel, seq: int) -> bytes | None:
    """The digest of the header of that number, None where it is not known any more."""
    if seq == channel.sent:
        return channel.digest
    after = host.outbox.get((channel.sender, channel.receiver, seq + 1))
    return None if after is None else parse_header_untrusted(after.header).before


def told(host: Host, link: Link, frame: Told) -> None:
    """A verdict, in the order of the channel; one of what was never offered is counted."""
    outgoing = of_link(host, link, frame)
    if outgoing is None or not outgoing.marked:
        return
    channel = host.channel(frame.sender, frame.receiver)
    if frame.seq != channel.taken + 1 or frame.seq > outgoing.offered:
        host.counts["stray"] += 1
        return
    if end_batch(host, outgoing, frame.seq, frame.verdict):
        outgoing.waited_ms = 0
        outgoing.room = max(outgoing.room, frame.room)
        wake(host, outgoing)


def end_batch(host: Host, outgoing: Outgoing, seq: int, verdict: Verdict) -> bool:
    """Takes a batch's verdict, all that follows from it in one commit; False where it is gone."""
    batch = host.outbox.get((outgoing.sender, outgoing.receiver, seq))
    if batch is None:
        host.counts["stray"] += 1
        return False
    channel = host.channel(outgoing.sender, outgoing.receiver)
    if verdict[-1] == "stranger" and channel.base == seq - 1:
        channel.base = seq
    word, *more = verdict
    if word == "refused":
        index, said = more
        assert isinstance(index, int)
        outcomes(host, batch, "refused", str(said), index)
    elif word != "applied":
        outcomes(host, batch, str(word), "")
    if word == "applied":
        _too_late(host, batch)
    take_mark(host, batch)
    tell(host, batch, list(verdict[:3]) if word == "refused" else list(verdict[:2]))
    host.group.heard.append((outgoing, seq))
    return True


def _too_late(host: Host, batch: Batch) -> None:
    """Asks that were applied and whose deadline has passed while that was not known."""
    owner = host.owner(batch.sender)
    for _index, reply in batch.own_replies():
        if owner is not None and reply.deadline_ms <= host.now_ms:
            detail = "applied, without an answer by the deadline"
            outcome(host, owner, reply.ask, "late", detail)


def again(host: Host, link: Link, frame: Again) -> None:
    """The receiver's host expects another number, or has no room for a while."""
    if ending.is_lost(host, link, (frame.sender, frame.receiver), frame.why):
        return
    outgoing = of_link(host, link, frame)
    channel = host.channels.get((frame.sender, frame.receiver))
    if outgoing is None or channel is None:
        return
    if frame.why == "closed" or (frame.why == "busy" and not outgoing.marked):
        unlink(outgoing)
        wake(host, outgoing)
        return
    if not outgoing.marked:
        return
    if not channel.taken < frame.seq <= channel.sent + 1:
        host.counts["stray"] += 1
        return
    outgoing.next, outgoing.at = frame.seq, 0
    if frame.why == "busy":
        outgoing.room = 0
        outgoing.waited_ms = _left_alone_ms(outgoing.waited_ms)
        due_ms = host.now_ms + outgoing.waited_ms
        host.deadlines.put(("offer", frame.sender, frame.receiver), due_ms)
        return
    wake(host, outgoing)


def _left_alone_ms(waited_ms: int) -> int:
    """For how long a receiver is left alone that is busy still after that long."""
    if waited_ms < BUSY_DOUBLED_MS:
        return max(BUSY_MS, 2 * waited_ms)
    return min(waited_ms + waited_ms // BUSY_PART, BUSY_MS_MAX)


def offer_again(host: Host, sender: bytes, receiver: bytes) -> None:
    """A receiver that was busy, and has not told of room since, is offered one batch again."""
    outgoing = host.outgoing.get((sender, receiver))
    if outgoing is not None and outgoing.marked and not outgoing.room:
        outgoing.room = outgoing.next
        wake(host, outgoing)


def gone(host: Host, link: Link, frame: Gone) -> None:
    """The receiver does not live there: the network is asked again, in a while."""
    pair = (frame.sender, frame.receiver)
    if ending.is_told(host, link, pair):
        if pair in host.outgoing:
            wake(host, host.outgoing[pair])
        return
    outgoing = of_link(host, link, frame)
    if outgoing is not None:
        leave_place(host, outgoing)


def leave_place(host: Host, outgoing: Outgoing) -> None:
    """It does not live where it was thought to: the network is asked, in a while."""
    unlink(outgoing)
    set_place(host, outgoing.receiver, b"")
    not_found(host, outgoing.receiver)


def withdraw_away(host: Host, batch: Batch) -> None:
    """The deadline of a batch for another host: its body will not be offered any more.

    What was never offered has not happened. What was has a fate that only the other host knows: it
    is asked by the bare header, and given a little time when it can be reached.
    """
    outgoing = outgoing_of(host, batch.sender, batch.receiver)
    key = (batch.sender, batch.receiver, batch.seq)
    if host.owner(batch.sender) is None:
        _give_up(host, batch)
        return
    if batch.body:
        batch.messages, batch.body = own_copy(host, batch), b""
        bare(host, batch)
        host.group.dirty[("outbox", *key)] = batch
        if outgoing.next == batch.seq:
            outgoing.at = 0
        if batch.seq > outgoing.offered:
            _outcomes_now(host, batch, "undelivered", "the deadline passed")
            return
        if outgoing.link and outgoing.marked:
            outgoing.next, outgoing.at = min(outgoing.next, batch.seq), 0
            deadline_ms = host.now_ms + round(host.limits.withdraw_s * 1000)
            batch.again_ms = deadline_ms
            host.deadlines.put(("batch", *key), deadline_ms)
            wake(host, outgoing)
            return
    _outcomes_now(host, batch, "unknown", "the other host has not said what became of it")


def _give_up(host: Host, batch: Batch) -> None:
    """The sender is removed, and nobody can speak for it any more."""
    pair = (batch.sender, batch.receiver)
    settle(host, batch)
    host.outgoing.pop(pair, None)
    host.places[batch.receiver].senders.pop(batch.sender, None)
    if not any(key[:2] == pair for key in host.outbox):
        forget_channel(host, pair)


def _outcomes_now(host: Host, batch: Batch, why: str, detail: str) -> None:
    owner = host.owner(batch.sender)
    if owner is None:
        return
    for index, reply in batch.own_replies():
        back = batch.messages[index] if why == "undelivered" else None
        outcome(host, owner, reply.ask, why, detail, back)


def link_lost(host: Host, link: Link) -> None:
    """A link is gone: channels that were open on it begin again on another."""
    for outgoing in host.outgoing.values():
        if outgoing.link == link.number:
            unlink(outgoing)
            wake(host, outgoing)


def place_found(host: Host, address: bytes, where: bytes) -> None:
    """The network says at which host an address lives."""
    place_of(host, address)
    place = set_place(host, address, where)
    ending.found(host, address, where)
    for sender in list(place.senders):
        outgoing = outgoing_of(host, sender, address)
        link = host.links.get(outgoing.link)
        if link is not None and link.peer != where:
            unlink(outgoing)
        wake(host, outgoing)
