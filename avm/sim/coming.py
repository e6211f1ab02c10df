"""What will happen in a world, as it stands in the agenda. Values.

A host is meant by its number, and by its `life` where it is not meant for the same host started again.
"""

from typing import NamedTuple

from avm.nat.finding import LookUp
from caps.identity import Endpoint


class Wake(NamedTuple):
    """Something is due at a core."""

    site: int
    life: int


class WakeNode(NamedTuple):
    """Something is due at a node."""

    site: int
    life: int


class WakeNat(NamedTuple):
    """Something is due at a host's ways round routers."""

    site: int
    life: int


class SaveNode(NamedTuple):
    """What a node knows is to be kept."""

    site: int
    life: int


class Renew(NamedTuple):
    """A host announces everything anew."""

    site: int
    life: int


class Work(NamedTuple):
    """A worker is through with the frame before, and takes the next."""

    site: int
    life: int
    worker: int


class Write(NamedTuple):
    """A disk has written what it was given."""

    site: int
    life: int


class Heard(NamedTuple):
    """A host hears that it was."""

    site: int
    life: int


class Speak(NamedTuple):
    """A client says the next thing to its host."""

    site: int
    client: bytes


class Boot(NamedTuple):
    """A host that is down starts."""

    site: int
    life: int


class Packet(NamedTuple):
    """A datagram is there."""

    site: int
    datagram: bytes
    source: Endpoint


class Frame(NamedTuple):
    """The next frames of a lane are there."""

    link: int
    lane: int


class Room(NamedTuple):
    """The end of a link learns how much was taken at the other."""

    link: int


class Knock(NamedTuple):
    """The first packet of a link is there, from where the dialer is seen."""

    dial: int
    site: int
    seen: Endpoint


class KnockAgain(NamedTuple):
    """The first packet of a link is sent once more."""

    dial: int


class Answered(NamedTuple):
    """The link is up at the end that dialed."""

    link: int
    trip_us: int


class GiveUp(NamedTuple):
    """A link that is not up by now will not be."""

    dial: int


class Down(NamedTuple):
    """The end of a link learns that the other is gone."""

    link: int
    why: str


class KeepTunnel(NamedTuple):
    """A packet goes through the tunnel of a link, so that nobody takes it for unused."""

    link: int


class Idle(NamedTuple):
    """The end of a link that hears nothing may give it up."""

    link: int


class Tell(NamedTuple):
    """Where an address lives, in a world without a network that would know."""

    site: int
    life: int
    lookup: LookUp


class Begin(NamedTuple):
    """A fault of the plan begins."""

    fault: int


class Finish(NamedTuple):
    """A fault of the plan ends."""

    fault: int
