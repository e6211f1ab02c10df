"""Authority between hosts: narrowed far from its issuer, counted and revoked where its machine is."""

from dataclasses import replace
from typing import Any

import pytest

from avm import narrow
from avm.host import acquaintance, generations
from avm.limits import Limits
from avm.sim.client import Client
from avm.sim.host import SimHost
from avm.sim.net import Net
from caps.capability import SealedCapability, parse_wire_untrusted
from caps.capability import narrow as narrow_sealed
from caps.caveats import Caveat
from caps.value import Failed
from tests.sim import ward
from tests.sim.code import ModuleCode, gap_free, replayed
from tests.sim.orchard import sealed

REJECTED = Failed("rejected")


class Village:
    """A ward at one host, another and a client at the other, which knows the first by sealed bits."""

    def __init__(self, seed: int = 1) -> None:
        limits = replace(Limits(), withdraw_s=2.0)
        self.net = Net(seed, 2, limits=limits)
        self.here, self.there = self.net.worlds
        made = self.there.create("ward", ModuleCode(ward), None)
        near = self.here.create("near", ModuleCode(ward), None)
        self.client = self.here.client()
        self.near = {name: self.client.hold(cap) for name, cap in near.names.items()}
        wires = {name: self.there.core.seal(cap) for name, cap in made.names.items()}
        self.far = {name: self.client.hold(sealed(wire)) for name, wire in wires.items()}
        self.wires = wires

    @property
    def now(self) -> float:
        return self.net.now_ms / 1000

    def call(self, cap: Any, content: object = None, client: Client | None = None) -> Any:
        """What becomes of an ask: the answer, or the outcome in its place."""
        asker = client or self.client
        ask = asker.ask(cap, content)
        self.net.settle()
        if ask not in asker.outcomes:
            self.net.advance(70)
        (outcome,) = asker.outcomes[ask]
        return outcome

    def begin_rotation(self) -> None:
        there, machine = self.there, self.there.machine("ward")
        there.begin(lambda request: there.core.do(generations.rotate, request, machine, None))

    def rotate(self, home: SimHost | None = None) -> None:
        self._do(home or self.there, generations.rotate, None)

    def revoke(self, generation: int, home: SimHost | None = None) -> None:
        self._do(home or self.there, generations.revoke_generation, generation)

    def _do(self, home: SimHost, act: Any, argument: object) -> None:
        machine = home.machine("ward")
        home.ask(lambda request: home.core.do(act, request, machine, argument))


def test_w26_a_step_narrows_a_far_capability_while_its_host_is_away() -> None:
    village = Village()
    village.call(village.near["keep"], village.far["add"])
    village.net.stop(village.there)
    wrapped = village.call(village.near["wrap"], village.far["add"])
    village.net.start(village.there)
    village.net.advance(30)
    assert village.call(wrapped, 9) == 9
    assert isinstance(village.call(wrapped, 10), Failed)
    assert village.call(village.far["read"]) == 9


def test_w26_every_cause_of_a_refusal_looks_alike_from_another_host() -> None:
    village = Village()
    until = village.now + 3600
    add = village.far["add"]
    old = sealed(village.wires["add"])
    used = narrow(add, uses=1, until=until)
    assert village.call(used, 1) == 1
    village.rotate()
    newer = village.call(village.near["wrap"], village.far["add"])
    assert village.call(newer, 1) == 2
    village.revoke(0)
    short = village.client.hold(sealed(village.wires["read"]))
    bad: list[Any] = [add, used, short, narrow(add, until=until, only=["int"])]
    bad += [narrow(add, holder="ab" * 32), narrow(add, until=1)]
    forged = _parsed(old.wire)
    for changed in (
        replace(forged, priority=7),
        replace(forged, proof=bytes(16)),
        replace(forged, generation=1),
        replace(forged, sealed=forged.sealed[:-1]),
        narrow_sealed(forged, Caveat(77, None)),
    ):
        bad.append(village.client.hold(sealed(changed.wire())))
    verdicts = []
    for cap in bad:
        village.client.send(cap, 1)
        village.net.settle()
        verdicts.append(village.client.verdicts[-1][1])
    assert verdicts == [["rejected", 0]] * len(bad)
    assert replayed(village.there, "ward").total == 2


def _parsed(wire: bytes) -> SealedCapability:

    parsed = parse_wire_untrusted(wire)
    assert isinstance(parsed, SealedCapability)
    return parsed


