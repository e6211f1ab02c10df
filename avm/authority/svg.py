"""The picture of an authority graph as SVG, written by hand: it loads nothing and runs nothing. Pure.

Beside the journey, for `caps graph --svg`. Colours are the kinds, a dash the way something is held, grey
what is dead; each part has its words as a title, which browsers show under the pointer.
"""

from collections.abc import Callable, Iterable
from html import escape
from math import cos, degrees, hypot, sin

from avm.authority.holding import Holding, How, What
from avm.authority.layout import Layout, Line, Spot

MARGIN = 170.0
LEGEND_WIDTH = 290.0
LEGEND_ROW = 22.0
NODE = 9.0
LABEL_CHARS_MAX = 22
TITLES_MAX = 20
# With more lines than these only generations above the first are written at the lines.
FEW_LINES = 40
# Of so few parties the labels are level; of more each leads away from the centre.
FEW_PARTIES = 16
HEAD = 8.0
FONT = 'font-family="system-ui, sans-serif" font-size="13"'
# Where on its line a generation is written: nearer to who holds it, where lines part.
ALONG = 0.38
GREY = "#b9bdc5"
INK = "#1f2937"
KINDS = {"": "#3b6fb6", "linear": "#c2410c", "affine": "#0f766e", "relevant": "#7c3aed"}
PARTIES = {
    What.MACHINE: ("#1e3a5f", "#1e3a5f"),
    What.CLIENT: ("#f2c14e", "#9a7412"),
    What.ELSEWHERE: ("#ffffff", "#1e3a5f"),
    What.COMMONS: ("#d5dbe5", "#64748b"),
    What.OPERATOR: ("#e4572e", "#9c3416"),
    What.HOST: ("#ffffff", "#64748b"),
    What.GONE: (GREY, "#8a909c"),
}
PARTY_WORDS = {
    What.MACHINE: "machine",
    What.CLIENT: "client",
    What.ELSEWHERE: "of another host",
    What.COMMONS: "common capability",
    What.OPERATOR: "operator",
    What.HOST: "the host",
    What.GONE: "ended client, or removed machine",
}
DASHES = {How.GIVEN: "7 4", How.COMING: "2 4", How.CONTEXT: "9 3 2 3", How.ASK: "2 4"}
DASHES |= {How.TIMER: "9 3 2 3", How.FAILED: "2 4"}
DASH_WORDS = {
    "": "held in a slot",
    "7 4": "given away, kept or not",
    "2 4": "on its way, or to be answered",
    "9 3 2 3": "in a context or a timer",
}
Called = Callable[[Holding], str]


def drawn(layout: Layout, called: Called) -> str:
    """The picture as the text of an SVG file; `called` says what a capability is called."""
    side = layout.radius + MARGIN
    legend = list(_legend(layout, side))
    height = max(2 * side, len(legend) * LEGEND_ROW + 48)
    width = 2 * side + LEGEND_WIDTH
    top = -height / 2
    box = f"{_n(-side)} {_n(top)} {_n(width)} {_n(height)}"
    size = f'width="{_n(width)}" height="{_n(height)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {size} {FONT}>',
        "<title>who holds what</title>",
        f'<rect x="{_n(-side)}" y="{_n(top)}" width="100%" height="100%" fill="#ffffff"/>',
    ]
    order = sorted(layout.lines, key=lambda line: not line.dead)
    parts += [_line(line, called) for line in order]
    parts += [label for line in order if (label := _generation(line, len(layout.lines)))]
    level = len(layout.spots) <= FEW_PARTIES
    parts += [_spot(spot, level) for spot in layout.spots]
    parts += legend
    return "\n".join([*parts, "</svg>", ""])


def _line(line: Line, called: Called) -> str:
    colour = GREY if line.dead else KINDS[line.kind]
    dash = DASHES.get(line.how, "")
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    width = 1.1 if line.dead else min(1.4 + 0.4 * (len(line.holdings) - 1), 3.4)
    x, y = line.at
    start, end = _edge(line.start, x, y, NODE), _edge(line.end, x, y, NODE + HEAD)
    way = f"M{_n(start[0])} {_n(start[1])} Q{_n(x)} {_n(y)} {_n(end[0])} {_n(end[1])}"
    tip, far = (
        _edge(line.end, x, y, NODE),
        HEAD * 0.42 / (hypot(x - line.end.x, y - line.end.y) or 1),
    )
    aside, down = (y - line.end.y) * far, (x - line.end.x) * far
    head = f"M{_n(tip[0])} {_n(tip[1])} L{_n(end[0] + aside)} {_n(end[1] - down)} "
    head += f"L{_n(end[0] - aside)} {_n(end[1] + down)} z"
    return (
        f'<g><title>{_title(line, called)}</title><path d="{way}" fill="none" stroke="{colour}" stroke-width="{_n(width)}"{dashed} '
        f'stroke-opacity="0.85"/><path d="{head}" fill="{colour}"/></g>'
    )


def _edge(spot: Spot, x: float, y: float, away: float) -> tuple[float, float]:
    """The point of a party's rim on the way to another point."""
    far = hypot(x - spot.x, y - spot.y) or 1.0
    return spot.x + (x - spot.x) * away / far, spot.y + (y - spot.y) * away / far


