"""Benches of the simulator: two hosts that find each other by the network alone, or in a storm. Pure.

Scenes are played between two whole hosts in virtual time. In `Introduced` a third one hands each
capability over and is gone before the scene begins to ask; in `Storm` hosts and workers die, commits fail,
and what is said between the hosts is late, doubled, and said again after each death.
"""

from collections.abc import Mapping
from dataclasses import replace

from avm.host.about import NOTHING
from avm.host.capability import Sealed
from avm.kit.stage import HERE, THERE, NoAnswer
from avm.machine.bundle import Read, collect
from avm.sim.chance import Chance
from avm.sim.client import Client
from avm.sim.drawing import WEIGHTS, draw
from avm.sim.host import Refusal, SimHost
from avm.sim.plan import Crash
from avm.sim.world import World
from caps.codec import decode_content_untrusted, encode_content
from caps.value import Capability, Failed, Value, freeze

TIMEOUT_S = 300.0
GRACE_S = 60.0
CREATES_MAX = 20
INTRODUCER = "introducer"
JOIN_S = 20.0
FOR_GOOD_MS = 1_000_000_000
GUST_S = 0.6
FAULT_S = 0.2
# What goes wrong in a storm. What lasts longer than an ask waits for, or turns back the time, would have
# scenes fail that are right.
STORM = (
    *("Crash", "CrashAtCommit", "FsyncError", "KillWorker", "SlowWorker", "SlowDisk"),
    *("Duplicate", "Reorder", "Latency"),
)


class Between:
    """Two hosts of a simulated world, and a client beside each."""

    unit_s = 600.0

    def __init__(self, world: World, read: Read) -> None:
        self.world = world
        self._read = read
        self._clients: dict[str, Client] = {}
        self._made = 0

    def machine(
        self, source: str, place: str, environment: Value, about: Mapping[str, str] = NOTHING
    ) -> Value:
        """Creates a machine; see `Bench`."""
        host = self.world.host(place)
        bundle = collect(source, self._read)
        content, caps = environment, encode_content(environment)[1]
        for _ in range(CREATES_MAX):
            self._up(host)
            self._made += 1
            inner = tuple(host.core.unseal_untrusted(self._wire(cap)) for cap in caps)
            try:
                created = host.create(f"m{self._made}", bundle, content, inner, about)
            except Refusal as error:
                if "in time" not in str(error):
                    raise NoAnswer("refused", str(error)) from None
                continue
            held = [self.world.outside(host, cap) for cap in created.caps]
            return decode_content_untrusted(created.content or encode_content(None)[0], held)
        raise NoAnswer("unknown", "the host does not stay up")

    def call(self, to: Capability, content: Value, place: str) -> Value:
        """Asks; see `Bench`."""
        host = self.world.host(place)
        self._up(host)
        client = self._clients.get(place)
        if client is None:
            client = self._clients[place] = self.world.client(host)
        behind_s = (self.world.now_ms - host.core.host.now_ms) / 1000
        ask = client.ask(to, content, TIMEOUT_S + behind_s)
        self.world.run_until(lambda: ask in client.outcomes, TIMEOUT_S + GRACE_S)
        match client.outcomes.get(ask):
            case [Failed(why, detail)]:
                raise NoAnswer(why, detail)
            case [answer]:
                return self._outside(answer, host)
        raise NoAnswer("unknown", "not one outcome came by the deadline")

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.world.run(seconds)

    def _up(self, host: SimHost) -> None:
        self.world.run_until(lambda: host.up, TIMEOUT_S)

    def _wire(self, handle: Capability) -> bytes:
        held = self.world.handles.held_as(handle)
        assert isinstance(held, Sealed), "a scene holds what is outside of any host"
        return held.wire

    def _outside(self, value: Value, host: SimHost) -> Value:
        """A value that a client of a host has, as any other may have it."""
        body, handles = encode_content(value)
        self._up(host)
        held = [self.world.handles.held_as(handle) for handle in handles]
        given = [one if isinstance(one, Sealed) else None for one in held]
        whole = [
            handle if sealed else self.world.outside(host, cap)
            for handle, cap, sealed in zip(handles, held, given, strict=True)
        ]
        return decode_content_untrusted(body, whole)


class Introduced(Between):
    """Hosts that are introduced by a third, which is gone when they speak with each other."""

    def __init__(self, read: Read, mailbox: str, seed: int = 1) -> None:
        """`mailbox` is the file of a machine that answers with what it was told to."""
        world = World(seed)
        for name in (INTRODUCER, "other", HERE, THERE):
            world.add_host(name)
            world.run(0.5)
        world.run(JOIN_S)
        super().__init__(world, read)
        self._introducing = True
        names = super().machine(mailbox, INTRODUCER, None)
        self._order, self._ear = names["order"], names["ear"]  # type: ignore[index]

    def machine(
        self, source: str, place: str, environment: Value, about: Mapping[str, str] = NOTHING
    ) -> Value:
        """Creates a machine, and has what it answered handed over by the introducer."""
        answer = super().machine(source, place, environment, about)
        if not self._introducing:
            return answer
        super().call(self._order, freeze({"answer": answer}), place)
        return super().call(self._ear, None, THERE if place == HERE else HERE)

    def call(self, to: Capability, content: Value, place: str) -> Value:
        """Asks; the introducer is gone from the first time on."""
        if self._introducing:
            self._introducing = False
            self.world.inject(Crash(0, INTRODUCER, FOR_GOOD_MS))
            self.world.run_until(lambda: not self.world.host(INTRODUCER).up, 1.0)
        return super().call(to, content, place)


class Storm(Between):
    """Hosts that die, and are slow, while something is asked of them."""

    def __init__(self, read: Read, seed: int = 1) -> None:
        world = World(seed, dht=False)
        for name in (HERE, THERE):
            world.add_host(name)
        super().__init__(world, read)
        self._chance = Chance(seed)

    def call(self, to: Capability, content: Value, place: str) -> Value:
        """Asks, in a gust of faults of its own."""
        weights = {name: WEIGHTS[name] for name in STORM}
        gust = draw(self._chance.draw(), (HERE, THERE), GUST_S, weights, FAULT_S)
        now_ms = self.world.scene.now_us // 1000
        for fault in gust.faults:
            self.world.inject(replace(fault, at_ms=now_ms + fault.at_ms))
        return super().call(to, content, place)
