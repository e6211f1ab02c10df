"""The pytest plugin as a user has it: in a folder of their own, with the page's own test."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avm.cli.main import main
from avm.plugin import hosts
from avm.testing import World

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "test-who-can-do-what.md"
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
MORE = """

import pytest

from avm import INSPECT


def test_alice_is_told_what_the_identity_of_a_machine_says(world):
    counter = world.machine(COUNTER, about={"region": "north"})
    cap, clients = counter.cap("add"), [world.client(), world.client()]
    told = [client.call(INSPECT, cap) for client in clients]
    (known, *_) = [one["identity"] for one in told if one["about"] is not None]
    for client in clients:
        about = client.call(INSPECT, {"cap": cap, "identity": known})["about"]
        assert about == {"name": counter.name, "type": "avm", "region": "north"}


def test_carol_has_nothing(world):
    counter = world.machine(COUNTER)
    alice, carol = world.client("alice"), world.client("carol")
    alice.send(carol.cap(), counter.cap("add"))
    world.assert_cannot_reach(carol, counter)


@pytest.mark.avm(hosts=2, seed=3)
def test_two_hosts(world):
    counter = world.machine(COUNTER, on="host-2")
    assert world.client(on="host-1").call(counter.cap("add"), 5) == 5
    world.assert_conserved(lambda: counter.state.total)
    world.ground.part(1.0, "host-1")
    world.advance(5)


def test_kept_to_the_end(world):
    counter = world.machine(COUNTER)
    world.assert_conserved(lambda: counter.state.total)
    world.client().offer(counter.cap("add"), 1)


@pytest.mark.avm(host=2)
def test_misspelt(world): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ((name, text),) = BLOCK.findall(PAGE.read_text())
    (tmp_path / name).write_text(text + MORE)
    shutil.copy(ROOT / "examples" / "counter.py", tmp_path)
    return tmp_path


def run(folder: Path, *words: str) -> tuple[int, str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        *words,
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.net
def test_x04_the_test_of_the_page_holds_in_memory_and_on_hosts_that_run(folder: Path) -> None:
    code, said = run(folder, "--avm-hosts", "2", "-k", "alice")
    assert code == 0 and "2 passed" in said, said
    code, said = run(folder)
    assert code == 1 and "1 failed, 4 passed, 2 errors" in said, said
    assert re.search(r"carol can reach counter:\nE +carol holds counter.add", said)
    # Once in the failure, and again in the summary where pytest does not cut it (as it does not for CI).
    (picture,) = set(re.findall(r"drawn in (\S+\.svg)", said))
    assert Path(picture).read_text().startswith("<svg ")
    assert "the world was one host in memory, seed 0" in said
    assert "not conserved: 0 has become 1" in said
    assert "the mark is avm" in said and "what is 'host'?" in said


def test_a_nonsense_number_of_hosts_is_one_line(folder: Path) -> None:
    for count in ("-1", "1000"):
        code, said = run(folder, "--avm-hosts", count)
        assert code == 4 and "like --avm-hosts 3, at most 20" in said


@pytest.mark.net
def test_x04_what_is_owed_between_hosts_that_run_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However soon all is still: a host has to be looked up and dialed before anything comes."""
    monkeypatch.setattr(hosts, "STILL_S", 0.01)
    with hosts.running(2) as ground:
        world = World(ground=ground)
        alice, bob = world.client("alice", on="host-1"), world.client("bob", on="host-2")
        alice.send(bob.cap(), "for bob")
        assert [heard.content for heard in bob.inbox()] == ["for bob"]
        counter = world.machine(str(ROOT / "examples" / "counter.py"), on="host-2")
        there = ["--dir", str(ground.directories["host-2"].path)]
        assert main(["suspend", counter.name, *there]) == 0
        began_s = time.monotonic()
        bob.offer(counter.cap("add"), 1)
        world.settle()
        assert time.monotonic() - began_s < hosts.OWED_S
