"""The command line without a host: help, usage, exit codes, directory, keys, configuration."""

import os
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.cli import completion, output
from avm.cli.arguments import (
    NEGATIVE,
    frame_parser,
    load,
    parse_verb,
    verb_parser,
)
from avm.cli.main import main
from avm.cli.verbs import GROUPS, VERBS, verb_named
from avm.limits import Limits
from avm.run.backup import back_up
from avm.run.config import Config, defaults
from avm.run.directory import Directory
from avm.run.errors import ConfigRefused, DirectoryInUse, KeysRefused
from avm.run.ranges import RANGES
from avm.store.errors import BackupExists
from avm.store.sqlite import SqliteStore
from caps import jsonform

CONTRACT = (
    "new dev run stop status check create send call listen ls show rm state edit log replay verify "
    "upgrade suspend resume halt failed backup prune config"
)
HEAVY = ("trio", "nacl", "cryptography", "cbor2", "apsw", "aioquic", "shtab")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVM_HOST_DIR", str(tmp_path / "host"))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    if code:
        assert err.startswith("avm-host: ") and err.count("\n") == 1, err
    return code, out, err


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_verb_of_the_contract_is_in_the_table_and_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {verb.name for verb in VERBS} >= set(CONTRACT.split())
    assert {verb.group for verb in VERBS} == set(GROUPS)
    shown = help_of(capsys)
    for verb in VERBS:
        assert f"  {verb.name:<12}{verb.summary}" in shown


@pytest.mark.parametrize("word", ["help", "pause", "remove", "destroy", "kill", "delete"])
def test_another_word_is_not_taken_for_a_verb_that_cannot_be_undone(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, word, "counter")
    assert code == 2 and "did you mean" not in err and "--help` lists them" in err


