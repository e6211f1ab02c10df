"""The bytes by which a machine goes from host to host, pinned, both ways, and whatever else comes."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm.host import parcel
from avm.host.channel import pack_frame, unpack_frame_untrusted
from avm.host.keys import Keyring, are_keys, secrets_of
from avm.host.parcel import Parcel
from avm.host.passage import (
    CODE,
    INCARNATION_MAX,
    ITEM_BYTES_MAX,
    JOURNAL,
    NUMBER_MAX,
    PIECE_BYTES,
    SNAPSHOT,
    Fetch,
    Landed,
    Move,
    Moved,
    Passage,
    Piece,
    Ready,
    Willing,
)
from avm.host.soundness import check_untrusted
from avm.link import limits as link_limits
from caps.codec import dumps_plain
from caps.errors import Malformed
from caps.identity import RootKey
from caps.sealing import MachineKeys

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "passage.json").read_text())
ADDRESS, SENDER, HASH = b"a" * 32, b"s" * 32, b"h" * 32
FRAMES: dict[str, Passage] = {
    "move": Move(ADDRESS, 2, "counter"),
    "willing": Willing(ADDRESS, 2, ""),
    "unwilling": Willing(ADDRESS, 2, "it is about to stop"),
    "ready": Ready(ADDRESS, 2, "counter"),
    "fetch": Fetch(ADDRESS, 2, JOURNAL, 100, b"", 0),
    "fetch code": Fetch(ADDRESS, 2, CODE, 0, HASH, 262_144),
    "piece": Piece(ADDRESS, 2, JOURNAL, 100, b"", 0, 5, 200, b"items"),
    "landed": Landed(ADDRESS, 2, b"identity", b"certificate"),
    "moved": Moved(SENDER, ADDRESS, b"identity", b"certificate"),
}
PARCEL = Parcel(
    identity=b"identity",
    incarnation=2,
    generation=1,
    status=1,
    mode=0,
    why="",
    code=HASH,
    has_signal=False,
    python="3.11",
    version="0.1.0",
    head=12,
    chain=b"c" * 32,
    now_ms=1_700_000_000_000,
    next_slot=3,
    next_ask=2,
    snapshot_at=11,
    state_bytes=64,
    failed=0,
    refused=1,
    slots=[(2, b"a capability")],
    names=[("add", b"its own")],
    asks=[(1, b"its own", 1_700_000_060_000, SENDER, 4, False)],
    timers=[(b"its own", b"\x01", [], None, 1_700_000_001_000, 604_800_000, False)],
    channels=[
        (SENDER, ADDRESS, 0, 0, 7, 9, HASH, 1, 0, [(7, ["rejected", 0])]),
        (ADDRESS, SENDER, 4, 4, 3, 3, HASH, 1, 0, []),
    ],
    outbox=[(SENDER, 4, 3, 1, 1_700_000_060_000, 120, b"header", b"body", [b"reply"], [HASH])],
    words=[[(b"its own reply", b"\x02")]],
)

# With what is revoked and what is counted it is of version 2.
NEWER = replace(
    PARCEL,
    generation=4,
    revoked=1,
    ends=[(2, 1_700_000_000_000)],
    uses=[(b"p" * 16, 3, 1_700_000_060_000)],
)
PARCELS = {"parcel": PARCEL, "parcel of version 2": NEWER}


def made() -> dict[str, str]:
    """All vectors, as the code makes them now."""
    frames = {name: pack_frame(frame).hex() for name, frame in FRAMES.items()}
    return {**frames, **{name: parcel.to_bytes(one).hex() for name, one in PARCELS.items()}}


@pytest.mark.parametrize("name", sorted(made()))
def test_each_structure_of_a_move_is_the_bytes_that_are_pinned(name: str) -> None:
    assert made()[name] == VECTORS[name]


def test_s06_the_largest_part_of_a_history_is_a_frame_that_a_link_takes() -> None:
    item = (SNAPSHOT, NUMBER_MAX, b"", ITEM_BYTES_MAX - PIECE_BYTES)
    size = (ITEM_BYTES_MAX, NUMBER_MAX, bytes(PIECE_BYTES))
    whole = pack_frame(Piece(ADDRESS, INCARNATION_MAX, *item, *size))
    assert len(whole) < link_limits.FRAME_BYTES_MAX
    assert unpack_frame_untrusted(whole)


@pytest.mark.parametrize("name", FRAMES)
def test_each_frame_of_a_move_is_read_back_from_its_pinned_bytes(name: str) -> None:
    whole = bytes.fromhex(VECTORS[name])
    assert unpack_frame_untrusted(whole) == FRAMES[name]
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            unpack_frame_untrusted(whole[:end])


@pytest.mark.parametrize("name", PARCELS)
def test_a_parcel_is_read_back_from_its_pinned_bytes_and_from_no_part_of_them(name: str) -> None:
    whole = bytes.fromhex(VECTORS[name])
    assert parcel.from_bytes_untrusted(whole) == PARCELS[name]
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            parcel.from_bytes_untrusted(whole[:end])
    with pytest.raises(Malformed):
        parcel.from_bytes_untrusted(whole + b"\x00")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**63)
    | st.binary(max_size=40)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from([one.name for one in fields(Parcel)]), PLAIN)
def test_p08_a_parcel_with_anything_in_a_field_is_another_or_malformed(
    name: str, value: object
) -> None:
    row = [2, *(value if one.name == name else getattr(NEWER, one.name) for one in fields(Parcel))]
    body = dumps_plain(row)
    assert parcel.to_bytes(NEWER) == dumps_plain(
        [2, *(getattr(NEWER, one.name) for one in fields(Parcel))]
    )
    try:
        read = parcel.from_bytes_untrusted(body)
    except Malformed:
        return
    assert parcel.to_bytes(read) == body


@given(st.integers(18, 30), st.lists(PLAIN, max_size=10))
def test_p08_any_frame_of_a_move_is_one_or_malformed(kind: int, rest: list[object]) -> None:
    body = dumps_plain([kind, *rest])
    try:
        frame = unpack_frame_untrusted(body)
    except Malformed:
        return
    assert pack_frame(frame) == body


@given(st.data())
def test_p08_flipped_bytes_in_a_parcel_are_another_parcel_or_malformed(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(list(PARCELS.values())))
    body = bytearray(parcel.to_bytes(whole))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    try:
        read = parcel.from_bytes_untrusted(bytes(body))
    except Malformed:
        return
    assert parcel.to_bytes(read) == bytes(body) and read != whole


# Keys.


def moved_keys(generations: int) -> tuple[bytes, bytes, bytes]:
    """A machine's identity and keys after some moves, and the secrets that its first host knows."""
    root = RootKey(b"r" * 32)
    identity = root.identity({"name": "counter"})
    keys = b"r" * 32 + b"s" * 32
    for generation in range(1, generations + 1):
        host = Keyring(bytes([generation]) * 32, bytes([100 + generation]) * 32)
        host.add_machine(identity.address, host.take_machine(identity.address, keys, generation))
        keys = host.open_machine(host._sealed[identity.address])
    return identity.to_bytes(), identity.address, keys


