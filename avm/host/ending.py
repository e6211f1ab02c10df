"""Clients that have ended, as far as other hosts still keep channels of theirs. Pure.

Beside the journey. That a client will not come again is kept in the store until the receiver's host
has said that it has forgotten the channel: at once where the two are linked, else at the next link.
It is shown who speaks for the client, as for any channel; where nobody here knows any more at which
host the receiver lives, the network is asked. Nothing is forgotten by time alone: a
channel that was forgotten while its client lives would begin again, and its batches be taken twice.
"""

import cbor2

from avm.host.channel import End, Open
from avm.host.links import link_to, place_of, say_after, seek
from avm.host.peers import Link, Pair
from avm.host.state import Ending, Host

AT_ONCE = 256


def row_of(pair: Pair) -> tuple[str, str]:
    """Where an ending is in the store."""
    return ("meta", f"end {pair[0].hex()} {pair[1].hex()}")


def to_bytes(ending: Ending) -> bytes:
    """The row."""
    return cbor2.dumps([ending.client, ending.receiver, ending.host, ending.tag])


def load(host: Host, body: bytes) -> None:
    """Takes up an ending that the store holds."""
    ending = Ending(*cbor2.loads(body))
    host.endings[(ending.client, ending.receiver)] = ending


def end(host: Host, pair: Pair, tag: bytes, link: Link | None, has_sent: bool = True) -> None:
    """A client has ended: that is told to the receiver's host now, or at the next link.

    `link` is the one on which its channel is open. A client that was only sent to has none open; of
    such, which strangers can make many, no more are kept than there is room for.
    """
    if not tag:
        return
    if not has_sent and len(host.endings) >= host.limits.endings:
        host.counts["endings_dropped"] += 1
        return
    place = place_of(host, pair[1])
    where = link.peer if link is not None else place.host
    ending = host.endings[pair] = Ending(*pair, where, tag)
    host.group.dirty[row_of(pair)] = ending
    while len(host.endings) > host.limits.endings:
        forget(host, next(iter(host.endings)))
        host.counts["endings_dropped"] += 1
    if link is not None and has_sent:
        ending.link, ending.shown = link.number, False
        say_after(host, link, End(*pair))
    elif (there := link or link_to(host, where)) is not None:
        _tell(host, there, ending)
    elif not where and host.networked:
        seek(host, place)


def found(host: Host, receiver: bytes, where: bytes) -> None:
    """The network says at which host a receiver lives: who ended before that was known is told there."""
    unknown = [one for one in host.endings.values() if one.receiver == receiver and not one.host]
    for ending in unknown:
        ending.host = where
        host.group.dirty[row_of((ending.client, ending.receiver))] = ending
    link = link_to(host, where)
    if unknown and link is not None:
        tell(host, link)


def tell(host: Host, link: Link) -> None:
    """A link is up: its host hears of the clients that have ended, some at a time."""
    waiting = [
        one for one in host.endings.values() if one.host == link.peer and one.link not in host.links
    ]
    for ending in waiting[:AT_ONCE]:
        _tell(host, link, ending)
    unknown = dict.fromkeys(one.receiver for one in host.endings.values() if not one.host)
    for receiver in list(unknown)[:AT_ONCE]:
        seek(host, place_of(host, receiver))


def _tell(host: Host, link: Link, ending: Ending) -> None:
    pair = (ending.client, ending.receiver)
    keys = host.keys
    is_back = ending.client in host.clients
    keys.add_client(ending.client, ending.tag)
    made = keys.speak_for(ending.client, b"", 0, host.now_ms)
    if not is_back:
        keys.drop(ending.client)
    if made is None:
        return
    ending.link, ending.shown = link.number, True
    say_after(host, link, Open(*pair, made[0].to_bytes(), made[1].to_bytes(), 0))
    say_after(host, link, End(*pair))


def holds_back(host: Host, link: Link, pair: Pair) -> bool:
    """Whether a channel has to wait for the end of one of the same client's name before."""
    ending = host.endings.get(pair)
    if ending is not None and ending.link != link.number:
        _tell(host, link, ending)
    return ending is not None


def is_told(host: Host, link: Link, pair: Pair) -> bool:
    """Whether *gone* is the other host's word that it has forgotten an ended channel."""
    ending = host.endings.get(pair)
    if ending is None or ending.link != link.number:
        return False
    forget(host, pair)
    if not any(one.link == link.number for one in host.endings.values()):
        tell(host, link)
    return True


def is_lost(host: Host, link: Link, pair: Pair, why: str) -> bool:
    """Whether an end was said in vain, for the channel was closed: it is said anew, opened before.

    *Busy*: its receiver was about to move, and does not.
    """
    ending = host.endings.get(pair)
    if ending is None or ending.link != link.number:
        return False
    if not ending.shown or why == "busy":
        _tell(host, link, ending)
    return True


def moved(host: Host, link: Link, pair: Pair, where: bytes) -> bool:
    """Whether the receiver of an ended channel has moved on from where that was told: it is told there."""
    ending = host.endings.get(pair)
    if ending is None or ending.link != link.number:
        return False
    ending.host, ending.link = where, 0
    host.group.dirty[row_of(pair)] = ending
    there = link_to(host, where)
    if there is not None and there is not link:
        _tell(host, there, ending)
    return True


def forget(host: Host, pair: Pair) -> None:
    """Nobody has to be told any more."""
    del host.endings[pair]
    host.group.dirty[row_of(pair)] = None
