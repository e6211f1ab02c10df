"""What an operator of several hosts reads: channels, peers that were not reached, what is still owed."""

from collections.abc import Mapping
from typing import Any

import pytest

from avm.cli import channels, ls, outside, peers, status
from avm.cli.delay import EACH_S, QUIET_S, Delay
from avm.cli.errors import CliError
from avm.cli.output import shown_while
from avm.errors import AvmError
from avm.link.interface import Why
from avm.run.errors import DirectoryRefused
from avm.run.failures import FAILURES_MAX, Failures
from tests.avm.test_status_shown import STATUS

ONE, TWO, THREE = "1f" * 32, "2e" * 32, "3d" * 32
Show = pytest.CaptureFixture[str]


def row(**changes: Any) -> dict[str, Any]:
    """A channel as the host tells it."""
    plain: dict[str, Any] = {"sender": ONE, "receiver": TWO, "way": "out", "machine": None}
    plain |= {"host": None, "at": None, "taken": 3, "waiting": 0, "why": None, "stuck": False}
    return {**plain, "frozen": None, "acts": [], "decisions": [], "contradicted": [], **changes}


def test_a_channel_is_told_with_who_sends_here_where_to_and_why_it_waits(capsys: Show) -> None:
    why = "host 3d3d3d3d3d3d.. does not answer"
    channels._show(
        [
            row(machine="relay", host=THREE, at=THREE),
            row(at=THREE, waiting=2, why=why, stuck=True),
            row(way="in"),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        "sender        receiver      way  machine  taken  waiting  host          state",
        "1f1f1f1f1f1f  2e2e2e2e2e2e  out  relay        3        0  3d3d3d3d3d3d  open",
        f"1f1f1f1f1f1f  2e2e2e2e2e2e  out  -            3        2  3d3d3d3d3d3d  {why}",
        "1f1f1f1f1f1f  2e2e2e2e2e2e  in   -            3        0  -             not open",
    ]


@pytest.mark.parametrize(
    ("acts", "remedy"),
    [
        (
            ["accept", "restart"],
            (
                "frozen: `avm-host channels accept 1f1f1f1f1f1f 2e2e2e2e2e2e` goes on from where its"
                " other end stands"
            ),
        ),
        (
            ["restart"],
            (
                "frozen: `avm-host channels restart 1f1f1f1f1f1f 2e2e2e2e2e2e` at both hosts begins it"
                " anew"
            ),
        ),
    ],
)
def test_c08_a_frozen_channel_is_told_with_the_one_decision_that_fits(
    capsys: Show, acts: list[str], remedy: str
) -> None:
    channels._show([row(frozen="it went back", acts=acts)])
    out = capsys.readouterr().out.splitlines()
    assert out[1].endswith("  it went back") and out[2:] == [remedy]


@pytest.mark.parametrize(
    ("owed", "line"),
    [
        ((1, 0, 0), "  others    1 batch waits: `avm-host channels` has why"),
        (
            (2, 1, 0),
            "  others    2 batches wait (1 gets no further): `avm-host channels` has why",
        ),
        ((7, 2, 0), "  others    7 batches wait (2 get no further): `avm-host channels` has why"),
        (
            (7, 7, 2),
            (
                "  others    7 batches wait (7 get no further), 2 channels frozen: `avm-host channels`"
                " has why"
            ),
        ),
        ((0, 0, 1), "  others    1 channel frozen: `avm-host channels` has why"),
    ],
)
def test_status_tells_what_waits_for_other_hosts(
    capsys: Show, owed: tuple[int, int, int], line: str
) -> None:
    told = dict(zip(("waiting", "stuck", "frozen"), owed, strict=True))
    status.show({**STATUS, "owed": told})
    assert line in capsys.readouterr().out.splitlines()
    status.show({**STATUS, "owed": dict.fromkeys(told, 0)})
    assert "others" not in capsys.readouterr().out


def test_what_a_drained_host_still_owes_is_told_with_where_to_look() -> None:
    rest = "`avm-host channels` has why; `avm-host stop` keeps what waits in the store"
    assert outside._still_owed(1) == f"1 batch still waits for other hosts: {rest}"
    assert outside._still_owed(2_000) == f"2,000 batches still wait for other hosts: {rest}"


def test_the_steps_of_a_lookup_are_told_once_each() -> None:
    asked = {"path": 0, "hop": 1, "endpoint": "192.0.2.7:4433", "outcome": "answered"}
    answered = {**asked, "took_ms": 3, "records": 1, "note": ""}
    assert outside._step(answered) == "  path 0 hop 1: 192.0.2.7:4433: answered, 3 ms, 1 record"
    silent = {**asked, "outcome": "failed", "took_ms": None, "records": 0, "note": "no answer"}
    assert outside._step(silent) == "  path 0 hop 1: 192.0.2.7:4433: failed: no answer"


# Peers that were not reached.


def peer(**changes: Any) -> dict[str, Any]:
    """A peer as the host tells it."""
    plain = {"host": ONE, "endpoints": ["192.0.2.7:4433"], "state": "known", "how": None}
    rest = {"score": 0.5, "round_trip_ms": None, "reached_ms": None, "trusted": False}
    return {**plain, **rest, "failed_at": {}, **changes}


def test_a_peer_that_was_not_reached_is_told_with_what_to_look_at(capsys: Show) -> None:
    failures = Failures()
    failures.note(b"\x1f" * 32, "192.0.2.7:4433", Why.NO_HANDSHAKE)
    failures.note(b"\x1f" * 32, "192.0.2.8:4433", Why.BROKEN)
    peers._show([peer(failed_at=failures.of(b"\x1f" * 32)), peer(host=TWO)])
    assert capsys.readouterr().out.splitlines()[3:] == [
        (
            "1f1f1f1f1f1f: nobody answers at 192.0.2.7:4433: is that host running there, and does UDP"
            " get through?"
        )
    ]


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (
            Why.WRONG_ADDRESS,
            "another host answers at 192.0.2.7:1: compare the route with that host's `status`",
        ),
        (
            Why.REFUSED,
            (
                "the host at 192.0.2.7:1 refuses: it may have banned this one; else compare the clocks"
                " of the two hosts"
            ),
        ),
        (Why.BROKEN, "at 192.0.2.7:1: the transport failed"),
    ],
)
def test_each_cause_has_its_words(why: Why, words: str) -> None:
    failures = Failures()
    failures.note(b"a", "192.0.2.7:1", why)
    assert failures.of(b"a") == {"192.0.2.7:1": words} and failures.of(b"b") == {}
    failures.reached(b"a")
    assert failures.of(b"a") == {}


