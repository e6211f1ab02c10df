"""The bench: its figures are judged rightly, and a quick run of it works on real processes."""

import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench import authority_costs
from bench.figures import Figure, Section, load_line, number, page
from bench.scale import QUICK

PEERS = ("dbos", "capnp", "biscuit_auth", "pymacaroons")
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("a", 60_000.0, "messages/s", least=60_000.0), "met"),
        (Figure("a", 59_999.0, "messages/s", least=60_000.0), "**missed**"),
        (Figure("a", 0.39, "ms", most=0.4), "met"),
        (Figure("a", 0.4, "ms", most=0.4), "**missed**"),
        (Figure("a", 0.4, "ms"), ""),
    ],
)
def test_a_figure_is_held_against_its_target(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict


def test_a_missed_target_is_told_at_the_end_and_a_quick_run_judges_nothing() -> None:
    missed = Figure("the slow one", 2.0, "s", most=1.0)
    section = Section("Title", "Text.", [missed, Figure("the quick one", 0.5, "s", most=1.0)])
    full = page([section], [], quick=False, took_s=1.0)
    assert "Targets met: 1 of 2." in full and "- the slow one" in full
    quick = page([section], [], quick=True, took_s=1.0)
    assert "missed" not in quick and "| met |" not in quick


def test_a_busy_machine_is_told_of() -> None:
    assert load_line(0.4, 2) == []
    assert "a load of 3.5 on 2 cores" in load_line(3.5, 2)[0]


@pytest.mark.parametrize(
    ("value", "text"), [(123456.7, "123,457"), (0.12345, "0.123"), (4.0, "4"), (99.9, "99.9")]
)
def test_numbers_have_three_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text


def test_what_authority_costs_is_measured(tmp_path: Path) -> None:
    scale = replace(QUICK, primitives=2)
    figures = authority_costs.measure(tmp_path, scale).figures
    assert [one.what for one in figures if one.target] == ["seal", "unseal"]
    assert len(figures) == 5 + len(authority_costs.CHAINS)
    assert all(one.value > 0 for one in figures)


@pytest.mark.slow
@pytest.mark.net
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    out = tmp_path / "results.md"
    peers = [] if all(map(find_spec, PEERS)) else ["--without-peers"]
    command = [sys.executable, "-m", "bench", "--quick", "--out", str(out), *peers]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    text = out.read_text("utf-8")
    titles = re.findall("^## (.*)$", text, re.MULTILINE)
    one = ["Durable messages a second", "Idle latency to durable", "Start-up and memory"]
    several = ["From host to host", "Links", "The DHT"]
    held = ["Recovery", "Recording a host", "Authority", "Who holds what"]
    assert titles[:11] == ["This machine", *one, *held, *several]
    durable, apart = (text.partition(f"## {title}")[2] for title in (one[0], several[0]))
    for section, count in ((durable, 10), (apart, 6)):
        figures = section.partition("\n## ")[0]
        assert (
            len(re.findall(r"^\| [^|]+ \| [\d,.]+ messages/s \|", figures, re.MULTILINE)) == count
        )
    assert str(tmp_path) not in text and "/tmp" not in text
