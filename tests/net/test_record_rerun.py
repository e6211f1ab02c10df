"""A real host that was recorded: told again elsewhere, edited, damaged, and with other code."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from avm.recording.log import Header, pack
from avm.recording.text import items_untrusted
from tests.net.hosts import MACHINES
from tests.net.test_cli_verbs import COMMAND, WITHIN_S, Shell, one_line

pytestmark = pytest.mark.net
SMALL = "record.segment_bytes=65536"
WORKERS = "host.workers=2"
TWICE = "total, count = state.total + 2 * n, state.count + 1"


class Elsewhere:
    """A recording on its own: a directory with nothing else, and no host."""

    def __init__(self, path: Path, recording: Path) -> None:
        self.path = path
        path.mkdir()
        shutil.copytree(recording, path / "rec")

    def __call__(self, *words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*COMMAND, "rerun", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.path,
            timeout=WITHIN_S,
        )
        return done.returncode, done.stdout, done.stderr

    def found(self, *words: str) -> dict[str, object]:
        """What a rerun found, as JSON."""
        code, out, err = self(*words, "--json")
        assert code == 0, out + err
        said: dict[str, object] = json.loads(out)
        return said


def test_p04_a_running_host_is_recorded_under_load_killed_and_told_again_elsewhere(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path)
    numbers = "".join(f"{n}\n" for n in range(3_000))
    shell.start(SMALL, WORKERS, options=["--record", "rec"])
    shell.ok("create", str(MACHINES / "tot.py"))
    shell.ok("create", str(MACHINES / "trouble.py"))
    said = (tmp_path / "host.log").read_text()
    assert f"is recorded in {tmp_path / 'rec'}: keys and all that is said are in it" in said
    (tmp_path / "numbers").write_text(numbers)
    send = [*COMMAND, "send", "tot.add", "--jsonl", "numbers"]
    null = subprocess.DEVNULL
    with subprocess.Popen(send, cwd=tmp_path, env=shell.environ, stdout=null, stderr=null) as one:
        shell.wait_for(1_500)
        shell.kill()
        one.kill()
    there = Elsewhere(tmp_path / "elsewhere", tmp_path / "rec")
    found = there.found("rec")
    assert found["agrees"] and not found["ended"] and found["starts"] == 1
    assert isinstance(found["segments"], int) and found["segments"] > 2
    code, out, _ = there("rec")
    assert code == 0 and "every answer is the same" in out
    assert f"the host did not end it: what it was told ends with input {found['last']:,}" in out
    # The last segments go on from what the core knew; of the very last it may not have been written yet.
    *before, _last_but_one, _last = sorted((there.path / "rec").iterdir())
    for segment in before:
        segment.unlink()
    assert there.found("rec")["last"] == found["last"]
    # And a host that was started again goes on in the same directory.
    shell.start(SMALL, options=["--record", "rec"])
    status = json.loads(shell.ok("status", "--json"))
    assert status["record"]["recording"] and status["record"]["segment"] > found["segments"]
    assert json.loads(shell.ok("call", "tot.add", "1")) > 0
    shell.ok("stop")
    again = Elsewhere(tmp_path / "again", tmp_path / "rec").found("rec")
    assert (again["agrees"], again["ended"], again["starts"]) == (True, True, 2)
    shell.kill()
    modes = {one.stat().st_mode & 0o777 for one in (tmp_path / "rec").iterdir()}
    assert modes == {0o600} and (tmp_path / "rec").stat().st_mode & 0o777 == 0o700


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of a host that added 5, 7 and 2, and stopped."""
    path = tmp_path_factory.mktemp("recorded")
    shell = Shell(path)
    try:
        shell.start(WORKERS, options=["--record", "rec"])
        shell.ok("create", str(MACHINES / "tot.py"))
        assert [shell.ok("call", "tot.add", n).strip() for n in "572"] == ["5", "12", "14"]
        shell.ok("stop")
    finally:
        shell.kill()
    return path / "rec"


@pytest.fixture
def there(tmp_path: Path, recorded: Path) -> Iterator[Elsewhere]:
    yield Elsewhere(tmp_path / "elsewhere", recorded)


