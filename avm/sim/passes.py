"""The passes of a host in a world: what follows from an event there, and when the next one is due. Pure.

Steps 2 to 7 of the journey, each in its time: workers take a while for a frame, a disk for a commit,
and a client for what it says.
"""

from avm.host.core import Core
from avm.host.effects import Deliver, Verdict
from avm.host.state import Machine
from avm.sim import routes, ways, wires
from avm.sim.coming import Boot, Heard, Speak, Wake, WakeNode, Work, Write
from avm.sim.events import (
    ClientHeard,
    ClientTook,
    CommitRefused,
    Committed,
    Crashed,
    Folded,
    Lied,
    Started,
    WorkerLost,
)
from avm.sim.lies import Liar
from avm.sim.plan import FsyncError
from avm.sim.scene import Scene, Site
from avm.store.errors import DiskFull

MS_US = 1_000
TURN_US = 100
TURN_JITTER_US = 50
COMMIT_US = 1_500
COMMIT_JITTER_US = 500
# One commit in so many is heard of a little after it is durable, and others at once.
HEARD_LATER = 4
HEARD_US = 200
SPEAK_US = 30
# Frames of a worker, or batches of a client, that come one after the other without a pause.
AT_ONCE = 8
WRITE_AGAIN_US = 1_000_000


def settle(scene: Scene, site: Site) -> None:
    """Carries out what core, finder and node ask for, and plans what the host will do next."""
    if not site.host.up:
        return
    core = site.host.core
    core.pump()
    while True:
        effects = core.host.effects
        while effects:
            taken, effects[:] = list(effects), []
            for effect in taken:
                _note(scene, site, effect)
                site.host.carry(effect)
        if not ways.carry_out(scene, site) and not effects and not _commit(scene, site):
            break
    if core.host.folded != site.folded:
        site.folded = core.host.folded
        scene.note(Folded(site.name, site.folded))
    _plan_work(scene, site)
    _plan_speech(scene, site)
    _plan_wakes(scene, site, core)


def _note(scene: Scene, site: Site, effect: object) -> None:
    if type(effect) is Verdict:
        scene.note(ClientHeard(site.name, *effect))
    elif type(effect) is Deliver:
        scene.note(ClientTook(site.name, effect.client, effect.batch))


def _plan_work(scene: Scene, site: Site) -> None:
    for number, worker in site.host.workers.items():
        if worker.frames and not worker.hangs and not worker.is_planned:
            worker.is_planned = True
            slow_us = scene.weather.turn_us(site.name)
            wait_us = slow_us or TURN_US + scene.chance.tail(TURN_JITTER_US)
            scene.plan_in(wait_us, Work(site.number, site.life, number))


def _plan_speech(scene: Scene, site: Site) -> None:
    host = site.host.core.host
    for client in site.host.clients.values():
        due_ms = client.speaks_ms()
        if due_ms is None:
            continue
        at_us = scene.now_us + SPEAK_US + MS_US * max(0, due_ms - host.now_ms)
        planned_us = site.speaking.get(client.address)
        if planned_us is None or at_us < planned_us:
            site.speaking[client.address] = at_us
            scene.agenda.put(at_us, Speak(site.number, client.address))


def _plan_wakes(scene: Scene, site: Site, core: Core) -> None:
    due_ms = core.next_wake_ms()
    if due_ms is not None:
        wait_ms = core.until_ms(due_ms, site.clock_ms(scene.now_us))
        at_us = scene.now_us + MS_US * max(1, wait_ms)
        if site.wake_us is None or at_us < site.wake_us:
            site.wake_us = at_us
            scene.agenda.put(at_us, Wake(site.number, site.life))
    routes.plan_wake(scene, site)
    if site.node is None or not site.node_stirred:
        return
    site.node_stirred = False
    node_ms = site.node.next_wake_ms()
    if node_ms is not None:
        at_us = scene.now_us + MS_US * max(1, node_ms - site.node_ms(scene.now_us))
        if site.wake_node_us is None or at_us < site.wake_node_us:
            site.wake_node_us = at_us
            scene.agenda.put(at_us, WakeNode(site.number, site.life))


# Time.


def wake(scene: Scene, site: Site) -> None:
    """Something may be due at the core."""
    if site.wake_us == scene.now_us:
        site.wake_us = None
        scene.enter(site)
        site.host.core.tick(site.host.now_ms)


def wake_node(scene: Scene, site: Site) -> None:
    """Something may be due at the node."""
    if site.wake_node_us == scene.now_us and site.node is not None:
        site.wake_node_us = None
        scene.enter(site)
        scene.enter_node(site).tick(site.node_ms(scene.now_us))


# Workers and clients.


