"""The verbs that travel in time, byte for byte, over a store that no host runs on."""

import json
from pathlib import Path
from typing import Any

import pytest

from avm.cli.main import main
from avm.limits import Limits
from avm.sim.host import SimHost
from tests.avm.journals import make, tell
from tests.avm.relays import directory_of, relays

pytestmark = pytest.mark.net

AT = "2023-11-14T22:13:20.000Z"


class Command:
    """Commands about one directory, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = main(words)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def ok(self, *words: str) -> str:
        code, out, err = self(*words)
        assert (code, err) == (0, ""), (words, err)
        return out

    def json(self, *words: str, code: int = 0) -> Any:
        got, out, err = self(*words, "--json")
        assert got == code, err
        assert out.count("\n") == 1
        return json.loads(out)

    def refused(self, *words: str) -> tuple[int, str]:
        code, out, err = self(*words)
        assert out == "" and err.startswith("avm-host: ") and err.count("\n") == 1, (out, err)
        return code, err.removeprefix("avm-host: ").removesuffix("\n")


def counted(prune: int = 0) -> SimHost:
    """A counter told 1, 2, 3 and "one", at turns 1 to 4, and 13, which breaks it, at 5."""
    world = SimHost(limits=Limits(snapshot_turns=3) if prune else None)
    created = make(world)
    client = world.client()
    add = client.hold(created.names["add"])
    for n in (1, 2, 3, "one", 13):
        client.ask(add, n)
        world.settle()
    if prune:
        machine = world.machine("counter")
        world.ask(lambda request: world.core.prune(request, machine, prune))
    return world


def command_in(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Commands about a host that `counted`, in a folder of their own."""
    directory_of(counted(), folder / "host")
    monkeypatch.setenv("AVM_HOST_DIR", str(folder / "host"))
    monkeypatch.chdir(folder)
    return Command(capsys)


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return command_in(tmp_path, capsys, monkeypatch)


def test_x05_diff_says_by_path_what_two_states_differ_in(command: Command) -> None:
    assert command.ok("diff", "counter", "--from", "0", "--to", "3") == "state.total: 0 -> 6\n"
    assert command.ok("diff", "counter", "--to", "2") == "state.total: 1 -> 3\n"
    assert command.ok("diff", "counter", "--from", "3", "--to", "1") == "state.total: 6 -> 1\n"
    same = "counter: the states after turns 4 and 5 are the same\n"
    assert command.ok("diff", "counter") == same
    assert command.json("diff", "counter", "--from", "2") == {
        "machine": "counter",
        "from": 2,
        "to": 5,
        "differences": [{"path": "state.total", "was": 3, "now": 6}],
        "more": False,
    }
    assert command.refused("diff", "counter", "--from", "6") == (
        1,
        "counter has no turn 6: its newest is 5",
    )
    code, said = command.refused("diff", "counter", "--from", "one")
    assert code == 2 and "--from" in said


def test_x05_call_at_says_what_it_would_have_answered(command: Command) -> None:
    before = command.ok("log", "counter")
    told = '    adding 40\n{"total": 41}\nstate.total: 1 -> 41\n'
    assert command.ok("call", "counter.add", "40", "--at", "1") == told
    assert command.ok("call", "counter.read", "--at", "2") == "3\n"
    assert command.json("call", "counter.add", "40", "--at", "0") == {
        "machine": "counter",
        "turn": 0,
        "outcome": "applied",
        "answer": {"total": 40},
        "sends": [],
        "differences": [{"path": "state.total", "was": 0, "now": 40}],
        "more": False,
        "printed": "adding 40\n",
    }
    refused = command.refused("call", "counter.add", '"x"', "--at", "1")
    assert refused == (1, "refused: no such thing")
    broke = command.refused("call", "counter.add", "13", "--at", "1")
    assert broke == (1, "rejected: ValueError: thirteen (counter.py, line 18)")
    code, out, err = command("call", "counter.keep", '{"$cap": "counter.read"}', "--at", "3")
    assert (code, out) == (4, "state.kept[0]: added <counter.read>\n")
    assert err == "avm-host: no answer in that turn: it would have come by a later one, if at all\n"
    assert command.refused("call", "counter.gone", "--at", "1") == (
        1,
        "counter has no name gone; it has: add, keep, read",
    )
    assert command.refused("call", "counter.raed", "--at", "1") == (
        1,
        "counter has no name raed; did you mean read? it has: add, keep, read",
    )
    assert command.refused("call", "cuonter.read", "--at", "1") == (
        1,
        "there is no machine cuonter; did you mean counter? `ls` shows those there are",
    )
    assert command.refused("caps", "who-can", "counter.raed")[1].startswith(
        "counter has no name raed; did you mean read? counter.add"
    )
    assert command.refused("call", "counter.read", "--at", "9")[0] == 1
    assert command.refused("call", "counter.add", "4x", "--at", "1")[0] == 2
    assert command.refused("call", "avm:nonsense", "--at", "1")[0] == 2
    assert command.ok("log", "counter") == before


