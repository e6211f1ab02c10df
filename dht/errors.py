"""The errors of this package: whose fault it was, in a sentence the user can read.

An invalid record is the fault of whoever stored or sent it: it is counted and dropped.
"""


class DhtError(Exception):
    """An address could not be published or found."""


class InvalidPacket(DhtError):
    """The datagram is not a packet of this network."""


class NodeBusy(DhtError):
    """The node has as much under way as it may: try again in a while."""


class InvalidRecord(DhtError):
    """The record does not prove what it says."""


class ExpiredRecord(InvalidRecord):
    """The record has expired."""
