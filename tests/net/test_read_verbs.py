"""The verbs that only read, with a host running and with none, and on a damaged store."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from avm.store.schema import entry_crc
from tests.net.hosts import MACHINES, wait_until
from tests.net.test_cli_verbs import Shell

pytestmark = pytest.mark.net


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    one.start()
    one.ok("create", str(MACHINES / "tot.py"))
    for n in (1, 2, 3):
        one.ok("call", "tot.add", str(n))
    one("call", "tot.add", "-1")
    one("call", "tot.add", "1000000")
    one.ok("call", "tot.read")
    yield one
    one.kill()


READING = (
    ("ls", "--json"),
    ("show", "tot", "--json"),
    ("state", "tot"),
    ("state", "tot", "--at", "2", "--json"),
    ("log", "tot", "--json", "--hashes"),
    ("replay", "tot", "--json"),
    ("verify", "--json"),
    ("failed", "ls", "--json"),
    ("failed", "show", "tot", "5", "--json"),
)


def test_what_only_reads_says_the_same_with_a_host_and_without(shell: Shell) -> None:
    running = [shell.ok(*words) for words in READING]
    shell.kill()
    assert [shell.ok(*words) for words in READING] == running


def test_each_says_what_it_is_asked(shell: Shell) -> None:
    shell.kill()
    (listed,) = json.loads(shell.ok("ls", "--json"))
    assert (listed["name"], listed["turns"], listed["failed"]) == ("tot", 7, 1)
    assert re.search(r"tot +[0-9a-f]{8} +running +7 +0 +1 ", shell.ok("ls"))
    shown = json.loads(shell.ok("show", "tot", "--json"))
    assert shown["names"]["add"]["$cap"].startswith("avm:")
    assert "avm:" not in shell.ok("show", listed["address"][:10])
    assert json.loads(shell.ok("state", "tot"))["$record"][1]["total"] == 6
    assert json.loads(shell.ok("state", "tot", "--at", "0"))["$record"][1]["total"] == 0
    told = shell.ok("log", "tot", "--hashes")
    assert "avm:" not in told and "refused: negative" in told and "ValueError: a million" in told
    assert shell.ok("log", "tot", "--since", "1h") == shell.ok("log", "tot")
    assert shell.ok("log", "tot", "--since", "2999-01-01") == ""
    assert shell.ok("replay", "tot") == "tot: 7 turns, every digest agrees\n"
    assert shell.ok("replay", "tot", "--to", "2") == "tot: 3 turns, every digest agrees\n"
    assert "every chain, seal and reference holds" in shell.ok("verify")
    failed = json.loads(shell.ok("failed", "show", "tot", "5", "--json"))
    assert failed["contents"] == [1_000_000] and "a million" in failed["detail"]


KEEPER = """
from avm import Me, Message, Refused, Step, record


@record
class Keeper:
    me: Me
    kept: tuple = ()


def init(message: Message, me: Me) -> Step[Keeper]:
    return message.answer({name: me(name) for name in ("keep", "wrap")}), Keeper(me)


def step(message: Message, state: Keeper) -> Step[Keeper]:
    match message.context:
        case "keep":
            return [], Keeper(state.me, (*state.kept, message.reply))
        case "wrap":
            return [], Keeper(state.me, (*state.kept, state.me(("for", message.reply))))
    raise Refused