def test_x05_call_at_takes_the_text_of_a_capability(command: Command) -> None:
    text = command.json("show", "counter")["names"]["read"]["$cap"]
    assert command.ok("call", text, "--at", "3") == "6\n"


EXPECTS = {
    "small.py": "def expect(state):\n    assert state.total < 6, f'it is {state.total}'\n",
    "always.py": "def expect(state):\n    return state.total >= 0\n",
    "early.py": "def expect(state, turn):\n    print('at', turn)\n    return turn < 4\n",
    "never.py": "def expect(state):\n    return False\n",
    "odd.py": "def expect(state):\n    return state.total\n",
    "broken.py": "def expect(state):\n    return state.nothing\n",
    "none.py": "x = 1\n",
    "impure.py": "import os\ndef expect(state):\n    return True\n",
}


def test_x05_bisect_finds_the_first_turn_after_which_it_fails(
    command: Command, tmp_path: Path
) -> None:
    for name, text in EXPECTS.items():
        (tmp_path / name).write_text(text)
    code, out, err = command("bisect", "counter", "--expect", "small.py")
    client = out.split(AT)[1].split(":")[0].strip()
    assert (code, err) == (1, "")
    assert out == (
        "counter: it fails first after turn 3: small.py:2: AssertionError: it is 6\n"
        f'     3 {AT} {client}: "add" 3 -> <reply to {client}> {{"total": 6}}\n'
        "    adding 3\n"
        "state.total: 3 -> 6\n"
    )
    found = command.json("bisect", "counter", "--expect", "small.py", code=1)
    assert found["entry"]["turn"] == found["turn"] == 3 and found["holds"] is False
    assert found["differences"] == [{"path": "state.total", "was": 3, "now": 6}]
    assert found["why"] == "small.py:2: AssertionError: it is 6" and found["from"] == 0
    holds = "counter: it holds after each turn from 0 to 5 (4 states)\n"
    assert command.ok("bisect", "counter", "--expect", "always.py") == holds
    place = {"machine": "counter", "holds": True, "from": 0, "to": 2, "judged": 3}
    words = ("bisect", "counter", "--expect", "small.py", "--to", "2")
    assert command.json(*words) == place
    code, out, _err = command("bisect", "counter", "--expect", "early.py")
    assert code == 1 and out.startswith(
        "counter: it fails first after turn 4: expect returned False\n    at 4\n     4 "
    )
    code, out, _err = command("bisect", "counter", "--expect", "never.py", "--from", "2")
    assert code == 1 and out.startswith(
        "counter: it fails after turn 2 already, the first that was judged: expect returned False\n"
    )


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            "odd.py",
            "on the state after turn 0: expect returned int: return True or False, or assert",
        ),
        ("none.py", "none.py: has no `expect`: add `def expect(state)`"),
        ("missing.py", "missing.py: there is no such file"),
        ("small.txt", "small.txt: an expectation is a Python file, NAME.py"),
    ],
)
def test_x05_an_expectation_that_is_none_is_told(
    command: Command, tmp_path: Path, file: str, said: str
) -> None:
    for name, text in EXPECTS.items():
        (tmp_path / name).write_text(text)
    assert command.refused("bisect", "counter", "--expect", file) == (2, said)


