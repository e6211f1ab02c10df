"""Clients that have ended, as far as other hosts still keep channels of theirs. Pure.

Beside the journey. That a client will not come again is kept in the store until the receiver's host
has said that it has forgotten the channel: at once where the two are linked, else at the next link.
It is shown who speaks for the client, as for any channel. Nothing is forgotten by time alone: a
channel that was forgotten while its client lives would begin again, and its batches be taken twice.
"""

import cbor2

from avm.host.channel import End, Open
from avm.host.links import say_after
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


def end(host: Host, pair: Pair, tag: bytes, link: Link | None) -> None:
    """A client has ended whose batches went to another host: that is told now, or at the next link."""
    place = host.places.get(pair[1])
    where = link.peer if link is not None else place.host if place is not None else b""
    if not where or not tag:
        return
    ending = host.endings[pair] = Ending(*pair, where, tag)
    host.group.dirty[row_of(pair)] = ending
    while len(host.endings) > host.limits.endings:
        _forget(host, next(iter(host.endings)))
        host.counts["endings_dropped"] += 1
    if link is not None:
        ending.link = link.number
        say_after(host, link, End(*pair))


def tell(host: Host, link: Link) -> None:
    """A link is up: its host hears of the clients that have ended, some at a time."""
    waiting = [
        one for one in host.endings.values() if one.host == link.peer and one.link not in host.links
    ]
    for ending in waiting[:AT_ONCE]:
        _tell(host, link, ending)


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
    ending.link = link.number
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
    _forget(host, pair)
    if not any(one.link == link.number for one in host.endings.values()):
        tell(host, link)
    return True


def _forget(host: Host, pair: Pair) -> None:
    del host.endings[pair]
    host.group.dirty[row_of(pair)] = None
