"""Keys under a passphrase: only the passphrase opens them, and a changed byte opens nothing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caps import locked
from caps.errors import Malformed
from caps.locked import (
    ENTROPY_BYTES,
    LOCKED_BYTES_MAX,
    MAGIC,
    Locked,
    WrongPassphrase,
    is_locked,
    lock,
    parse_locked_untrusted,
    unlock,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "locked.json").read_text())
BODY, ADDRESS, ENTROPY = bytes(range(64)), b"\xad" * 32, bytes(range(80))
PASSPHRASE = b"correct horse"


@pytest.fixture(scope="module")
def made() -> Locked:
    return lock(BODY, ADDRESS, PASSPHRASE, ENTROPY)


def test_x01_the_passphrase_opens_what_it_locked_and_no_other_does(made: Locked) -> None:
    assert unlock(made, PASSPHRASE) == BODY
    with pytest.raises(WrongPassphrase):
        unlock(made, PASSPHRASE + b"s")
    assert BODY not in made.to_bytes() and ENTROPY[16:] not in made.to_bytes()


def test_the_costs_are_those_that_were_promised() -> None:
    assert (locked.MEMORY_KIB, locked.PASSES, locked.LANES) == (64 * 1024, 3, 4)


@pytest.mark.parametrize("part", ["address", "salt", "wrapped", "sealed"])
def test_a_changed_part_is_the_same_answer_as_a_wrong_passphrase(made: Locked, part: str) -> None:
    fields = {name: getattr(made, name) for name in ("address", "salt", "wrapped", "sealed")}
    fields[part] = bytes([fields[part][0] ^ 1]) + fields[part][1:]
    with pytest.raises(WrongPassphrase, match=r"^The passphrase does not open the keys\.$"):
        unlock(Locked(**fields), PASSPHRASE)


def test_two_locks_of_the_same_keys_have_nothing_in_common() -> None:
    one, other = (lock(BODY, ADDRESS, b"x", bytes([n]) * ENTROPY_BYTES) for n in range(2))
    assert not {one.salt, one.wrapped, one.sealed} & {other.salt, other.wrapped, other.sealed}


def test_the_form_is_as_it_was(made: Locked) -> None:
    assert made.to_bytes().hex() == VECTORS["locked"]
    assert parse_locked_untrusted(bytes.fromhex(VECTORS["locked"])) == made
    assert len(made.to_bytes()) <= LOCKED_BYTES_MAX


@given(st.binary(max_size=300))
def test_whatever_a_file_says_is_locked_keys_or_malformed(body: bytes) -> None:
    for one in (body, MAGIC + body):
        try:
            found = parse_locked_untrusted(one)
        except Malformed:
            continue
        assert is_locked(one) and found.to_bytes() == one
