"""Links of a world: what they carry and when, and how they end. Pure.

Step 7 of the journey, above link frames. A link loses nothing while it holds: packets that are lost
are sent again, which takes time, and within a lane all keep their order. When it breaks, all that is
on its way is lost.
"""

from avm.sim.coming import Down, Frame, Idle, Room
from avm.sim.events import Delivered, LinkDown, Said, Unlinked
from avm.sim.scene import LOST, End, Lane, Scene, Site
from caps.errors import Malformed

SECOND_US = 1_000_000
LANES = 4
# A lane beside those of the core, for what hosts say of the way a link goes.
CONTROL = LANES
ROOM_BYTES = 64 * 1024
KNOCK_AGAIN_US = SECOND_US
# What is on its way at the same time comes in one packet.
PACKET_US = 250


# What they carry.


def say(scene: Scene, site: Site, link: int, lane: int, frame: bytes) -> None:
    """Puts a frame on its way."""
    end = scene.ends.get(link)
    if end is None:
        return
    scene.note(Said(site.name, link, lane, frame))
    other = scene.ends.get(end.other)
    if other is None:
        _meet_nobody(scene, end)
        return
    there = other.lanes.get(lane)
    if there is None:
        there = other.lanes[lane] = Lane()
    other.coming += len(frame)
    left = ROOM_BYTES - other.coming
    end.tight = left < ROOM_BYTES // 2
    site.host.core.link_room(link, left)
    if there.stopped or other.silent_us is not None:
        there.stopped.append(frame)
    else:
        _send_off(scene, other, lane, frame)


def _send_off(scene: Scene, end: End, lane: int, frame: bytes) -> None:
    source, target = scene.sites[end.peer], scene.sites[end.site]
    way_us = path_us(scene, end)
    late_us = scene.weather.resent_us(source.name, target.name, way_us, scene.chance)
    if late_us:
        scene.counts["frame sent again"] += 1
    bytes_s = scene.weather.bytes_s(source.name, target.name)
    begins_us = max(scene.now_us, end.pace_us) if bytes_s else scene.now_us
    if bytes_s:
        scene.counts["frame through a clogged link"] += 1
        begins_us += len(frame) * SECOND_US // max(1, bytes_s)
        end.pace_us = begins_us
    there = end.lanes[lane]
    at_us = max(begins_us + way_us + late_us, there.last_us, end.pace_us)
    at_us += -at_us % PACKET_US
    there.frames.append((at_us, frame))
    if at_us > there.last_us:
        there.last_us = at_us
        scene.agenda.put(at_us, Frame(end.link, lane))


def arrive(scene: Scene, link: int, lane: int) -> None:
    """The next frames of a lane are there."""
    end = scene.ends.get(link)
    if end is None:
        return
    site = scene.sites[end.site]
    scene.enter(site)
    frames = end.lanes[lane].frames
    while frames and frames[0][0] <= scene.now_us:
        _, frame = frames.popleft()
        end.coming -= len(frame)
        scene.note(Delivered(site.name, link, lane, frame))
        if lane == CONTROL:
            _hear(scene, site, link, frame)
        else:
            site.host.core.frame(link, frame)
    other = scene.ends.get(end.other)
    if other is not None and other.tight and not other.told:
        other.told = True
        scene.plan_in(path_us(scene, other), Room(other.link))


def _hear(scene: Scene, site: Site, link: int, frame: bytes) -> None:
    """Takes what the other host says of the way a link goes."""
    assert site.nat is not None, "both ends have ways round routers, or none"
    try:
        site.nat.hear_untrusted(link, frame, site.endpoint, scene.now_s)
    except Malformed:
        raise AssertionError("hosts of a world say nothing malformed of their ways") from None


def path_us(scene: Scene, end: End) -> int:
    """How long a packet takes now to an end of a link, through the relay if there is one."""
    source, target = scene.sites[end.peer], scene.sites[end.site]
    if end.relay is None or end.relay == LOST:
        return scene.way_us(source, target)
    relay = scene.sites[end.relay]
    return scene.way_us(source, relay) + scene.way_us(relay, target)


def _is_silent(scene: Scene, end: End) -> bool:
    source, target = scene.sites[end.peer], scene.sites[end.site]
    if end.relay is None:
        return scene.is_blocked(source, target)
    if end.relay == LOST:
        return True
    relay = scene.sites[end.relay]
    return scene.is_blocked(source, relay) or scene.is_blocked(relay, target)


def room(scene: Scene, link: int) -> None:
    """The end of a link learns how much was taken at the other."""
    end = scene.ends.get(link)
    other = None if end is None else scene.ends.get(end.other)
    if end is None or other is None:
        return
    end.told = False
    end.tight = ROOM_BYTES - other.coming < ROOM_BYTES // 2
    site = scene.sites[end.site]
    scene.enter(site)
    site.host.core.link_room(link, ROOM_BYTES - other.coming)


