import copy
import json
from hashlib import blake2b
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caps.codec import dumps_plain
from caps.errors import Malformed, NotAValue, TooBig
from caps.identity import (
    IDENTITY_BYTES_MAX,
    Endpoint,
    Identity,
    RootKey,
    Route,
    address_of,
    address_text,
    parse_address,
    parse_endpoint,
    parse_identity_untrusted,
    parse_route,
    verify,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "identity.json").read_text())

short_text = st.text(st.characters(codec="utf-8"), max_size=12)
metadata = st.dictionaries(short_text, short_text, max_size=4)
keys = st.binary(min_size=32, max_size=32)
identities = st.builds(Identity, keys, metadata)
ip_bytes = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=16, max_size=16).filter(lambda b: IPv6Address(b).ipv4_mapped is None),
)
endpoints = st.builds(Endpoint, ip_bytes, st.integers(1, 65535))
routes = st.builds(Route, keys, endpoints)


@given(identities)
def test_an_identity_is_its_bytes_and_its_bytes_are_the_identity(identity: Identity) -> None:
    body = identity.to_bytes()
    assert parse_identity_untrusted(body) == identity
    assert parse_identity_untrusted(body).to_bytes() == body
    assert copy.deepcopy(identity) == identity
    assert hash(parse_identity_untrusted(body)) == hash(identity)


@given(keys, metadata)
def test_the_order_of_metadata_does_not_matter(key: bytes, given_metadata: dict[str, str]) -> None:
    turned = dict(reversed(given_metadata.items()))
    assert Identity(key, turned).address == Identity(key, given_metadata).address


@given(identities, st.data())
def test_w13_another_bit_is_another_address_or_no_identity(
    identity: Identity, data: st.DataObject
) -> None:
    body = bytearray(identity.to_bytes())
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    try:
        other = parse_identity_untrusted(bytes(body))
    except Malformed:
        return
    assert other != identity
    assert other.address != identity.address