def test_x05_an_expectation_that_breaks_or_never_ends_is_told_with_its_turn(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(EXPECTS["broken.py"])
    code, said = command.refused("bisect", "counter", "--expect", "broken.py")
    assert code == 2
    assert said.startswith("on the state after turn 0: broken.py:2: AttributeError: 'Counter' ")
    (tmp_path / "endless.py").write_text(
        "def expect(state):\n    while state.total == 3:\n        pass\n"
    )
    (tmp_path / "host" / "config.toml").write_text("limits.turn_s = 0.2\n")
    assert command.refused("bisect", "counter", "--expect", "endless.py") == (
        2,
        "the state after turn 2 cannot be judged: the worker gave no answer in time",
    )
    (tmp_path / "impure.py").write_text(EXPECTS["impure.py"])
    code, said = command.refused("bisect", "counter", "--expect", "impure.py")
    assert code == 2 and said.startswith("impure.py:1: `import os` is not allowed")


def test_x05_a_turn_that_was_pruned_is_told_with_the_oldest_there_is(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory_of(counted(prune=4), tmp_path / "pruned")
    monkeypatch.setenv("AVM_HOST_DIR", str(tmp_path / "pruned"))
    pruned = (1, "the journal of counter was pruned: the oldest state there is is of turn 4")
    (tmp_path / "small.py").write_text(EXPECTS["never.py"])
    assert command.refused("diff", "counter", "--from", "1") == pruned
    assert command.refused("call", "counter.read", "--at", "1") == pruned
    assert command.refused("fork", "counter", "--at", "1") == pruned
    assert command.refused("bisect", "counter", "--expect", "small.py", "--from", "2") == pruned
    code, out, _err = command("bisect", "counter", "--expect", "small.py")
    assert code == 1 and out.startswith("counter: it fails after turn 4 already, ")


def test_x05_a_fork_answers_and_its_host_hears_nothing_of_it(
    command: Command, tmp_path: Path
) -> None:
    before = command.ok("log", "counter", "--hashes")
    assert command.ok("fork", "counter", "--at", "2") == (
        f"counter-2: counter@2, as of {AT}\nask it with `avm-host call counter.NAME --fork counter-2`\n"
    )
    assert command.ok("call", "counter.add", "40", "--fork", "counter-2") == '{"total": 43}\n'
    assert command.ok("call", "counter.read", "--fork", "counter-2") == "43\n"
    refused = command.refused("call", "counter.add", '"x"', "--fork", "counter-2")
    assert refused == (1, "refused: no such thing")
    rejected = command.refused("call", "counter.add", "13", "--fork", "counter-2")
    assert rejected == (1, "rejected")
    differs = command.ok("diff", "counter", "--from", "2", "--fork", "counter-2")
    assert differs == "state.total: 3 -> 43\n"
    replayed = command.ok("replay", "counter", "--fork", "counter-2")
    assert replayed == "counter: 7 turns, every digest agrees\n"
    assert command.ok("log", "counter", "--hashes") == before
    (fork,) = command.json("fork", "ls")
    assert fork.pop("bytes") > 0
    assert fork == {"fork": "counter-2", "at": AT, "machines": {"counter": 2}}
    assert command.refused("fork", "counter", "--at", "2") == (
        1,
        "there is a fork counter-2: give another --name, or `fork rm counter-2` first",
    )
    fork_directory = str(tmp_path / "host" / "forks" / "counter-2")
    code, said = command.refused("--dir", fork_directory, "run")
    assert code == 1 and "is a fork, and no host runs on one" in said
    removed = {"fork": "counter-2", "removed": True}
    assert command.json("fork", "rm", "counter-2") == removed
    assert command.ok("fork", "ls") == "no forks: `avm-host fork N --at TURN` makes one\n"
    assert not list((tmp_path / "host" / "forks").iterdir())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("fork", "nobody"), 1, "there is no machine nobody: `ls` shows those there are"),
        (
            ("fork", "counter", "--at", "10m"),
            2,
            "--at 10m: a turn, like --at 3; a time goes with --all",
        ),
        (("fork", "counter", "--at", "77"), 1, "counter has no turn 77: its newest is 5"),
        (("fork", "counter", "--name", "No!"), 2, "'No!' cannot be a fork's name"),
        (("fork", "rm"), 2, "which fork? `avm-host fork ls` lists them"),
        (("fork", "rm", "x"), 1, "there is no fork x; there are: none yet"),
        (("fork", "counter", "x"), 2, "'x' is one argument too many"),
        (("fork", "--all"), 2, "`avm-host fork --all NAME [--at TIME]`"),
        (("fork", "--all", "old", "--at", "2001-01-01"), 1, "there was no machine at 2001-01-01"),
        (("fork", "--all", "old", "--at", "soon"), 2, "'soon' is no time"),
        (("state", "counter", "--fork", "x"), 1, "there is no fork x"),
        (("call", "counter.read", "--fork", "x"), 1, "there is no fork x"),
        (("cause", "counter"), 2, "which turn? `avm-host log counter` shows them"),
        (("cause",), 2, "one of these: `cause N TURN`"),
        (("cause", "counter", "9"), 1, "counter has no turn 9"),
        (("cause", "counter", "1", "--depth", "0"), 2, "--depth is a number of turns"),
        (("cause", "--channel", "counter", "x", "1"), 2, "--channel: 'x' is no address"),
        (("cause", "--channel", "counter", "counter", "0"), 2, "--channel: '0' is no number"),
        (("cause", "--from-json", "absent.json"), 2, "absent.json: there is no such file"),
    ],
)
def test_x05_what_cannot_be_is_one_line_and_changes_nothing(
    command: Command, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    got, line = command.refused(*words)
    assert got == code and line.startswith(said), line
    assert not (tmp_path / "host" / "forks").exists()


def fleet(tmp_path: Path) -> SimHost:
    world = SimHost(7)
    client, made = relays(world, "ann", "bob")
    world.advance(60)
    tell(client, world, client.hold(made["ann"]["pass"]), {"hops": [1], "path": ("client",)})
    directory_of(world, tmp_path / "fleet")
    return world


def test_x05_all_machines_are_forked_together_and_reach_each_other(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(tmp_path)
    monkeypatch.setenv("AVM_HOST_DIR", str(tmp_path / "fleet"))
    made = command.json("fork", "--all", "then", "--at", "2023-11-14T22:13:30Z")
    assert made["machines"] == {"ann": 2, "bob": 2}
    command.ok("fork", "--all", "now")
    said = '{"hops": [1], "path": []}'
    code, _out, err = command("call", "ann.pass", said, "--fork", "then")
    late = "avm-host: late: it was applied, without an answer by the deadline: turn 6 of ann\n"
    assert (code, err) == (4, late)
    assert command.ok("call", "bob.read", "--fork", "then") == "1\n"
    assert command.ok("call", "bob.read", "--fork", "now") == "1\n"
    listed = command.ok("fork").splitlines()
    assert [line.split()[0] for line in listed] == ["fork", "now", "then"]
    assert [one["name"] for one in command.json("ls", "--fork", "then")] == ["ann", "bob"]


def test_x05_cause_shows_the_line_back_to_where_it_began(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fleet(tmp_path)
    monkeypatch.setenv("AVM_HOST_DIR", str(tmp_path / "fleet"))
    ann, bob = (world.machine(name).address.hex() for name in ("ann", "bob"))
    (client,) = (address.hex()[:8] for address in world.clients)
    later = "2023-11-14T22:14:20.000Z"
    assert command.ok("cause", "bob", "3") == (
        "bob, turn 3\n"
        f'       3 {later} ann: "pass" {{"hops": [], "path": ["client", "ann"]}}\n'
        "by ann, turn 3\n"
        f'       3 {later} client {client}..: "pass" {{"hops": [1], "path": ["client"]}} '
        '-> <bob.pass> {"hops": [], "path": ["client", "ann"]}\n'
        f"sent by client {client}.., a client: it began there\n"
    )
    found = command.json("cause", "bob", "3")
    assert [(one["machine"], one["turn"], one["timer"]) for one in found["steps"]] == [
        ("bob", 3, False),
        ("ann", 3, False),
    ]
    assert found["begins"] is None and found["end"]["why"] == "client"
    assert found["steps"][0]["channel"] == {"sender": ann, "receiver": bob, "seq": 1}
    batch = command.json("cause", "--channel", "ann", bob, "1")
    assert batch["begins"] == {"sender": ann, "receiver": bob, "seq": 1}
    assert batch["steps"] == found["steps"][1:]
    short = command.ok("cause", "bob", "3", "--depth", "1")
    assert short.endswith("sent by ann, and so on: --depth goes further back\n")
    # What another host would say of the same batch joins on.
    here = {**found, "steps": found["steps"][:1]}
    here["end"] = {"why": "elsewhere", "channel": found["steps"][0]["channel"], "sender": ann[:8]}
    (tmp_path / "here.json").write_text(json.dumps(here))
    (tmp_path / "there.json").write_text(json.dumps(batch))
    assert command.json("cause", "--from-json", "there.json", "here.json") == found
    assert command.ok("cause", "--from-json", "here.json", "there.json") == command.ok(
        "cause", "bob", "3"
    )
    shown = command.ok("cause", "--from-json", "here.json")
    assert shown.endswith(f"there run `avm-host cause --channel {ann} {bob} 1`\n")
    code, said = command.refused("cause", "--from-json", "here.json", "here.json")
    assert code == 1 and "begin with nothing before them" in said
    odd = {**batch, "end": {"why": "{sender.__class__}"}}
    (tmp_path / "there.json").write_text(json.dumps(odd))
    assert command.ok("cause", "--from-json", "there.json").endswith("{sender.__class__}\n")
    odd["steps"] = [{**batch["steps"][0], "entry": {"turn": 1, "now_ms": 1, "form": "refused"}}]
    (tmp_path / "there.json").write_text(json.dumps(odd))
    assert command.refused("cause", "--from-json", "there.json") == (
        2,
        "there.json: it is not what `cause --json` prints: an entry is none",
    )
    (tmp_path / "there.json").write_text('{"steps": []}')
    assert command.refused("cause", "--from-json", "there.json") == (
        2,
        "there.json: it is not what `cause --json` prints",
    )
