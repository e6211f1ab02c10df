"""What an identity says about its machine: chosen once, bound to the address, checked without a network."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from avm import INSPECT, NULL, Failed, Map
from avm.host import acquaintance, capability
from avm.host.about import Unspeakable, metadata_of
from avm.host.batch import Said
from avm.host.capability import Local, Named
from avm.host.commons import answer_passed, furnish
from avm.host.making import make_capability
from avm.recording.inputs import INPUTS
from avm.recording.parts import ABOUT, Malformed
from avm.sim.host import SimHost
from avm.testing import Client, Network, NoAnswer, NotCreated, World
from caps.codec import decode_content_untrusted, encode_content, loads_plain_untrusted
from caps.identity import (
    IDENTITY_BYTES_MAX,
    Identity,
    address_of,
    identity_at_untrusted,
    parse_identity_untrusted,
)
from caps.slots import Foreign
from caps.value import freeze
from examples import origin
from tests.avm.test_commons import Curious
from tests.sim import apple, purse
from tests.sim.code import ModuleCode, sim_of
from tests.sim.taped import Taped, rerun
from tests.sim.test_carrying import export, take_up
from tests.sim.test_kinds_between import Market

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "about.json").read_text())
NOT_ITS = "that is not its identity"
NORTH = {"region": "north", "pages": "10"}


def inspected(client: Client, asked: object) -> Map[str, Any]:
    told = client.call(INSPECT, asked)
    assert isinstance(told, Map)
    return told


def refusal(client: Client, asked: object) -> str:
    with pytest.raises(NoAnswer) as failure:
        client.call(INSPECT, asked)
    assert failure.value.why == "refused"
    return failure.value.detail


def test_t05_inspect_tells_what_the_identity_of_a_machine_here_says() -> None:
    world = World()
    client, printer = world.client(), world.machine(Curious, "printer", about=NORTH)
    told = inspected(client, printer.cap("ask"))
    assert told["about"] == {"name": "printer", "type": "avm", **NORTH}
    assert address_of(told["identity"]).hex() == told["address"]
    assert parse_identity_untrusted(told["identity"]).metadata == told["about"]
    client.send(printer.cap("ask"), ("inspect", printer.cap("linear")))
    (own,) = printer.state.told
    assert own["own"] is True and own["about"] == told["about"]
    for other in (client.cap(), NULL):
        told = inspected(client, other)
        assert told["about"] is None and told["identity"] is None


def test_t05_an_identity_is_held_against_a_capability_to_another_host_without_a_packet() -> None:
    market = Market(1)
    here, there = market.net.worlds
    said: list[object] = []
    here.network = lambda _world, effect: said.append(effect)
    foreign, identity = market.cap(1, "take"), there.machine("purse-1").identity
    mine = here.machine("purse-0").identity
    for asked in (
        foreign,
        {"cap": foreign, "identity": identity},
        {"cap": foreign, "identity": mine},
        {"cap": market.cap(0, "take"), "identity": mine},
        {"cap": market.cap(0, "take"), "identity": identity},
    ):
        market.client.send(market.cap(0, "ask"), ("inspect~", asked))
        here.settle()
    unknown, theirs, no, own, neither = market.purse(0).told
    assert isinstance(unknown, Map) and unknown["about"] is unknown["identity"] is None
    assert isinstance(theirs, Map) and theirs["about"] == {"name": "purse-1", "type": "avm"}
    assert theirs["identity"] == identity and theirs["capability"] == unknown["capability"]
    assert isinstance(own, Map) and own["about"] == {"name": "purse-0", "type": "avm"}
    assert no == neither == Failed("refused", NOT_ITS)
    assert not said


WORLD = World()
CLIENT, PRINTER = WORLD.client(), WORLD.machine(Curious, "printer", about=NORTH)
IDENTITY: bytes = inspected(CLIENT, PRINTER.cap("ask"))["identity"]
OTHER: bytes = inspected(CLIENT, WORLD.machine(Curious, "other", about=NORTH).cap("ask"))[
    "identity"
]


@given(st.integers(0, len(IDENTITY) * 8 - 1), st.binary(max_size=3), st.integers(0, 40))
@example(0, b"", 0)
def test_t05_what_is_not_the_identity_to_the_bit_is_refused_with_one_word(
    bit: int, more: bytes, cut: int
) -> None:
    changed = bytearray(IDENTITY)
    changed[bit // 8] ^= 1 << bit % 8
    kept = IDENTITY[: len(IDENTITY) - cut] + more
    for shown in (bytes(changed), kept, more, OTHER, "text", None, 1, IDENTITY * 10):
        if shown != IDENTITY:
            asked = {"cap": PRINTER.cap("ask"), "identity": shown}
            assert refusal(CLIENT, asked) == NOT_ITS
            assert refusal(CLIENT, {**asked, "cap": NULL}) != ""


def test_t05_bytes_that_hash_to_an_address_and_are_no_identity_are_refused() -> None:
    body = b"\x83\x02" + b"no identity"
    with pytest.raises(Malformed):
        identity_at_untrusted(address_of(body), body)
    large = b"\x59\x10\x00" + bytes(4096)
    with pytest.raises(Malformed):
        identity_at_untrusted(address_of(large), large)


@pytest.mark.parametrize("keys", [("cap",), ("identity",), ("cap", "identity", "more"), ()])
def test_t05_inspect_takes_a_capability_or_one_with_an_identity(keys: tuple[str, ...]) -> None:
    whole = {"cap": PRINTER.cap("ask"), "identity": IDENTITY, "more": 1}
    assert refusal(CLIENT, {key: whole[key] for key in keys}).startswith("inspect~ takes")
    two = (PRINTER.cap("ask"), PRINTER.cap("self"))
    assert refusal(CLIENT, two).startswith("inspect~ takes")


def test_t05_a_linear_capability_comes_back_with_the_answer_and_with_the_refusal() -> None:
    world = World()
    client, curious = world.client(), world.machine(Curious, about=NORTH)
    keeper = world.machine(Curious, "keeper")
    linear = curious.cap("linear")
    identity = inspected(client, linear)["identity"]
    for how in ("ask", "self"):
        for shown in (identity, OTHER):
            asked = {"cap": linear, "identity": shown}
            client.send(keeper.cap(how), ("inspect", asked))
    told = keeper.state.told
    assert [one["about"]["region"] for one in (told[0], told[2])] == ["north"] * 2
    assert [one["capability"] for one in (told[0], told[2])] == [linear] * 2
    for no in (told[1], told[3]):
        assert isinstance(no, Failed) and (no.why, no.detail) == ("refused", NOT_ITS)
        assert no.content == {"cap": linear, "identity": OTHER}
    assert not keeper.failures and len(told) == 4


def test_t05_what_was_told_is_in_the_journal_and_a_replay_knows_it() -> None:
    market = Market(2, 1)
    (host,) = market.net.worlds
    asked = {"cap": market.cap(0, "take"), "identity": host.machine("purse-0").identity}
    for content in (asked, {**asked, "identity": b""}, market.cap(0, "take")):
        market.do(0, "ask", ("inspect~", content))
    host.machine("purse-0").identity = b"what a host says later"
    told, no, again = market.purse(0).told
    assert told == again and no == Failed("refused", NOT_ITS)


def test_t05_the_origin_holds_an_identity_against_a_capability_as_well() -> None:
    market = Market(4)
    here, there = market.net.worlds
    made = there.create("origin", ModuleCode(origin), None)
    wire = there.core.seal(made.names["ask"])
    here.commons = ("inspect~", wire)
    here.core.do(furnish, bytes(32), "inspect~", wire)
    mine = here.machine("purse-0").identity
    for content in (
        market.cap(0, "take"),
        {"cap": market.cap(0, "take"), "identity": mine},
        {"cap": market.cap(0, "take"), "identity": mine[:-1]},
        market.cap(1, "take"),
    ):
        market.do(0, "ask", ("inspect~", content))
    unknown, told, no, theirs = market.purse(0).told
    assert isinstance(unknown, Map) and unknown["about"] is None
    assert isinstance(told, Map) and told["about"] == {"name": "purse-0", "type": "avm"}
    assert no == Failed("refused", NOT_ITS)
    assert isinstance(theirs, Map) and theirs["about"]["name"] == "purse-1"


# What can be said.


def longest(name: str) -> str:
    """As much as can be said about a machine of this name, of one word."""
    over = len(Identity(bytes(32), metadata_of(name, {"a": "x" * 300})).to_bytes()) - 300
    return "x" * (IDENTITY_BYTES_MAX - over)


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"name": "other"}, "'name' is said by the host itself"),
        ({"type": "avm"}, "'type' is said by the host itself"),
        ({"a": longest("printer") + "x"}, "at most 600 bytes"),
        ({"a": "\ud800"}, "half a surrogate"),
    ],
)
def test_t05_what_cannot_be_said_is_refused_and_nothing_is_changed(
    about: dict[str, str], why: str
) -> None:
    world = World()
    host = sim_of(world)
    before = (dict(host.core.host.names), host.core.host.next_id, len(host.core.host.by_id))
    with pytest.raises(NotCreated, match=why) as failure:
        world.machine(Curious, "printer", about=about)
    assert str(failure.value).startswith("printer is not created: ")
    assert (dict(host.core.host.names), host.core.host.next_id, len(host.core.host.by_id)) == before
    with pytest.raises(Unspeakable):
        metadata_of("printer", about)
    printer = world.machine(Curious, "printer", about={"a": longest("printer")})
    told = inspected(world.client(), printer.cap("ask"))
    assert len(told["identity"]) == IDENTITY_BYTES_MAX


def test_a_name_that_is_too_long_for_an_identity_is_refused() -> None:
    world = World()
    with pytest.raises(NotCreated, match="is not created: an identity is at most 600 bytes"):
        world.machine(Curious, "n" * 600)
    assert not world.ground.names()


def test_t05_a_machine_with_the_longest_metadata_is_found_at_its_host() -> None:
    with_much = World(ground=Network(hosts=2))
    printer = with_much.machine(Curious, "printer", about={"a": longest("printer")}, on="host-2")
    client = with_much.client(on="host-1")
    told = client.call(printer.cap("pass"), ("inspect", printer.cap("ask")))
    assert isinstance(told, Map) and isinstance(told["identity"], bytes)
    assert len(told["identity"]) == IDENTITY_BYTES_MAX
    asked = {"cap": printer.cap("ask"), "identity": told["identity"]}
    assert inspected(client, asked)["about"] == told["about"]
    assert inspected(client, printer.cap("ask"))["about"] is None, "it is not at this host"


# Where the machine goes.


def about_at(host: SimHost, name: str) -> Any:
    """What a client of a host is told about a machine there."""
    client, machine = host.client(), host.machine(name)
    cap = host.core.host.bound[(machine.id, "take")]
    ask = client.ask(INSPECT, client.hold(capability.from_bytes(cap)))
    host.settle()
    (told,) = client.outcomes[ask]
    assert isinstance(told, Map)
    return told["about"]


def test_t05_a_machine_that_moved_is_told_of_at_its_new_host_as_before() -> None:
    market = Market(2)
    here, there = market.net.worlds
    here.create("printer", ModuleCode(purse), None, about=NORTH)
    before = about_at(here, "printer")
    trusted = here.core.host.address
    there.ask(lambda n: acquaintance.trust(there.core.host, n, trusted, True))
    market.net.settle()
    machine, to = here.machine("printer"), there.core.host.address
    request = here.begin(lambda n: here.core.move(n, machine, to, "came"))
    here.carry_out()
    market.net.settle()
    assert not here.answers.pop(request).error
    assert about_at(there, "came") == before == {"name": "printer", "type": "avm", **NORTH}
    market.net.crash(there)
    assert about_at(there, "came") == before


def test_t05_a_machine_out_of_a_file_is_told_of_as_before() -> None:
    here, there = SimHost(1), SimHost(2)
    there.codes = here.codes
    here.create("pouch", ModuleCode(apple), (), about=NORTH)
    before = about_at(here, "pouch")
    take_up(there, export(here), "other")
    assert about_at(there, "other") == before == {"name": "pouch", "type": "avm", **NORTH}


def test_t05_a_machine_that_came_with_anothers_identity_is_told_nothing_of() -> None:
    world = World()
    client, curious = world.client(), world.machine(Curious, about=NORTH)
    for lie in (OTHER, b"", b"\xff" * 700):
        sim_of(world).machine(curious.name).identity = lie
        told = inspected(client, curious.cap("ask"))
        assert told["about"] is None and told["identity"] is None


# In a recording, and as bytes.


def test_t05_a_machine_that_is_created_anew_of_a_recording_says_the_same() -> None:
    world = SimHost(3)
    taped = Taped(world)
    for name, about in (("one", {}), ("two", NORTH)):
        world.create(name, ModuleCode(apple), (), about=about)
    found = rerun(taped.end())
    assert found.found is None and found.core is not None
    for name in ("one", "two"):
        assert found.core.host.names[name].identity == world.machine(name).identity


@pytest.mark.parametrize(
    "plain",
    [None, {}, [["a"]], [["a", 1]], [[1, "a"]], [["b", ""], ["a", ""]], [["a", ""], ["a", "b"]]],
    ids=repr,
)
def test_p08_a_recording_says_the_metadata_in_order_once_and_as_text(plain: object) -> None:
    with pytest.raises(Malformed):
        ABOUT.again(SimHost(1).core.host, plain)


IDENTITY_OF = Identity(bytes(range(32)), metadata_of("printer", NORTH))


def answer_to(content: object) -> str:
    """What `inspect~` answers of a capability of that identity."""
    cap = Local(IDENTITY_OF.address, 0, 500, 1, None, b"x", ())
    to, reply = Named("inspect~"), Named("null~")
    said = Said(to, encode_content(freeze(content))[0], (cap,), reply)
    return answer_passed(SimHost(1).core.host, bytes(32), said).content.hex()


def vectors() -> dict[str, str]:
    """All vectors, as the code makes them now."""
    asked = {"cap": Foreign(0), "identity": IDENTITY_OF.to_bytes()}
    code = bytes(range(32))
    created = (1, b"s" * 32, "printer", code, b"bundle", b"\xf6", (), bytes(88))
    factory = (2, b"s" * 32, "works", b"bundle", b"makes", "shop", 3, bytes(88))
    return {
        "identity": IDENTITY_OF.to_bytes().hex(),
        "address": IDENTITY_OF.address.hex(),
        "asked": encode_content(freeze(asked))[0].hex(),
        "answered": answer_to(asked),
        "answered of another": answer_to({**asked, "identity": b"another"}),
        "answered where it is not known": answer_to(Foreign(0)),
        "create": INPUTS["create"].packed((*created, NORTH), {}).hex(),
        "create, nothing said": INPUTS["create"].packed(created, {}).hex(),
        "create_factory": INPUTS["create_factory"].packed((*factory, NORTH), {}).hex(),
        "make": make_capability(bytes(32), code, "shop", NORTH).context.hex(),
    }


def test_what_is_asked_told_and_recorded_has_the_bytes_of_the_vectors() -> None:
    assert vectors() == VECTORS


def test_the_bytes_of_the_vectors_say_what_they_did() -> None:
    identity = parse_identity_untrusted(bytes.fromhex(VECTORS["identity"]))
    assert identity == IDENTITY_OF and identity.address.hex() == VECTORS["address"]
    told = decode_content_untrusted(bytes.fromhex(VECTORS["answered"]), [Foreign(0)])
    assert isinstance(told, Map) and told["about"] == identity.metadata
    for name, about in (("create", NORTH), ("create, nothing said", {})):
        plain = loads_plain_untrusted(bytes.fromhex(VECTORS[name]))
        assert INPUTS["create"].arguments(SimHost(1).core.host, plain)[-1] == about
    cap = make_capability(bytes(32), bytes(range(32)), "shop", NORTH)
    assert cap.context.hex() == VECTORS["make"]
