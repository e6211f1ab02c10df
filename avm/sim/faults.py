"""What goes wrong in a world: each fault of a plan as it begins and ends. Pure."""

from avm.sim import passes, post, wires
from avm.sim.chance import Chance
from avm.sim.coming import Finish
from avm.sim.events import FaultBegan, FaultEnded
from avm.sim.lies import Liar
from avm.sim.plan import (
    Asymmetric,
    BadPlan,
    BreakLinks,
    ClockDrift,
    ClockJump,
    Clog,
    Crash,
    CrashAtCommit,
    DeadWorker,
    Fault,
    FsyncError,
    KillWorker,
    LyingWorker,
    Nat,
    Partition,
)
from avm.sim.scene import Scene, Site

MS_US = 1_000
HOST_FIELDS = ("host", "other", "source", "target", "hosts", "sources", "targets")


def begin(scene: Scene, fault: Fault, number: int) -> None:
    """A fault begins; `number` is its place in the plan. BadPlan where it is of a host that is none."""
    for name in hosts_of(fault):
        _site(scene, name)
    scene.note(FaultBegan(fault))
    scene.counts[f"fault {type(fault).__name__}"] += 1
    lasts_ms = getattr(fault, "ms", None)
    if lasts_ms is None:
        _happen(scene, fault)
        return
    scene.plan_in(MS_US * lasts_ms, Finish(number))
    scene.weather.begin(fault)
    if isinstance(fault, Partition | Asymmetric):
        wires.look_at_paths(scene)
    elif isinstance(fault, ClockDrift):
        _drift(scene, fault.host)


def hosts_of(fault: Fault) -> list[str]:
    """The hosts that a fault names."""
    found: list[str] = []
    for field in HOST_FIELDS:
        named = getattr(fault, field, ())
        found += [named] if isinstance(named, str) else named
    return found


def end(scene: Scene, fault: Fault) -> None:
    """A fault is over."""
    if fault not in scene.weather.now:
        return
    scene.note(FaultEnded(fault))
    scene.weather.end(fault)
    if isinstance(fault, Partition | Asymmetric):
        wires.look_at_paths(scene)
    elif isinstance(fault, Clog):
        wires.look_at_pace(scene)
    elif isinstance(fault, ClockDrift):
        _drift(scene, fault.host)


def heal(scene: Scene) -> None:
    """All that lasts is over, what lies does no more, what hangs is killed, what is down starts, and nothing else is to come."""
    for fault in list(scene.weather.now):
        end(scene, fault)
    scene.over = len(scene.plan.faults)
    for site in scene.sites:
        site.armed.clear()
        if not site.host.up:
            passes.boot(scene, site)
        for worker in site.host.workers.values():
            worker.liar = None
        for number in [n for n, worker in site.host.workers.items() if worker.hangs]:
            passes.lose_worker(scene, site, number)


def _happen(scene: Scene, fault: Fault) -> None:
    if isinstance(fault, BreakLinks):
        pair = _site(scene, fault.host), _site(scene, fault.other)
        wires.break_between(scene, *pair, fault.one_end)
        return
    assert not hasattr(fault, "ms"), "what lasts is weather"
    site = _site(scene, fault.host)
    match fault:
        case Crash():
            _crash(scene, site, fault)
        case ClockJump():
            scene.counts["clock set back" if fault.by_ms < 0 else "clock set ahead"] += 1
            site.jumped_us += MS_US * fault.by_ms
            if site.host.up:
                scene.enter(site)
        case FsyncError() | CrashAtCommit():
            site.armed.append((site.commits + 1 + fault.commit, fault))
        case KillWorker():
            if site.host.up:
                passes.lose_worker(scene, site, scene.chance.choice(list(site.host.workers)))
        case DeadWorker():
            if site.host.up:
                worker = site.host.workers[scene.chance.choice(list(site.host.workers))]
                worker.hangs = True
        case LyingWorker():
            if site.host.up:
                worker = site.host.workers[scene.chance.choice(list(site.host.workers))]
                worker.liar = Liar(fault.lie, fault.answers, Chance(scene.chance.draw()))
        case Nat():
            _reroute(scene, site, fault)


def _drift(scene: Scene, host: str) -> None:
    """A clock goes as fast as all that is wrong with it makes it go."""
    wrong = [
        one.ppm for one in scene.weather.now if isinstance(one, ClockDrift) and one.host == host
    ]
    _site(scene, host).drift(sum(wrong), scene.now_us)


def _crash(scene: Scene, site: Site, fault: Crash) -> None:
    if site.host.up and any(not one.loaded for one in site.host.core.host.machines.values()):
        scene.counts["crash during recovery"] += 1
    passes.die(scene, site, "crash", fault.down_ms)
    if fault.elsewhere:
        scene.counts["restart on another endpoint"] += 1
        post.settle_at(scene, site, post.outer_ip(scene))


def _reroute(scene: Scene, site: Site, fault: Nat) -> None:
    """A host moves behind a router, with all its links broken; it has to start anew there."""
    ip = post.outer_endpoint(scene, site).ip
    post.put_behind(site, ip, "" if fault.kind == "none" else fault.kind, MS_US * fault.keeps_ms)
    scene.counts["router changed"] += 1
    passes.die(scene, site, "moved behind a router", 1)


def _site(scene: Scene, name: str) -> Site:
    if name not in scene.names:
        there = ", ".join(scene.names) or "none"
        raise BadPlan(f"there is no host {name}; there are: {there}")
    return scene.sites[scene.names[name]]
