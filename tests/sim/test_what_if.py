"""What would have come of other inputs and other code: the steps are taken again, and told apart."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from avm.host.journal import hash_of_code
from avm.limits import Limits
from avm.recording.crew import Swap
from avm.recording.log import BadRecording, Header, Item, Stored, Told
from avm.recording.text import Teller, patch_untrusted
from avm.recording.whatif import WhatIf
from tests.sim.recordings import Counting, Recorded, of_counter, of_lives, of_orchard
from tests.sim.taped import InProcess

OTHER = b"another counter"


def what_if(
    recorded: Recorded, *, first: int = 0, items: Sequence[Item] | None = None, **how: object
) -> WhatIf:
    found = WhatIf(InProcess(recorded.world), **how)  # type: ignore[arg-type]
    found.take(recorded.items(first) if items is None else items)
    found.end()
    return found


def difference(found: WhatIf) -> str:
    assert found.lives.first is not None
    return f"{found.lives.first.subject} {found.lives.first.difference}"


def patch_of(told: Told, old: str = "", new: str = "") -> dict[int, Told | None]:
    """A patch of one input, in which a text stands for another."""
    (line, _output) = Teller().lines(told)
    assert old in line
    return patch_untrusted([line.replace(old, new)])


@pytest.mark.parametrize("seed", range(3))
def test_p03_with_nothing_changed_nothing_else_comes_of_it(seed: int) -> None:
    """From the begin of each segment, in the middle of turns too, and with all steps taken anew."""
    recorded = of_lives(seed)
    for first in range(len(recorded.segments)):
        found = what_if(recorded, first=first)
        assert found.lives.first is None and not found.is_apart
        assert found.inputs > 0 or first == len(recorded.segments) - 1, "the last may be begun only"


def test_p03_with_nothing_changed_nothing_else_comes_of_hosts_of_a_network() -> None:
    for recorded in of_orchard(1):
        for first in range(len(recorded.segments)):
            assert what_if(recorded, first=first).lives.first is None


def test_p03_an_edited_input_gives_a_diff() -> None:
    recorded = of_counter()
    offer = recorded.inputs("offer")[1]
    found = what_if(recorded, patch=patch_of(offer, '{"$content": 2}', '{"$content": 7}'))
    assert difference(found) == "('turn', 2, 2) turn, input[4][0][1]: recorded 2, now 7"
    # Of the five turns four count on from another total, or with another number, and say so.
    assert {kind: count for (kind, _), count in found.lives.counts.items()} == {
        "turn": 4,
        "delivery": 4,
    }
    (counter,) = [one for one in found.core.host.machines.values()]  # type: ignore[union-attr]
    assert counter.head == recorded.world.machine("counter").head


def test_p03_an_input_that_is_left_out_gives_a_diff() -> None:
    recorded = of_counter()
    offer = recorded.inputs("offer")[4]
    found = what_if(recorded, patch={offer.n: None})
    assert "recorded" in difference(found) and "now nothing" in difference(found)
    assert sum(found.lives.counts.values()) == 3, "the turn, its verdict and its answer"


def test_p03_an_input_that_the_machine_refuses_gives_a_diff() -> None:
    recorded = of_counter()
    offer = recorded.inputs("offer")[3]
    found = what_if(recorded, patch=patch_of(offer, '{"$content": 4}', '{"$content": "four"}'))
    (first,) = [found.lives.first]
    assert first is not None and first.subject == ("turn", 2, 4)
    assert "refused" in str(first.difference) or "[" in str(first.difference)


def swapped(recorded: Recorded, code: Counting, name: str = "counter") -> Swap:
    recorded.world.codes[OTHER] = code
    return Swap(hash_of_code(OTHER), OTHER, name)


@pytest.mark.parametrize("loaded", [False, True])
def test_p03_other_code_gives_a_diff(loaded: bool) -> None:
    """A machine that is created in the recording, and one that is loaded from what it did before."""
    recorded = of_counter(loaded=loaded)
    found = what_if(recorded, swap=swapped(recorded, Counting(by=3)))
    first = 2 if loaded else 1
    was, now = (11, 13) if loaded else (1, 3)
    assert (
        difference(found)
        == f"('turn', 2, {first}) turn, output[2][0][0][1]: recorded {was}, now {now}"
    )
    assert {kind: count for (kind, _), count in found.lives.counts.items()} == {
        "turn": 5,
        "delivery": 5,
    }
    assert found.swap is not None and found.swap.since == (2 if loaded else 0)


def test_p03_the_same_in_other_words_is_no_difference() -> None:
    recorded = of_counter(loaded=True)
    found = what_if(recorded, swap=swapped(recorded, Counting()))
    assert found.lives.first is None and found.inputs > 20


def test_p03_other_code_goes_on_over_snapshots() -> None:
    """Each few turns the machine is kept whole, and other code's state is what is kept."""
    limits = replace(Limits(), snapshot_turns=2)
    recorded = of_counter(limits, loaded=True)
    found = what_if(recorded, swap=swapped(recorded, Counting(by=3)))
    assert found.lives.first is not None and found.lives.first.subject[0] == "turn"
    assert what_if(recorded, swap=swapped(recorded, Counting())).lives.first is None


