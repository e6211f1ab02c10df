"""`export` and `import` against real hosts: what is printed, the exit codes, and what is refused."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import MACHINES, wait_until
from tests.net.test_cli_verbs import Shell, one_line

pytestmark = pytest.mark.net


@pytest.fixture
def shells(tmp_path: Path) -> Iterator[tuple[Shell, Shell]]:
    both = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        both.append(Shell(tmp_path / name))
        both[-1].start()
    both[0].ok("create", str(MACHINES / "egg.py"))
    yield both[0], both[1]
    for one in both:
        one.kill()


def rung(shell: Shell, name: str = "egg") -> list[int]:
    found: list[int] = json.loads(shell.ok("call", f"{name}.rung"))
    return found


def test_p02_p06_a_machine_goes_on_at_another_host_from_its_file(
    shells: tuple[Shell, Shell], tmp_path: Path
) -> None:
    one, two = shells
    file = str(tmp_path / "egg.machine")
    one.ok("send", "egg.boil", "[1, 0.01]")
    wait_until(lambda: rung(one) == [1])
    one.ok("send", "egg.boil", "[2, 8.0]")
    one.ok("suspend", "egg")
    address = json.loads(one.ok("ls", "--json"))[0]["address"]
    printed = one.ok("export", "egg", file)
    assert printed == f"egg is in {file}, its keys with it, and lives here no more\n"
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["egg.machine"]
    code, out, err = one("state", "egg")
    gone = "egg was exported: `avm-host import FILE` has it live here, or elsewhere"
    assert (code, out) == (1, "") and gone in one_line(err)
    assert gone in one_line(one("call", "egg.rung")[2])
    printed = two.ok("import", file)
    assert printed.startswith("egg lives here, suspended, with ")
    assert printed.endswith(" turns, 1 timer pending; `resume` has it go on\n")
    (listed,) = json.loads(two.ok("ls", "--json"))
    assert (listed["address"], listed["status"]) == (address, "suspended")
    two.kill()
    two.start()
    two.ok("resume", "egg")
    wait_until(lambda: rung(two) == [1, 2])
    assert "every digest agrees" in two.ok("replay", "egg")
    assert "every chain, seal and reference holds" in two.ok("verify")
    assert "every chain, seal and reference holds" in one.ok("verify")
    two.ok("suspend", "egg")
    back = json.loads(two.ok("export", "egg", "back.avm", "--from-snapshot", "--json"))
    assert back == {
        "machine": "egg",
        "address": address,
        "file": str(two.path / "back.avm"),
        "incarnation": 3,
    }
    done = json.loads(one.ok("import", str(two.path / "back.avm"), "--name", "spoon", "--json"))
    turns = done.pop("turns")
    assert done == {"machine": "spoon", "address": address, "incarnation": 3, "timers": 0}
    one.ok("resume", "spoon")
    assert rung(one, "spoon") == [1, 2]
    assert f", from the snapshot of turn {turns - 1} on" in one.ok("replay", "spoon")


def test_what_cannot_be_carried_is_one_line_and_changes_nothing(
    shells: tuple[Shell, Shell], tmp_path: Path
) -> None:
    one, two = shells
    file, there = tmp_path / "egg.machine", tmp_path / "there"
    # Of its own a name that a file may have, and not with what is written behind it at first.
    long = str(tmp_path / ("x" * 250))
    there.write_bytes(b"mine")
    for words, code, text in (
        (("export", "nobody", str(file)), 1, "no machine nobody"),
        (("export", "egg", str(file)), 1, "it is running: `avm-host suspend egg` first"),
        (("export", "egg", str(there)), 1, "exists: name another file"),
        (("export", "egg", str(tmp_path / "no" / "x")), 1, "is no directory"),
        (("import", str(tmp_path / "none")), 2, "there is no such file"),
        (("import", str(there)), 2, "cannot be imported: cut short"),
        (("import", str(there), "--name", "No"), 2, "no name of a machine"),
    ):
        got, out, err = one(*words)
        assert (got, out) == (code, "") and text in one_line(err), (words, err)
    one.ok("suspend", "egg")
    said = f"avm-host: egg stays here; {long} cannot be written: File name too long\n"
    assert one("export", "egg", long) == (1, "", said)
    one.ok("export", "egg", str(file))
    whole = file.read_bytes()
    for octets, code, text in (
        (whole[:-1], 2, "not what was written: a byte is another, or it is cut short"),
        (whole[:5000] + b"x" + whole[5001:], 2, "cannot be imported"),
        (whole[:16] + b"\2" + whole[17:], 5, "of version 2, and this avm-host reads version 1"),
    ):
        there.write_bytes(octets)
        got, out, err = two("import", str(there))
        assert (got, out) == (code, "") and text in one_line(err), err
    assert two.ok("ls", "--json") == "[]\n"
    two.ok("create", str(MACHINES / "egg.py"))
    got, _out, err = two("import", str(file))
    assert got == 1 and "there is a machine egg already: `--name` gives it another" in one_line(err)
    two.ok("import", str(file), "--name", "spoon")
    got, _out, err = two("import", str(file), "--name", "fork")
    assert got == 1 and "it lives here already, as spoon" in one_line(err)
    two.kill()
    got, _out, err = two("export", "spoon", "x")
    assert got == 3 and "no host is running" in one_line(err)
