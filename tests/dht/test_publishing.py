"""What a host announces, and when: the changed before the rest, all within the hour, evenly, at a rate."""

from hypothesis import given, settings
from hypothesis import strategies as st

from caps.identity import Endpoint, Identity, RootKey
from dht.pace import Pace
from dht.proofs import Kind, Proved
from dht.publishing import Publishing
from dht.record import Location
from dht.settings import HOUR_MS, SECOND_MS, Settings

KEY = RootKey(b"p" * 32)
HERE = (Endpoint(b"\x0a\0\0\1", 1),)
NOW = 1_800_000_000_000


def subject(number: int) -> Identity:
    return KEY.identity({"number": str(number)})


def add(publishing: Publishing, number: int, now_ms: int, at_once: bool = False) -> Proved:
    one = subject(number)
    draft = Location(one, 1, 0, 0, HERE)
    return publishing.add(Kind.LOCATION, one.address, draft, now_ms, at_once=at_once)


def many(count: int, **how: float) -> Publishing:
    publishing = Publishing(KEY, Settings(**how))  # type: ignore[arg-type]
    for number in range(count):
        add(publishing, number, NOW)
    return publishing


def run(publishing: Publishing, since_ms: int, until_ms: int) -> list[tuple[int, bytes]]:
    """What is put from one time to another, by whoever asks at each `next_ms`."""
    put: list[tuple[int, bytes]] = []
    now_ms = since_ms
    while (next_ms := publishing.next_ms()) is not None:
        now_ms = max(now_ms, next_ms)
        if now_ms >= until_ms:
            break
        record = publishing.due(now_ms)
        assert record is not None, "what says that it is due is"
        put.append((now_ms, record.key))
    return put


@settings(max_examples=100)
@given(
    rate=st.floats(0.5, 100),
    burst=st.integers(1, 100),
    gaps=st.lists(st.integers(0, 3_000), max_size=200),
)
def test_no_second_sees_more_than_the_burst_and_the_rate(
    rate: float, burst: int, gaps: list[int]
) -> None:
    pace, now_ms = Pace(rate, burst), NOW
    passed: list[int] = []
    for gap_ms in gaps:
        now_ms += gap_ms
        may = pace.next_ms() <= now_ms
        assert pace.take(now_ms) == may
        passed += [now_ms] * may
    for at, since_ms in enumerate(passed):
        within = [one for one in passed[at:] if one < since_ms + SECOND_MS]
        assert len(within) <= burst + rate + 1


def test_all_of_very_many_are_put_each_hour_evenly_and_never_above_the_rate() -> None:
    publishing = many(2_000)
    first = run(publishing, NOW, NOW + 5 * 60_000)
    assert len({key for _, key in first}) == 2_000, "the network has all of them within minutes"
    last = {key: at_ms for at_ms, key in first}
    for hour in range(1, 4):
        since_ms = NOW + hour * HOUR_MS
        for at_ms, key in run(publishing, since_ms - HOUR_MS + 5 * 60_000, since_ms + 5 * 60_000):
            assert at_ms - last[key] <= HOUR_MS
            last[key] = at_ms
    assert len(last) == 2_000
    minutes = [0] * 60
    for at_ms, _ in run(publishing, NOW + 3 * HOUR_MS + 300_000, NOW + 4 * HOUR_MS + 300_000):
        minutes[(at_ms - NOW) // 60_000 % 60] += 1
    assert max(minutes) <= 2 * 2_000 / 60, "they are spread over the hour"


def test_what_changed_goes_before_thousands_that_wait() -> None:
    publishing = many(2_000)
    run(publishing, NOW, NOW + 60_000)
    changed = add(publishing, 1_999, NOW + 60_000, at_once=True)
    ((at_ms, key), *_) = run(publishing, NOW + 60_000, NOW + 61_000)
    assert key == changed.key and at_ms - NOW - 60_000 <= SECOND_MS / Settings().publish_rate


def test_what_nobody_kept_is_put_again_in_a_while_and_then_waits_its_hour() -> None:
    publishing = many(1)
    record = publishing.due(NOW)
    assert record is not None
    publishing.ended(NOW + 100, record, 0, 4)
    again_ms = NOW + 100 + Settings().unkept_ms
    assert publishing.next_ms() == again_ms == publishing.next_of(record.kind, record.key, NOW)
    assert publishing.due(again_ms) == record
    publishing.ended(again_ms + 100, record, 3, 4)
    (own,) = publishing.own.values()
    assert own.outcome is not None and (own.outcome.kept, own.outcome.asked) == (3, 4)
    assert publishing.next_ms() == again_ms + HOUR_MS
    publishing.withdraw(record.kind, record.key)
    publishing.ended(again_ms + 200, record, 0, 4)
    assert publishing.next_ms() is None


def test_when_the_network_is_there_again_all_are_put_anew_at_the_rate() -> None:
    publishing = many(500)
    run(publishing, NOW, NOW + 120_000)
    since_ms = NOW + 10 * 60_000
    publishing.hasten_all()
    put = run(publishing, since_ms, since_ms + 70_000)
    assert len({key for _, key in put}) == 500
    within = [at_ms for at_ms, _ in put if at_ms < since_ms + SECOND_MS]
    assert len(within) <= Settings().publish_burst + Settings().publish_rate + 1
