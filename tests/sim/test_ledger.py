"""The ledger of a campaign: it goes on where it was stopped, and comes to what one in one piece does."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.sim.campaign.ledger import BadLedger, Ended, Ledger, hash_of_code
from tests.sim.campaign.scenario import Outcome
from tests.sim.test_campaign import campaign

CODE = "c0de" * 8
SAID = 20


def outcome(seed: int) -> Ended:
    return Ended(Outcome(seed, 3, 2, 1.5, f"{seed:064x}", Counter(crash=seed), "a why"), 0.25)


def kept(file: Path, *seeds: int) -> bytes:
    ledger = Ledger(file, SAID, CODE)
    for seed in seeds:
        ledger.note(outcome(seed))
    ledger.close()
    return file.read_bytes()


def test_p05_a_campaign_that_was_stopped_comes_to_what_one_in_one_piece_does(
    tmp_path: Path,
) -> None:
    file = tmp_path / "ledger.jsonl"
    options = ("--seeds", 3, "--messages", SAID, "--jobs", 1, "--json", "--ledger", file)
    whole = json.loads(campaign(*options).stdout)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[1] + lines[2][:40])  # killed in the middle of a line
    again = json.loads(campaign(*options).stdout)
    for summary in (whole, again):
        for took in ("seconds", "core_s", "costs", "slowest"):
            del summary[took]
    assert whole == again and whole["seeds"] == 3
    back = file.read_bytes().splitlines(keepends=True)
    assert back[0] == lines[1] and len(back) == 3
    assert json.loads(lines[0])["code"] == hash_of_code()


def test_a_seed_comes_back_from_the_ledger_as_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    kept(file, 1, 2)
    ledger = Ledger(file, SAID, CODE)
    assert ledger.ended == {1: outcome(1), 2: outcome(2)}
    ledger.close()


def test_a_line_that_was_not_written_whole_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    whole = kept(file, 1, 2)
    for cut in range(0, len(whole), 5):
        file.write_bytes(whole[:cut])
        ledger = Ledger(file, SAID, CODE)
        assert len(ledger.ended) == whole[:cut].count(b"\n")
        ledger.close()
    assert kept(file, 2) == whole


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (CODE, "beef" * 8, "of other code"),
        (f'"said": {SAID}', '"said": 21', "of 21 messages a seed, not 20"),
        ('"seed": 2', '"seed": 1', "seed 1 is there twice"),
        ('"seed": 2', '"seed": "2"', "line 2: no line of a ledger"),
        ('"why"', '"how"', "line 1: no line of a ledger"),
        ('"crash": 1', '"crash": []', "line 1: no line of a ledger"),
        ("{", "[", "line 1: no line of a ledger"),
    ],
)
def test_a_ledger_of_something_else_is_refused_and_not_changed(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    file = tmp_path / "ledger.jsonl"
    other = kept(file, 1, 2).decode().replace(old, new) + "torn"
    file.write_text(other)
    with pytest.raises(BadLedger) as refused:
        Ledger(file, SAID, CODE)
    assert told in str(refused.value) and "\n" not in str(refused.value)
    assert file.read_text() == other


def test_two_campaigns_do_not_write_to_one_ledger(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    first = Ledger(file, SAID, CODE)
    with pytest.raises(BadLedger, match="another campaign goes on with it"):
        Ledger(file, SAID, CODE)
    first.close()
    Ledger(file, SAID, CODE).close()


def test_a_ledger_that_cannot_be_gone_on_with_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    kept(file, 1)
    before = file.read_bytes()
    done = campaign("--seeds", 1, "--messages", SAID, "--ledger", file)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout
    assert "of other code" in done.stderr and file.read_bytes() == before
    alone = campaign("--seed", 1, "--ledger", file)
    assert alone.returncode == 2 and alone.stderr.count("\n") == 1
