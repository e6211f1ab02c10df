"""What a host may offer to another: batches that there is room for, beside marks of verdicts that it has. Pure.

It believes neither of the two: how much room there is stands in what has come to the host by that link,
and which verdicts it has in its store.
"""

from avm.host import channel
from avm.sim.events import Delivered, Said
from avm.sim.host import SimHost
from avm.sim.reading import place_of, read

# How the bytes of frames begin that tell of room: a mark, a verdict, and that a number is wanted again.
TELLING = tuple(
    bytes((0x80 + size, kind))
    for size, kind in ((9, channel.MARK), (6, channel.VERDICT), (5, channel.AGAIN))
)

Way = tuple[str, int, bytes, bytes]


class Offers:
    """Room that hosts were told of, for each channel on each link, and verdicts that they have heard.

    `confirmed` is the last number whose verdict is durable at the sender, as far as it has said so.
    """

    __slots__ = ("_rooms", "confirmed")

    def __init__(self) -> None:
        self._rooms: dict[Way, int] = {}
        self.confirmed: dict[tuple[bytes, bytes], int] = {}

    def heard(self, event: Delivered) -> None:
        """A frame has come to a host."""
        if not event.frame.startswith(TELLING):
            return
        frame = read(event.frame)
        match frame:
            case channel.Mark() | channel.Told():
                room = frame.room
            case channel.Again(why="busy"):
                room = frame.seq  # it may be tried again
            case _:
                return
        way = (event.host, event.link, frame.sender, frame.receiver)
        self._rooms[way] = max(room, self._rooms.get(way, 0))

    def why_not(self, host: SimHost, event: Said, offer: channel.Offer) -> str:
        """Why a host may not say this offer now; empty when it may."""
        sender, receiver, seq = place_of(offer)
        room = self._rooms.get((event.host, event.link, sender, receiver), 0)
        if seq > room:
            return f"is offered where there is room up to {room}"
        if host.store.get(("outbox", sender, receiver, offer.confirmed)) is not None:
            return f"comes with a word that {offer.confirmed} has its verdict, which is not durable"
        pair = sender, receiver
        self.confirmed[pair] = max(offer.confirmed, self.confirmed.get(pair, 0))
        return ""
