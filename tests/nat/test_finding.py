"""From an address to a link: what is looked up, what is tried next, and when it is given up."""

from avm.nat.finding import (
    ROUTES_KEPT,
    SOUGHT_KEPT,
    At,
    Finder,
    LookUp,
    Meet,
    NoLink,
    Try,
)
from caps.identity import Endpoint, RootKey, Route
from dht.proofs import Kind, Proved
from dht.publishing import Publishing
from dht.record import Location, Place
from dht.settings import Settings

NOW_MS = 1_800_000_000_000
KEY = RootKey(b"h" * 32)
HOME = KEY.identity({"type": "avm-host"})
HOST = HOME.address
ADDRESS = b"m" * 32


def at(number: int) -> Endpoint:
    return Endpoint(bytes([20, 0, number, 1]), 4433)


def record(*places: Place) -> Proved:
    """The location record of the host, as its node signs it."""
    publishing = Publishing(KEY, Settings())
    draft = Location(HOME, 1, 0, 0, places)
    return publishing.add(Kind.LOCATION, HOST, draft, NOW_MS)


def test_an_address_is_looked_for_once_in_haste_and_then_with_care() -> None:
    finder = Finder()
    finder.seek(ADDRESS)
    finder.seek(ADDRESS)
    assert finder.take_effects() == [LookUp(ADDRESS, True, False), LookUp(ADDRESS, False, False)]
    finder.located(ADDRESS, record(at(1)))
    finder.located(ADDRESS, None)
    assert finder.take_effects() == [At(ADDRESS, HOST), At(ADDRESS, b"")]


def test_places_that_the_core_names_are_tried_in_their_order_and_then_it_is_told() -> None:
    finder = Finder()
    finder.dial(HOST, (at(1), at(2)))
    assert finder.take_effects() == [Try(HOST, at(1), (at(2),))]
    finder.try_next(HOST, (at(2),))
    assert finder.take_effects() == [Try(HOST, at(2), ())]
    finder.try_next(HOST, ())
    assert finder.take_effects() == [NoLink(HOST)]


def test_what_the_record_says_is_tried_before_what_was_known() -> None:
    finder = Finder()
    finder.learn(HOST, at(9))
    finder.dial(HOST, ())
    assert finder.take_effects() == [LookUp(HOST, True, True)]
    finder.located_host(HOST, record(at(1), at(2)))
    assert finder.take_effects() == [Try(HOST, at(1), (at(2), at(9)))]


def test_a_host_that_could_not_be_reached_or_was_lost_is_looked_up_with_care() -> None:
    finder = Finder()
    finder.link_lost(HOST)
    finder.dial(HOST, ())
    assert finder.take_effects() == [LookUp(HOST, False, True)]
    finder.link_up(HOST)
    finder.dial(HOST, ())
    assert finder.take_effects() == [LookUp(HOST, True, True)]


def test_an_introducer_among_the_places_is_met_through() -> None:
    finder = Finder()
    via = Route(b"i" * 32, at(3))
    finder.located_host(HOST, record(via, at(1)))
    assert finder.take_effects() == [Meet(HOST, (via, at(1)))]


def test_no_more_is_kept_than_there_is_room_for() -> None:
    finder = Finder()
    for number in range(ROUTES_KEPT + 3):
        finder.learn(HOST, at(number))
    finder.located_host(HOST, None)
    (tried,) = finder.take_effects()
    assert isinstance(tried, Try)
    assert tried.endpoint == at(ROUTES_KEPT + 2)
    assert len(tried.rest) == ROUTES_KEPT - 1
    for number in range(SOUGHT_KEPT + 1):
        finder.learn(number.to_bytes(32, "big"), at(1))
    finder.located_host(HOST, None)
    assert finder.take_effects() == [NoLink(HOST)]
