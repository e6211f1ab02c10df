"""Flipped bits and old pages: noticed, harmless, or told in `docs/guarantees.md` as unseen."""

from tests.crashes.rot import rot
from tests.crashes.workloads import WORKLOADS


def test_no_flipped_bit_is_a_silent_wrong_answer() -> None:
    found = rot(WORKLOADS["small"], flips=60)
    assert not found.silent, found.examples
    assert sum(found.flipped.values()) > 100
    assert {"harmless", "noticed at opening", "noticed when read"} <= set(found.flipped)
    log = found.flipped_log
    assert log["noticed at opening"] > log["taken back"] > 0 and not log["silent"]