def test_what_a_machine_seals_after_a_move_its_old_host_cannot_open_or_forge() -> None:
    _identity, address, keys = moved_keys(2)
    secret, later = secrets_of(keys)
    now, before = MachineKeys(secret, address, later), MachineKeys(secret, address)
    how = {"priority": 0, "kind": 0, "expires_ms": None}
    old = before.seal(b"\x01\x00\x01x", generation=0, **how)  # type: ignore[arg-type]
    assert now.unseal(old) == b"\x01\x00\x01x", "what was given away before stays good"
    for generation in (1, 2, 7):
        sealed = now.seal(b"\x01\x00\x01x", generation=generation, **how)  # type: ignore[arg-type]
        forged = before.seal(b"\x01\x00\x01x", generation=generation, **how)  # type: ignore[arg-type]
        assert sealed != forged and sealed.proof != forged.proof
    assert now.latest == 2


def test_keys_of_another_machine_or_of_a_generation_to_come_are_refused() -> None:
    identity, address, keys = moved_keys(2)
    assert are_keys(keys, address, identity, 3)
    assert not are_keys(keys, address, identity, 2)
    assert not are_keys(keys[:-1], address, identity, 3)
    assert not are_keys(b"x" + keys[1:], address, identity, 3)
    assert not are_keys(keys, ADDRESS, identity, 3)
    assert not are_keys(keys, address, identity + b"\x00", 3)
    assert not are_keys(b"", address, identity, 3)


def test_a_parcel_says_all_that_its_fields_say() -> None:
    assert parcel.to_bytes(replace(PARCEL, why="x")) != parcel.to_bytes(PARCEL)


@pytest.mark.parametrize(
    "changed",
    [{"revoked": 4}, {"ends": [(4, 1)]}, {"uses": [(b"p" * 16, 1, 1), (b"p" * 16, 2, 1)]}],
    ids=str,
)
def test_p08_a_parcel_that_revokes_what_begins_or_counts_twice_is_refused(
    changed: dict[str, Any],
) -> None:
    identity, address, keys = moved_keys(2)
    whole = replace(NEWER, identity=identity, slots=[], names=[], asks=[], timers=[], words=[])
    whole = replace(whole, channels=[], outbox=[])
    check_untrusted(whole, address, keys)
    with pytest.raises(Malformed):
        check_untrusted(replace(whole, **changed), address, keys)
