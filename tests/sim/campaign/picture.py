"""A run as a picture: who said, committed and died when, as a page of HTML that needs nothing else.

Time is drawn by what happens in it: where nothing does it is short, and a second of quiet is hardly
wider than a millisecond of work.
"""

from bisect import bisect_right
from html import escape
from math import log1p

from avm.sim.events import (
    CommitRefused,
    Committed,
    Crashed,
    Delivered,
    Event,
    FaultBegan,
    FaultEnded,
    LinkUp,
    Said,
    Started,
    WorkerLost,
)
from avm.sim.world import World

WIDTH, LANE, TOP, LEFT, FAULT = 1_600, 90, 40, 90, 15
TICKS = 12
EVENTS_MAX = 6_000
STYLE = """
body{font:14px system-ui,sans-serif;margin:24px;color:#222}
svg{border:1px solid #ddd;background:#fff}
.why{color:#a00;font-weight:600}
text{font:11px system-ui,sans-serif}
.said{stroke:#3a6ea5;stroke-width:.7;opacity:.55}
.fault{fill:#d9822b;opacity:.35}
.host{stroke:#bbb}
.down{stroke:#a00;stroke-width:4;opacity:.4}
"""
MARKS = {
    Committed: ("#2a7", 5, "commit"),
    CommitRefused: ("#d9822b", 6, "commit refused"),
    Crashed: ("#a00", 10, "crash"),
    Started: ("#222", 8, "start"),
    WorkerLost: ("#a0a", 7, "worker lost"),
}

Seen = list[tuple[float, Event]]


class Scale:
    """Where a time stands in the picture."""

    def __init__(self, times: list[float]) -> None:
        self._times = sorted(set(times)) or [0.0]
        at = 0.0
        self._at = [0.0]
        for before, after in zip(self._times, self._times[1:], strict=False):
            at += log1p(1_000 * (after - before))
            self._at.append(at)

    def x(self, time: float) -> float:
        """Its place from the left."""
        place = max(0, bisect_right(self._times, time) - 1)
        return LEFT + WIDTH * self._at[place] / (self._at[-1] or 1.0)

    def ticks(self) -> list[tuple[float, float]]:
        """Places and times evenly over the picture."""
        step = max(1.0, len(self._times) / TICKS)
        chosen = [self._times[int(n * step)] for n in range(TICKS) if n * step < len(self._times)]
        return [(self.x(time), time) for time in chosen]


class Picture:
    """Watches a world and draws it; of a long run the last part, which is where it broke."""

    def __init__(self) -> None:
        self._hosts: list[str] = []
        self._seen: Seen = []
        self._peer: dict[tuple[str, int], str] = {}

    def happened(self, world: World, event: Event) -> None:
        """Something has happened."""
        host = getattr(event, "host", None)
        if isinstance(host, str) and host not in self._hosts:
            self._hosts.append(host)
        if isinstance(event, LinkUp):
            self._peer[(event.host, event.link)] = event.peer
        if isinstance(event, (*MARKS, Said, Delivered, FaultBegan, FaultEnded)):
            self._seen.append((world.scene.now_us / 1_000_000, event))
            if len(self._seen) > 2 * EVENTS_MAX:
                del self._seen[:-EVENTS_MAX]

    def page(self, seed: int, why: str) -> str:
        """The whole page."""
        shown = self._seen[-EVENTS_MAX:]
        scale = Scale([at for at, _event in shown])
        faults = self._faults(shown, scale)
        parts = [*self._lanes(), *self._downs(shown, scale), *self._marks(shown, scale)]
        ticks = [
            f'<line class="host" x1="{x:.0f}" x2="{x:.0f}" y1="22" y2="{TOP}"/>'
            f'<text x="{x:.0f}" y="18">{time:.3f} s</text>'
            for x, time in scale.ticks()
        ]
        height = TOP + LANE * max(1, len(self._hosts)) + FAULT * len(faults) + 20
        colours = ((colour, name) for colour, _size, name in MARKS.values())
        legend = ", ".join(
            f'<span style="color:{colour}">{name}</span>' for colour, name in colours
        )
        said = f'<p class="why">{escape(why)}</p>' if why else "<p>Everything held.</p>"
        return (
            f"<!doctype html><meta charset=utf-8><title>Seed {seed}</title><style>{STYLE}</style>"
            f"<h1>Seed {seed}</h1>{said}<p>{legend}; lines: frames from host to host; "
            "below: what went wrong. Quiet is drawn short; each mark tells its time.</p>"
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + LEFT + 90}" height="{height}">'
            f"{''.join([*ticks, *parts, *faults])}</svg>"
        )

    def _y(self, host: str) -> float:
        return TOP + LANE * (self._hosts.index(host) + 0.5)

    def _lanes(self) -> list[str]:
        return [
            f'<line class="host" x1="{LEFT}" x2="{WIDTH + LEFT}" y1="{self._y(one)}" '
            f'y2="{self._y(one)}"/><text x="8" y="{self._y(one) + 4}">{escape(one)}</text>'
            for one in self._hosts
        ]

    def _downs(self, shown: Seen, scale: Scale) -> list[str]:
        """While a host is down its lane is red."""
        drawn: list[str] = []
        since: dict[str, float] = {}
        for at, event in shown:
            if isinstance(event, Crashed):
                since[event.host] = at
            elif isinstance(event, Started) and event.host in since:
                ends = f'x1="{scale.x(since.pop(event.host)):.1f}" x2="{scale.x(at):.1f}"'
                y = self._y(event.host)
                drawn.append(f'<line class="down" {ends} y1="{y}" y2="{y}"/>')
        return drawn

    def _faults(self, shown: Seen, scale: Scale) -> list[str]:
        """What went wrong, a line for each, from when to when."""
        until = {event.fault: at for at, event in shown if isinstance(event, FaultEnded)}
        begun = [(at, event.fault) for at, event in shown if isinstance(event, FaultBegan)]
        drawn = []
        for row, (at, fault) in enumerate(begun):
            x, y = scale.x(at), TOP + LANE * len(self._hosts) + FAULT * row
            width = max(3.0, scale.x(until.get(fault, at)) - x)
            drawn.append(
                f'<rect class="fault" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{FAULT - 3}">'
                f"<title>{escape(repr(fault))}</title></rect>"
                f'<text x="{x + width + 4:.1f}" y="{y + 10}">{type(fault).__name__}</text>'
            )
        return drawn

    def _marks(self, shown: Seen, scale: Scale) -> list[str]:
        drawn: list[str] = []
        said: dict[tuple[str, bytes], float] = {}
        for at, event in shown:
            if isinstance(event, Said):
                said[(event.host, event.frame)] = at
            elif isinstance(event, Delivered):
                source = self._peer.get((event.host, event.link), "")
                begun = said.get((source, event.frame))
                if begun is not None:
                    ends = f'x1="{scale.x(begun):.1f}" x2="{scale.x(at):.1f}"'
                    heights = f'y1="{self._y(source)}" y2="{self._y(event.host)}"'
                    drawn.append(f'<line class="said" {ends} {heights}/>')
            elif isinstance(event, Committed | CommitRefused | Crashed | Started | WorkerLost):
                colour, size, name = MARKS[type(event)]
                why = f": {event.why}" if isinstance(event, Crashed | WorkerLost) else ""
                drawn.append(
                    f'<circle cx="{scale.x(at):.1f}" cy="{self._y(event.host)}" r="{size / 2}" '
                    f'fill="{colour}"><title>{at:.6f} s {name}{escape(why)}</title></circle>'
                )
        return drawn
