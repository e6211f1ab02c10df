"""What whoever mixes up files or words about the host's keys is told: the very line, and no change."""

import json
from pathlib import Path

from avm.cli import keys_certify
from avm.cli.times import utc
from caps.certifying import ANSWER_MAGIC, REQUEST_MAGIC
from tests.avm.test_host_key_verbs import THIRD, certificate_of, detached, keys_of, light
from tests.avm.test_keys_verbs import ONE, OTHER, Place, place

__all__ = ["light", "place"]

ROOT_ALONE = (
    "is a root key of `avm-host keys detach`, and has no other key of a host: "
    "`avm-host keys certify` uses it"
)


def refused(place: Place, *words: str, said: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit code and the sentence, the keys being what they were."""
    before = place.body()
    told = place("keys", *words, said=said)
    assert place.body() == before and told.out == ""
    return told.code, told.err.removeprefix("avm-host: ").rstrip("\n")


def test_the_files_of_a_certificate_are_told_apart(place: Place, tmp_path: Path) -> None:
    root = detached(place, tmp_path)
    asked, made = tmp_path / "asked", tmp_path / "made"
    assert place("keys", "request", str(asked)).code == 0
    for words, said, why in (
        (
            ("certify", root, asked, made),
            (OTHER,),
            f"{root} is no file of `avm-host keys request`: REQUEST is first, then ROOT",
        ),
        (
            ("import", asked),
            (),
            f"{asked} is no file of `avm-host keys export` or `avm-host keys certify`",
        ),
        (
            ("import", root),
            (OTHER,),
            f"{root} {ROOT_ALONE}",
        ),
    ):
        assert refused(place, *map(str, words), said=said) == (2, why)
    assert not made.exists()


def test_a_file_that_was_cut_short_on_its_way_is_named(place: Place, tmp_path: Path) -> None:
    root = detached(place, tmp_path)
    file, made = tmp_path / "cut", str(tmp_path / "made")
    file.write_bytes(REQUEST_MAGIC)
    code, why = refused(place, "certify", str(file), str(root), made, said=(OTHER,))
    assert code == 2 and why.startswith(f"{file} is damaged (")
    assert why.endswith("): copy it again, or ask again")
    file.write_bytes(ANSWER_MAGIC)
    code, why = refused(place, "import", str(file))
    assert code == 2 and why.startswith(f"{file} is damaged (")
    assert why.endswith("): copy it again, or certify again")


def test_where_a_certificate_cannot_be_written_no_passphrase_is_asked_for(
    place: Place, tmp_path: Path
) -> None:
    root, nowhere = detached(place, tmp_path), tmp_path / "nowhere"
    assert place("keys", "request", str(tmp_path / "asked")).code == 0
    told = refused(place, "certify", str(tmp_path / "asked"), str(root), str(nowhere / "made"))
    assert told == (1, f"{nowhere} is no directory: make it, or name another file")


def test_who_leaves_a_word_out_is_told_both_ways_to_rotate(place: Place) -> None:
    both = "it is `avm-host keys rotate N`, or `avm-host keys rotate --host`"
    assert refused(place, "rotate") == (2, both)
    assert refused(place, "rotate", "counter", "--host") == (2, both)
    assert refused(place, "detach") == (2, "it is `avm-host keys detach FILE`")


def test_s07_a_root_key_leaves_no_key_behind_that_ends_soon(place: Place, tmp_path: Path) -> None:
    assert place("keys", "rotate", "--host", "--life", "1ms").code == 0
    short = certificate_of(keys_of(place))
    detached(place, tmp_path)
    kept = certificate_of(keys_of(place))
    assert kept.key != short.key
    assert (kept.expiry_ms or 0) > keys_certify.now_ms() + 364 * 24 * 60 * 60 * 1000


def test_s07_an_import_tells_of_the_key_and_its_end(place: Place, tmp_path: Path) -> None:
    root = detached(place, tmp_path, "--life", "5d")
    asked, one, two = tmp_path / "asked", tmp_path / "one", tmp_path / "two"
    assert place("keys", "request", str(asked)).code == 0
    for made, life in ((one, "6d"), (two, "7d")):
        words = ("keys", "certify", str(asked), str(root), str(made), "--life", life)
        told = place(*words, said=(OTHER,))
        address = place.directory.host_address().hex()
        there = f"  for the host {address}: there `avm-host keys import {made.name}`"
        assert told.out.splitlines()[1] == there
    said = place("keys", "import", str(one)).out
    proof = certificate_of(keys_of(place))
    assert proof.expiry_ms is not None
    until = utc(proof.expiry_ms)
    assert (
        said
        == f"the host proves itself by the key {proof.key.hex()[:12]}.. until {until}: start it\n"
    )
    told = json.loads(place("keys", "import", str(two), "--json").out)
    proof = certificate_of(keys_of(place))
    assert told == {
        "address": proof.address.hex(),
        "file": str(two),
        "key": proof.key.hex(),
        "until_ms": proof.expiry_ms,
    }


def test_s07_keys_names_the_one_remedy_that_there_is(place: Place, tmp_path: Path) -> None:
    assert place("keys", "rotate", "--host", "--life", "1ms").code == 0
    ended = utc(certificate_of(keys_of(place)).expiry_ms or 0)
    over = f"  its certificate ended at {ended}, other hosts take nothing from this one: "
    assert place("keys").out.splitlines()[2] == over + "`avm-host keys rotate --host`"
    detached(place, tmp_path, "--life", "1ms")
    told = place("keys").out.splitlines()[2]
    assert told.endswith(", other hosts take nothing from this one: `avm-host keys request FILE`")


def test_locked_keys_are_told_of_to_whom_has_the_passphrase(place: Place) -> None:
    assert place("keys", "lock", said=(ONE,)).code == 0
    assert len(place("keys").out.splitlines()) == 1
    assert place("keys", said=(ONE,)).out.splitlines()[1].startswith("  the root key is in use")
    told = json.loads(place("keys", "--json", said=(ONE,)).out)
    assert (told["locked"], told["root"]) == (True, "in use")
    why = f"the passphrase does not open {place.directory.key_file}"
    assert refused(place, "host", said=(THIRD,)) == (1, why)
