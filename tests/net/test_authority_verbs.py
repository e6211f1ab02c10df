"""`keys` and `caps` against a real host: authority that is narrowed, lent, and ended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import ROOT
from tests.net.test_cli_verbs import Shell

pytestmark = pytest.mark.net


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    one.start()
    try:
        one.ok("create", str(ROOT / "examples" / "counter.py"))
        yield one
    finally:
        one.kill()


def rejected(shell: Shell, cap: str, value: str = "1") -> bool:
    code, out, err = shell("call", cap, value)
    assert (code, out) == (1, "") and "rejected" in err, err
    return True


def test_w26_a_capability_is_narrowed_with_no_host_running(shell: Shell) -> None:
    shell.kill()
    few = shell.ok("caps", "narrow", "counter.add", "--only", '["int", 0, 10]').strip()
    twice = json.loads(shell.ok("caps", "narrow", few, "--uses", "2", "--until", "1h", "--json"))[
        "$cap"
    ]
    shell.start()
    assert shell.ok("call", few, "10").strip() == "10"
    assert rejected(shell, few, "11")
    assert [shell.ok("call", twice, "1").strip() for _ in range(2)] == ["11", "12"]
    assert rejected(shell, twice)


def test_w26_generations_are_begun_listed_and_ended(shell: Shell) -> None:
    old = json.loads(shell.ok("show", "counter", "--json"))["names"]["add"]["$cap"]
    code, _, err = shell("keys", "revoke", "counter", "--generation", "0")
    assert code == 1 and "keys rotate counter" in err
    assert json.loads(shell.ok("keys", "rotate", "counter", "--json")) == {
        "machine": "counter",
        "generation": 1,
        "revoked": -1,
        "ends": [],
    }
    assert "generation 0 until revoked" in shell.ok("keys", "ls", "counter")
    assert shell.ok("call", old, "1").strip() == "1"
    shell.ok("keys", "revoke", "counter", "--generation", "0")
    assert "generation 0 refused" in shell.ok("keys", "ls", "counter")
    assert rejected(shell, old)
    assert shell.ok("call", "counter.add", "1").strip() == "2"
    shell.ok("keys", "rotate", "counter", "--grace", "7d")
    assert "generation 1 until 20" in shell.ok("keys", "ls", "counter")
    assert "0 and older, from" in shell.ok("log", "counter")
    assert shell.ok("call", "counter.read", "--at", "0").splitlines()[0] == "0"
    shell.ok("fork", "counter", "--at", "0", "--name", "then")
    assert shell.ok("call", "counter.add", "5", "--fork", "then").strip() == "5"
    shell.ok("replay", "counter")
    shell.ok("verify")


def test_w26_a_step_narrows_in_a_worker_process(shell: Shell) -> None:
    shell.ok("create", str(ROOT / "tests" / "sim" / "ward.py"))
    made = json.loads(shell.ok("call", "ward.make", '["add", 1, "n"]'))["$cap"]
    assert shell.ok("call", made, "5").strip() == "5"
    assert rejected(shell, made)
    shell.ok("replay", "ward")
    shell.ok("verify")


GRANTED = """
from avm import Capability, Failed, Me, Message, Refused, Send, Step, record
from caps.patterns.passing import Passed, answer, forward


@record
class Market:
    me: Me
    make: Capability


def init(message: Message, me: Me) -> Step[Market]:
    match message.content:
        case {"make": Capability() as make}:
            return message.answer({"order": me("order")}), Market(me, make)
    raise Refused("a market takes make")


def step(message: Message, state: Market) -> Step[Market]:
    match message.context, message.content:
        case "order", environment:
            return [forward(message, state.make, state.me, environment)], state
        case Passed(reply), outcome:
            return answer(reply, outcome), state
    raise Refused
"""


def test_w20_a_factory_of_the_host_is_granted_used_and_ended(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "market.py").write_text(GRANTED)
    counter = str(ROOT / "examples" / "counter.py")
    broken = "TILL = undefined\n\ndef init(message, me):\n    return (), 0\n\nstep = init\n"
    (tmp_path / "broken.py").write_text(broken)
    code, _, err = shell("caps", "factory", "broken.py")
    assert code == 1 and err.count("\n") == 1 and "broken.py:1" in err, err
    code, _, err = shell("caps", "factory", "missing.py")
    assert code == 2 and err.count("\n") == 1, err
    code, _, err = shell("caps", "factory", counter, "--at-most", "0")
    assert code == 2 and "from 1 to 10,000" in err
    told = json.loads(shell.ok("caps", "factory", counter, "--at-most", "2", "--json"))
    assert told["machine"] == "counter-factory-1"
    shell.ok("create", "market.py", "--grant", f"make={told['capability']['$cap']}")
    made = json.loads(shell.ok("call", "market.order"))
    assert shell.ok("call", made["add"]["$cap"], "5").strip() == "5"
    shell.kill()
    shell.start()
    assert shell.ok("call", "counter-1.add", "1").strip() == "6"
    assert shell.ok("call", "counter.read").strip() == "0"
    assert "works" not in shell.ok("ls") and "counter-1" in shell.ok("ls")
    cause = shell.ok("cause", "counter-1", "0")
    assert "counter-factory-1" in cause and "market" in cause
    reached = shell.ok("caps", "who-can", "counter-1")
    assert "counter-1.add" in reached and "counter-factory-1" not in reached, "it keeps none of it"
    assert "counter-1" in shell.ok("audit")
    shell.ok("replay", "counter-1")
    shell.ok("replay", "market")
    assert "makes nothing any more" in shell.ok("caps", "revoke", "counter-factory-1.make")
    code, _, err = shell("call", "market.order")
    assert code == 1 and "refused: revoked" in err
    shell.ok("verify")


def test_w26_a_forwarder_is_lent_and_ended(shell: Shell) -> None:
    lent = shell.ok("caps", "forward", "counter.add", "--name", "loan").strip()
    code, _, err = shell("caps", "forward", "counter.add", "--name", "loan")
    assert code == 1 and "choose another --name" in err
    assert shell.ok("call", lent, "5").strip() == "5"
    code, _, err = shell("call", lent, '"no number"')
    assert code == 1 and "refused" in err
    code, _, err = shell("caps", "revoke", "counter.add")
    assert code == 1 and "no forwarder" in err
    shell.ok("caps", "revoke", lent)
    code, _, err = shell("call", lent, "1")
    assert code == 1 and "refused" in err
    assert shell.ok("call", "counter.add", "1").strip() == "6"