def test_what_if_goes_no_further_than_it_is_told() -> None:
    recorded = of_counter()
    offer = recorded.inputs("offer")[1]
    patch = patch_of(offer, '{"$content": 2}', '{"$content": 7}')
    whole = what_if(recorded, patch=patch)
    half = what_if(recorded, patch=patch, until=recorded.inputs("offer")[3].n - 1)
    assert 0 < sum(half.lives.counts.values()) < sum(whole.lives.counts.values())


def test_what_cannot_be_asked_is_told_in_a_line() -> None:
    recorded = of_counter()
    with pytest.raises(BadRecording, match="there is no input 999,999 in what was told"):
        what_if(recorded, patch={999_999: None})
    with pytest.raises(BadRecording, match="no machine nobody took a turn"):
        what_if(recorded, swap=swapped(recorded, Counting(), "nobody"))
    offer = recorded.inputs("offer")[1]
    patch = patch_of(offer)
    told = patch[offer.n]
    assert told is not None
    told.arguments[3] = [[], [[0, b"\x07"]]]
    with pytest.raises(BadRecording, match=f"input {offer.n}, offer: malformed"):
        what_if(recorded, patch=patch)
    with pytest.raises(BadRecording, match=r"by Python sim, and this is 3\.0"):
        what_if(recorded, python="3.0")


def test_a_machine_without_its_code_in_the_recording_is_told_in_a_line() -> None:
    recorded = of_counter(loaded=True)
    items = [one for one in recorded.items() if not isinstance(one, Stored)]
    assert len(items) < len(recorded.items())
    with pytest.raises(BadRecording, match="what counter is loaded from is not in the recording"):
        what_if(recorded, items=items)
    bare = [
        replace(one, bundle=None) if isinstance(one, Stored) else one for one in recorded.items()
    ]
    with pytest.raises(BadRecording, match="what counter is loaded from is not in the recording"):
        what_if(recorded, items=bare)


def test_code_that_does_not_take_the_state_is_told_in_a_line() -> None:
    class Strict(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.records = {}

    recorded = of_counter(loaded=True)
    with pytest.raises(BadRecording, match=r"does not take the machine's state.*Count"):
        what_if(recorded, swap=swapped(recorded, Strict()))


def test_only_the_first_start_of_a_host_is_gone_through() -> None:
    several = [one for one in of_orchard(1) if len(runs_of(one)) > 1]
    for recorded in several:
        found = what_if(recorded)
        assert found.inputs < sum(isinstance(one, Told) for one in recorded.items())
        assert found.has_more
    assert several and not what_if(of_counter()).has_more


def runs_of(recorded: Recorded) -> set[int]:
    """The starts of the host."""
    return {one.run for one in recorded.items() if isinstance(one, Header)}
