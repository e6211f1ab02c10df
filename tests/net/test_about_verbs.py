"""What an identity says about its machine, by the command line of a real host."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import ROOT
from tests.net.test_cli_verbs import Shell, one_line

pytestmark = pytest.mark.net
COUNTER = str(ROOT / "examples" / "counter.py")
REGISTRY = "from caps.patterns.registry import init, step\n"
# A provider that offers itself under what its own identity says.
PRINTER = """
from avm import INSPECT, Capability, Map, Me, Message, Refused, Send, Step, record

@record
class Offering:
    provider: Capability
    reply: Capability

def init(message: Message, me: Me) -> Step[Me]:
    return message.answer({"print": me("print"), "offer": me("offer")}), me

def step(message: Message, me: Me) -> Step[Me]:
    match message.context, message.content:
        case "offer", Capability() as provider:
            back = me(Offering(provider, message.reply))
            return [Send(INSPECT, me("print"), reply=back)], me
        case Offering(provider, reply), {"capability": mine, "identity": identity}:
            said = {"offer": "print", "cap": mine, "identity": identity}
            return [Send(provider, said, reply=reply)], me
        case "print", str(page):
            return message.answer(f"printed {page}"), me
    raise Refused
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    (tmp_path / "registry.py").write_text(REGISTRY)
    (tmp_path / "printer.py").write_text(PRINTER)
    one.start()
    yield one
    one.kill()


UNFIT = (
    (["region"], "write it as --about K=V, like region=north"),
    (["=north"], "write it as --about K=V, like region=north"),
    (["name=bank"], "'name' is said by the host itself"),
    (["type=avm"], "'type' is said by the host itself"),
    (["a=1", "a=2"], "--about a is given twice"),
    (["a=" + "x" * 600], "an identity is at most 600 bytes"),
    (["a=" + "x" * 5_000], "an identity is at most 600 bytes"),
)


def test_t05_what_cannot_be_said_is_one_line_and_creates_nothing(shell: Shell) -> None:
    for number, (said, why) in enumerate(UNFIT):
        words = [word for one in said for word in ("--about", one)]
        verb = ("caps", "factory") if number % 2 else ("create",)
        code, out, err = shell(*verb, COUNTER, *words)
        assert code == 2 and why in one_line(err) and not out
    assert json.loads(shell.ok("ls", "--json")) == []


def test_t05_printers_are_found_by_what_their_identities_say(shell: Shell) -> None:
    shell.ok("create", "registry.py")
    for name, region in (("one", "north"), ("two", "south"), ("three", "north")):
        about = ("--about", f"region={region}", "--about", "says=a=b \x1b[31m")
        shell.ok("create", "printer.py", "--name", name, *about)
        told = json.loads(shell.ok("call", "registry.admit", json.dumps({"as": name})))
        shell.ok("call", f"{name}.offer", json.dumps(told))
    shown = json.loads(shell.ok("show", "one", "--json"))
    about_one = {"name": "one", "type": "avm", "region": "north", "says": "a=b \x1b[31m"}
    assert shown["about"] == about_one
    human = shell.ok("show", "one")
    assert "about: {" in human and "\\u001b" in human and "\x1b" not in human
    wanted = {"offer": "print", "least": 2, "signed": {"region": "north"}}
    found = json.loads(shell.ok("call", "registry.find", json.dumps(wanted)))
    assert [one["by"] for one in found] == ["one", "three"]
    assert found[0]["signed"] == about_one
    assert json.loads(shell.ok("call", found[1]["cap"]["$cap"], '"it"')) == "printed it"
    code, _, err = shell("call", "registry.find", json.dumps({**wanted, "least": 3}))
    assert code == 1 and "refused: 2 of 3 are there" in one_line(err)
    shell.kill()
    shell.start()
    mine = json.loads(shell.ok("call", "inspect~", '{"$cap": "two.print"}'))
    assert mine["about"]["region"] == "south"
    for of, code in (("two.print", 0), ("one.print", 1)):
        asked = {"cap": {"$cap": of}, "identity": mine["identity"]}
        got, _, err = shell("call", "inspect~", json.dumps(asked))
        assert got == code and (not code or "that is not its identity" in one_line(err))
    for name in ("registry", "one"):
        shell.ok("replay", name)
    shell.ok("verify")


def test_t05_what_a_factory_makes_says_what_its_operator_had_it_say(shell: Shell) -> None:
    words = ("--about", "region=north", "--at-most", "2", "--json")
    made = json.loads(shell.ok("caps", "factory", COUNTER, *words))
    shell.ok("call", made["capability"]["$cap"])
    shell.kill()
    shell.start()
    shell.ok("call", made["capability"]["$cap"])
    for name in ("counter-1", "counter-2"):
        about = json.loads(shell.ok("show", name, "--json"))["about"]
        assert about == {"name": name, "type": "avm", "region": "north"}
    code, _, err = shell("caps", "forward", "counter-1.add", "--about", "a=b")
    assert code == 2 and "--about goes with `avm-host caps factory FILE`" in one_line(err)