def test_p03_a_rerun_says_that_all_agrees(there: Elsewhere) -> None:
    code, out, err = there("rec")
    first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert first.endswith("every answer is the same") and " inputs in 1 segment, 20" in first
    assert second.endswith(" commits compared") and " effects and " in second
    found = there.found("rec", "--until", "20")
    assert (found["inputs"], found["last"], found["agrees"]) == (20, 20, True)
    code, _, err = there("rec", "--until", "noon")
    assert code == 2 and "'noon' is no time" in one_line(err)


def text_of(there: Elsewhere) -> list[str]:
    code, out, err = there("rec", "--text", "text")
    assert (code, out) == (0, "") and "keys and all that was said are in it" in err
    path = there.path / "text"
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().splitlines()


def test_p03_a_recording_is_text_and_back_and_an_edited_one_names_its_first_difference(
    there: Elsewhere,
) -> None:
    lines = text_of(there)
    code, out, _ = there("--from-text", "text", "same")
    assert code == 0 and out.endswith(f": {there.path / 'same'}\n")
    (one,), (other,) = (list((there.path / name).iterdir()) for name in ("rec", "same"))
    assert one.read_bytes() == other.read_bytes()
    seven = next(line for line in lines if " offer " in line and '{"$content": 7}' in line)
    edited = [
        line.replace('{"$content": 7}', '{"$content": 8}') if line == seven else line
        for line in lines
    ]
    (there.path / "edited").write_text("\n".join(edited))
    assert there("--from-text", "edited", "other")[0] == 0
    code, out, err = there("other")
    assert (code, err) == (1, "")
    assert out.startswith("input ") and out.endswith(
        ": effect 1, ToWorker frame[4][4][0][1]: recorded 7, now 8\n"
    )
    (there.path / "edited").write_text("\n".join([*lines[:8], "what?", *lines[8:]]))
    code, _, err = there("--from-text", "edited", "third")
    assert code == 2 and "line 9: a line does not begin with 'what?'" in one_line(err)
    assert not (there.path / "third").exists()


def test_p03_an_input_and_code_that_are_changed_give_a_diff(there: Elsewhere) -> None:
    lines = text_of(there)
    seven = next(line for line in lines if " offer " in line and '{"$content": 7}' in line)
    (there.path / "patch").write_text(seven.replace('{"$content": 7}', '{"$content": -7}'))
    code, out, err = there("rec", "--patch", "patch")
    first, second = out.splitlines()
    assert (code, err) == (1, "")
    assert (
        first.startswith("input ")
        and ", tot, turn 2, form: recorded 'turn', now 'refused'" in first
    )
    assert second.startswith("not the same in all: ") and "2 turns of tot" in second
    source = (MACHINES / "tot.py").read_text()
    (there.path / "tot.py").write_text(source)
    code, out, _ = there("rec", "--code", "tot.py")
    assert code == 0 and out.endswith(": nothing would have come of it that did not\n")
    old = "total, count = state.total + n, state.count + 1"
    (there.path / "other.py").write_text(source.replace(old, TWICE))
    code, out, _ = there("rec", "--code", "other.py", "--machine", "tot")
    first, second = out.splitlines()
    assert code == 1 and first.endswith(
        ", tot, turn 1, turn, output[2][0][0][1]: recorded 5, now 10"
    )
    assert second == "not the same in all: 3 deliveries, 3 turns of tot"


def test_p03_a_flipped_byte_is_named_with_what_it_changed(there: Elsewhere) -> None:
    (path,) = (there.path / "rec").iterdir()
    body = path.read_bytes()
    at = body.index(b"applied")
    path.write_bytes(body[:at] + b"b" + body[at + 1 :])
    code, out, err = there("rec")
    assert (code, out) == (2, "")
    assert f"{path.name}, byte " in one_line(err)
    assert "what is there is not what was written; input " in err
    assert "effect " in err and err.endswith("recorded 'bpplied', now 'applied'\n")
    path.write_bytes(body[: len(body) - 40])
    code, out, _ = there("rec")
    assert code == 0 and "and the one after it is cut short" in out