"""


def test_a_state_that_holds_what_leads_to_a_client_that_ended_is_shown_and_edited(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "keeper.py").write_text(KEEPER)
    shell.ok("create", "keeper.py")
    for name in ("keep", "wrap"):
        assert shell("call", f"keeper.{name}", "--timeout", "0.3")[0] == 4
    assert shell.ok("diff", "keeper", "--from", "0", "--to", "1", "--json").count("avm:") == 1
    for _ in ("while it runs", "when it does not"):
        shown = shell.ok("state", "keeper", "--json")
        assert shown.count("avm:") == 2 and "gone" not in shown
        assert "every chain, seal and reference holds" in shell.ok("verify")
        if shell.host is not None:
            shell.ok("edit", "keeper", "-", given=shown)
            shell.kill()


def test_what_is_not_there_is_one_line_and_an_exit_code(shell: Shell, tmp_path: Path) -> None:
    for words, code, text in (
        (("show", "nobody"), 1, "there is no machine nobody"),
        (("state", "tot", "--at", "99"), 1, "its newest is 6"),
        (("log", "tot", "--since", "soon"), 2, "write 10m"),
        (("replay", "tot", "--code", "none.py"), 2, "there is no such file"),
        (("failed", "show", "tot", "1"), 1, "no failed batch at turn 1"),
        (("--dir", str(tmp_path / "none"), "ls"), 1, " run` creates one"),
    ):
        got, out, err = shell(*words)
        assert (got, out) == (code, "") and text in err and err.count("\n") == 1, (words, err)


def test_x06_new_code_is_run_against_the_history_and_what_differs_is_named(shell: Shell) -> None:
    file = shell.path / "tot.py"
    text = (MACHINES / "tot.py").read_text()
    file.write_text(text)
    assert shell.ok("replay", "tot", "--code", str(file)).splitlines() == [
        "tot: 7 turns, every answer is the same",
        'tot: no message is known to "tell": whether it would be taken is not known',
    ]
    changed = text.replace("state.total + n,", "state.total + n * (n != 3),")
    file.write_text(changed.replace('case "mute", None', 'case "mute", False'))
    code, out, err = shell("replay", "tot", "--code", str(file))
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "tot: turn 3, message 0: sends[0].content was 6, now 3",
        "                    recorded  now",
        "  sends[0].content         6    3",
        "tot: of 7 turns 2 differ, in 2 messages",
        "tot: state.total is 6; it would be 3 under this code from the start on",
        "tot: 1 kind of context is not taken any more",
        '  "mute"  given out in turn 0  refused',
        'tot: no message is known to "tell": whether it would be taken is not known',
    ]
    code, out, _err = shell("replay", "tot", "--code", str(file), "--json")
    assert (code, json.loads(out)) == (
        1,
        {
            "machine": "tot",
            "agrees": False,
            "turns": 7,
            "first": 0,
            "trusted": 0,
            "turn": 3,
            "message": 0,
            "path": "sends[0].content",
            "was": "6",
            "now": "3",
            "fields": [{"path": "sends[0].content", "was": "6", "now": "3"}],
            "turns_differing": 2,
            "messages_differing": 2,
            "not_taken": [
                {
                    "context": '"mute"',
                    "where": "given out in turn 0",
                    "why": "refused",
                    "messages": 0,
                }
            ],
            "not_known": ['"tell"'],
            "state": {"path": "state.total", "was": "6", "now": "3"},
        },
    )
    file.write_text(text.replace("Tot", "Sum"))
    code, out, err = shell("replay", "tot", "--code", str(file), "--to", "2")
    assert (code, out) == (0, "tot: 3 turns, every answer is the same\n")
    code, out, err = shell("replay", "tot", "--code", str(file))
    assert code == 1 and out.startswith("tot: 7 turns, every answer is the same\ntot would keep")
    assert json.loads(shell.ok("ls", "--json"))[0]["turns"] == 7, "nothing was changed"


def test_a_log_that_follows_goes_on_with_what_comes(shell: Shell) -> None:
    following = shell.begin("log", "tot", "--follow", "--json")
    try:
        assert following.stdout is not None
        lines = [json.loads(following.stdout.readline()) for _ in range(7)]
        assert [line["turn"] for line in lines] == list(range(7))
        shell.ok("call", "tot.add", "40")
        more = json.loads(following.stdout.readline())
        assert more["turn"] == 7 and more["messages"][0]["content"] == 40
    finally:
        following.kill()
        following.communicate()


def test_a_step_that_prints_secrets_of_others_has_none(shell: Shell) -> None:
    text = json.loads(shell.ok("show", "tot", "--json"))["names"]["read"]["$cap"]
    shell.ok("send", "tot.tell", json.dumps({"ear": {"$cap": text}, "what": {"$cap": text}}))
    wait_until(lambda: json.loads(shell.ok("ls", "--json"))[0]["turns"] >= 9)
    told = shell.ok("log", "tot")
    assert "<tot.read>" in told and "avm:" not in told and text[4:] not in told


@pytest.mark.parametrize("mend", [False, True])
def test_p03_w22_one_flipped_byte_names_its_turn(shell: Shell, mend: bool) -> None:
    shell.kill()
    store = shell.directory / "store.db"
    raw = apsw.Connection(str(store))
    (found,) = raw.execute("SELECT id, entry, printed FROM journal WHERE id & 0xffff = 3")
    row, entry, printed = found
    flipped = bytearray(entry)
    flipped[-3] ^= 1
    body = bytes(flipped)
    if mend:
        crc = entry_crc(row, body, printed)
        raw.execute("UPDATE journal SET entry = ?, crc = ? WHERE id = ?", (body, crc, row))
    else:
        raw.execute("UPDATE journal SET entry = ? WHERE id = ?", (body, row))
    raw.close()
    code, out, _err = shell("verify")
    assert code == 5 and out.startswith("tot, turn 3: ")
    code, out, _err = shell("replay", "tot")
    assert code == (1 if mend else 5) and out.startswith(
        "tot, turn 3" if not mend else "tot: turn 3"
    )


def test_a_pipe_that_is_closed_ends_a_log_quietly(shell: Shell) -> None:
    process = shell.begin("log", "tot", "--follow")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    shell.ok("call", "tot.read")
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.stderr.read() == b""
    process.stderr.close()
