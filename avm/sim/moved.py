"""What a host says of a machine that moves: is it durable there? Pure.

It is looked up in what the host's store holds, and nothing that the host believes is asked.
"""

from collections.abc import Collection

from avm.host import moves, passage
from avm.sim.host import SimHost


def why_not_moved(
    host: SimHost, frame: passage.Ready | passage.Landed, here: Collection[bytes]
) -> str:
    """Why a host must not say that a machine has left or has landed, "" where it may.

    `here` are the addresses of the machines whose rows are durable at the host. Either may be said
    again when the machine has gone on since: the other host's word was on its way.
    """
    known = _rows_of(host, frame.address)
    gone_on = known.redirects.get(frame.address)
    match frame:
        case passage.Ready():
            if frame.address not in known.leaving and gone_on is None:
                return "is said to have left before that is durable"
        case passage.Landed():
            was_here = gone_on is not None and gone_on.incarnation >= frame.incarnation
            going_on = known.leaving.get(frame.address)
            was_here |= going_on is not None and going_on.incarnation > frame.incarnation
            if frame.address not in here and not was_here:
                return "is said to have landed before that is durable"
    return ""


def _rows_of(host: SimHost, address: bytes) -> moves.Moves:
    """The durable rows of a machine's moves."""
    known = moves.Moves()
    for kind in (moves.LEAVING, moves.REDIRECT):
        key = moves.key_of(kind, address)
        body = host.store.get(key)
        if body is not None:
            moves.load(known, key[1], body)
    return known
