"""`caps narrow` and the times that it takes, without a host and without a directory."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from avm.cli.errors import Usage
from avm.cli.main import main
from avm.cli.times import parse_duration, parse_until
from avm.host.capability import Local, from_wire_untrusted
from caps import caveats
from caps.capability import parse_text, to_text
from caps.caveats import parse_caveat_untrusted
from caps.sealing import MachineKeys, pack_context

ADDRESS = bytes(range(32))
KEYS = MachineKeys(b"k" * 32, ADDRESS)
PLAIN = pack_context(b"\x01", [])
TEXT = to_text(KEYS.seal(PLAIN, generation=0, priority=0, kind=0, expires_ms=None))
NOW_MS = 1_700_000_000_000


def narrowed(capsys: pytest.CaptureFixture[str], *words: str) -> list[tuple[int, object]]:
    """The caveats of what is printed."""
    assert main(["--dir", "/nowhere", "caps", "narrow", *words]) == 0
    cap = from_wire_untrusted(parse_text(capsys.readouterr().out.strip()).wire(), lambda _a: KEYS)
    assert isinstance(cap, Local)
    found = [parse_caveat_untrusted(encoded) for encoded in cap.caveats]
    return [(one.number, one.value) for one in found]


def test_w26_what_narrow_prints_has_the_caveats_that_were_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    only, holder = '["map", ["to", ["cap"]], ["n", ["or", null, ["int", 0, 9]]]]', "ab" * 32
    words = [TEXT, "--only", only, "--holder", holder, "--until", "2100-01-01"]
    assert narrowed(capsys, *words) == [
        (caveats.UNTIL, 4_102_444_800_000),
        (caveats.ONLY, ("map", ("to", ("cap",)), ("n", ("or", None, ("int", 0, 9))))),
        (caveats.HOLDER, bytes.fromhex(holder)),
    ]
    first, second = (
        narrowed(capsys, TEXT, "--uses", "3", "--until", "2100-01-01") for _ in range(2)
    )
    assert first != second, "each has a count of its own"
    assert main(["caps", "narrow", TEXT, "--until", "1h", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["$cap"].startswith("avm:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([TEXT], "narrow it by something"),
        ([TEXT, "--uses", "2"], f"caps narrow {TEXT} --uses 2 --until 7d"),
        ([TEXT, "--uses", "0", "--until", "1h"], "from 1 to"),
        ([TEXT, "--only", '["regex", ".*"]'], "--only"),
        ([TEXT, "--only", "[1.5]"], "--only"),
        ([TEXT, "--only", '{"$cap": "a.b"}'], '["cap"]'),
        ([TEXT, "--only", '["int", 10, 0]'], "nothing fits it, as no number is from 10 to 0"),
        ([TEXT, "--only", '["with", ["n", ["int", 2, 1]]]'], "as no number is from 2 to 1"),
        ([TEXT, "--until", "2001-01-01"], "not a time to come"),
        ([TEXT, "--until", "soon"], "is no time"),
        ([TEXT, "--holder", "me"], "64 lower-case"),
        ([TEXT, "--holder", "ab" * 31], "name of a machine"),
        (["null~", "--until", "1h"], "nothing to narrow"),
        ([TEXT[:-1], "--until", "1h"], "mistyped"),
        ([TEXT, "--name", "x", "--until", "1h"], "--name goes with"),
        ([], "caps narrow CAP"),
    ],
    ids=str,
)
def test_w26_what_cannot_be_narrowed_so_is_one_line_and_exit_2(
    words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--dir", str(tmp_path), "caps", "narrow", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and said in err


def test_a_time_to_come_is_a_length_from_now_or_iso_8601() -> None:
    assert parse_until("90s", NOW_MS) == NOW_MS + 90_000
    assert parse_until("2100-01-01T00:00:00Z", NOW_MS) == 4_102_444_800_000
    assert parse_duration("1.5h") == 5_400_000
    for text in ("", "7", "-1d", "1y"):
        with pytest.raises(Usage):
            parse_duration(text)
    for text in ("0s", "2001-01-01", "99999999w"):
        with pytest.raises(Usage):
            parse_until(text, NOW_MS)
