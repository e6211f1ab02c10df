"""The log counter, fed with the log that is shipped and with lines that are none."""

import gzip
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.testing import NotApplied, World
from caps.map import Map

EXAMPLES = Path(__file__).parents[2] / "examples"
LOG = EXAMPLES / "logs" / "access.log.gz"
LINE = re.compile(r'\S+ - - \[[^]]+\] "[A-Z]+ \S+ HTTP/1.1" [1-5]\d\d (\d+|-) "-" "[^"]+"')


def shipped() -> list[str]:
    return gzip.decompress(LOG.read_bytes()).decode().splitlines()


def test_the_shipped_log_is_what_its_script_makes() -> None:
    script = runpy.run_path(str(EXAMPLES / "logs" / "make_access_log.py"))
    assert shipped() == list(script["lines"]())
    assert len(shipped()) == 10_000


def test_the_shipped_log_is_counted_but_for_its_odd_lines() -> None:
    world = World()
    stats = world.machine(EXAMPLES / "logstats.py")
    client = world.client()
    lines, odd = shipped()[:5100], []
    for start in range(0, len(lines), 100):
        if start == 2000:
            world.crash()
        batch = lines[start : start + 100]
        while True:
            try:
                client.send(stats.cap("line"), *batch)
                break
            except NotApplied:
                bad = next(line for line in batch if not LINE.fullmatch(line))
                odd.append(bad)
                batch.remove(bad)
    good = [line for line in lines if line not in odd]
    summary = client.call(stats.cap("summary"))
    assert isinstance(summary, Map)
    assert len(odd) == 3
    assert summary["lines"] == len(good) == 5097
    by_status = Counter(line.split('" ')[1].split()[0] for line in good)
    assert dict(summary["by_status"]) == by_status
    assert summary["busiest"][0][1] >= summary["busiest"][1][1]
    sizes = [line.split('" ')[1].split()[1] for line in good]
    assert summary["bytes"] == sum(int(size) for size in sizes if size != "-")


@settings(max_examples=30, deadline=None)
@given(st.one_of(st.text(), st.integers(), st.just(shipped()[0][:-40])))
def test_a_line_that_is_none_is_refused_with_a_word(line: object) -> None:
    world = World()
    stats = world.machine(EXAMPLES / "logstats.py")
    with pytest.raises(NotApplied, match="refused: not a "):
        world.client().send(stats.cap("line"), line)
    assert stats.state.lines == 0
