"""What is said, without a host, of files, names, counts and capabilities that are not as they should be."""

from contextlib import closing
from pathlib import Path

import pytest

from avm.cli import log, outcomes, peers
from avm.cli.errors import CliError
from avm.cli.main import main
from avm.cli.values import Holder, is_named
from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.errors import ConfigRefused
from avm.store.sqlite import SqliteStore
from caps.capability import parse_text
from tests.avm.test_caps_verbs import TEXT

Said = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is given in; below it is a host's directory with an empty store."""
    monkeypatch.chdir(tmp_path)
    directory = Directory(tmp_path / "host")
    directory.keyring(bytes)
    with closing(SqliteStore.create_or_open(directory.store)):
        pass
    monkeypatch.setenv("AVM_HOST_DIR", str(directory.path))
    return tmp_path


def told(capsys: Said, *words: str) -> tuple[int, str]:
    code = main(words)
    return code, capsys.readouterr().err.removeprefix("avm-host: ").rstrip("\n")


@pytest.mark.parametrize(
    "words",
    [
        ("rerun", "rec", "--patch", "FILE"),
        ("rerun", "rec", "--from-text", "FILE"),
        ("keys", "import", "FILE"),
        ("keys", "certify", "FILE", "root", "answer"),
        ("check", "FILE"),
        ("dev", "FILE"),
        ("cause", "--from-json", "FILE"),
    ],
)
def test_an_input_file_that_is_not_there_is_usage_for_every_verb(
    place: Path, capsys: Said, words: tuple[str, ...]
) -> None:
    for file, why in (("none.py", "there is no such file"), ("host", "it is a directory")):
        code, said = told(capsys, *(file if word == "FILE" else word for word in words))
        assert code == 2 and said.endswith(f"{file}: {why}"), said


def test_a_picture_that_has_no_place_is_told_with_what_to_do(place: Path, capsys: Said) -> None:
    said = f"{place}/no is no directory: make it, or name another file"
    assert told(capsys, "caps", "graph", "--svg", f"{place}/no/x.svg") == (1, said)
    said = f"{place} is a directory: name a file"
    assert told(capsys, "caps", "graph", "--svg", str(place)) == (1, said)


def test_a_machine_without_a_name_is_told_so(place: Path, capsys: Said) -> None:
    said = "there is no machine with an empty name: `ls` shows those there are"
    assert told(capsys, "state", "") == (1, said)


@pytest.mark.parametrize("option", ["--batch-size", "--window", "--resume"])
def test_an_option_of_lines_is_refused_where_there_are_none(capsys: Said, option: str) -> None:
    assert told(capsys, "send", "a.b", "5", option, "5") == (
        2,
        f"{option} is for --jsonl and --lines",
    )


def test_one_of_a_thing_is_told_as_one() -> None:
    done = {"host": "ab" * 32, "closed": 1}
    assert peers._done("drop", done).endswith("is dropped, 1 link closed")
    assert peers._done("ban", {**done, "closed": 2}).endswith("is banned, 2 links closed")
    entry = {"turn": 1, "now_ms": 0, "form": "collect", "slots": [3]}
    assert [line.rpartition("collect ")[2] for line in log.lines_of(entry)] == ["1 slot"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "bootstrap",
            ["1344"],
            "--bootstrap: '1344': a route is ADDRESS@IP:PORT, IPv6 in brackets",
        ),
        ("listen", "127.0.0.1", "--listen: '127.0.0.1': it is IP:PORT; port 0 is some free one"),
    ],
)
def test_what_is_no_endpoint_or_route_is_told_as_it_was_typed(
    key: str, value: object, said: str
) -> None:
    options = {"network.listen": "127.0.0.1:0", f"network.{key}": value}
    with pytest.raises(ConfigRefused) as refused:
        Config.read(Path("none.toml"), (), options)
    assert str(refused.value) == said


def test_a_capability_is_taken_with_blanks_around_it(place: Path, capsys: Said) -> None:
    wire, holder = parse_text(TEXT).wire(), Holder(Directory(place))
    for text in (TEXT, f" {TEXT}\n", f'\n{{"$cap": " {TEXT} "}} '):
        assert holder.resolve(text) == wire and not is_named(text)
    assert main(("caps", "narrow", f" {TEXT}\n", "--until", "1h")) == 0


def test_a_rejection_by_the_operators_own_machine_is_told_with_where_to_look() -> None:
    assert is_named("bank.boom") and is_named(' {"$cap": "bank.boom"}')
    for machine, said in (
        ("bank", "rejected: `avm-host failed ls bank` has why"),
        ("", "rejected"),
    ):
        with pytest.raises(CliError) as failed:
            outcomes.fail("rejected", machine=machine)
        assert str(failed.value) == said
    with pytest.raises(CliError) as failed:
        outcomes.fail("refused", "no", "bank")
    assert str(failed.value) == "refused: no"
