"""Apples on several machines, moved by several clients: what is said, and what must hold after."""

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from avm.plugin.session import Client, HostGone
from caps.slots import NULL
from caps.value import Capability, Failed
from tests.net.hosts import PATIENCE_S, RunningHost, wait_until
from tests.net.judge import Judged, judge

APPLES = 12
WINDOW = 12


class Mover:
    """A client that orders moves, numbered for each orchard, and remembers all it asked for."""

    def __init__(self, host: RunningHost, number: int, rng: random.Random) -> None:
        self.client = host.unconnected_client(f"mover {number}", durable=number == 1)
        self.number = number
        self.rng = rng
        self.ordered: dict[int, int] = {}
        self.ear: Capability = NULL
        self.told: dict[int, list[int]] = {}

    def order(self, orchards: list[bytes]) -> None:
        """Offers a batch of orders to some orchard."""
        place = self.rng.randrange(len(orchards))
        orders: list[object] = []
        for _ in range(self.rng.choice((1, 1, 2, 5))):
            n = self.ordered[place] = self.ordered.get(place, 0) + 1
            peer = self.rng.randrange(100)
            after_s = self.rng.choice((0.0, 0.0, 0.01, 0.1))
            ear = self.ear if self.rng.random() < 0.4 else None
            if ear is not None:
                self.told.setdefault(place, []).append(n)
            orders.append((self.number, n, peer, after_s, ear))
        self.client.offer(orchards[place], *orders, asks=self.rng.random() < 0.4)

    @property
    def waiting(self) -> int:
        """Batches without a verdict."""
        return sum(len(sender.waiting) for sender in self.client.senders.values())


class Orchards:
    """Everything of one campaign."""

    def __init__(self, host: RunningHost, seed: int, orchards: int = 4, movers: int = 3) -> None:
        self.host = host
        self.rng = random.Random(seed)
        self.caps: list[dict[str, bytes]] = []
        self.movers = [Mover(host, number, self.rng) for number in range(1, movers + 1)]
        self.overseer = host.unconnected_client("overseer")
        self.count = orchards

    def plant(self) -> None:
        """Creates the orchards and gives them apples; the host is running."""
        self.connect()
        for number in range(self.count):
            names: Any = self.host.create(self.overseer, "orchard.py", f"orchard-{number}", number)
            self.caps.append({name: self.overseer.wire(cap) for name, cap in names.items()})
        for number, caps in enumerate(self.caps):
            peers = [one["take"] for place, one in enumerate(self.caps) if place != number]
            handles = tuple(map(self.overseer.hold, peers))
            assert self.overseer.send(caps["peers"], handles) == ["applied"]
            apples = tuple(range(number * APPLES, (number + 1) * APPLES))
            assert self.overseer.send(caps["put"], apples) == ["applied"]
        for mover in self.movers:
            mover.ear = mover.client.ear("told")

    def clients(self) -> Iterator[Client]:
        """All clients."""
        yield self.overseer
        for mover in self.movers:
            yield mover.client

    def connect(self) -> None:
        """All clients meet the host, for the first time or again."""
        for client in self.clients():
            client.connect()

    def work(self, within_s: float) -> None:
        """Orders moves for a while; raises `HostGone` when the host dies meanwhile."""
        end = _now() + within_s
        orders = [caps["move"] for caps in self.caps]
        while _now() < end:
            for mover in self.movers:
                if mover.waiting < WINDOW:
                    mover.order(orders)
                mover.client.pump(0.001)

    def work_until_gone(self, within_s: float) -> bool:
        """Orders moves; whether the host died of itself meanwhile."""
        try:
            self.work(within_s)
        except HostGone:
            return True
        return False

    def reports(self) -> list[Any]:
        """What each orchard says of itself."""
        return [self.overseer.call(caps["report"]) for caps in self.caps]

    def quiet(self) -> bool:
        """Whether nothing is under way any more."""
        for client in self.clients():
            client.pump()
        if not all(client.idle for client in self.clients()):
            return False
        told = sum(len(numbers) for mover in self.movers for numbers in mover.told.values())
        if sum(len(mover.client.heard) for mover in self.movers) < told:
            return False
        return not any(report["busy"] for report in self.reports())

    def check(self) -> Judged:
        """Waits for quiet, and checks every promise; the host is running, and stopped at the end."""
        self.check_reports()
        assert self.host.stop() == 0
        return self._check_store()

    def check_reports(self, within_s: float = PATIENCE_S) -> None:
        """Waits for quiet, and checks apples, timers, asks and orders by what the orchards say."""
        wait_until(self.quiet, "it does not come to rest", within_s)
        reports = self.reports()
        assert [report["wrong"] for report in reports] == [()] * self.count
        apples = sorted(apple for report in reports for apple in report["apples"])
        assert apples == list(range(self.count * APPLES)), "an apple is lost or doubled"
        for report in reports:
            assert report["timers"][0] == report["timers"][1], "a timer did not fire just once"
            assert report["sent"] == report["answered"], "an ask without its outcome"
        for mover in self.movers:
            self._check_mover(mover, reports)

    def _check_mover(self, mover: Mover, reports: list[Any]) -> None:
        client = mover.client
        assert all(verdict == ["applied"] for verdict in client.settled.values())
        for place, report in enumerate(reports):
            assert report["last"].get(mover.number, 0) == mover.ordered.get(place, 0)
        assert all(len(outcomes) == 1 for outcomes in client.outcomes.values())
        assert not any(type(found[0]) is Failed for found in client.outcomes.values())
        heard: dict[int, list[int]] = {}
        for _sender, context, content in client.heard:
            assert context == "told"
            assert isinstance(content, tuple)
            heard.setdefault(content[0], []).append(content[1])
        for place, told in mover.told.items():
            strange = _difference(told, heard.get(place, []))
            assert not strange, f"orchard {place} told client {mover.number} {strange}"
        assert heard.keys() == mover.told.keys()

    def _check_store(self) -> Judged:
        """The same in the store, once its host has stopped."""
        judged = judge(self.host.directory.store)
        machines = {client.address for client in self.clients()}
        for (sender, receiver), sent in judged.sent.items():
            if sender not in machines and receiver not in machines:
                assert judged.marks[(sender, receiver)] == sent, "sent and not taken"
        assert judged.left == dict.fromkeys(judged.left, 0), "something is left lying about"
        return judged

    def acknowledged_is_there(self) -> Judged:
        """After a crash, before another start: what was acknowledged is in the journals."""
        judged = judge(self.host.directory.store, again=False)
        for mover in self.movers:
            for receiver, seq in mover.client.settled:
                mark = judged.marks.get((mover.client.address, receiver), 0)
                assert seq <= mark, "acknowledged, and not in the store"
        return judged

    def go_on(self) -> None:
        """Starts the host again after a crash, and reconnects."""
        with suppress(HostGone):
            for client in self.clients():
                while client.pump():
                    pass
        self.host.kill()
        self.acknowledged_is_there()
        self.host.start()
        self.connect()


def _difference(told: list[int], heard: list[int]) -> str:
    """How what was heard differs from what was told once, in order; empty when it does not."""
    if told == heard:
        return ""
    missing, doubled = sorted(set(told) - set(heard)), len(heard) - len(set(heard))
    at = next((i for i, pair in enumerate(zip(told, heard, strict=False)) if len(set(pair)) > 1), 0)
    around = f"{told[at : at + 5]} and heard {heard[at : at + 5]}"
    return f"{len(told)}, {doubled} doubled, missing {missing[:20]}, first {around}"


def _now() -> float:
    return time.monotonic()
