"""What is given up of channels: those of clients that have ended, and what waits on one. Pure.

Beside the journey, at the host of the receiver, and where an operator decides. A sender that is gone
for good has had all its verdicts: its numbers are not used again, and nothing is taken twice.
"""

from avm.host.channel import Gone
from avm.host.links import say_after, set_place
from avm.host.outbox import forget_channel, outcomes, settle
from avm.host.peers import Link, Pair
from avm.host.state import Channel, Host


def forget(host: Host, link: Link, pair: Pair) -> None:
    """A sender has ended: both ways between it and the receiver are forgotten, and that is said."""
    forget_channel(host, pair)
    back = pair[::-1]
    answers = host.channels.get(back)
    if answers is not None and host.owner(pair[1]) is not None:
        drop_waiting(host, answers, "the client has ended")
        forget_channel(host, back)
        host.outgoing.pop(back, None)
    place = host.places.get(pair[0])
    if place is not None:
        place.senders.pop(pair[1], None)
        if not place.senders:
            set_place(host, pair[0], b"")
            del host.places[pair[0]]
    say_after(host, link, Gone(*pair))


def drop_waiting(host: Host, channel: Channel, why: str) -> None:
    """Takes what waits on a channel out of the outbox; what was offered has an unknown fate."""
    pair = (channel.sender, channel.receiver)
    outgoing = host.outgoing.get(pair)
    offered = 0 if outgoing is None else outgoing.offered
    waiting = [batch for key, batch in host.outbox.items() if key[:2] == pair]
    for batch in sorted(waiting, key=lambda one: one.seq):
        outcomes(host, batch, "unknown" if batch.seq <= offered else "undelivered", why)
        settle(host, batch)
    for group in (host.group, host.committing):
        if group is not None:
            group.away[:] = [one for one in group.away if (one.sender, one.receiver) != pair]