@given(st.binary(max_size=80))
def test_a_strangers_bytes_raise_malformed_only(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_identity_untrusted(body)


@pytest.mark.parametrize(
    "plain",
    [
        [2, bytes(32), {}],
        [True, bytes(32), {}],
        [1, bytes(31), {}],
        [1, "k" * 32, {}],
        [1, bytes(32), {"a": 1}],
        [1, bytes(32), {1: "a"}],
        [1, bytes(32), {"a": b""}],
        [1, bytes(32), []],
        [1, bytes(32)],
        [1, bytes(32), {}, None],
        {},
        None,
    ],
    ids=repr,
)
def test_a_structure_that_is_no_identity_is_malformed(plain: object) -> None:
    with pytest.raises(Malformed):
        parse_identity_untrusted(dumps_plain(plain))


def test_an_identity_has_a_greatest_size() -> None:
    over = len(Identity(bytes(32), {"a": "x" * 300}).to_bytes()) - 300
    longest = "x" * (IDENTITY_BYTES_MAX - over)
    assert len(Identity(bytes(32), {"a": longest}).to_bytes()) == IDENTITY_BYTES_MAX
    with pytest.raises(TooBig):
        Identity(bytes(32), {"a": longest + "x"})
    with pytest.raises(Malformed):
        parse_identity_untrusted(dumps_plain([1, bytes(32), {"a": longest + "x"}]))


def test_what_is_no_key_or_no_text_makes_no_identity() -> None:
    with pytest.raises(NotAValue):
        Identity(bytes(31), {})
    with pytest.raises(NotAValue):
        Identity(bytes(32), {"a": 1})  # type: ignore[dict-item]
    with pytest.raises(NotAValue):
        Identity(bytes(32), {"a": "\ud800"})


def test_the_callers_metadata_can_change_without_changing_the_identity() -> None:
    mine = {"name": "counter"}
    identity = Identity(bytes(32), mine)
    address = identity.address
    mine["name"] = "other"
    assert identity.address == address
    assert identity.metadata["name"] == "counter"


def test_the_address_is_the_domain_separated_hash_of_the_bytes() -> None:
    body = Identity(bytes(32), {}).to_bytes()
    assert address_of(body) == blake2b(body, digest_size=32, person=b"avm address").digest()
    assert address_of(body) != blake2b(body, digest_size=32).digest()


@given(keys)
def test_an_address_has_one_text(address: bytes) -> None:
    text = address_text(address)
    assert parse_address(text) == address
    for other in (text.upper(), text[:-1], text + "0", " " + text, text + "\n"):
        if other != text:
            with pytest.raises(Malformed):
                parse_address(other)


@settings(max_examples=25)
@given(keys, st.binary(max_size=40), st.data())
def test_a_signature_holds_for_its_key_its_domain_and_its_bytes(
    seed: bytes, body: bytes, data: st.DataObject
) -> None:
    root = RootKey(seed)
    signature = root.sign(b"test", body)
    assert verify(root.public_key, b"test", body, signature)
    assert root.sign(b"test", body) == signature
    assert not verify(root.public_key, b"tes", b"t" + body, signature)
    assert not verify(root.public_key, b"other", body, signature)
    assert not verify(root.public_key, b"test", body + b"\0", signature)
    assert not verify(RootKey(bytes(31) + b"\1").public_key, b"test", body, signature)
    bit = data.draw(st.integers(0, 511))
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not verify(root.public_key, b"test", body, bytes(changed))
    assert not verify(root.public_key, b"test", body, signature[:-1])


def test_a_key_of_small_order_verifies_nothing() -> None:
    identity_point = b"\1" + bytes(31)
    assert not verify(identity_point, b"test", b"", identity_point + bytes(32))
    assert not verify(bytes(31), b"test", b"", bytes(64))


def test_a_root_key_shows_no_secret() -> None:
    seed = bytes(range(32))
    assert repr(RootKey(seed)) == f"<root key {RootKey(seed).public_key.hex()[:8]}>"
    assert seed.hex() not in repr(RootKey(seed))
    with pytest.raises(ValueError, match="32 bytes"):
        RootKey(seed[:-1])


@given(routes)
@example(Route(bytes(32), Endpoint(bytes(16), 1)))
@example(Route(bytes(32), Endpoint(bytes(15) + b"\1", 65535)))
def test_a_route_has_one_text(route: Route) -> None:
    text = str(route)
    assert parse_route(text) == route
    assert str(parse_route(text)) == text
    assert parse_endpoint(str(route.endpoint)) == route.endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:080",
        "127.0.0.1:+80",
        "127.0.0.1:8_0",
        "127.0.0.1:\u0661",
        "127.0.0.01:80",
        "127.1:80",
        " 127.0.0.1:80",
        "127.0.0.1:80\n",
        "127.0.0.1:80 ",
        "[127.0.0.1]:80",
        "localhost:80",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[[::1]]:80",
        "[]:80",
        "[0:0::1]:80",
        "[2001:DB8::1]:80",
        "[fe80::1%eth0]:80",
        "[::ffff:1.2.3.4]:80",
        "[::ffff:102:304]:80",
        "[::1.2.3.4]:80",
    ],
)
def test_an_endpoint_in_any_other_text_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_endpoint(text)
    with pytest.raises(Malformed):
        parse_route("ab" * 32 + "@" + text)


def test_a_near_miss_is_told_the_right_text() -> None:
    with pytest.raises(Malformed, match=r"write the endpoint as \[2001:db8::1\]:80"):
        parse_endpoint("[2001:DB8::1]:80")


@given(st.text(max_size=30))
def test_a_route_raises_malformed_only(text: str) -> None:
    with pytest.raises(Malformed):
        parse_route(text)


@pytest.mark.parametrize("case", VECTORS["identities"])
def test_pinned_identities_both_ways(case: dict[str, str]) -> None:
    body = bytes.fromhex(case["bytes"])
    identity = RootKey(bytes.fromhex(case["seed"])).identity(json.loads(case["metadata"]))
    assert identity.to_bytes() == body
    assert parse_identity_untrusted(body) == identity
    assert address_text(identity.address) == case["address"]


@pytest.mark.parametrize("case", VECTORS["signatures"])
def test_pinned_signatures_both_ways(case: dict[str, str]) -> None:
    root = RootKey(bytes.fromhex(case["seed"]))
    body, signature = bytes.fromhex(case["body"]), bytes.fromhex(case["signature"])
    assert root.sign(case["domain"].encode(), body) == signature
    assert verify(root.public_key, case["domain"].encode(), body, signature)


@pytest.mark.parametrize("case", VECTORS["routes"])
def test_pinned_routes_both_ways(case: dict[str, str]) -> None:
    ip = bytes.fromhex(case["ip"])
    route = Route(bytes.fromhex(case["address"]), Endpoint(ip, int(case["port"])))
    assert str(route) == case["text"]
    assert parse_route(case["text"]) == route
