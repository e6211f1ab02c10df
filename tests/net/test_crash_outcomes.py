"""Every ask of a machine has exactly one outcome, and every timer fires once, through crashes."""

import random
from typing import Any

import pytest

from avm.plugin.session import Client
from tests.net.hosts import RunningHost, wait_until
from tests.net.judge import judge

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=2", "limits.turn_s=0.3", "limits.turn_tries=2")
EXPECTED = {
    "keep": ("late",),
    "answer": ("yes",),
    "twice": ("first",),
    "refuse": ("refused",),
    "raise": ("rejected",),
    "drop": ("dropped",),
    "loop": ("rejected",),
    "suspended": ("undelivered",),
    "halted": ("undelivered",),
    "held": ("undelivered",),
}
# Those that pass are short; the first leaves time to be applied, whatever the kills take.
DEADLINES_S = {"keep": 4.0, "held": 2.0}
DEADLINE_S = 40.0


def restart(host: RunningHost, client: Client) -> None:
    host.kill()
    host.start()
    client.connect()


def set_up(host: RunningHost, client: Client) -> tuple[Any, dict[str, Any]]:
    """An asker, and for each expected outcome a capability that brings it about."""
    asker: Any = host.create(client, "asker.py")
    answerer: Any = host.create(client, "answerer.py")
    caps = dict(answerer.items())
    for name, verb in (("suspended", "fail"), ("held", "hold"), ("halted", "")):
        caps[name] = host.create(client, "answerer.py", name)["answer"]
        if verb:
            client.operate("suspend", machine=name, mode=verb)
        else:
            client.operate("halt", machine=name)
    return asker, caps


def outcomes_under_kills(host: RunningHost, kills: int) -> None:
    """Brings about every outcome while the host is killed so many times."""
    host.settings.extend(SETTINGS)
    host.start()
    client = host.client("asks")
    asker, caps = set_up(host, client)
    rng = random.Random(kills)
    deadlines = {name: DEADLINES_S.get(name, DEADLINE_S) for name in EXPECTED}
    asks = [(name, caps[name], deadlines[name]) for name in EXPECTED]
    places = [client.offer(asker["ask"], ask) for ask in asks]
    for _ in range(kills):
        client.pump(rng.uniform(0.0, 0.1))
        restart(host, client)
    client.wait(lambda: all(place in client.settled for place in places))
    assert all(client.settled[place] == ["applied"] for place in places)

    def outcomes() -> Any:
        found: Any = client.call(asker["read"])
        return found[0] if len(found[0]) == len(EXPECTED) else None

    found = wait_until(outcomes)
    assert dict(found.items()) == EXPECTED
    restart(host, client)
    assert dict(client.call(asker["read"])[0].items()) == EXPECTED  # type: ignore[index]
    client.close(ended=True)
    assert host.stop() == 0
    assert judge(host.directory.store).left["ask"] == 0


def test_w28_each_kind_of_outcome_comes_once_though_the_host_dies(host: RunningHost) -> None:
    outcomes_under_kills(host, 2)


def test_p06_timers_fire_once_through_crashes_and_suspension(host: RunningHost) -> None:
    host.start()
    client = host.client("times")
    asker: Any = host.create(client, "asker.py")
    names = {f"{n}": 0.05 * n for n in range(1, 25)}
    for name, after_s in names.items():
        client.offer(asker["timer"], (name, after_s))
    client.wait(lambda: client.idle)
    client.operate("suspend", machine="asker", mode="hold")
    for _ in range(3):
        client.pump(0.1)
        restart(host, client)
    client.operate("resume", machine="asker")

    def fired() -> Any:
        found: Any = client.call(asker["read"])
        return found[1] if len(found[1]) == len(names) else None

    assert dict(wait_until(fired).items()) == dict.fromkeys(names, 1)
    client.close(ended=True)
    assert host.stop() == 0
    judged = judge(host.directory.store)
    assert judged.left["timer"] == judged.left["outbox"] == 0


def test_s01_a_client_hears_each_kind_of_outcome_once_though_the_host_dies(
    host: RunningHost,
) -> None:
    host.settings.extend(SETTINGS)
    host.start()
    client = host.client("hears")
    _asker, caps = set_up(host, client)
    asks = {}
    for name in EXPECTED:
        if name != "held":
            deadline_ms = round(DEADLINES_S.get(name, DEADLINE_S) * 1000)
            client.offer(caps[name], name, asks=True, deadline_ms=deadline_ms)
            asks[name] = client.next_ask
    client.pump(0.05)
    restart(host, client)
    client.wait(lambda: client.idle)
    client.pump(0.3)
    for name, ask in asks.items():
        (outcome,) = client.outcomes[ask]
        assert getattr(outcome, "why", outcome) == EXPECTED[name][0], name


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_w28_outcomes_come_once_under_many_kills(host: RunningHost, seed: int) -> None:
    outcomes_under_kills(host, seed)
