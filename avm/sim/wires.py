"""Links of a world: how they are made, what they carry and when, and how they end. Pure.

Step 7 of the journey, above link frames. A link loses nothing while it holds: packets that are lost
are sent again, which takes time, and within a lane all keep their order. When it breaks, all that is
on its way is lost.
"""

from avm.sim import post
from avm.sim.events import Delivered, LinkDown, LinkUp, Said, Unlinked
from avm.sim.scene import (
    Answered,
    Dial,
    Down,
    End,
    Frame,
    GiveUp,
    Idle,
    Knock,
    KnockAgain,
    Lane,
    Room,
    Scene,
    Site,
)
from caps.identity import Endpoint
from dht.record import Place

SECOND_US = 1_000_000
LANES = 4
ROOM_BYTES = 64 * 1024
KNOCK_AGAIN_US = SECOND_US
# What is on its way at the same time comes in one packet.
PACKET_US = 250


# How they are made.


def dial(
    scene: Scene, site: Site, host: bytes, endpoint: Endpoint, rest: tuple[Place, ...]
) -> None:
    """Begins a link; when it is not up in time, the next place is tried."""
    number = scene.next_link
    scene.next_link += 1
    wait_us = round(scene.link_limits.handshake_s * SECOND_US)
    until_us = scene.now_us + wait_us
    scene.dials[number] = Dial(site.number, site.life, host, endpoint, rest, until_us)
    scene.agenda.put(until_us, GiveUp(number))
    _knock(scene, number, scene.dials[number])


def _knock(scene: Scene, number: int, dialed: Dial) -> None:
    site = scene.sites[dialed.site]
    target, seen = post.reach(scene, site, dialed.endpoint)
    if scene.now_us + KNOCK_AGAIN_US < dialed.until_us:
        scene.plan_in(KNOCK_AGAIN_US, KnockAgain(number))
    if target is not None and _gets_there(scene, site, target):
        scene.plan_in(scene.way_us(site, target), Knock(number, target.number, seen))


def knock_again(scene: Scene, number: int) -> None:
    """No answer has come yet."""
    dialed = scene.dials.get(number)
    if dialed is not None:
        _knock(scene, number, dialed)


def knocked(scene: Scene, event: Knock) -> None:
    """The first packet of a link is there: the link is up here, and its answer goes back."""
    dialed = scene.dials.get(event.dial)
    target = scene.sites[event.site]
    if dialed is None or not target.host.up:
        return
    site = scene.sites[dialed.site]
    if not _gets_there(scene, target, site):
        return
    if target.address != dialed.host or target is site:
        scene.plan_in(scene.way_us(target, site), GiveUp(event.dial))
        return
    del scene.dials[event.dial]
    _link(scene, site, target, event.seen, dialed.endpoint)


def _gets_there(scene: Scene, source: Site, target: Site) -> bool:
    if scene.is_blocked(source, target):
        return False
    return not scene.weather.is_lost(source.name, target.name, scene.chance)


def gave_up(scene: Scene, number: int) -> None:
    """A link is not up in time: the next place is tried."""
    dialed = scene.dials.pop(number, None)
    if dialed is not None:
        site = scene.sites[dialed.site]
        scene.counts["link not made"] += 1
        scene.enter(site)
        site.finder.try_next(dialed.host, dialed.rest)


def _is_apart(scene: Scene, one: Site, other: Site) -> bool:
    return scene.is_blocked(one, other) or scene.is_blocked(other, one)


def _link(scene: Scene, site: Site, target: Site, seen: Endpoint, endpoint: Endpoint) -> None:
    there, here = scene.next_link, scene.next_link + 1
    scene.next_link += 2
    way_us = scene.way_us(target, site)
    scene.ends[there] = End(there, target.number, site.number, here, False, True)
    scene.ends[here] = End(here, site.number, target.number, there, True, False)
    scene.ends[here].pace_us = scene.now_us + way_us + 1
    scene.agenda.put(scene.now_us + way_us, Answered(here, endpoint, 2 * way_us))
    _came_up(scene, scene.ends[there], seen, 2 * way_us)


def answered(scene: Scene, event: Answered) -> None:
    """The link is up at the end that dialed."""
    end = scene.ends.get(event.link)
    if end is not None:
        end.up = True
        _came_up(scene, end, event.endpoint, event.trip_us)


def _came_up(scene: Scene, end: End, endpoint: Endpoint, trip_us: int) -> None:
    site, peer = scene.sites[end.site], scene.sites[end.peer]
    scene.counts["link up"] += 1
    scene.note(LinkUp(site.name, end.link, peer.name))
    scene.enter(site)
    site.finder.link_up(peer.address)
    if site.node is not None and not len(site.node.table):
        scene.enter_node(site).join(site.node_ms(scene.now_us), (endpoint,))
    identity = peer.host.core.host.keys.identity
    site.host.core.link_up(end.link, identity, ROOM_BYTES, endpoint, trip_us / 1000)


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
    there = other.lanes.get(lane % LANES)
    if there is None:
        there = other.lanes[lane % LANES] = Lane()
    other.coming += len(frame)
    left = ROOM_BYTES - other.coming
    end.tight = left < ROOM_BYTES // 2
    site.host.core.link_room(link, left)
    if there.stopped or other.silent_us is not None:
        there.stopped.append(frame)
    else:
        _send_off(scene, other, lane % LANES, frame)


def _send_off(scene: Scene, end: End, lane: int, frame: bytes) -> None:
    source, target = scene.sites[end.peer], scene.sites[end.site]
    way_us = scene.way_us(source, target)
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
        site.host.core.frame(link, frame)
    other = scene.ends.get(end.other)
    if other is not None and other.tight and not other.told:
        other.told = True
        scene.plan_in(scene.way_us(site, scene.sites[end.peer]), Room(other.link))


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
        is_silent = scene.is_blocked(scene.sites[end.peer], scene.sites[end.site])
        if is_silent and end.silent_us is None:
            end.silent_us = scene.now_us
            scene.plan_in(_idle_us(scene), Idle(end.link))
        elif not is_silent and end.silent_us is not None:
            end.silent_us = None
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
    other = scene.ends.get(end.other)
    if other is not None:
        _leave(scene, other, why)


def _leave(scene: Scene, end: End, why: str) -> None:
    """Nobody is at the other of an end: what it says is lost until it learns of that."""
    end.other = 0
    source, site = scene.sites[end.peer], scene.sites[end.site]
    if why != "died" and not scene.is_blocked(source, site):
        scene.plan_in(scene.way_us(source, site), Down(end.link, "closed"))
    else:
        scene.plan_in(_idle_us(scene), Down(end.link, "idle"))


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
