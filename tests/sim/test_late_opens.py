"""What was said on a link of an earlier life comes late, and a channel goes on all the same."""

from typing import Any

from avm.host.channel import Open, unpack_frame_untrusted
from avm.host.effects import Say
from avm.sim.host import SimHost
from avm.sim.net import ROOM
from tests.sim.test_between_hosts import Pair

LATE, LATER = 900, 901


def test_an_open_that_comes_late_by_a_dead_link_does_not_stop_a_channel() -> None:
    """A restarted host had opened its channel; its opening of before came by a link without an end,
    which took the channel along, and that the link was gone was said on another dead one alone."""
    pair = Pair()
    said: list[bytes] = []
    carry = pair.here.network
    assert carry is not None

    def overheard(host: SimHost, effect: Any) -> None:
        if isinstance(effect, Say):
            said.append(effect.frame)
        carry(host, effect)

    pair.here.network = overheard
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    (opening,) = [one for one in said if isinstance(unpack_frame_untrusted(one), Open)]
    pair.there.suspend("pouch")
    pair.client.send(pair.cap("take"), (2, 1))
    pair.net.settle()
    core, identity = pair.there.core, pair.here.core.host.keys.identity
    core.link_up(LATE, identity, ROOM)
    core.link_up(LATER, identity, ROOM)
    core.frame(LATE, opening)
    core.link_down(LATE)
    core.pump()
    pair.net.settle()
    pair.there.resume("pouch")
    pair.net.advance(5)
    assert pair.tokens() == (1, 2)
    assert not pair.here.core.host.outbox, "and its sender knows"
