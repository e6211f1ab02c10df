"""What goes wrong with a link: the sender's own fault raises, a peer's fault ends the link."""

from avm.errors import AvmError


class LinkError(AvmError):
    """Something is wrong with a link."""


class LinkClosed(LinkError):
    """The link is not up: nothing can be sent on it."""


class NoRoom(LinkError):
    """More than the link holds for its peer: wait until there is room."""


class FrameTooBig(LinkError):
    """The frame is larger than a link carries: send it in instalments."""


class DatagramTooBig(LinkError):
    """The datagram is larger than one packet carries: send it as a frame."""


class TooManyLinks(LinkError):
    """The host has as many links as its limit allows."""


class EndpointInUse(LinkError):
    """The endpoint cannot be bound: another process has it, or it is not of this machine."""


class BadFrame(LinkError):
    """The peer sent what no host of this version sends."""
