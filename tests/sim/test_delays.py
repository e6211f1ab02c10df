"""Why what is sent to another host is not taken yet, as its operator reads it: each cause, and its end."""

from avm.host import acquaintance
from avm.host.deciding import why_not_accept
from avm.host.delays import Delay, Owed, delay_of, owed
from avm.host.verdicts import BACK_THERE
from avm.limits import Limits
from tests.sim.test_between_hosts import Pair


class Watched(Pair):
    """A client that sends to a pouch at another host, and why that is not taken."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits=limits)
        self.pouch = self.there.machine("pouch").address
        self.other = self.there.core.host.address
        self.name = f"host {self.other.hex()[:12]}.."

    def delay(self) -> Delay:
        """What the client's operator is told."""
        return delay_of(self.here.core.host, (self.client.address, self.pouch))

    def owed(self) -> Owed:
        """What `status` tells; `drain` counts the same."""
        told = owed(self.here.core.host)
        assert self.here.core.owes() == told.waiting
        return told

    def part(self) -> None:
        """The other host is not reached for a minute, and one more message is for it."""
        self.client.send(self.cap("take"), (1, 1))
        self.net.settle()
        self.net.part(self.here, self.there)
        self.client.send(self.cap("take"), (2, 1))
        self.net.advance(60)


def test_nothing_is_told_of_a_channel_on_which_nothing_waits() -> None:
    pair = Watched()
    assert pair.delay() == Delay() and pair.owed() == Owed(0, 0, 0)
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    assert pair.delay() == Delay("", pair.other) and pair.owed() == Owed(0, 0, 0)


def test_a_host_that_is_gone_is_named_until_it_is_back() -> None:
    pair = Watched()
    pair.part()
    assert pair.delay() == Delay(f"{pair.name} does not answer", pair.other, True)
    assert pair.owed() == Owed(1, 1, 0)
    pair.net.mend()
    pair.net.advance(60)
    assert pair.delay() == Delay("", pair.other) and pair.owed() == Owed(0, 0, 0)


def test_what_has_its_time_behind_it_is_owed_to_nobody_and_its_number_stays_in_line() -> None:
    pair = Watched(limits=Limits(send_s=90))
    core = pair.here.core
    pair.part()
    assert pair.owed() == Owed(1, 1, 0)
    pair.net.advance(60)
    (channel,) = [one for one in core.host.channels.values() if one.receiver == pair.pouch]
    assert channel.sent == channel.taken + 1
    assert pair.owed() == Owed(0, 0, 0)
    assert pair.delay() == Delay(f"{pair.name} does not answer", pair.other, True)
    pair.net.mend()
    pair.net.advance(60)
    assert channel.sent == channel.taken and pair.delay() == Delay("", pair.other)


def test_an_address_that_the_network_does_not_know_is_told_as_that() -> None:
    pair = Watched()
    cap = pair.cap("take")
    pair.net.stop(pair.there)
    pair.client.send(cap, (1, 1))
    pair.net.advance(60)
    where = f"the network does not know where {pair.pouch.hex()[:12]}.. is"
    assert pair.delay() == Delay(where, b"", True)


def test_a_ban_of_ones_own_is_told_with_the_act_that_ends_it() -> None:
    pair = Watched()
    pair.part()
    core = pair.here.core
    pair.here.ask(lambda request: acquaintance.ban(core.host, request, pair.other))
    why = f"{pair.name} is banned: `avm-host peers unban {pair.other.hex()[:12]}`"
    assert pair.delay() == Delay(why, pair.other, True)


def test_what_the_other_host_keeps_is_not_stuck() -> None:
    pair = Watched()
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    pair.client.send(pair.cap("take"), (2, 1))
    pair.net.settle()
    assert pair.delay() == Delay(f"{pair.name} has not said yet what became of it", pair.other)
    assert pair.owed() == Owed(1, 0, 0)


def test_a_receiver_without_room_is_told_as_that() -> None:
    pair = Watched(limits=Limits(channel_batches=1))
    pair.client.send(pair.cap("take"), (1, 1))
    pair.net.settle()
    pair.there.suspend("pouch")
    for n in range(2, 5):
        pair.client.send(pair.cap("take"), (n, 1))
    pair.net.settle()
    assert pair.delay() == Delay(f"{pair.name} has no room for more now", pair.other)


def test_c08_a_frozen_channel_is_told_with_its_reason_and_counted() -> None:
    pair = Watched()
    pair.goes_back()
    delay = pair.delay()
    assert delay.why == f"the channel is frozen: {BACK_THERE}" and delay.is_stuck
    assert pair.owed() == Owed(1, 1, 1)
    (channel,) = [one for one in pair.here.core.host.channels.values() if one.frozen]
    assert "`avm-host channels restart` at both hosts" in why_not_accept(
        pair.here.core.host, channel
    )


def test_without_a_network_the_option_that_joins_one_is_told() -> None:
    pair = Watched()
    pair.part()
    pair.here.core.host.networked = False
    assert pair.delay().why == "this host is in no network: `avm-host run --listen IP:PORT`"
    assert pair.delay().is_stuck