def test_what_is_no_recording_or_not_one_of_ours_is_told_in_a_line(there: Elsewhere) -> None:
    lines = text_of(there)
    (path,) = (there.path / "rec").iterdir()
    cases = {
        ("nowhere",): "nowhere: there is no such directory: `avm-host run --record ",
        ("rec", "--code", "nowhere.py"): "nowhere.py: there is no such file",
        ("rec", "--code", str(MACHINES / "tot.py"), "--machine", "no"): "no machine no took a turn",
        ("rec", "--text", "text"): "exists: name another file",
    }
    for words, why in cases.items():
        code, out, err = there(*words)
        assert code in (1, 2) and not out and why in one_line(err), err
    header, *items = items_untrusted(lines)
    assert isinstance(header, Header)
    path.write_bytes(b"".join(map(pack, [replace(header, avm="9.9"), *items])))
    code, _, err = there("rec")
    assert code == 2 and "avm-host 9.9 recorded it, and this is" in one_line(err)


def test_p03_a_rerun_of_nothing_is_no_answer(there: Elsewhere) -> None:
    (path,) = (there.path / "rec").iterdir()
    cases = {
        (
            "--until",
            "0",
        ): "--until 0: nothing was told by then: the recording begins with input 1, ",
        ("--until", "-1"): "--until: '-1' is no time: write 10m, 2h, 7d, 2026-01-31 or "
        "2026-01-31T12:00:00Z, or the number of an input",
        (
            "--text",
            "--until",
            "5",
        ): "--until goes with what is told again: a text has all of a recording",
        ("--text", "no/text"): f"{there.path}/no is no directory: make it, or name another file",
    }
    for words, why in cases.items():
        code, out, err = there("rec", *words)
        assert (code, out) == (2, "") and one_line(err).startswith(f"avm-host: {why}"), err
    path.write_bytes(path.read_bytes()[:30])
    code, out, err = there("rec")
    assert (code, out) == (2, "") and one_line(err) == (
        "avm-host: the recording does not begin with what the core knew: "
        "it was cut short before the first input\n"
    )
    code, out, err = there("rec/" + path.name)
    assert code == 2 and err.endswith(" is a file: a recording is a directory of segments\n")


def test_what_is_wrong_in_a_text_or_a_patch_is_told_with_the_file_and_the_line(
    there: Elsewhere,
) -> None:
    cases = {
        "": "there is no input in it: NUMBER TIME NAME {arguments}",
        "def x": "line 1: a patch has inputs alone: NUMBER TIME NAME {arguments}, or NUMBER gone",
        "9" * 5000 + " gone": "line 1: a patch has inputs alone: "
        "NUMBER TIME NAME {arguments}, or NUMBER gone",
        "5 gone\n5 gone": "line 2: input 5 stands here twice",
    }
    for text, why in cases.items():
        (there.path / "patch").write_text(text)
        code, out, err = there("rec", "--patch", "patch")
        assert (code, out, err) == (2, "", f"avm-host: patch: {why}\n")
    code, out, err = there("other", "--from-text", "patch")
    assert (code, out) == (2, "") and not (there.path / "other").exists()
    assert err == "avm-host: patch: line 1: an input is NUMBER TIME NAME {arguments}\n"


def test_p04_two_hosts_that_speak_are_recorded_and_told_again(tmp_path: Path) -> None:
    shells = [Shell(tmp_path / name) for name in "ab"]
    try:
        for shell in shells:
            shell.path.mkdir()
            shell.start(WORKERS, options=["--record", "rec", "--listen", "127.0.0.1:0"])
        one, other = shells
        route = json.loads(other.ok("status", "--json"))["route"]
        names = json.loads(other.ok("create", str(MACHINES / "tot.py"), "--json"))
        one.ok("peers", "dial", route)
        cap = names["add"]["$cap"]
        assert one.ok("call", cap, "5").strip() == "5"
        assert one.ok("send", cap, "--jsonl", "-", given="1\n2\n3\n")
        other.kill()
        one.ok("stop")
    finally:
        for shell in shells:
            shell.kill()
    for shell, ended in zip(shells, (True, False), strict=True):
        there = Elsewhere(shell.path / "elsewhere", shell.path / "rec")
        found = there.found("rec")
        assert (found["agrees"], found["ended"]) == (True, ended)
        _, out, _ = there("rec", "--text")
        inputs = [line.replace(" also ", " ") for line in out.splitlines() if line[:1].isdigit()]
        told = {line.split()[2] for line in inputs}
        assert {"join", "link_up", "frame", "keep_node", "dial" if ended else "prove"} <= told
