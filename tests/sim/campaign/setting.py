"""What a seed makes of a run: hosts, clients, limits, routers, and which faults come how often."""

from dataclasses import dataclass, replace

from avm.limits import KIB, Limits
from avm.sim.chance import Chance
from avm.sim.drawing import WEIGHTS, draw
from avm.sim.plan import Asymmetric, Fault, Nat, Plan

NAMES = ("ash", "birch", "cedar", "dogwood")
A_MESSAGE_S = 0.01
ROUTERS = ("cone", "symmetric", "random", "firewall")
# So often, of all faults, a worker lies or a host comes behind another router, where they do at all.
LIES, REROUTES = 6, 2
CLIENT_IDLE_S = 60.0
# In a network of nodes what is for somebody who is nowhere waits this long only, instead of a week:
# nodes have something to do every minute of it.
NETWORK_SEND_S = 7_200.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a seed makes of a run, but for its plan. `routers`: of each host but the first, or none."""

    hosts: int
    clients: int
    dht: bool
    limits: Limits
    calm: bool
    acts: float
    lies: bool
    guests: float
    passers: float
    routers: tuple[Nat, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the hosts are called."""
        return NAMES[: self.hosts]


def setting_of(seed: int) -> Setting:
    """Mostly as a user has them, now and then very tight."""
    chance = Chance(seed ^ 0x5E77)
    limits = replace(
        Limits(),
        withdraw_s=chance.choice((1.0, 5.0)),
        turn_s=chance.choice((1.0, 10.0)),
        inbox_batches=chance.choice((2, 20, 1_000)),
        channel_batches=chance.choice((1, 8, 64)),
        outbox_bytes=chance.choice((4 * KIB, 64 * 1024 * KIB)),
        snapshot_bytes=chance.choice((2 * KIB, 20 * KIB, 256 * KIB)),
        flights_machine=chance.choice((1, 4, 128)),
        rerun_share=0,
        client_idle_s=CLIENT_IDLE_S,
    )
    hosts = chance.choice((1, 2, 3, 3, 4))
    clients = 1 + chance.below(4)
    dht = chance.hits(0.2)
    calm, acts = chance.hits(0.1), chance.choice((0.0, 0.02, 0.1))
    lies, guests, passers = chance.hits(0.3), chance.choice((0.0, 0.05)), chance.choice((0.0, 0.03))
    routers: tuple[Nat, ...] = ()
    if dht:
        limits = replace(limits, send_s=NETWORK_SEND_S)
    if dht and chance.hits(0.5):
        hosts, limits = 4, replace(limits, peers_dialed=0, upgrade_s=chance.choice((1.0, 10.0)))
        keeps_ms = chance.choice((15_000, 60_000))
        routers = tuple(Nat(0, name, chance.choice(ROUTERS), keeps_ms) for name in NAMES[2:hosts])
    return Setting(hosts, clients, dht, limits, calm, acts, lies, guests, passers, routers)


def plan_of(seed: int, setting: Setting, messages: int, every_s: float) -> Plan:
    """The faults of a run of so many messages."""
    if setting.calm:
        return Plan()
    weights = {**WEIGHTS}
    if setting.lies:
        weights["LyingWorker"] = LIES
    faults: list[Fault] = []
    if setting.routers:
        weights["Nat"] = REROUTES
        # At first no punch gets through, and what was relayed finds a better way later.
        names = tuple(one.host for one in setting.routers)
        faults.append(Asymmetric(0, 4_000 + seed % 4_000, names[:1], names[1:]))
    drawn = draw(seed, setting.names, messages * A_MESSAGE_S, weights, every_s)
    faults += [one for one in drawn.faults if not _hides_the_first(setting, one)]
    return Plan(tuple(faults))


def _hides_the_first(setting: Setting, fault: Fault) -> bool:
    """Somebody has to be reached by all, as who introduces others."""
    return isinstance(fault, Nat) and fault.host in setting.names[:2]