def work(scene: Scene, site: Site, number: int) -> None:
    """A worker takes the next frame, or the next few."""
    worker = site.host.workers.get(number)
    if worker is None:
        return
    worker.is_planned = False
    if worker.hangs:
        return
    scene.enter(site)
    for _ in range(1 + scene.chance.below(AT_ONCE)):
        if not worker.frames or worker.hangs or number not in site.host.workers:
            break
        # By what it is told a machine may leave.
        there = dict(site.host.core.host.by_id) if worker.liar is not None else {}
        site.host.work(number)
        if worker.liar is not None:
            _note_lies(scene, site, worker.liar, there)
    if number not in site.host.workers:
        scene.note(WorkerLost(site.name, number, len(worker.frames), "died"))
        scene.counts["worker died of a step"] += 1
    elif worker.hangs:
        scene.counts["step that never ends"] += 1


def _note_lies(scene: Scene, site: Site, liar: Liar, there: dict[int, Machine]) -> None:
    for number in liar.take_about():
        machine = site.host.core.host.by_id.get(number) or there.get(number)
        scene.counts[f"worker lied: {liar.lie}"] += 1
        scene.note(Lied(site.name, b"" if machine is None else machine.address, liar.lie))


def lose_worker(scene: Scene, site: Site, number: int) -> None:
    """A worker is killed."""
    worker = site.host.workers[number]
    if worker.is_planned:
        scene.counts["worker killed in a turn"] += 1
    scene.note(WorkerLost(site.name, number, len(worker.frames), "killed"))
    scene.enter(site)
    site.host.lose(number, "killed")


def speak(scene: Scene, site: Site, address: bytes) -> None:
    """A client says the next thing, or the next few."""
    if site.speaking.get(address) != scene.now_us:
        return
    del site.speaking[address]
    client = site.host.clients.get(address)
    if client is None or not site.host.up:
        return
    scene.enter(site)
    for _ in range(1 + scene.chance.below(AT_ONCE)):
        if client.wants_to_speak(site.host.core.host.now_ms):
            client.speak()


# The disk.


def _commit(scene: Scene, site: Site) -> bool:
    """Hands the next group to the disk; True when it held nothing to write."""
    host = site.host
    if host.is_writing or not host.take():
        return False
    if host.has_nothing_to_write:
        host.hear_written()
        return True
    scene.plan_in(_commit_us(scene, site), Write(site.number, site.life))
    return False


def _commit_us(scene: Scene, site: Site) -> int:
    slow_us = scene.weather.commit_us(site.name)
    return slow_us or COMMIT_US + scene.chance.tail(COMMIT_JITTER_US)


def write(scene: Scene, site: Site) -> None:
    """The disk has written, refuses, fails, or the host dies of it."""
    if scene.weather.refuses_commits(site.name):
        _refuse(scene, site)
        return
    site.commits += 1
    fault = next((one for n, one in site.armed if n == site.commits), None)
    if isinstance(fault, FsyncError):
        scene.counts["fsync error"] += 1
        if not fault.holds or _written(scene, site):
            die(scene, site, "fsync error", fault.down_ms)
    elif fault is not None and not fault.after:
        scene.counts["crash before a commit"] += 1
        die(scene, site, "crash before a commit", fault.down_ms)
    elif _written(scene, site):
        if fault is not None:
            scene.counts["crash after a commit"] += 1
            die(scene, site, "crash after a commit", fault.down_ms)
        elif scene.chance.below(HEARD_LATER):
            heard(scene, site)
        else:
            scene.plan_in(HEARD_US, Heard(site.number, site.life))


def _written(scene: Scene, site: Site) -> bool:
    try:
        transaction = site.host.write()
    except DiskFull:
        _refuse(scene, site)
        return False
    scene.note(Committed(site.name, site.commits, transaction))
    return True


def _refuse(scene: Scene, site: Site) -> None:
    scene.counts["commit refused"] += 1
    scene.note(CommitRefused(site.name))
    scene.enter(site)
    site.host.core.refused()
    scene.plan_in(WRITE_AGAIN_US, Write(site.number, site.life))


def heard(scene: Scene, site: Site) -> None:
    """The host hears that its commit is durable."""
    scene.enter(site)
    site.host.hear_written()


# Life and death.


def start(scene: Scene, site: Site) -> None:
    """A host starts, or starts again."""
    site.life += 1
    site.started_jumped_us = site.jumped_us
    site.wake_us, site.folded = None, 0
    site.speaking.clear()
    site.host.now_ms = site.clock_ms(scene.now_us)
    if site.life > 1:
        site.host.start()
    scene.note(Started(site.name, site.life))
    ways.begin(scene, site)
    wires.restarted(scene, site)
    scene.enter(site)


def die(scene: Scene, site: Site, why: str, down_ms: int) -> None:
    """A host dies, and starts again after a while."""
    if not site.host.up:
        return
    scene.counts["crash"] += 1
    if site.host.is_writing:
        scene.counts["crash with a commit under way"] += 1
    if any(not one.loaded for one in site.host.core.host.machines.values()):
        scene.counts["crash while machines are being loaded"] += 1
    scene.note(Crashed(site.name, site.life, why))
    wires.die(scene, site)
    site.host.die()
    site.asked.effects.clear()
    site.node, site.nat = None, None
    scene.plan_in(MS_US * max(1, down_ms), Boot(site.number, site.life))


def boot(scene: Scene, site: Site) -> None:
    """A host that is down starts."""
    if not site.host.up:
        start(scene, site)
