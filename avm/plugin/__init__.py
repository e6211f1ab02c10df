"""The pytest plugin: a world of machines for each test, and what may be said of who can do what.

Around the journey. `world` is a host in memory, a simulated network, or with `--avm-hosts N` hosts that
run: the same test holds on each. pytest loads this with everything else that is installed, so that it
imports nothing of ours before a test asks for a world.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from avm.testing import World

MARK = "avm(hosts=1, seed=0, shuffled=False, plan=None): what the test's world stands on"
PICTURE = "authority.svg"
HOSTS_MAX = 20
SAID = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the command line."""
    group = parser.getgroup("avm", "worlds of machines")
    hosts = "run each test's world on so many hosts that run, instead of in memory"
    group.addoption("--avm-hosts", type=int, default=0, metavar="N", help=hosts)
    seed = "the seed of worlds whose test does not say one"
    group.addoption("--avm-seed", type=int, default=0, metavar="N", help=seed)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known."""
    config.addinivalue_line("markers", MARK)
    if not 0 <= config.getoption("--avm-hosts") <= HOSTS_MAX:
        why = f"--avm-hosts is a number of hosts, like --avm-hosts 3, at most {HOSTS_MAX}"
        raise pytest.UsageError(why)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["World"]:
    """A world of machines and clients; what it says is conserved is looked at once more at the end."""
    wanted = _wanted(request)
    count = request.config.getoption("--avm-hosts")
    testing = import_module("avm.testing")
    with ExitStack() as stack:
        if count:
            hosts = import_module("avm.plugin.hosts")
            made = testing.World(ground=stack.enter_context(hosts.running(count)))
            said = f"{count} hosts that ran"
        elif wanted["hosts"] > 1:
            plan = {} if wanted["plan"] is None else {"plan": wanted["plan"]}
            made = testing.World(ground=testing.Network(wanted["hosts"], wanted["seed"], **plan))
            said = f"a network of {wanted['hosts']} hosts in memory, seed {wanted['seed']}"
        else:
            made = testing.World(wanted["seed"], shuffled=wanted["shuffled"])
            said = f"one host in memory, seed {wanted['seed']}"
        request.node.stash[SAID] = f"the world was {said}"
        made.draw = _Drawer(tmp_path / PICTURE)
        yield made
        made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says beside a failure on what its world stood, so that it can be had again."""
    report = yield
    if report.failed and SAID in item.stash:
        report.sections.append(("avm", item.stash[SAID]))
    return report


def _wanted(request: pytest.FixtureRequest) -> dict[str, Any]:
    wanted: dict[str, Any] = {"hosts": 1, "shuffled": False, "plan": None}
    wanted["seed"] = request.config.getoption("--avm-seed")
    mark = request.node.get_closest_marker("avm")
    if mark is not None:
        unknown = sorted(set(mark.kwargs) - set(wanted))
        if mark.args or unknown:
            said = unknown or list(mark.args)
            raise pytest.UsageError(f"the mark is {MARK.partition(':')[0]}: what is {said[0]!r}?")
        wanted |= mark.kwargs
    return wanted


class _Drawer:
    """Puts a picture where the test's own files are."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, svg: str) -> str:
        self._file.write_text(svg, encoding="utf-8")
        return str(self._file)
