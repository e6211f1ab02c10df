"""Frames of a world as those who watch it read them: each once, however many look. Pure."""

from functools import lru_cache

from avm.host import channel
from avm.host.header import parse_header_untrusted

# More than are looked at between two events.
FRAMES_KEPT = 256

Place = tuple[bytes, bytes, int]


@lru_cache(FRAMES_KEPT)
def read(frame: bytes) -> channel.AnyFrame:
    """The frame that a host said; raises Malformed for one that is none of a channel."""
    return channel.unpack_frame_untrusted(frame)


def place_of(offer: channel.Offer) -> Place:
    """Which batch is offered: its sender, its receiver and its number."""
    return offer.sender, offer.receiver, parse_header_untrusted(offer.header).seq
