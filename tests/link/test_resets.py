"""A host that has forgotten its links says so, to whom it may concern and to nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.link.interface import Address, Why
from avm.link.limits import LinkLimits
from avm.link.quic import QuicListener
from avm.link.resets import RESET_BYTES_MAX, RESETS_A_SECOND, Resets, is_reset
from tests.link.worlds import Ear, Pair, QuicWorld, address_of, credentials, entropy_of, pair

KEY = b"k" * 32
LIMITS = LinkLimits(idle_s=12.0, keep_alive_s=3.0)


class Resetting(QuicWorld):
    """A world whose hosts keep a key, and can be started again."""

    def listener(self, me: object, ear: Ear, limits: LinkLimits | None = None) -> QuicListener:
        made = super().listener(me, ear, limits)  # type: ignore[arg-type]
        made._resets = Resets(KEY, entropy_of(len(self._listeners)))
        return made

    def restart(self, listener: QuicListener, seed: int, key: bytes = KEY) -> QuicListener:
        """The host dies without a word, and another process has its port."""
        address = address_of(listener)
        again = QuicListener(
            listener.endpoint, credentials(seed), Ear(), entropy_of(99), LIMITS, self.at,
            reset_key=key,
        )  # fmt: skip
        self._listeners[address] = again
        return again


def linked(seed: int = 0) -> tuple[Resetting, Pair]:
    world = Resetting(seed)
    made = pair(world, LIMITS)
    assert made.far_ear.up
    return world, made


@pytest.mark.parametrize("who", ["dialed", "dialer"])
def test_a_restarted_host_is_noticed_with_the_first_packet_and_not_after_the_idle_time(
    who: str,
) -> None:
    world, made = linked()
    if who == "dialed":
        world.restart(made.far, 2)  # type: ignore[arg-type]
        link, ear = made.link, made.ear
    else:
        world.restart(made.near, 1)  # type: ignore[arg-type]
        link, ear = made.far_link, made.far_ear
    world.run(0.5)
    assert not ear.down
    link.send_nowait(1, b"are you there?")
    world.run(0.05)
    assert ear.whys == [Why.FORGOTTEN]


@pytest.mark.parametrize("who", ["near", "far"])
def test_a_link_in_silence_is_noticed_to_be_gone_by_its_keep_alive(who: str) -> None:
    world, made = linked()
    world.restart(getattr(made, who), 1 if who == "near" else 2)
    ear = made.far_ear if who == "near" else made.ear
    world.run(LIMITS.keep_alive_s + 1.5)
    assert ear.whys == [Why.FORGOTTEN]


def test_a_host_without_the_key_of_before_cannot_end_a_link() -> None:
    world, made = linked()
    world.restart(made.far, 2, key=b"another key of another host one!")  # type: ignore[arg-type]
    made.link.send_nowait(1, b"are you there?")
    world.run(LIMITS.idle_s - 2)
    assert not made.ear.down


def test_the_token_ends_no_link_from_another_address() -> None:
    world, made = linked()
    near: QuicListener = made.near  # type: ignore[assignment]
    (carrier,) = near._carriers
    reset = b"\x45" + b"n" * 20 + carrier.connection.reset_token
    world.send(reset, ("10.6.6.6", 666), address_of(near))
    world.run(1)
    assert not made.ear.down
    world.send(reset, address_of(made.far), address_of(near))
    world.run(1)
    assert made.ear.whys == [Why.FORGOTTEN]


def test_a_peers_last_word_counts_though_a_reset_came_with_it() -> None:
    """A host answered what was under way to a link it had just closed; one pass took both."""
    world, made = linked()
    far: QuicListener = made.far  # type: ignore[assignment]
    (carrier,) = far._carriers
    reset = b"\x45" + b"n" * 20 + carrier.connection.reset_token
    made.link.close()
    world.run(0)
    world.send(reset, address_of(made.near), address_of(far))
    world.run(1)
    assert made.far_ear.whys == [Why.LEFT]


def test_two_hosts_that_know_nothing_of_each_other_do_not_answer_for_ever() -> None:
    world = Resetting()
    one, other = (world.listener(credentials(n), Ear()) for n in (1, 2))
    seen: list[tuple[int, Address]] = []
    world.tap = lambda datagram, source, target: seen.append((len(datagram), source))
    world.send(b"\x40" + b"x" * 1_000, address_of(one), address_of(other))
    world.run(5)
    sizes = [size for size, _ in seen]
    assert sizes[1] <= RESET_BYTES_MAX and sizes == sorted(set(sizes), reverse=True)
    assert len(sizes) <= RESET_BYTES_MAX


def test_links_of_all_ages_outlive_that_ids_change_and_packets_come_late() -> None:
    world = Resetting(3)
    world.weather.jitter_s = 0.02
    world.weather.loss = 0.02
    made = pair(world, LIMITS, run_s=3.0)
    for number in range(200):
        made.link.send_nowait(1, number.to_bytes(2, "big") * 400)
        made.far_link.send_nowait(1, number.to_bytes(2, "big") * 400)
        world.run(0.02)
    world.run(3)
    assert not made.ear.down and not made.far_ear.down
    for ear in (made.ear, made.far_ear):
        assert len(ear.of(1)) == 200


@given(st.binary(min_size=1, max_size=1_300), st.integers(0, 100))
def test_an_answer_is_shorter_than_the_packet_and_looks_like_one(
    datagram: bytes, second: int
) -> None:
    resets = Resets(KEY, entropy_of(1))
    answer = resets.answer(datagram, second)
    if answer is None:
        assert len(datagram) < 22
        return
    assert 21 <= len(answer) < len(datagram) and answer[0] & 0xC0 == 0x40
    assert is_reset(answer, resets.token(datagram[1:9]))
    assert not is_reset(answer, resets.token(b"another!")) and not is_reset(answer, b"")


def test_no_more_are_answered_in_a_second_than_the_limit() -> None:
    resets = Resets(KEY, entropy_of(1))
    packet = b"\x40" + b"x" * 60
    for second in (1.0, 2.5):
        answers = [resets.answer(packet, second + n / 10_000) for n in range(500)]
        assert sum(answer is not None for answer in answers) == RESETS_A_SECOND
