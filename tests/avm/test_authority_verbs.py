"""`caps` that only looks, in process: over the store of a simulated host, with no host running."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from avm.cli.arguments import load, parse_verb, verb_parser
from avm.cli.errors import CliError, Usage
from avm.cli.main import main
from avm.cli.show import keys_of, text_of
from avm.cli.verbs import verb_named
from avm.host.capability import Sealed
from avm.host.keys import Keyring
from avm.past.reading import Reader
from avm.run.directory import Directory
from avm.run.errors import KeysLocked
from avm.sim.host import SimHost
from tests.avm.holders import NAMES, Holders
from tests.avm.relays import directory_of

Told = Callable[..., Any]


def lent() -> Holders:
    """Ann has bob, bob has cid, and cid had dan and let it go."""
    holders = Holders()
    holders.introduce("ann", "bob")
    holders.introduce("bob", "cid")
    holders.introduce("cid", "dan")
    holders.introduce("cid", "ann", "drop")
    holders.drop("cid", "dan")
    holders.introduce("cid", "cid")
    return holders


class Verbs:
    """`caps` with its words, on one directory; what it printed, as JSON or as lines."""

    def __init__(self, directory: Directory, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys

    def lines(self, *words: str) -> list[str]:
        verb = verb_named("caps")
        assert verb is not None
        module = load(verb)
        args = parse_verb(verb_parser(verb, module), words, ["caps", *words])
        assert module.run(args, self.directory) == 0
        return self._capsys.readouterr().out.splitlines()

    def json(self, *words: str) -> Any:
        (line,) = self.lines(*words, "--json")
        return json.loads(line)


@pytest.fixture
def verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return Verbs(directory_of(lent().world, tmp_path), capsys)


def test_w26_ls_tells_what_a_machine_holds_dropped_and_handed_out(verbs: Verbs) -> None:
    told = verbs.json("ls", "cid")
    held = {one["to"]: one for one in told["holds"] if not one["reply"]}
    assert held.keys() == {"ann.drop"} and held["ann.drop"]["retained"] is True
    assert [one["slot"] for one in told["dropped"] if one["given"]["turn"]] == [1]
    assert "cid.keep" in {one["what"] for one in told["handed_out"]}
    text = "\n".join(verbs.lines("ls", "cid"))
    assert "ann.drop: slot 2; in turn " in text and "collected in turn " in text
    assert "avm:" not in text


def test_w26_ls_with_check_asks_the_state_itself(tmp_path: Path, capsys: Any) -> None:
    holders = Holders()
    holders.introduce("ann", "bob")
    holders.drop("ann", "bob")
    verbs = Verbs(directory_of(holders.world, tmp_path), capsys)
    line = next(one for one in verbs.lines("ls", "ann") if "bob.keep" in one)
    assert "dropped" not in line
    line = next(one for one in verbs.lines("ls", "ann", "--check") if "bob.keep" in one)
    assert line.endswith("dropped, not collected yet")


def test_w26_ls_of_everyone_has_a_line_a_party(verbs: Verbs) -> None:
    rows = {one["name"]: one for one in verbs.json()}
    assert {"ann", "bob", "cid", "dan", "operator"} <= rows.keys()
    assert rows["operator"]["holds"] == 4 * 9 and rows["bob"]["what"] == "machine"
    assert len(verbs.lines("ls")) == len(rows) + 1


def test_w26_who_can_tells_each_with_its_chain(verbs: Verbs) -> None:
    told = {one["name"]: one["chain"] for one in verbs.json("who-can", "cid.keep")}
    assert [one["to"] for one in told["ann"]] == ["bob.keep", "cid.keep"]
    assert [one["to"] for one in told["bob"]] == ["cid.keep"]
    assert told["bob"][0]["given"]["by"].startswith("client ")
    assert "dan" not in told
    assert "ann through bob" in verbs.lines("who-can", "cid.keep")
    with Reader.open(verbs.directory) as reader:
        cap = reader.names(reader.machine("cid"))["keep"]
        text = text_of(cap, keys_of(reader, verbs.directory))
    assert verbs.json("who-can", text) == verbs.json("who-can", "cid.keep")
    assert verbs.lines("who-can", "dan.use")[0].startswith("operator holds dan.use")


def test_w26_path_is_the_shortest_chain_or_there_is_none(verbs: Verbs) -> None:
    hops = verbs.json("path", "ann", "cid")
    assert [(one["holder"], one["to"]) for one in hops] == [
        ("ann", "bob.keep"),
        ("bob", "cid.keep"),
    ]
    assert len(verbs.lines("path", "ann", "ann.drop")) == 3
    for words in (("dan", "ann"), ("ann", "cid.use"), ("ann", "dan")):
        with pytest.raises(CliError, match="no path") as error:
            verbs.lines("path", *words)
        assert error.value.code == 1


def test_w26_a_dry_run_of_a_revocation_changes_nothing_and_tells_what_it_would(
    verbs: Verbs,
) -> None:
    before = verbs.directory.store.read_bytes()
    told = verbs.json("revoke", "cid.keep", "--dry-run")
    lost = {one["name"]: one for one in told["would_lose"]}
    assert [one["to"] for one in lost["bob"]["loses"]] == ["cid.keep"]
    assert lost["ann"]["loses"] == [] and lost["ann"]["no_longer_reaches"] == ["cid"]
    assert "bob" in lost and "dan" not in lost
    generation = verbs.json("revoke", "cid", "--generation", "0", "--dry-run")
    assert {one["name"] for one in generation["would_lose"]} == {"ann", "bob"}
    assert any(
        line.startswith("lost: bob holds cid.keep")
        for line in verbs.lines("revoke", "cid.keep", "--dry-run")
    )
    assert any("no forwarder" in line for line in verbs.lines("revoke", "cid.keep", "--dry-run"))
    assert verbs.directory.store.read_bytes() == before


def test_w26_graph_is_a_picture_and_json(verbs: Verbs, tmp_path: Path) -> None:
    file = tmp_path / "authority.svg"
    assert verbs.lines("graph", "--svg", str(file)) == [f"{file}: 4 parties"]
    ElementTree.parse(file)
    assert "avm:" not in file.read_text()
    told = verbs.json("graph", "dan")
    assert {one["name"] for one in told["parties"]} == {"dan", "operator"}
    assert {"ann -> bob: 1 capability", "bob -> cid: 1 capability"} <= set(verbs.lines("graph"))


def test_a_picture_that_cannot_be_written_is_told_by_its_name(
    verbs: Verbs, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(verbs.directory.path)
    for file, why in (
        ("/dev/full", "/dev/full: No space left on device"),
        (f"{directory}/no/x.svg", f"{directory}/no is no directory: make it, or name another file"),
        (directory, f"{directory} is a directory: name a file"),
    ):
        assert main(["--dir", directory, "caps", "graph", "--svg", file]) == 1
        assert capsys.readouterr() == ("", f"avm-host: {why}\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("look",), 2),
        (("who-can",), 2),
        (("path", "ann"), 2),
        (("ls", "ann", "bob"), 2),
        (("ls", "--check"), 2),
        (("ls", "--svg", "x.svg"), 2),
        (("who-can", "ann", "--dry-run"), 2),
        (("revoke", "cid", "--dry-run"), 2),
        (("revoke", "cid", "--generation", "0"), 2),
        (("revoke", "cid", "--generation", "x", "--dry-run"), 2),
        (("revoke", "cid", "--generation", "1", "--dry-run"), 1),
        (("who-can", "nobody"), 1),
        (("who-can", "ann.nothing"), 1),
        (("path", "ann", ""), 1),
    ],
)
def test_what_is_wrong_is_said_in_one_line(verbs: Verbs, words: tuple[str, ...], code: int) -> None:
    with pytest.raises(CliError) as error:
        verbs.lines(*words)
    assert error.value.code == code and "\n" not in str(error.value)
    assert isinstance(error.value, Usage) == (code == 2)


def test_w26_narrow_takes_the_holder_by_its_name(verbs: Verbs, capsys: Any) -> None:
    with Reader.open(verbs.directory) as reader:
        address = reader.machine("ann").address
    (by_name,) = verbs.lines("narrow", "cid.keep", "--holder", "ann")
    assert by_name.startswith("avm:")
    assert verbs.lines("narrow", "cid.keep", "--holder", address.hex()) == [by_name]
    words = ["--dir", str(verbs.directory.path), "caps", "narrow", "cid.keep", "--holder", "eve"]
    assert main(words) == 1
    assert "there is no machine eve" in capsys.readouterr().err


GONE = "a client that has ended, or a machine that was removed"


def left_behind() -> tuple[Holders, str]:
    """Ann was given an ear while its client was there, bob its text when that had ended; cid has a stranger's."""
    holders = Holders(NAMES[:3])
    world, client = holders.world, holders.client
    other, away = world.client(), SimHost(7)
    stranger = away.client()
    ear = other.held_as(other.ear())
    text = world.core.seal(ear)
    holders.say("ann", "keep", {"as": "ear", "cap": client.hold(ear)})
    other.leave(ended=True)
    world.settle()
    for holder, wire in (("bob", text), ("cid", away.core.seal(stranger.held_as(stranger.ear())))):
        cap = world.core.unseal_untrusted(wire)
        assert isinstance(cap, Sealed)
        holders.say(holder, "keep", {"as": "ear", "cap": client.hold(cap)})
    return holders, other.address.hex()


