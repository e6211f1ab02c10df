"""`status` as a person reads it."""

from typing import Any

import pytest

from avm.cli import status

STATUS: dict[str, Any] = {
    "version": "1.2.3",
    "dir": "/srv/a",
    "pid": 7,
    "address": "ab" * 32,
    "route": None,
    "uptime_s": 3_725.5,
    "machines": 2,
    "workers": [{"pid": 8, "turns": 9, "restarts": 0, "rss_bytes": 3 << 20}],
    "confined": {"files": True, "calls": True},
    "store": {"kind": "sqlite", "bytes": 2_048, "turns": 1_234},
    "rates": {"turns_per_s": 0.0, "messages_per_s": 0.4},
    "failed": 1,
    "refused": 4,
    "waiting": 0,
    "counts": {"refused": 1, "turned_away": 1_003},
    "store_full": False,
    "draining": False,
    "reruns": {"spans": 0},
    "key": {"key": "cd" * 32, "until_ms": None, "ending": False, "ended": False, "replaced": False},
}


def test_who_was_refused_by_a_machine_and_who_by_the_host_are_both_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status.show(STATUS)
    assert capsys.readouterr().out.splitlines() == [
        "avm-host 1.2.3 in /srv/a, pid 7, up 1 h 2 min",
        f"  address   {'ab' * 32}",
        "  store     sqlite, 2.0 KiB, 1,234 turns",
        "  rates     0 turns/s, 0 messages/s",
        "  machines  2; 0 waiting, 1 failed, 4 refused, 1,003 turned away",
        "  worker    pid 8, 9 turns, 0 restarts, 3.0 MiB",
    ]
    status.show({**STATUS, "counts": {}})
    assert "4 refused, 0 turned away" in capsys.readouterr().out


NOWHERE: dict[str, Any] = {"way": "direct", "seen_at": None, "introducers": [], "relaying": 0}
PLACED: dict[str, Any] = {"listens": "0.0.0.0:4433", "reach": NOWHERE, "contacts": 0, "met": False}


def test_a_host_that_does_not_know_where_others_reach_it_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status.show({**STATUS, **PLACED})
    told = capsys.readouterr().out.splitlines()
    unknown = "where others reach it is not known yet: `run --advertise IP:PORT` says it"
    assert told[2] == f"  listens   0.0.0.0:4433; {unknown}"
    introduced = {**NOWHERE, "way": "introduced", "introducers": ["ab@192.0.2.1:1"]}
    status.show({**STATUS, **PLACED, "reach": introduced})
    told = capsys.readouterr().out.splitlines()
    assert told[2] == "  listens   0.0.0.0:4433" and "introduced by the hosts" in told[3]
    status.show({**STATUS, **PLACED, "route": "ab@192.0.2.7:4433"})
    said = capsys.readouterr().out
    assert "  route     ab@192.0.2.7:4433\n" in said and "listens" not in said


@pytest.mark.parametrize(
    ("met", "why"),
    [(False, "no other host has answered yet"), (True, "no other host answers lookups now")],
)
def test_a_host_whose_others_have_stopped_is_told_from_one_that_met_none(
    capsys: pytest.CaptureFixture[str], met: bool, why: str
) -> None:
    status.show({**STATUS, **PLACED, "met": met})
    line = f"  network   {why}; who is known is asked again and again"
    assert line in capsys.readouterr().out.splitlines()
    status.show({**STATUS, **PLACED, "met": met, "contacts": 1})
    assert "network" not in capsys.readouterr().out


def test_a_recording_is_told_and_that_it_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    record = {"dir": "/srv/r", "recording": True, "segment": 2, "inputs": 1_234}
    status.show({**STATUS, "record": record})
    line = "  record    in /srv/r: input 1,234, segment 2; contents are in it"
    assert line in capsys.readouterr().out.splitlines()
    status.show({**STATUS, "record": {**record, "recording": False}})
    line = "  record    in /srv/r has ended: the host's log has why"
    assert line in capsys.readouterr().out.splitlines()
    status.show({**STATUS, "record": None})
    assert "record" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "calls", "lacking"),
    [
        (False, True, "no files"),
        (True, False, "no calls of the system"),
        (False, False, "no files and no calls of the system"),
    ],
)
def test_x01_what_the_system_does_not_keep_workers_from_is_told(
    capsys: pytest.CaptureFixture[str], files: bool, calls: bool, lacking: str
) -> None:
    status.show({**STATUS, "confined": {"files": files, "calls": calls}})
    line = f"  workers   are kept from {lacking} by this system: host only code that you trust"
    assert line in capsys.readouterr().out.splitlines()
    status.show({name: told for name, told in STATUS.items() if name != "confined"})
    assert "kept from" not in capsys.readouterr().out, "a host of before does not say"


def test_one_of_a_thing_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    again = {"turns": 1, "spans": 1, "without_verdict": 0, "nondeterministic": 1}
    worker = {"pid": 8, "turns": 1, "restarts": 1, "rss_bytes": 5}
    status.show({**STATUS, "reruns": again, "workers": [worker]})
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  run again 1 turn in 1 span, 0 without a verdict; 1 machine nondeterministic",
        "  worker    pid 8, 1 turn, 1 restart, 5 B",
    ]


def test_s07_what_is_to_be_done_about_a_certificate_is_told_before_and_after_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    until = "2026-01-31T12:00:00.000Z"
    key = {
        "key": "cd" * 32,
        "until_ms": 1_769_860_800_000,
        "ending": True,
        "ended": False,
        "replaced": False,
    }
    remedy = "`avm-host stop`, then `avm-host keys rotate --host`, or `avm-host keys request FILE`"
    remedy += " where the root key is away"
    status.show({**STATUS, "key": key})
    told = capsys.readouterr().out.splitlines()[2]
    assert told == f"  key       its certificate ends at {until}: {remedy}"
    status.show({**STATUS, "key": {**key, "ended": True}})
    told = capsys.readouterr().out.splitlines()[2]
    ended = f"its certificate ended at {until}, other hosts take nothing from this one"
    assert told == f"  key       {ended}: {remedy}"
    status.show({**STATUS, "key": {**key, "replaced": True}})
    told = capsys.readouterr().out.splitlines()[2]
    why = "other hosts know a later key of this one, and take nothing by the one that it uses"
    assert told == f"  key       {why}: {remedy.replace(' FILE', ' FILE --new')}"