def test_w26_counts_and_revocations_go_along_when_a_machine_moves() -> None:
    village = Village()
    here, there = village.here, village.there
    address = there.core.host.address
    here.ask(lambda request: acquaintance.trust(here.core.host, request, address))
    until = village.now + 3600
    one, three = (narrow(village.far["add"], uses=n, until=until, nonce="n") for n in (1, 3))
    assert [village.call(one, 1), village.call(three, 1), village.call(three, 1)] == [1, 2, 3]
    village.rotate()
    village.rotate()
    made = village.call(village.far["short"], ("add", 10_000))
    village.revoke(0)
    machine, where = there.machine("ward"), here.core.host.address
    request = there.begin(lambda number: there.core.move(number, machine, where, "ward"))
    there.carry_out()
    village.net.settle()
    assert not there.answers.pop(request).error
    assert here.machine("ward").revoked == 0 and here.machine("ward").generation == 3
    assert len(here.machine("ward").uses or ()) == 2
    assert village.call(three, 1) == REJECTED == village.call(village.far["add"], 1)
    assert village.call(made, 1) == 4
    village.net.crash(here)
    village.net.settle()
    assert village.call(village.far["read"]) == REJECTED and village.call(made, 1) == 5


def test_w26_a_count_goes_on_at_the_next_host() -> None:
    village = Village()
    here, there = village.here, village.there
    address = there.core.host.address
    here.ask(lambda request: acquaintance.trust(here.core.host, request, address))
    three = narrow(village.far["add"], uses=3, until=village.now + 3600)
    assert village.call(three, 1) == 1
    machine, where = there.machine("ward"), here.core.host.address
    there.begin(lambda number: there.core.move(number, machine, where, "ward"))
    there.carry_out()
    village.net.settle()
    assert [village.call(three, 1) for _ in range(3)] == [2, 3, REJECTED]


@pytest.mark.parametrize("seed", range(6))
def test_w26_nothing_sent_by_a_revoked_generation_is_applied_after_it(seed: int) -> None:
    village = Village(seed)
    net, entropy = village.net, village.net.entropy
    clients = [village.here.client() for _ in range(3)]
    for world in net.worlds:
        world.eager = False
    totals: list[int] = []
    sent = 0
    revoking = 10 + entropy.below(60)
    for number in range(90):
        if number == revoking // 2:
            village.begin_rotation()
        if number == revoking:
            village.there.eager = True
            if not village.there.machine("ward").generation:
                village.rotate()  # The host died before it had begun.
            village.revoke(0)
            totals.append(replayed(village.there, "ward").total)
            village.there.eager = False
        client = clients[entropy.below(3)]
        client.send(client.hold(sealed(village.wires["add"])), *([1] * (1 + entropy.below(3))))
        sent += 1
        for _ in range(entropy.below(12)):
            net.step()
        if entropy.chance(0.05):
            net.break_link()
        if entropy.chance(0.03):
            net.crash(village.there)
    for world in net.worlds:
        world.eager = True
    net.settle()
    net.advance(200)
    totals.append(replayed(village.there, "ward").total)
    assert totals[0] == totals[1]
    verdicts = [verdict for client in clients for _seq, verdict in client.verdicts]
    assert len(verdicts) == sent and ["applied"] in verdicts
    assert ["rejected", 0] in verdicts
    gap_free(village.there, "ward")


@pytest.mark.parametrize("seed", range(6))
def test_w26_never_more_uses_than_it_has_whoever_holds_it(seed: int) -> None:
    village = Village(seed)
    net, entropy = village.net, village.net.entropy
    clients = [village.here.client(), village.there.client(), village.here.client()]
    uses = 1 + entropy.below(12)
    few = narrow(village.far["add"], uses=uses, until=village.now + 10_000)
    cap = village.client.held_as(few)
    for world in net.worlds:
        world.eager = False
    for _ in range(40):
        client = clients[entropy.below(3)]
        content: list[object] = [1] * (1 + entropy.below(3))
        client.send(client.hold(cap), *(content if entropy.chance(0.8) else [1, "no number"]))
        for _ in range(entropy.below(10)):
            net.step()
        if entropy.chance(0.05):
            net.crash(village.there)
        if entropy.chance(0.05):
            net.break_link()
    for world in net.worlds:
        world.eager = True
    net.settle()
    net.advance(200)
    assert uses - 2 <= replayed(village.there, "ward").total <= uses
    taken = [use.taken for use in (village.there.machine("ward").uses or {}).values()]
    assert taken == [replayed(village.there, "ward").total]
