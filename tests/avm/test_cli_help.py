"""The help of verbs, as a person reads it who knows nothing else."""

import pytest

from avm.cli.main import main


def test_the_help_of_a_verb_with_acts_says_what_stands_behind_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verb, words in (
        ("keys", "certify REQUEST ROOT FILE (default: host)"),
        ("caps", "ls [N], who-can CAP, path A B, graph [N..], narrow CAP"),
        ("audit", "ls, verify (default: ls)"),
    ):
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        assert words in " ".join(capsys.readouterr().out.split())
