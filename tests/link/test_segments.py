"""Runs of datagrams: put together for one system call, and cut again as they were."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.link.segments import (
    RUN_DATAGRAMS,
    can_receive_runs,
    can_send_runs,
    receive_run,
    runs,
    send_run,
)
from avm.link.udp import UdpPort

ADDRESSES = st.sampled_from([("10.0.0.1", 1), ("10.0.0.2", 2)])


@given(st.lists(st.tuples(st.sampled_from([b"a" * 9, b"b" * 9, b"c" * 4]), ADDRESSES), max_size=99))
def test_runs_hold_all_datagrams_in_their_order_and_only_what_can_go_together(
    datagrams: list[tuple[bytes, tuple[str, int]]],
) -> None:
    made = list(runs(datagrams))
    assert [(one, address) for run, address in made for one in run] == datagrams
    for run, _address in made:
        assert 0 < len(run) <= RUN_DATAGRAMS
        assert all(len(one) == len(run[0]) for one in run[:-1])
        assert len(run[-1]) <= len(run[0])


def test_datagrams_that_fit_go_together() -> None:
    to = ("10.0.0.1", 1)
    sent = [(bytes(1_200), to)] * (RUN_DATAGRAMS + 2) + [(bytes(50), to), (bytes(1_200), to)]
    assert [len(run) for run, _ in runs(sent)] == [RUN_DATAGRAMS, 3, 1]


@pytest.mark.net
@pytest.mark.parametrize("gathers", [False, True])
def test_the_kernel_cuts_a_run_into_the_datagrams_it_was_made_of(gathers: bool) -> None:
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*kind) as near, socket.socket(*kind) as far:
        for sock in (near, far):
            sock.settimeout(10)
            sock.bind(("127.0.0.1", 0))
        if not can_send_runs(near) or (gathers and not can_receive_runs(far)):
            pytest.skip("this kernel has no UDP segmentation")
        sent = [bytes([n]) * 1_200 for n in range(20)] + [b"the last is shorter"]
        send_run(near, sent, far.getsockname())
        got: list[bytes] = []
        while len(got) < len(sent):
            datagrams, source = receive_run(far)
            assert source == near.getsockname()
            got += datagrams
        assert got == sent


@pytest.mark.net
def test_a_run_that_a_way_does_not_take_is_lost_and_later_ones_go_together() -> None:
    port = UdpPort()
    try:
        if not port._cuts:
            pytest.skip("this kernel has no UDP segmentation")
        port._send([(bytes(40_000), port.sock.getsockname())] * 2)
        assert port.lost_datagrams == 2 and port._cuts
    finally:
        port.close()