def test_w26_what_leads_to_a_client_that_has_ended_is_told_as_that_in_each_view(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holders, address = left_behind()
    verbs, label = Verbs(directory_of(holders.world, tmp_path), capsys), f"{address[:8]}.."
    rows = {one["address"]: one for one in verbs.json()}
    told = {"name": label, "what": "gone", "address": address, "holds": 0, "dropped": 0}
    assert rows[address] == {**told, "handed_out": 0, "holders": 2}
    assert [one["what"] for one in rows.values()].count("elsewhere") == 1
    (line,) = [one for one in verbs.lines("ls") if one.startswith(label)]
    assert [one.strip() for one in line.split("  ") if one] == [
        *(label, GONE, address[:12]),
        *("0", "0", "0", "2"),
    ]
    for holder in ("ann", "bob"):
        (held,) = [one for one in verbs.json("ls", holder)["holds"] if not one["reply"]]
        assert (held["address"], held["dead"]) == (address, "gone")
        (line,) = [one for one in verbs.lines("ls", holder) if one.startswith(f"  {label}")]
        assert f"; leads to {GONE}; " in line
    (held,) = [one for one in verbs.json("ls", "cid")["holds"] if not one["reply"]]
    assert rows[held["address"]]["what"] == "elsewhere" and held["dead"] is None
    said = f"nobody can reach {label[:8]}; {label} is gone: {GONE}"
    assert verbs.lines("who-can", label[:8])[0] == said
    assert verbs.json("who-can", label[:8]) == []
    assert f"bob -> {label}: 1 capability; 1 dead" in verbs.lines("graph")
    place = str(verbs.directory.path)
    assert main(["--dir", place, "caps", "path", "bob", label[:8]]) == 1
    why = f"no path: nothing that bob holds leads to {label[:8]}; {label} is gone: {GONE}"
    assert capsys.readouterr() == ("", f"avm-host: {why}\n")


@pytest.mark.parametrize(
    ("is_dropped", "is_locked", "kind"),
    [(True, False, "gone"), (False, True, "gone"), (True, True, "elsewhere")],
)
def test_w26_that_a_client_has_ended_is_told_by_the_seal_or_by_who_was_given_it_in_time(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_dropped: bool,
    is_locked: bool,
    kind: str,
) -> None:
    def locked(directory: Directory) -> Keyring:
        assert directory.passphrase is None
        raise KeysLocked

    holders, address = left_behind()
    if is_dropped:  # What ann has is collected.
        holders.drop("ann", "ear")
        holders.say("ann", "drop", "nothing")
    directory = directory_of(holders.world, tmp_path)
    if is_locked:
        monkeypatch.setattr(Directory, "read_keyring", locked)
    verbs = Verbs(Directory(directory.path, passphrase=lambda: b"never"), capsys)
    assert {one["address"]: one["what"] for one in verbs.json()}[address] == kind