def _title(line: Line, called: Called) -> str:
    held = [called(one) for one in line.holdings[:TITLES_MAX]]
    if len(line.holdings) > TITLES_MAX:
        held.append(f"and {len(line.holdings) - TITLES_MAX:,} more")
    kind = f", {line.kind}" if line.kind else ""
    dead = f", {line.dead}" if line.dead else ""
    words = f"{line.start.party.label} to {line.end.party.label}: {line.how.value}"
    return _text("\n".join([f"{words}, generation {line.generation}{kind}{dead}", *held]))


def _generation(line: Line, lines: int) -> str:
    """The generation, written at the middle of a line; of few lines also the first."""
    if lines > FEW_LINES and not line.generation:
        return ""
    shares = ((1 - ALONG) ** 2, 2 * ALONG * (1 - ALONG), ALONG**2)
    x = shares[0] * line.start.x + shares[1] * line.at[0] + shares[2] * line.end.x
    y = shares[0] * line.start.y + shares[1] * line.at[1] + shares[2] * line.end.y
    count = f" \u00d7{len(line.holdings):,}" if len(line.holdings) > 1 else ""
    colour = "#8a909c" if line.dead else KINDS[line.kind]
    place = f'x="{_n(x)}" y="{_n(y + 3.5)}" font-size="10" text-anchor="middle"'
    said = f"g{line.generation}{count}"
    around = f'<text {place} stroke="#ffffff" stroke-width="3">{said}</text>'
    return f'{around}<text {place} fill="{colour}">{said}</text>'


def _spot(spot: Spot, level: bool) -> str:
    party = spot.party
    fill, rim = (GREY, "#8a909c") if party.ended else PARTIES[party.what]
    dash = ' stroke-dasharray="3 2"' if party.what in (What.ELSEWHERE, What.HOST) else ""
    ended = ", halted" if party.ended and party.what is What.MACHINE else ""
    title = _text(f"{party.label}: {PARTY_WORDS[party.what]}{ended}")
    left = cos(spot.angle) < -1e-9
    turn = 0.0 if level else degrees(spot.angle) + (180 if left else 0)
    anchor = "end" if left else "start"
    if level and abs(cos(spot.angle)) < 0.2:
        anchor = "middle"
    away = NODE + 7
    at = f"{_n(spot.x + away * cos(spot.angle))} {_n(spot.y + away * sin(spot.angle))}"
    colour = "#8a909c" if party.ended else INK
    return (
        f'<g><title>{title}</title><circle cx="{_n(spot.x)}" cy="{_n(spot.y)}" r="{_n(NODE)}" fill="{fill}" '
        f'stroke="{rim}" stroke-width="1.6"{dash}/><text transform="translate({at}) rotate({_n(turn)})" '
        f'text-anchor="{anchor}" fill="{colour}"><tspan dy="4.5">{_text(_short(party.label))}</tspan></text></g>'
    )


def _legend(layout: Layout, side: float) -> Iterable[str]:
    """What the colours and dashes in this picture mean, those only that are in it."""
    rows = list(_entries(layout))
    x, y = side, -(len(rows) * LEGEND_ROW) / 2
    for at, (mark, words) in enumerate(rows):
        place = f"translate({_n(x)} {_n(y + at * LEGEND_ROW)})"
        text = f'<text x="36" y="4" fill="{INK}">{_text(words)}</text>'
        yield f'<g transform="{place}">{mark}{text}</g>'


def _entries(layout: Layout) -> Iterable[tuple[str, str]]:
    whats = {spot.party.what for spot in layout.spots}
    for what in What:
        if what in whats:
            fill, rim = PARTIES[what]
            circle = f'<circle cx="14" cy="0" r="7" fill="{fill}" stroke="{rim}"/>'
            yield circle, PARTY_WORDS[what]
    good = [line for line in layout.lines if not line.dead]
    for kind, colour in KINDS.items():
        if any(line.kind == kind for line in good):
            yield _sample(colour, ""), kind or "capability"
    if len(good) < len(layout.lines):
        yield _sample(GREY, ""), "revoked, expired or used"
    dashes = {DASHES.get(line.how, "") for line in layout.lines}
    for dash, words in DASH_WORDS.items():
        if dash and dash in dashes:
            yield _sample(INK, dash), words
    if any(line.generation or len(layout.lines) <= FEW_LINES for line in layout.lines):
        yield f'<text x="6" y="4" font-size="10" fill="{KINDS[""]}">g1</text>', "key generation"
    yield "", "the operator's names are left out"


def _sample(colour: str, dash: str) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="0" y1="0" x2="28" y2="0" stroke="{colour}" stroke-width="2"{dashed}/>'


def _short(label: str) -> str:
    return label if len(label) <= LABEL_CHARS_MAX else label[: LABEL_CHARS_MAX - 2] + ".."


def _text(text: str) -> str:
    """A text as XML, with nothing in it that XML cannot have."""
    return escape("".join(one if one.isprintable() or one == "\n" else "?" for one in text))


def _n(number: float) -> str:
    """A number, the same on every machine: one place behind the point."""
    text = f"{number:.1f}"
    return "0" if text in ("-0.0", "0.0") else text.removesuffix(".0")


__all__ = ["drawn"]
