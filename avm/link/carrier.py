"""A QUIC connection of a host with the session that it carries, as the listener keeps both. Pure."""

from collections.abc import Callable
from functools import partial

from avm.link.connection import CreditedConnection
from avm.link.engine import QuicEngine
from avm.link.interface import Address
from avm.link.session import Session


class Carrier:
    """A connection and its session."""

    __slots__ = (
        *("address", "alarm_s", "begun", "connection", "engine", "ids", "is_forgotten"),
        "session",
    )

    def __init__(
        self,
        connection: CreditedConnection,
        address: Address,
        touch: Callable[["Carrier"], None],
    ) -> None:
        self.connection = connection
        self.engine = QuicEngine(connection, partial(touch, self))
        self.session: Session
        self.address = address
        self.ids: set[bytes] = set()
        self.alarm_s = float("inf")
        self.begun = False
        self.is_forgotten = False
