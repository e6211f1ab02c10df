"""The picture of an authority graph: all of it is in it, each part where it can be told apart."""

import re
from math import hypot
from xml.etree import ElementTree

from avm.authority.holding import OPERATOR, Graph, Holding, How, Party, What
from avm.authority.layout import laid_out
from avm.authority.svg import GREY, KINDS, drawn
from avm.host.capability import Local
from avm.host.state import Machine, Status

SVG = "{http://www.w3.org/2000/svg}"


def address(number: int) -> bytes:
    return number.to_bytes(32, "big")


def graph_of(count: int, name: str = "m") -> Graph:
    graph = Graph(1_000)
    for number in range(1, count + 1):
        at = address(number)
        machine = Machine(number, at, f"{name}{number}", Status.RUNNING, b"", b"", b"")
        machine.generation, machine.revoked = 2, 0
        graph.parties[at] = Party(at, machine.name, What.MACHINE, machine)
    for number in range(1, count + 1):
        to = number % count + 1
        for generation, kind in ((0, 0), (1, 1), (2, 3), (2, 3)):
            cap = Local(address(to), generation, 0, kind, None, b"\xf6", ())
            graph.add([Holding(address(number), address(to), cap, How.SLOT, generation)])
        graph.add([Holding(OPERATOR, address(to), cap, How.NAME, name="go")])
    return graph


def picture(graph: Graph) -> str:
    return drawn(laid_out(graph, graph.everyone()), lambda one: f"called {one.place}")


def test_w26_each_party_stands_apart_and_each_capability_is_a_line() -> None:
    for count in (5, 60):
        layout = laid_out(graph_of(count), graph_of(count).everyone())
        assert len(layout.spots) == count + 1  # the operator's names are no lines, and it is there
        for one in layout.spots:
            for other in layout.spots:
                if one is not other:
                    assert hypot(one.x - other.x, one.y - other.y) > 30
        assert (
            len(layout.lines) == 3 * count
            and sum(len(one.holdings) for one in layout.lines) == 4 * count
        )
        assert len({line.at for line in layout.lines}) == len(layout.lines)


def test_w26_a_picture_tells_kinds_generations_and_what_is_revoked() -> None:
    root = ElementTree.fromstring(picture(graph_of(5)))
    drawn_lines = [one for one in root.iter(f"{SVG}path") if one.get("fill") == "none"]
    colours = [one.get("stroke") for one in drawn_lines]
    assert {colour: colours.count(colour) for colour in colours} == {
        GREY: 5, KINDS["linear"]: 5, KINDS["relevant"]: 5,
    }  # fmt: skip
    texts = {one.text for one in root.iter(f"{SVG}text")} | {
        one.text for one in root.iter(f"{SVG}tspan")
    }
    assert {
        "g0",
        "g1",
        "g2 \u00d72",
        "m1",
        "operator",
        "linear",
        "revoked, expired or used",
    } <= texts
    titles = [one.text or "" for one in root.iter(f"{SVG}title")]
    assert "m1 to m2: slot, generation 0, revoked\ncalled 0" in titles


def test_w26_the_same_graph_gives_the_same_picture() -> None:
    assert picture(graph_of(9)) == picture(graph_of(9))


def test_w26_a_label_cannot_leave_its_place_in_a_picture() -> None:
    root = ElementTree.fromstring(picture(graph_of(3, '<script x="1">&\x1b')))
    assert not list(root.iter(f"{SVG}script"))
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", picture(graph_of(3, "\x1b[2J")))
