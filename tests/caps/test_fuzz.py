"""A slice of the campaign of forged capabilities; `python -m tests.caps.fuzz` runs more of it."""

from tests.caps.fuzz import EACH, run


def test_w14_no_forged_stale_spliced_or_widened_capability_is_let_in() -> None:
    kinds, let_in = run(1, EACH)
    assert not let_in
    assert len(kinds) == 13 and min(kinds.values()) > 100
