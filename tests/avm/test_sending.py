"""Lines as batches: whatever the host answers, each line is settled once, and counted right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.cli.sending import Bad, Line, Offer, Sending, Start, Verdict, start_at

GOOD, REFUSED, BROKEN, LARGE = "good", "refused", "broken", "large"
kinds = st.sampled_from([GOOD, GOOD, GOOD, REFUSED, BROKEN, LARGE])


def line(place: int, size: int = 4) -> Line:
    return Line(place, 2 * place, place.to_bytes(4, "big") + b"x" * (size - 4))


class Taker:
    """A host's end of one channel: takes batches in order, undoes what one line breaks."""

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = kinds
        self.taken = 0
        self.applied: list[int] = []
        self.position = b""
        self.verdicts: dict[int, Verdict] = {}

    def offer(self, offer: Offer, busy: bool = False) -> Verdict:
        for seq in [seq for seq in self.verdicts if seq <= offer.confirmed]:
            del self.verdicts[seq]
        if offer.seq <= self.taken:
            return self.verdicts.get(offer.seq, ["applied"])
        if offer.seq != self.taken + 1:
            return ["expected", self.taken + 1]
        if busy:
            return ["busy"]
        said = [self.kinds[one.place - 1] for one in offer.lines]
        if LARGE in said:
            return ["too large"]
        self.taken, self.position = offer.seq, offer.position
        bad = next((at for at, kind in enumerate(said) if kind != GOOD), None)
        if bad is None:
            self.applied += [one.place for one in offer.lines]
            return ["applied"]
        verdict = ["refused", bad, "no"] if said[bad] == REFUSED else ["rejected", bad]
        self.verdicts[offer.seq] = verdict
        return verdict


def carry(
    sending: Sending, taker: Taker, draw: st.DataObject, steps: int | None = None
) -> tuple[list[Bad], bool]:
    """Carries offers and verdicts; whether it ran to its end within `steps`."""
    flying: list[Offer] = []
    answers: list[tuple[int, Verdict]] = []
    bad: list[Bad] = []
    count = 0
    while not sending.finished:
        count += 1
        assert count < 1_000, "it makes no headway"
        if steps is not None and count > steps:
            return bad, False
        flying += sending.offers()
        chance = draw.draw(st.integers(0, 9)) if count < 80 else 5
        if chance == 0:
            flying, answers = [], []
            bad += sending.reopened(taker.taken, taker.verdicts)
        elif flying and chance < 6:
            offer = flying.pop(0)
            answers.append((offer.seq, taker.offer(offer, busy=chance == 1)))
        elif answers:
            bad += sending.verdict(*answers.pop(0))
    return bad, True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(kinds, max_size=16),
    st.integers(1, 7),
    st.integers(1, 4),
    st.data(),
)
def test_each_line_is_settled_once_and_counted_right(
    kinds: list[str], batch_lines: int, window: int, draw: st.DataObject
) -> None:
    taker = Taker(kinds)
    sending = Sending(batch_lines=batch_lines, window=window)
    for place in range(1, len(kinds) + 1):
        sending.add(line(place))
    sending.flush()
    bad, _ = carry(sending, taker, draw)
    good = [place for place, kind in enumerate(kinds, 1) if kind == GOOD]
    assert sorted(taker.applied) == good
    tally = sending.tally
    assert (tally.lines, tally.committed) == (len(kinds), len(good))
    assert tally.refused == kinds.count(REFUSED) + kinds.count(LARGE)
    assert tally.rejected == kinds.count(BROKEN)
    assert tally.settled == tally.lines and sending.unknown == sending.unsent == 0
    assert sorted(one.number for one in bad) == [
        2 * place for place, kind in enumerate(kinds, 1) if kind != GOOD
    ]


@settings(max_examples=80, deadline=None)
@given(st.lists(kinds, max_size=16), st.integers(1, 7), st.data())
def test_a_window_of_one_keeps_every_line_in_its_place(
    kinds: list[str], batch_lines: int, draw: st.DataObject
) -> None:
    taker = Taker(kinds)
    sending = Sending(batch_lines=batch_lines, window=1)
    for place in range(1, len(kinds) + 1):
        sending.add(line(place))
    sending.flush()
    carry(sending, taker, draw)
    assert taker.applied == sorted(taker.applied)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(kinds, min_size=1, max_size=16),
    st.lists(st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(0, 40)), max_size=4),
    st.data(),
)
def test_with_the_mark_the_same_command_goes_on_where_it_died(
    kinds: list[str], runs: list[tuple[int, int, int]], draw: st.DataObject
) -> None:
    taker = Taker(kinds)
    good = [place for place, kind in enumerate(kinds, 1) if kind == GOOD]
    for batch_lines, window, steps in [*runs, (3, 3, None)]:
        start = start_at(taker.taken, taker.position, taker.verdicts)
        sending = Sending(start, batch_lines=batch_lines, window=window)
        for place in range(1, len(kinds) + 1):
            sending.add(line(place))
        sending.flush()
        carry(sending, taker, draw, steps)
        assert len(set(taker.applied)) == len(taker.applied), "a line was taken twice"
    assert sorted(taker.applied) == good
    tally = sending.tally
    assert tally.lines == tally.skipped + tally.settled


def test_a_position_stays_small_enough_for_its_mark() -> None:
    sending = Sending(batch_lines=2, window=8)
    for place in range(1, 10_001):
        sending.add(line(10**9 + place))
    sending.flush()
    longest = 0
    while not sending.finished:
        for offer in list(sending.offers()):
            longest = max(longest, len(offer.position))
            sending.verdict(offer.seq, ["rejected", 0])
    assert sending.tally.rejected == 10_000
    assert longest <= 400


def test_batches_end_at_their_lines_and_at_their_bytes() -> None:
    sending = Sending(batch_lines=3, batch_bytes=100)
    for place, size in enumerate([10, 10, 10, 60, 60, 200, 10], 1):
        sending.add(line(place, size))
    sending.flush()
    offers = list(sending.offers())
    assert [[one.place for one in offer.lines] for offer in offers] == [
        [1, 2, 3],
        [4],
        [5],
        [6],
        [7],
    ]
    assert [offer.splits for offer in offers] == [True, False, False, False, False]
    assert [offer.seq for offer in offers] == [1, 2, 3, 4, 5]


def test_lines_of_a_failed_batch_come_after_what_was_in_flight_with_it() -> None:
    sending = Sending(batch_lines=2, window=2)
    for place in range(1, 9):
        sending.add(line(place))
    first, second = sending.offers()
    assert sending.verdict(1, ["rejected", 0]) == []
    assert list(sending.offers()) == []
    sending.verdict(2, ["applied"])
    again = list(sending.offers())
    assert [one.lines for one in again] == [(line(1),), (line(2),)]
    assert (first.lines[0].place, second.lines[0].place) == (1, 3)
    assert not any(one.splits for one in again)


def test_a_suspended_machine_holds_what_was_sent() -> None:
    sending = Sending(batch_lines=2)
    sending.add(line(1))
    sending.flush()
    list(sending.offers())
    assert not sending.all_held
    assert sending.verdict(1, ["held"]) == []
    assert sending.all_held and sending.unknown == 1
    sending.verdict(1, ["applied"])
    assert sending.finished and sending.tally.committed == 1


def test_a_strange_position_is_told() -> None:
    assert start_at(0, b"", {}) == Start()
    for position in (b"\xff", b"\x01", b"\x83\x01"):
        with pytest.raises(ValueError, match="position"):
            start_at(3, position, {})
