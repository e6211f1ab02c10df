"""What the authority graph answers, held against slow answers to the same questions."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from avm.authority.holding import Graph, Holding, How, Party, What
from avm.authority.reach import (
    a_generation,
    losses,
    of_any_generation,
    one_capability,
    path,
    reached_from,
    who_can,
)
from avm.host.capability import Cap, Local, Reply
from avm.host.state import Machine, Status
from caps.caveats import holder, until

COUNT = 6
EDGES = st.lists(
    st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1), st.integers(0, 2)), max_size=14
)
Edge = tuple[int, int, int]


def address(number: int) -> bytes:
    return bytes([number]) * 32


def local(to: int, generation: int = 0, caveats: tuple[bytes, ...] = ()) -> Local:
    return Local(address(to), generation, 0, 0, None, b"\xf6", (), caveats)


def graph_of(edges: Iterable[Edge], revoked: int = -1) -> Graph:
    graph = Graph(1_000)
    for number in range(COUNT):
        machine = Machine(number, address(number), f"m{number}", Status.RUNNING, b"", b"", b"")
        machine.generation, machine.revoked = 2, revoked
        graph.parties[machine.address] = Party(machine.address, machine.name, What.MACHINE, machine)
    graph.add(
        Holding(address(one), address(other), local(other, generation), How.SLOT, place)
        for place, (one, other, generation) in enumerate(edges)
    )
    return graph


def closure(edges: Iterable[Edge]) -> set[tuple[int, int]]:
    """Who reaches whom by at least one capability, the slow way."""
    reach = {(one, other) for one, other, _generation in edges}
    for middle in range(COUNT):
        for one in range(COUNT):
            for other in range(COUNT):
                if (one, middle) in reach and (middle, other) in reach:
                    reach.add((one, other))
    return reach


@given(edges=EDGES, revoked=st.integers(-1, 1))
@settings(max_examples=60)
def test_w26_who_can_and_path_agree_with_everything_tried(edges: list[Edge], revoked: int) -> None:
    graph = graph_of(edges, revoked)
    good = [edge for edge in edges if edge[2] > revoked]
    reach = closure(good)
    for target in range(COUNT):
        found = who_can(graph, address(target))
        assert {party.address[0] for party, _chain in found} == {
            one for one, other in reach if other == target and one != target
        }
        for party, chain in found:
            assert chain[0].holder == party.address
            assert [one.target for one in chain] == [
                *(one.holder for one in chain[1:]),
                address(target),
            ]
            shortest = path(graph, party.address, address(target))
            assert shortest is not None and len(shortest) == len(chain)
    for one in range(COUNT):
        for other in range(COUNT):
            assert (path(graph, address(one), address(other)) is not None) == (
                (one, other) in reach
            )


@given(edges=EDGES, target=st.integers(0, COUNT - 1), generation=st.integers(0, 2))
@settings(max_examples=60)
def test_w26_the_dry_run_of_a_revocation_is_what_is_so_without_these_capabilities(
    edges: list[Edge], target: int, generation: int
) -> None:
    gone = [edge for edge in edges if edge[1] == target and edge[2] <= generation]
    left = [edge for edge in edges if edge not in gone]
    before, after = closure(edges), closure(left)
    lost = losses(graph_of(edges), address(target), a_generation(address(target), generation))
    expected = {
        one: {other for at, other in before - after if at == one and other != one}
        for one in range(COUNT)
    }
    holders = {one for one, _other, _generation in gone}
    told = {
        loss.party.address[0]: {one.address[0] for one in loss.unreached} for loss in lost.found
    }
    assert told == {one: others for one, others in expected.items() if others or one in holders}
    direct = sorted(one.place for loss in lost.found for one in loss.holdings)
    assert direct == [at for at, edge in enumerate(edges) if edge in gone]


def test_w26_a_narrowed_capability_is_one_of_those_it_was_narrowed_from() -> None:
    caveat = until(5_000).encoded
    graph = graph_of([])
    graph.add([Holding(address(1), address(0), local(0, caveats=(caveat,)), How.SLOT)])
    assert [party.label for party, _ in who_can(graph, address(0), one_capability(local(0)))] == [
        "m1"
    ]
    assert not who_can(graph, address(0), one_capability(local(0, 1)))
    assert who_can(graph, address(0), of_any_generation(local(0, 1)))
    cut = one_capability(local(0))
    assert reached_from(graph, address(1)) == {address(0)}
    assert reached_from(graph, address(1), cut) == set()
    narrow = one_capability(local(0, caveats=(caveat,)))
    graph.add([Holding(address(2), address(0), local(0), How.SLOT)])
    lost = losses(graph, address(0), narrow).found
    assert [loss.party.label for loss in lost] == ["m1"]


def test_w26_a_capability_that_is_not_good_carries_nothing() -> None:
    cases: dict[str, Cap] = {
        "expired": local(0)._replace(expires_ms=1_000),
        "good for another holder alone": local(0, caveats=(holder(address(2)).encoded,)),
        "used": Reply(address(0), 7, 9_000),
    }
    for why, cap in cases.items():
        graph = graph_of([])
        one = Holding(address(1), address(0), cap, How.SLOT)
        graph.add([one])
        assert graph.dead(one) == why
        assert not who_can(graph, address(0)) and path(graph, address(1), address(0)) is None
    narrowed = local(0, caveats=(until(1_000).encoded,))
    graph = graph_of([])
    assert graph.dead(Holding(address(1), address(0), narrowed, How.SLOT)) == "expired"
    later = local(0, caveats=(until(1_001).encoded,))
    assert graph.dead(Holding(address(1), address(0), later, How.SLOT)) == ""
    graph.open_asks.add((address(0), 7))
    assert graph.dead(Holding(address(1), address(0), cases["used"], How.SLOT)) == ""


def test_w26_what_was_set_aside_reaches_nothing_by_itself() -> None:
    graph = graph_of([])
    graph.add([Holding(address(1), address(0), local(0), How.FAILED)])
    assert not who_can(graph, address(0))
