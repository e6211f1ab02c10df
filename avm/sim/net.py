"""Several worlds and a network between them: links that break, hosts that crash, deterministic. Pure.

Above link frames: what a link carries arrives in order within its lane, and all of what is on its
way is lost when it breaks. Each call of `step` does one thing that could happen next somewhere.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avm.host.channel import FRAME_BYTES_MAX
from avm.host.effects import Dial, Frozen, Say, Seek, Unlink
from avm.limits import Limits
from avm.sim.client import Handles
from avm.sim.code import Codes
from avm.sim.entropy import Entropy
from avm.sim.host import SimHost
from avm.sim.rekeying import prove_each_other
from caps.identity import Endpoint

LANES = 4
PORT = 4433
ROOM = 64 * 1024
STEPS_MAX = 200_000
# How long an end waits before it believes that nobody is at the other.
IDLE_MS = 12_000


@dataclass(slots=True, eq=False)
class End:
    """One end of a simulated link: whose it is, its number there, and what is on its way to it.

    Without `other` nobody is there any more, and it notices at `idle_ms` of the net's time.
    """

    world: SimHost
    number: int
    other: "End | None" = None
    lanes: dict[int, deque[bytes]] = field(default_factory=dict)
    idle_ms: int = 0

    @property
    def coming(self) -> int:
        """Bytes on their way to it."""
        return sum(len(frame) for lane in self.lanes.values() for frame in lane)


class Net:
    """Worlds with a network; deterministic in its seed."""

    def __init__(self, seed: int, hosts: int, *, limits: Limits | None = None) -> None:
        self.entropy = Entropy(seed)
        self.frozen: list[Frozen] = []
        self.unlinked: list[str] = []
        self.cut: set[frozenset[bytes]] = set()
        self.down: dict[SimHost, None] = {}
        self.skews_ms: dict[SimHost, int] = {}
        self._ends: dict[tuple[SimHost, int], End] = {}
        self._asked: deque[tuple[SimHost, Seek | Dial]] = deque()
        self._next = 0
        self.worlds: list[SimHost] = []
        handles = Handles()
        codes = Codes()
        for number in range(hosts):
            world = SimHost(seed * 1000 + number, limits=limits, network=self._effect)
            world.handles = handles
            world.codes = codes
            self.worlds.append(world)

    # What hosts ask of the network.

    def _effect(self, world: SimHost, effect: Any) -> None:
        match effect:
            case Say(link, lane, frame):
                assert len(frame) <= FRAME_BYTES_MAX, "no link takes such a frame"
                end = self._ends.get((world, link))
                if end is not None and end.other is not None:
                    end.other.lanes.setdefault(lane % LANES, deque()).append(frame)
                    world.core.link_room(link, ROOM - end.other.coming)
            case Seek() | Dial():
                self._asked.append((world, effect))
            case Unlink(link, why):
                self.unlinked.append(why)
                self._break((world, link), tell_first=False)
            case Frozen():
                self.frozen.append(effect)

    def _answer(self) -> None:
        world, asked = self._asked.popleft()
        if isinstance(asked, Seek):
            where = [one for one in self.worlds if one.core.host.owner(asked.address)]
            if where and where[0] not in self.down:
                world.core.found(asked.address, where[0].core.host.address)
            else:
                world.core.not_found(asked.address)
            return
        there = next((one for one in self.worlds if one.core.host.address == asked.host), None)
        at = there is not None and (
            not asked.endpoints or self.endpoint_of(there) in asked.endpoints
        )
        if there is None or not at or there in self.down or self._is_cut(world, there):
            world.core.no_link(asked.host)
            return
        if not prove_each_other(world, there):
            world.core.no_link(asked.host)
            return
        self._link(world, there)

    def endpoint_of(self, world: SimHost) -> Endpoint:
        """Where a host is."""
        return Endpoint(bytes([10, 0, 0, 1 + self.worlds.index(world)]), PORT)

    def _is_cut(self, one: SimHost, other: SimHost) -> bool:
        return frozenset((one.core.host.address, other.core.host.address)) in self.cut

    @property
    def now_ms(self) -> int:
        """The time by which the clocks are off."""
        first = self.worlds[0]
        return first.now_ms - self.skews_ms.get(first, 0)

    def _link(self, here: SimHost, there: SimHost) -> None:
        self._next += 2
        ends = End(here, self._next), End(there, self._next + 1)
        for end, other in (ends, ends[::-1]):
            end.other = other
            self._ends[(end.world, end.number)] = end
        for end, other in (ends, ends[::-1]):
            proof, where = other.world.core.host.keys.proof, self.endpoint_of(other.world)
            shown = (proof.identity, ROOM, where, 1.0, proof.certificate_bytes)
            end.world.core.link_up(end.number, *shown)

    def _break(self, key: tuple[SimHost, int], tell_first: bool = True) -> None:
        end = self._ends.pop(key, None)
        if end is None:
            return
        if end.other is None:
            if tell_first:
                end.world.core.link_down(end.number)
            return
        self._ends.pop((end.other.world, end.other.number))
        if tell_first:
            end.world.core.link_down(end.number)
        end.other.world.core.link_down(end.other.number)

    # What happens.

    def step(self) -> bool:
        """Does one thing that could happen next; False when nothing is left to do."""
        choices: list[Callable[[], Any]] = []
        if self._asked:
            choices.append(self._answer)
        for end in self._ends.values():
            for lane in end.lanes.values():
                if lane:
                    choices.append(lambda end=end, lane=lane: self._deliver(end, lane))  # type: ignore[misc]
        running = [world for world in self.worlds if world not in self.down]
        if choices and self.entropy.chance(0.5):
            self.entropy.choice(choices)()
            self._carry_out()
            return True
        start = self.entropy.below(len(running)) if running else 0
        for world in running[start:] + running[:start]:
            if world.step():
                return True
        if not choices:
            return False
        self.entropy.choice(choices)()
        self._carry_out()
        return True

    def _deliver(self, end: End, lane: deque[bytes]) -> None:
        end.world.core.frame(end.number, lane.popleft())
        if end.other is not None and (end.other.world, end.other.number) in self._ends:
            end.other.world.core.link_room(end.other.number, ROOM - end.coming)
            end.other.world.core.pump()
        end.world.core.pump()

    def _carry_out(self) -> None:
        for world in self.worlds:
            world.carry_out()

    def settle(self) -> None:
        """Goes on until nothing is left to do now."""
        for _ in range(STEPS_MAX):
            if not self.step():
                return
        raise AssertionError("hosts go on for ever without time passing")

    def advance(self, seconds: float) -> None:
        """Lets time pass everywhere, stopping wherever something is due."""
        end = self.now_ms + round(seconds * 1000)
        self.settle()
        while True:
            at_ms = min(self._due(), default=None)
            if at_ms is None or at_ms > end:
                break
            self.tick(max(at_ms, self.now_ms))
        self.tick(end)

    def _due(self) -> list[int]:
        due = [one.idle_ms for one in self._ends.values() if one.other is None]
        for world in self.worlds:
            wake_ms = None if world in self.down else world.next_wake_ms()
            if wake_ms is not None:
                due.append(self.now_ms + world.core.until_ms(wake_ms, world.now_ms))
        return due

    def tick(self, now_ms: int) -> None:
        """The time is now this at every host."""
        for world in self.worlds:
            world.now_ms = now_ms + self.skews_ms.get(world, 0)
            if world not in self.down:
                world.core.tick(world.now_ms)
                world.core.pump()
        self.notice()
        self._carry_out()
        self.settle()

    # What goes wrong.

    def skew(self, world: SimHost, off_ms: int) -> None:
        """A host's clock is off by so much from now on; it starts again with it."""
        now_ms = self.now_ms
        self.skews_ms[world] = off_ms
        world.now_ms = now_ms + off_ms
        self.crash(world)

    def notice(self) -> None:
        """Ends at whose other nobody is any more notice it, in their time."""
        late = [key for key, one in self._ends.items() if one.other is None]
        for key in late:
            if self._ends[key].idle_ms <= self.now_ms:
                self._break(key)

    def crash(self, world: SimHost, *, noticed: bool = True) -> None:
        """A host dies and starts again; its links break, and others notice, at once or later."""
        self._forget(world, noticed)
        world.crash()
        self._carry_out()

    def stop(self, world: SimHost) -> None:
        """A host is off until `start`."""
        self._forget(world, True)
        self.down[world] = None

    def start(self, world: SimHost) -> None:
        """A host that was off is on again."""
        self.down.pop(world, None)
        self.crash(world)

    def _forget(self, world: SimHost, noticed: bool) -> None:
        for key in [key for key in self._ends if key[0] is world]:
            end = self._ends.pop(key)
            if end.other is None:
                continue
            if noticed:
                self._ends.pop((end.other.world, end.other.number))
                end.other.world.core.link_down(end.other.number)
            else:
                self._leave(end.other)
        self._asked = deque(one for one in self._asked if one[0] is not world)

    def _leave(self, end: End) -> None:
        """Nobody is at the other of an end: what comes and goes is lost until it notices."""
        end.other, end.idle_ms = None, self.now_ms + IDLE_MS
        end.lanes.clear()

    def half_break(self) -> None:
        """Some link breaks; one end notices, and the other does only after a while."""
        whole = [key for key, end in self._ends.items() if end.other is not None]
        if whole:
            end = self._ends.pop(self.entropy.choice(whole))
            assert end.other is not None
            self._leave(end.other)
            end.world.core.link_down(end.number)
            self._carry_out()

    def part(self, one: SimHost, other: SimHost) -> None:
        """Two hosts cannot reach each other until `mend`; their links break."""
        self.cut.add(frozenset((one.core.host.address, other.core.host.address)))
        for key, end in list(self._ends.items()):
            if key[0] is one and end.other is not None and end.other.world is other:
                self._break(key)
        self._carry_out()

    def mend(self) -> None:
        """All hosts can reach each other again."""
        self.cut.clear()

    def break_link(self) -> None:
        """Some link breaks; what was on its way is lost."""
        if self._ends:
            self._break(self.entropy.choice(list(self._ends)))
            self._carry_out()