def test_of_too_many_failures_the_oldest_are_forgotten() -> None:
    failures = Failures()
    for n in range(FAILURES_MAX + 2):
        failures.note(n.to_bytes(2, "big"), "192.0.2.7:1", Why.BROKEN)
    assert not failures.of(b"\0\0") and not failures.of(b"\0\1") and failures.of(b"\0\2")


# A command that waits.


class Host:
    """The operator's end of a link: answers why a channel waits."""

    address = b"me"

    def __init__(self) -> None:
        self.why: Mapping[str, Any] | None = {"why": "", "stuck": False}
        self.asked = 0
        self.error: AvmError = CliError("this host is in no network")

    def ask(self, verb: str, params: Mapping[str, Any], _wait_s: float) -> Any:
        """What a link is asked."""
        assert verb == "channels"
        assert params == {"act": "why", "sender": b"me", "receiver": b"you"}
        self.asked += 1
        if self.why is None:
            raise self.error
        return self.why


def test_why_nothing_is_taken_is_told_once_for_each_reason(capsys: Show) -> None:
    host, delay = Host(), Delay(b"you", 0.0)
    delay.look(host, QUIET_S - 0.1)
    assert host.asked < 1
    for now_s in (2.0, 3.0, 2.0 + EACH_S, 12.5):
        host.why = {"why": "it does not answer", "stuck": True}
        delay.look(host, now_s)
    assert host.asked == 3 and delay.is_stuck and delay.quiet_s(12.5) == 12.5
    told = "avm-host: waiting: it does not answer; `avm-host channels` shows when that changes\n"
    assert capsys.readouterr().err == told
    delay.heard(20.0)
    assert not delay.is_stuck and not delay.why and delay.quiet_s(21.0) == 1.0


def test_a_host_without_an_answer_tells_nothing(capsys: Show) -> None:
    host, delay = Host(), Delay(b"you", 0.0)
    host.why = None
    delay.look(host, 10.0)
    host.error = DirectoryRefused("operator.cap cannot be read")
    delay.look(host, 20.0)
    assert host.asked == 2 and not delay.why and not capsys.readouterr().err


def test_a_machine_on_its_way_is_listed_with_the_host_that_it_goes_to() -> None:
    listed = {"name": "tot", "address": ONE, "status": "moving", "turns": 3, "waiting": 0}
    row = ls._row({**listed, "failed": 0, "code": TWO, "to": THREE})
    assert row == ["tot", "1f1f1f1f", "moving to 3d3d3d3d3d3d", "3", "0", "0", "2e2e2e2e"]


def test_what_is_waited_for_is_shown_to_a_person_only(capsys: Show) -> None:
    with shown_while("host 3d is dialed"):
        pass
    assert capsys.readouterr() == ("", "")