def test_no_two_rows_of_the_help_are_of_one_verb() -> None:
    names = [verb.name for verb in VERBS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", [verb.name for verb in VERBS])
def test_each_verb_has_help_and_its_examples_parse(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = verb_named(name)
    assert verb is not None and verb.examples
    shown = help_of(capsys, name)
    parser = verb_parser(verb, load(verb))
    for example in verb.examples:
        assert f"avm-host {example}" in shown
        words = _split(example)
        assert words[0] == name
        parse_verb(parser, words[1:], words)


def _split(example: str) -> list[str]:
    words = example.partition(" < ")[0]
    quoted = words.split("'")
    return [word for at, part in enumerate(quoted) for word in ([part] if at % 2 else part.split())]


def test_the_help_loads_nothing_heavy() -> None:
    program = f"""
import sys
from avm.cli.main import main
try:
    main(["--help"])
except SystemExit:
    print([name for name in {HEAVY!r} if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.splitlines()[-1] == b"[]"


def test_usage_errors_show_the_command_as_it_should_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = {
        ("sned", "a.b", "1"): "did you mean `avm-host send a.b 1`?",
        ("ls", "--jsn"): "did you mean `avm-host ls --json`?",
        ("call", "a.b", "--text", "--x"): "`avm-host call a.b --text=--x`",
        ("xyzzy",): "`avm-host --help` lists them",
        ("call",): "CAP",
        ("call", "a.b", "1", "2"): "one argument too many",
        ("--dir", "x"): "which verb?",
        ("status", "--wait", "soon"): "--wait: 'soon' is no number; `avm-host status --help`",
    }
    for words, remedy in cases.items():
        code, out, err = said(capsys, *words)
        assert (code, out) == (2, ""), words
        assert remedy in err


def test_with_no_host_a_verb_that_acts_says_3(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("status",), ("stop",), ("send", "a.b", "1"), ("call", "a.b"), ("listen",)):
        code, out, err = said(capsys, *words)
        assert (code, out) == (3, ""), words
        assert "no host is running in" in err and " run` starts it" in err


def test_malformed_values_are_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "send", "avm:AAAA", "1")[0] == 2
    assert said(capsys, "send", "counter", "1")[0] == 2
    assert said(capsys, "send", '{"$cap": 1}', "1")[0] == 2
    assert said(capsys, "send", "a.b", "1", "--text", "x")[0] in (2, 3)
    assert said(capsys, "send", "a.b", "--lines", "x", "--jsonl", "y")[0] == 2
    assert said(capsys, "send", "a.b", "--resume", "k")[0] == 2
    assert said(capsys, "create", "none.py")[0] == 2
    assert said(capsys, "config", "--set", "limits.turn_s=fast")[0] == 2


@settings(max_examples=80)
@given(st.one_of(st.integers(max_value=-1), st.floats(max_value=-1e-9, allow_infinity=False)))
def test_negative_numbers_are_values(number: float) -> None:
    verb = verb_named("call")
    assert verb is not None
    text = jsonform.dumps(number)
    assert NEGATIVE.match(text)
    words = ["counter.add", text, "--timeout", "3"]
    for rest in (words, [*words[2:], *words[:2]], [words[0], *words[2:], text]):
        args = parse_verb(verb_parser(verb, load(verb)), rest, ["call", *rest])
        assert (args.cap, args.value, args.timeout) == ("counter.add", text, 3.0)


def test_dir_stands_before_or_after_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--dir", "here", "config"), ("config", "--dir", "here")):
        code, out, _ = said(capsys, *words)
        assert code == 0 and "here/config.toml" in out
    assert frame_parser().parse_args(["--dir", "x", "ls", "--dir", "y"]).dir == "x"


def test_completion_knows_every_verb_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in completion.SHELLS:
        code, out, _ = said(capsys, "completion", shell)
        assert code == 0
        for verb in VERBS:
            assert verb.name in out
        assert "--json" in out or "json" in out
    assert said(capsys, "completion", "fish")[0] == 2


def test_text_from_machines_cannot_move_the_terminal() -> None:
    assert output.safe("a\x1b[2Jb\x9bc\u202ed\n") == "a\\u001b[2Jb\\u009bc\\u202ed\\u000a"
    assert output.safe("a\u2028b\u200fc") == "a\\u2028b\\u200fc", "one line stays one line"
    assert output.one_line("first\n  second\nlast\n") == "first: last"


def test_a_traceback_is_told_by_its_place_and_nothing_twice() -> None:
    trace = 'Traceback (most recent call last):\n  File "a.py (0123abcd)", line 3, in f\n    x\n'
    assert output.one_line(f"a failed: KeyError: 'x'\n{trace}KeyError: 'x'") == (
        "a failed: KeyError: 'x' (a.py, line 3)"
    )
    assert output.one_line("a failed: NotASend: 3 is none\nb.NotASend: 3 is none") == (
        "a failed: NotASend: 3 is none"
    )


@pytest.mark.parametrize(
    ("words", "closed", "code", "says"),
    [
        ("config > /dev/full", "", 1, "standard output: No space left on device"),
        ("completion bash >&- 2>&-", "", 0, ""),
        ("dev a.py <&-", "touch a.py;", 2, "standard input, and that is closed"),
        ("edit a - <&-", "", 2, "- is standard input, and that is closed"),
        ("edit a - <<< $'\\xff'", "", 2, "standard input is not UTF-8 text"),
        ("status", "rmdir $PWD;", 1, "the folder that you are in is gone"),
    ],
)
def test_what_the_shell_does_to_a_command_is_told_in_one_line(
    words: str, closed: str, code: int, says: str, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    text = f"{closed} {sys.executable} -m avm.cli.main {words}"
    root = str(Path(__file__).resolve().parents[2])
    environ = {**os.environ, "PYTHONPATH": root}
    command = ["bash", "-c", text]
    done = subprocess.run(
        command, check=False, cwd=here, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr and done.stderr.count("\n") == (1 if code else 0)
    assert "defect" not in done.stderr


def test_a_command_to_paste_is_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "--dir", "a folder", "status")
    assert code == 3 and f"`avm-host --dir '{Path.cwd()}/a folder' run`" in err


@pytest.mark.parametrize(
    "words",
    [
        ("send", "a.b", "--lines", "x", "--resume", ""),
        ("send", "a.b", "--lines", "x", "--resume", "k" * 1025),
        ("listen", ""),
        ("listen", "k" * 1025),
        ("listen", "--count", "-1"),
        ("config", "--set", "=1"),
        ("create", "README.md"),
    ],
)
def test_names_and_counts_that_cannot_be_are_usage(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, *words)[0] == 2


def test_a_backup_needs_a_folder_that_is_there(tmp_path: Path) -> None:
    with (
        closing(SqliteStore.create_or_open(tmp_path / "store.db")) as store,
        pytest.raises(BackupExists, match="nowhere is no directory"),
    ):
        back_up(store, Directory(tmp_path), tmp_path / "nowhere" / "x")


# The configuration.


def test_config_prints_every_key_and_takes_it_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = said(capsys, "config", "--set", "limits.turn_s=1", "--set", "host.workers=3")
    assert code == 0
    file = tmp_path / "config.toml"
    file.write_text(out)
    config = Config.read(file)
    assert (config.limits.turn_s, config.workers) == (1.0, 3)
    assert set(defaults()) >= {f"limits.{one.name}" for one in fields(Limits)}
    assert Config.read(tmp_path / "none.toml") == Config()


KEYS = st.sampled_from(sorted(defaults()))


@given(KEYS, st.one_of(st.integers(-5, 2**40), st.floats(), st.booleans()))
def test_a_setting_holds_or_is_refused_by_name(key: str, value: object) -> None:
    text = str(value).lower()
    try:
        config = Config.read(Path("none.toml"), [f"{key}={text}"])
    except ConfigRefused as error:
        assert key in str(error)
    else:
        held = dict(config.items())
        assert held[key] == value
        assert {name for name, one in held.items() if one != defaults()[name]} <= {key}


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("limits.turn=1", "did you mean limits.turn_s?"),
        ("workers=1", "did you mean host.workers?"),
        ("zzz.qqq=1", "`avm-host config` prints"),
        ("limits.turn_s", "--set KEY=VALUE"),
        ("limits.depth=65", "at most 64"),
        ("limits.turn_s=0", "too small"),
        ("limits.depth=2.5", "not an integer"),
        ("links.packet_bytes=1000", "too small: at least 1200"),
        ("dht.publish_rate=1000", "too large: at most 100.0"),
        ("dht.width=1", "there is no such key"),
        ("links.idle_s=5", "links.keep_alive_s is 3.0, and at most half of links.idle_s"),
        ("dht.hold_ms=60000", "at most half of dht.hold_ms, which is 60000: set both"),
    ],
)
def test_what_is_no_setting_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ConfigRefused, match="set") as refused:
        Config.read(Path("none.toml"), [text])
    assert remedy in str(refused.value)


def test_every_default_is_within_its_range_and_every_range_is_of_a_key() -> None:
    known = defaults()
    assert set(RANGES) <= set(known)
    assert {key for key in known if key.startswith(("links.", "dht."))} <= set(RANGES)
    for key, (least, most) in RANGES.items():
        value = known[key]
        assert isinstance(value, int | float)
        assert least <= value and (most is None or value <= most), key


def test_a_key_in_the_file_is_named_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for text in ("[limits]\nturns_s = 1\n", "x = 1\n", "[limits\n", "limits = 3\n"):
        file.write_text(text)
        with pytest.raises(ConfigRefused, match=r"config\.toml"):
            Config.read(file)


# The directory.


def test_the_directory_is_found_by_the_nearest_rule(tmp_path: Path) -> None:
    def found(explicit: str | None, environ: dict[str, str], cwd: Path) -> Path:
        return Directory.find(explicit, {"HOME": "/home/u", **environ}, cwd).path

    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert found("x", {"AVM_HOST_DIR": "/y"}, deep) == deep / "x"
    assert found(None, {"AVM_HOST_DIR": "/y"}, deep) == Path("/y")
    (tmp_path / ".avm").mkdir()
    assert found(None, {}, deep) == tmp_path / ".avm"
    (deep / ".avm").mkdir()
    assert found(None, {}, deep) == deep / ".avm"
    if sys.platform.startswith("linux"):
        assert found(None, {}, Path("/")) == Path("/home/u/.local/share/avm-host")
        assert found(None, {"XDG_DATA_HOME": "/d"}, Path("/")) == Path("/d/avm-host")
        assert found(None, {"XDG_DATA_HOME": "d"}, Path("/")).is_relative_to("/home/u")


def test_keys_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "h")
    address = directory.keyring(os.urandom).address
    assert directory.keyring(os.urandom).address == address
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory.path, directory.keys)]
    assert modes == [0o700, 0o700]
    assert stat.S_IMODE(directory.key_file.stat().st_mode) == 0o600
    directory.key_file.chmod(0o640)
    with pytest.raises(KeysRefused, match=r"run `chmod 600 .*host\.key`"):
        directory.read_keyring()
    directory.key_file.chmod(0o600)
    directory.keys.chmod(0o755)
    with pytest.raises(KeysRefused, match=r"run `chmod 700 .*keys`"):
        directory.keyring(os.urandom)
    directory.keys.chmod(0o700)
    directory.key_file.write_bytes(b"short")
    with pytest.raises(KeysRefused, match="backup"):
        directory.read_keyring()


def test_a_store_is_never_given_new_keys(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.store.write_bytes(b"x")
    with pytest.raises(KeysRefused, match="missing"):
        directory.keyring(os.urandom)
    assert not directory.key_file.exists()


def test_a_run_that_is_refused_leaves_no_place_for_keys(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "h")
    directory.create()
    directory.store.write_bytes(b"x")
    with pytest.raises(KeysRefused, match="missing"):
        directory.keyring(os.urandom)
    assert not directory.keys.exists(), "keys that are moved there would nest in it"


def test_a_directory_belongs_to_one(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    held = directory.acquire_lock()
    with pytest.raises(DirectoryInUse, match=f"in use by pid {os.getpid()}; .* stop` stops it"):
        directory.acquire_lock()
    held.close()
    held.close()
    directory.acquire_lock().close()


def test_the_operators_capability_is_private(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.write_operator("avm:abc")
    assert directory.operator() == "avm:abc"
    assert stat.S_IMODE(directory.operator_file.stat().st_mode) == 0o600
    directory.operator_file.chmod(0o644)
    with pytest.raises(KeysRefused, match="chmod 600"):
        directory.operator()
