"""A run as a picture: who said, committed and died when, as a page of HTML that needs nothing else."""

from html import escape

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

WIDTH, LANE, TOP, LEFT = 1_600, 90, 60, 90
EVENTS_MAX = 6_000
STYLE = """
body{font:14px system-ui,sans-serif;margin:24px;color:#222}
svg{border:1px solid #ddd;background:#fff}
.why{color:#a00;font-weight:600}
text{font:12px system-ui,sans-serif}
.said{stroke:#3a6ea5;stroke-width:.7;opacity:.55}
.fault{fill:#d9822b;opacity:.22}
.host{stroke:#bbb}
.down{stroke:#a00;stroke-width:5}
"""
MARKS = {
    Committed: ("#2a7", 5, "commit"),
    CommitRefused: ("#d9822b", 6, "commit refused"),
    Crashed: ("#a00", 9, "crash"),
    Started: ("#222", 7, "start"),
    WorkerLost: ("#a0a", 6, "worker lost"),
}


class Picture:
    """Watches a world and draws it; of a long run the last part, which is where it broke."""

    def __init__(self) -> None:
        self._hosts: list[str] = []
        self._seen: list[tuple[float, Event]] = []
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
        first = shown[0][0] if shown else 0.0
        last = max(shown[-1][0] if shown else 1.0, first + 0.001)
        height = TOP + LANE * max(1, len(self._hosts)) + 20
        parts = [
            *self._lanes(),
            *self._faults(shown, first, last),
            *self._marks(shown, first, last),
        ]
        ticks = [
            f'<text x="{_x(first + (last - first) * n / 10, first, last):.0f}" y="20">'
            f"{first + (last - first) * n / 10:.3f} s</text>"
            for n in range(11)
        ]
        legend = ", ".join(
            f'<span style="color:{colour}">{name}</span>' for colour, _, name in MARKS.values()
        )
        said = f'<p class="why">{escape(why)}</p>' if why else "<p>Everything held.</p>"
        return (
            f"<!doctype html><meta charset=utf-8><title>Seed {seed}</title><style>{STYLE}</style>"
            f"<h1>Seed {seed}</h1>{said}<p>{legend}; lines: frames from host to host; shaded: faults.</p>"
            f'<svg width="{WIDTH + LEFT + 20}" height="{height}">{"".join([*ticks, *parts])}</svg>'
        )

    def _y(self, host: str) -> float:
        return TOP + LANE * (self._hosts.index(host) + 0.5)

    def _lanes(self) -> list[str]:
        return [
            f'<line class="host" x1="{LEFT}" x2="{WIDTH + LEFT}" y1="{self._y(one)}" y2="{self._y(one)}"/>'
            f'<text x="8" y="{self._y(one) + 4}">{escape(one)}</text>'
            for one in self._hosts
        ]

    def _faults(self, shown: list[tuple[float, Event]], first: float, last: float) -> list[str]:
        drawn = []
        begun = {event.fault: at for at, event in shown if isinstance(event, FaultBegan)}
        for at, event in shown:
            if isinstance(event, FaultEnded):
                start = _x(begun.get(event.fault, first), first, last)
                name = type(event.fault).__name__
                drawn.append(
                    f'<rect class="fault" x="{start:.1f}" y="30" width="{_x(at, first, last) - start:.1f}" '
                    f'height="{LANE * len(self._hosts) + TOP - 30}"><title>{escape(repr(event.fault))}</title>'
                    f'</rect><text x="{start:.1f}" y="42">{name}</text>'
                )
        return drawn

    def _marks(self, shown: list[tuple[float, Event]], first: float, last: float) -> list[str]:
        drawn: list[str] = []
        said: dict[tuple[str, bytes], float] = {}
        for at, event in shown:
            if isinstance(event, Said):
                said[(event.host, event.frame)] = at
            elif isinstance(event, Delivered):
                source = self._peer.get((event.host, event.link), "")
                begun = said.get((source, event.frame))
                if begun is not None:
                    ends = f'x1="{_x(begun, first, last):.1f}" x2="{_x(at, first, last):.1f}"'
                    drawn.append(
                        f'<line class="said" {ends} y1="{self._y(source)}" y2="{self._y(event.host)}"/>'
                    )
            elif type(event) in MARKS:
                colour, size, name = MARKS[type(event)]
                where = f'cx="{_x(at, first, last):.1f}" cy="{self._y(event.host)}"'  # type: ignore[union-attr]
                why = f": {event.why}" if isinstance(event, Crashed | WorkerLost) else ""
                drawn.append(
                    f'<circle {where} r="{size / 2}" fill="{colour}">'
                    f"<title>{at:.6f} s {name}{escape(why)}</title></circle>"
                )
        return drawn


def _x(at: float, first: float, last: float) -> float:
    return LEFT + WIDTH * (at - first) / (last - first)
