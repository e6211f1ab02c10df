"""`channels` as typed words: a host that was restored goes on where its operator accepts, and it is kept."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from avm.host.verdicts import BACK_HERE, TWO_VERSIONS
from tests.net.hosts import RunningHost, wait_until
from tests.net.post import Post
from tests.net.spread import listening, route_of
from tests.net.test_cli_verbs import Shell, one_line
from tests.net.test_records_verbs import asked, shell_of

pytestmark = pytest.mark.net
SETTINGS = ("host.workers=1", "limits.rerun_share=0")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[RunningHost]]:
    here = listening(tmp_path / "a", *SETTINGS)
    here.start()
    there = listening(tmp_path / "b", *SETTINGS, through=route_of(here))
    there.start()
    yield [here, there]
    for one in (here, there):
        one.close()


def frozen(shell: Shell) -> Any:
    return [row for row in asked(shell, "channels") if row["frozen"] and row["way"] == "out"]


def test_c08_a_restored_host_goes_on_where_its_operator_accepts_and_the_decision_is_kept(
    pair: list[RunningHost], tmp_path: Path
) -> None:
    here = pair[0]
    post = Post(pair)  # type: ignore[arg-type]
    shell = shell_of(tmp_path, here)

    def posted(client: Any, first: int, count: int) -> None:
        to = client.hold(post.caps[1]["take"])
        assert client.send(post.caps[0]["post"], (to, first, count)) == ["applied"]

    posted(post.clients[0], 1, 3)
    post.await_letter(1, 3)
    copy = tmp_path / "copy"
    assert here.stop() == 0
    shutil.copytree(here.directory.path, copy)
    here.start()
    post.clients[0].connect()
    posted(post.clients[0], 4, 3)
    post.await_letter(1, 6)
    here.kill()
    shutil.rmtree(here.directory.path)
    shutil.copytree(copy, here.directory.path)
    here.start()
    other = here.client("auditor", durable=True)
    posted(other, 70, 1)
    (row,) = wait_until(lambda: frozen(shell), "nobody notices")
    assert row["frozen"] in (BACK_HERE, TWO_VERSIONS) and row["evidence"]
    assert row["frozen"] in shell.ok("channels")
    ends = (row["sender"][:16], row["receiver"][:16])
    code, _, err = shell("channels", "accept", ends[0])
    assert code == 2 and "`avm-host channels accept SENDER RECEIVER`" in one_line(err)
    said = shell.ok("channels", "accept", *ends)
    assert said.startswith("the channel goes on from where its other end stands; it was frozen: ")
    code, _, err = shell("channels", "accept", *ends)
    assert code == 1 and "there is no such frozen channel" in one_line(err)
    posted(other, 7, 1)
    last, _, wrong, _, _ = wait_until(lambda: post.read(1)[0] == 7 and post.read(1))
    assert (last, wrong) == (7, ()), "what was in doubt is not taken, what follows is"
    here.kill()
    here.start()
    (case,) = asked(shell, "channels", "cases")
    assert (case["what"], case["was"]) == ("accept", row["frozen"])
    assert case["evidence"] == row["evidence"]
    (now,) = [one for one in asked(shell, "channels") if one["decisions"]]
    assert now["decisions"] == [case] and now["frozen"] is None
    line = shell.ok("channels", "cases").rstrip()
    text = f"accept of {row['sender'][:12]}.. to {row['receiver'][:12]}..; it was frozen: "
    assert re.fullmatch(rf"{TIME}  {re.escape(text)}.*", line), line
    assert "1 decision or contradiction of them: `avm-host channels cases`" in shell.ok("channels")
    assert json.loads(shell.ok("channels", "--json")) == asked(shell, "channels")