# Paths that close and open.


def look_at_paths(scene: Scene) -> None:
    """After the weather has changed: what is stopped on its way, and what goes on."""
    for end in list(scene.ends.values()):
        is_silent = _is_silent(scene, end)
        if is_silent and end.silent_us is None:
            end.silent_us = scene.now_us
            scene.plan_in(_idle_us(scene), Idle(end.link))
        elif not is_silent and end.silent_us is not None:
            end.silent_us = None
            _go_on(scene, end)


def look_at_pace(scene: Scene) -> None:
    """After a clog is over: what it has held up is on its way like all else."""
    for end in list(scene.ends.values()):
        source, target = scene.sites[end.peer], scene.sites[end.site]
        # Where a link is not up yet, the pace is that nothing comes before it is.
        if not end.up or end.pace_us <= scene.now_us:
            continue
        if scene.weather.bytes_s(source.name, target.name):
            continue
        end.pace_us = scene.now_us
        for there in end.lanes.values():
            there.stopped.extendleft(frame for _, frame in reversed(there.frames))
            there.frames.clear()
            there.last_us = scene.now_us
        if end.silent_us is None:
            _go_on(scene, end)


def _go_on(scene: Scene, end: End) -> None:
    """Sends off what was stopped."""
    for lane, there in end.lanes.items():
        while there.stopped:
            _send_off(scene, end, lane, there.stopped.popleft())


def idle(scene: Scene, link: int) -> None:
    """The end of a link that hears nothing gives it up."""
    end = scene.ends.get(link)
    if end is None or end.silent_us is None:
        return
    if scene.now_us - end.silent_us >= _idle_us(scene):
        scene.counts["link given up for silence"] += 1
        down(scene, link, "idle")


def _idle_us(scene: Scene) -> int:
    return round(scene.link_limits.idle_s * SECOND_US)


# How they end.


def down(scene: Scene, link: int, why: str, reported: bool = True) -> None:
    """The end of a link is gone; the other learns of it later."""
    end = scene.ends.pop(link, None)
    if end is None:
        return
    site = scene.sites[end.site]
    if end.coming:
        scene.counts["link broke with frames in flight"] += 1
    scene.note(LinkDown(site.name, link, why))
    if reported and end.up:
        scene.enter(site)
        site.finder.link_lost(scene.sites[end.peer].address)
        site.host.core.link_down(link)
    if site.nat is not None and site.host.up:
        scene.enter(site)
        site.nat.link_down(link, scene.now_s)
    other = scene.ends.get(end.other)
    if other is not None:
        _leave(scene, other, why)


def _leave(scene: Scene, end: End, why: str) -> None:
    """Nobody is at the other of an end: what it says is lost until it learns of that."""
    end.other = 0
    if why != "died" and not _is_silent(scene, end):
        scene.plan_in(path_us(scene, end), Down(end.link, "closed"))
    else:
        scene.plan_in(_idle_us(scene), Down(end.link, "idle"))


def _is_apart(scene: Scene, one: Site, other: Site) -> bool:
    return scene.is_blocked(one, other) or scene.is_blocked(other, one)


def _meet_nobody(scene: Scene, end: End) -> None:
    """A packet came to a host that has forgotten the link: it says so, if it runs."""
    peer, site = scene.sites[end.peer], scene.sites[end.site]
    if peer.host.up and not end.told and not _is_apart(scene, site, peer):
        end.told = True
        scene.counts["link reset by a host that forgot it"] += 1
        scene.plan_in(2 * scene.way_us(site, peer), Down(end.link, "reset"))


def close(scene: Scene, site: Site, link: int, why: str) -> None:
    """A host closes a link itself."""
    scene.note(Unlinked(site.name, link, why))
    down(scene, link, "closed", reported=False)


def die(scene: Scene, site: Site) -> None:
    """A host has died: its ends are gone, and others learn of it when they hear nothing, or a reset."""
    for end in [end for end in scene.ends.values() if end.site == site.number]:
        down(scene, end.link, "died", reported=False)
    for end in scene.ends.values():
        if end.relay == site.number:
            end.relay = LOST
    look_at_paths(scene)
    for number in [n for n, one in scene.dials.items() if one.site == site.number]:
        del scene.dials[number]


def restarted(scene: Scene, site: Site) -> None:
    """A host runs again: what comes by links of its life before is told that they are gone."""
    keep_us = round(scene.link_limits.keep_alive_s * SECOND_US)
    for end in scene.ends.values():
        if end.peer == site.number and end.other not in scene.ends:
            scene.plan_in(1 + scene.chance.below(keep_us), Down(end.link, "reset"))


def break_between(scene: Scene, one: Site, other: Site, one_end: bool) -> None:
    """The links between two hosts break."""
    for end in list(scene.ends.values()):
        if end.site == one.number and end.peer == other.number:
            down(scene, end.link, "died" if one_end else "broken")
