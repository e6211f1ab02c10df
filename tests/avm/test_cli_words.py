"""What is said, without a host, of files, names, counts and capabilities that are not as they should be."""

from contextlib import closing
from pathlib import Path

import pytest

from avm.cli import log, outcomes, peers
from avm.cli.errors import CliError
from avm.cli.main import main
from avm.cli.values import Holder, is_named
from avm.run.directory import Directory
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


ROUTE = "ab" * 32
ENDPOINT = "an endpoint is IP:PORT, with a port from 1 to 65535"
PORT = "a port is a number from 1 to 65535"
NO_IP = "'nonsense' is not an IPv4 address, or IPv6 in brackets"
NO_ROUTE = "a route is ADDRESS@IP:PORT, IPv6 in brackets"
EVERYWHERE = "nobody can be reached at an IP that means all of a host's"


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("listen", "127.0.0.1:99999", PORT),
        ("listen", "127.0.0.1", ENDPOINT),
        ("listen", "127.0.0.1:-1", ENDPOINT),
        ("listen", "nonsense:1", NO_IP),
        ("listen", "nonsense:0", NO_IP),
        ("advertise", "127.0.0.1:99999", PORT),
        ("advertise", "127.0.0.1:0", ENDPOINT),
        ("advertise", "127.0.0.1", ENDPOINT),
        ("advertise", "nonsense:1", NO_IP),
        ("advertise", "0.0.0.0:4433", EVERYWHERE),
        ("advertise", "[::]:4433", EVERYWHERE),
        ("bootstrap", f"{ROUTE}@127.0.0.1:99999", PORT),
        ("bootstrap", f"{ROUTE}@127.0.0.1", ENDPOINT),
        ("bootstrap", f"{ROUTE}@nonsense:1", NO_IP),
        ("bootstrap", "127.0.0.1:4433", NO_ROUTE),
        ("bootstrap", "1344", NO_ROUTE),
        ("bootstrap", "", NO_ROUTE),
        ("bootstrap", "abc@127.0.0.1:1", "an address is 64 lower-case hexadecimal digits"),
    ],
)
def test_what_is_no_endpoint_or_route_is_told_as_it_was_typed_before_anything_is_made(
    tmp_path: Path, capsys: Said, option: str, value: str, why: str
) -> None:
    like = {
        "listen": "it is like 0.0.0.0:4433, and port 0 is some free one",
        "advertise": "it is like 192.0.2.1:4433, the IP and port at which others reach this host",
        "bootstrap": "`avm-host status` of the other host shows its route",
    }[option]
    directory = tmp_path / "new"
    listen = () if option == "listen" else ("--listen", "127.0.0.1:0")
    words = ("--dir", str(directory), "run", *listen, f"--{option}", value)
    assert told(capsys, *words) == (2, f"--{option}: {value!r}: {why}; {like}")
    assert not directory.exists()


@pytest.mark.parametrize("option", ["listen", "advertise"])
def test_an_option_of_the_network_with_nothing_in_it_is_refused(
    tmp_path: Path, capsys: Said, option: str
) -> None:
    code, said = told(capsys, "--dir", str(tmp_path / "new"), "run", f"--{option}", "")
    assert code == 2 and said.startswith(f"--{option}: nothing is given; it is like ")
    assert not (tmp_path / "new").exists()


def test_who_is_to_join_a_network_without_listening_is_told_the_option(
    tmp_path: Path, capsys: Said
) -> None:
    said = "a host that joins a network needs --listen, or network.listen, like 0.0.0.0:4433"
    for words in (("--advertise", "127.0.0.1:1"), ("--bootstrap", f"{ROUTE}@127.0.0.1:1")):
        assert told(capsys, "--dir", str(tmp_path / "new"), "run", *words) == (2, said)
    assert not (tmp_path / "new").exists()


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
