"""What is measured: figures with their targets, and the page they are written to."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from platform import python_version

BUSY_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `least` or `most` is the target where there is one."""

    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def target(self) -> str:
        """The target in words; empty without one."""
        if self.least is not None:
            return f"at least {number(self.least)} {self.unit}"
        return "" if self.most is None else f"under {number(self.most)} {self.unit}"

    @property
    def verdict(self) -> str:
        """Met or missed; empty without a target."""
        if not self.target:
            return ""
        met = self.value >= (self.least or 0) and (self.most is None or self.value < self.most)
        return "met" if met else "**missed**"


def spread_ms(what: str, seconds: Sequence[float], most: float | None) -> list[Figure]:
    """The median and the high end of times, but for the first tenth of them."""
    times = sorted(1000 * one for one in seconds[len(seconds) // 10 :])
    middle, high = times[len(times) // 2], times[len(times) * 99 // 100]
    return [
        Figure(f"{what}, median", middle, "ms", most=most),
        Figure(f"{what}, 99 of 100 are under", high, "ms"),
    ]


def number(value: float) -> str:
    """A number with three significant digits or as a whole one, thousands set apart."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine_line() -> str:
    """The machine, by cores and memory only, and the Python."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cores} cores, {memory:.0f} GiB of memory, Python {python_version()}"


def table(figures: Iterable[Figure], judged: bool) -> list[str]:
    """The figures as a table; those of a quick run are not judged."""
    lines = ["| what | figure | target | |", "| --- | ---: | --- | --- |"]
    for one in figures:
        figure = f"{number(one.value)} {one.unit}"
        lines.append(f"| {one.what} | {figure} | {one.target} | {one.verdict if judged else ''} |")
    return lines


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together, and what is to be known to read them."""

    title: str
    text: str
    figures: Sequence[Figure]


def load_line(load: float, cores: int) -> list[str]:
    """A warning when others were at work on the machine before the run began."""
    if load < cores * BUSY_SHARE:
        return []
    text = (
        f"**Others were at work on this machine** (a load of {load:.1f} on {cores} cores before the"
    )
    return [
        text,
        "run): the figures are worse than alone, and the ratios uneven. Run it again when it is idle.",
    ]


def page(
    sections: Sequence[Section],
    ratios: Sequence[Figure],
    quick: bool,
    took_s: float,
    load: float = 0.0,
) -> str:
    """The page of results; `load` is the machine's load average before the run."""
    lines = ["# Results of `make bench`", ""]
    if quick:
        lines += ["A quick run on tiny sizes: it shows that the bench works, and nothing else.", ""]
    lines += [
        f"{machine_line()}; {date.today().isoformat()}; the run took {took_s:.0f} s.",
        "Everything is durable: a message counts when its turn is committed to the disk.",
        "Steps run in worker processes. The loads come from another process on the same cores.",
        *load_line(load, len(os.sched_getaffinity(0))),
        "",
    ]
    for section in sections:
        lines += [
            f"## {section.title}",
            "",
            section.text,
            "",
            *table(section.figures, not quick),
            "",
        ]
    if ratios:
        lines += ["## Ratios", "", "How many times more messages a second than the peer.", ""]
        lines += [*table(ratios, not quick), ""]
    return "\n".join(lines if quick else lines + _summary(sections, ratios)) + "\n"


def _summary(sections: Sequence[Section], ratios: Sequence[Figure]) -> list[str]:
    """How many targets are met, and which are not."""
    figures = [one for section in sections for one in section.figures] + list(ratios)
    missed = [one.what for one in figures if one.verdict not in ("", "met")]
    wanted = sum(1 for one in figures if one.target)
    lines = [f"Targets met: {wanted - len(missed)} of {wanted}."]
    if missed:
        lines += ["", "Missed:", "", *[f"- {what}" for what in missed]]
    return lines


def write(path: Path, text: str) -> None:
    """Writes the page."""
    path.write_text(text, "utf-8")
