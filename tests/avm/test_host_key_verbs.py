"""`keys rotate --host`, `detach`, `request`, `certify` and the `import` of a certificate, in this process."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from avm.cli import keys_certify, keys_root
from avm.host.keylife import DAY_MS
from avm.run import keyfile
from avm.run.backup import KEYS, take_keys
from avm.run.directory import Directory
from avm.run.errors import KeysRefused
from avm.store.interface import Transaction
from avm.store.sqlite import SqliteStore
from caps import locked
from caps.certifying import answer_bytes, parse_answer_untrusted
from caps.hostkeys import HostKeys, parse_host_keys_untrusted
from caps.hostproof import HostProof, certify_host
from caps.identity import RootKey
from caps.locked import is_locked
from tests.avm.test_keys_verbs import KEYS_OF, ONE, OTHER, Place, place

__all__ = ["place"]
ROOT_SEED = KEYS_OF[:32]
ADDRESS = RootKey(ROOT_SEED).identity({"type": "avm-host"}).address
THIRD = "third of three"


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases cost little here: what they cost is promised and tested elsewhere."""
    monkeypatch.setattr(locked, "MEMORY_KIB", 64)


def keys_of(place: Place) -> HostKeys:
    return parse_host_keys_untrusted(place.body())


def certificate_of(keys: HostKeys) -> HostProof:
    assert keys.proof is not None and keys.proof.certificate is not None
    return keys.proof


def test_s07_a_host_is_given_another_key_and_stays_who_it_is(place: Place) -> None:
    place.with_store()
    told = json.loads(place("keys", "rotate", "--host", "--json").out)
    first = keys_of(place)
    assert first.seed != ROOT_SEED and first.secret == KEYS_OF[32:] and first.root_seed == ROOT_SEED
    assert told["address"] == ADDRESS.hex() and told["key"] == certificate_of(first).key.hex()
    assert place.directory.read_keyring().address == ADDRESS
    assert place("keys", "rotate", "--host", "--life", "9d").code == 0
    second = keys_of(place)
    assert second.seed not in (first.seed, ROOT_SEED) and second.root_seed == ROOT_SEED
    assert certificate_of(second).incarnation > certificate_of(first).incarnation
    assert stat.S_IMODE(place.directory.key_file.stat().st_mode) == 0o600
    shown = json.loads(place("keys", "--json").out)
    assert (shown["root"], shown["ending"]) == ("here", False)
    assert place.acts() == [keys_root.ROTATED, keys_root.ROTATED]


def test_x01_the_root_key_is_taken_away_and_no_byte_of_it_stays(
    place: Place, tmp_path: Path
) -> None:
    place.with_store()
    file = tmp_path / "root.locked"
    fd = os.open(place.directory.key_file, os.O_RDONLY)
    told = place("keys", "detach", str(file), said=(OTHER,))
    assert told.code == 0 and "keep it elsewhere" in told.out
    assert os.pread(fd, 100, 0) == bytes(len(KEYS_OF)), "the old file is wiped"
    os.close(fd)
    for path in place.directory.path.rglob("*"):
        assert not path.is_file() or ROOT_SEED not in path.read_bytes(), path
    assert is_locked(file.read_bytes()) and ROOT_SEED not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keys = keys_of(place)
    assert keys.root is None and keys.root_seed == b"" and keys.secret == KEYS_OF[32:]
    assert place.directory.read_keyring().address == ADDRESS
    assert json.loads(place("keys", "--json").out)["root"] == "away"
    assert "the root key is away" in place("keys").out
    before = place.body()
    again = place("keys", "rotate", "--host")
    assert again.code == 1 and "root key is away" in again.err and "request FILE --new" in again.err
    again = place("keys", "detach", str(tmp_path / "twice"), said=(OTHER,))
    assert again.code == 1 and "away already" in again.err
    assert place.body() == before and not (tmp_path / "twice").exists()
    assert place.acts() == [keys_root.DETACHED]


def test_the_root_key_stays_where_its_file_cannot_be_written(place: Place, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    over = place.directory.key_file.with_name("host.key.new")  # what the keys are written into
    for path, why in (
        (taken, "exists: name another"),
        (tmp_path / "no" / "x", "no directory"),
        (over, "goes elsewhere"),
    ):
        told = place("keys", "detach", str(path), said=(OTHER,))
        assert told.code == 1 and why in told.err
    assert place("keys", "detach", str(tmp_path / "x"), said=()).code == 1, "no passphrase"
    assert place.body() == KEYS_OF and taken.read_text() == "mine"
    held = place.directory.acquire_lock()
    told = place("keys", "detach", str(tmp_path / "x"), said=(OTHER,))
    assert told.code == 1 and "is in use" in told.err and not (tmp_path / "x").exists()
    held.close()


def detached(place: Place, tmp_path: Path, *life: str) -> Path:
    file = tmp_path / "root.locked"
    assert place("keys", "detach", str(file), *life, said=(OTHER,)).code == 0
    return file


@pytest.mark.parametrize("new", [False, True], ids=["the same key", "another key"])
def test_s07_a_key_is_certified_where_the_root_key_is_and_used_where_it_is_brought(
    place: Place, tmp_path: Path, new: bool
) -> None:
    root = detached(place, tmp_path, "--life", "5d")
    before = keys_of(place)
    asked, made = tmp_path / "asked", tmp_path / "made"
    option = ("--new",) if new else ()
    key = json.loads(place("keys", "request", str(asked), *option, "--json").out)["key"]
    assert certificate_of(keys_of(place)).key == certificate_of(before).key, "it is used until then"
    elsewhere = Place.of(Directory(tmp_path / "nowhere"), place.capsys)
    told = elsewhere("keys", "certify", str(asked), str(root), str(made), said=(OTHER,))
    assert told.code == 0 and key in told.out and not elsewhere.directory.path.exists()
    assert place("keys", "import", str(made)).code == 0
    after = keys_of(place)
    assert certificate_of(after).key.hex() == key and after.next_seed == b""
    assert (after.seed != before.seed) is new and after.root is None
    known = certificate_of(before), certificate_of(after)
    assert known[0].certificate is not None and known[1].certificate is not None
    assert known[1].certificate.newer_than(known[0].certificate)
    assert (known[1].incarnation > known[0].incarnation) is new
    assert (known[1].expiry_ms or 0) > (known[0].expiry_ms or 0)
    again = place("keys", "import", str(made))
    assert again.code == 1 and "not newer" in again.err
    assert place.directory.read_keyring().address == ADDRESS


def test_s07_each_time_that_another_key_is_asked_for_it_is_another(
    place: Place, tmp_path: Path
) -> None:
    root = detached(place, tmp_path)
    for name in ("one", "two"):
        assert place("keys", "request", str(tmp_path / name), "--new").code == 0
        words = (str(tmp_path / name), str(root), str(tmp_path / f"{name} made"))
        assert place("keys", "certify", *words, said=(OTHER,)).code == 0
    told = place("keys", "import", str(tmp_path / "one made"))
    assert told.code == 1 and "certifies a key that is not here" in told.err
    assert place("keys", "import", str(tmp_path / "two made")).code == 0


def test_s07_certificates_of_others_old_or_ended_ones_are_refused(
    place: Place, tmp_path: Path
) -> None:
    detached(place, tmp_path)
    keys = keys_of(place)
    proof = certificate_of(keys)
    now_ms, late_ms = keys_certify.now_ms(), keys_certify.now_ms() + 10**10
    root, other = RootKey(ROOT_SEED), RootKey(b"o" * 32)
    theirs = certify_host(other, other.identity({}), proof.key, now_ms, late_ms)
    not_here = certify_host(
        root, proof.identity, other.public_key, now_ms, late_ms, proof.certificate
    )
    ended = certify_host(root, proof.identity, proof.key, now_ms, now_ms - 1, proof.certificate)
    ahead_ms = now_ms + 3 * DAY_MS
    early = certify_host(root, proof.identity, proof.key, ahead_ms, late_ms, proof.certificate)
    forged = replace(theirs, identity=proof.identity)
    file = tmp_path / "made"
    for made, why, code in (
        (theirs, "another host's", 1),
        (not_here, "not here", 1),
        (proof, "not newer", 1),
        (ended, "ended at", 1),
        (early, "does not begin before", 1),
        (forged, "another machine", 2),
    ):
        file.write_bytes(answer_bytes(made))
        told = place("keys", "import", str(file))
        assert (told.code, why in told.err) == (code, True), told.err
        assert keys_of(place) == keys
    file.write_bytes(b"nonsense")
    told = place("keys", "import", str(file))
    assert told.code == 2 and "keys certify" in told.err


def test_nothing_but_a_request_is_certified_and_by_its_own_root_key_alone(
    place: Place, tmp_path: Path
) -> None:
    root = detached(place, tmp_path)
    asked, made = tmp_path / "asked", tmp_path / "made"
    assert place("keys", "request", str(asked)).code == 0
    words = ("keys", "certify", str(asked), str(root), str(made))
    assert "does not open" in place(*words, said=(ONE,)).err
    assert place("keys", "certify", str(root), str(root), str(made), said=(OTHER,)).code == 2
    exported = tmp_path / "keys.locked"
    assert place("keys", "export", str(exported), said=(THIRD,)).code == 0
    told = place("keys", "certify", str(asked), str(exported), str(made), said=(THIRD,))
    assert told.code == 2 and "no root key" in told.err
    told = place("keys", "certify", str(asked), str(asked), str(made), said=(OTHER,))
    assert told.code == 2 and "no file of" in told.err
    strange = Place(tmp_path / "other", place.capsys)
    strange.directory.replace_keys(b"o" * 64)
    theirs = tmp_path / "theirs"
    assert strange("keys", "detach", str(theirs), said=(ONE,)).code == 0
    told = place("keys", "certify", str(asked), str(theirs), str(made), said=(ONE,))
    assert told.code == 2 and "another host's" in told.err
    body = asked.read_bytes()
    asked.write_bytes(body.replace(certificate_of(keys_of(place)).key, b"e" * 32, 1))
    told = place(*words, said=(OTHER,))
    assert told.code == 2 and "not signed by" in told.err
    assert not made.exists()
    asked.write_bytes(body)
    assert place(*words, said=(OTHER,)).code == 0
    told = place(*words, said=(OTHER,))
    assert told.code == 1 and "exists: name another file" in told.err


def test_x01_keys_under_a_passphrase_stay_under_it(place: Place, tmp_path: Path) -> None:
    assert place("keys", "lock", said=(ONE,)).code == 0
    assert place("keys", "rotate", "--host", said=(ONE,)).code == 0
    assert is_locked(place.body()) and "root" not in json.loads(place("keys", "--json").out)
    file, asked, made = (tmp_path / name for name in ("root.locked", "asked", "made"))
    assert place("keys", "detach", str(file), said=(ONE, OTHER)).code == 0
    assert place("keys", "request", str(asked), "--new", said=(ONE,)).code == 0
    assert place("keys", "certify", str(asked), str(file), str(made), said=(OTHER,)).code == 0
    wrong = place("keys", "import", str(made), said=(OTHER,))
    assert wrong.code == 1 and "does not open" in wrong.err
    assert place("keys", "import", str(made), said=(ONE,)).code == 0
    assert is_locked(place.body())
    assert place("keys", "unlock", said=(ONE,)).code == 0
    keys = keys_of(place)
    assert keys.root is None and keys.proof == parse_answer_untrusted(made.read_bytes())


def test_a_backup_and_an_export_have_the_certified_key(place: Place, tmp_path: Path) -> None:
    detached(place, tmp_path)
    body = place.body()
    store = SqliteStore.create_or_open(place.directory.store)
    store.commit([Transaction({KEYS: body})])
    store.close()
    place.directory.key_file.unlink()
    assert take_keys(place.directory) and place.body() == body
    file = tmp_path / "keys.locked"
    assert place("keys", "export", str(file), said=(THIRD,)).code == 0
    place.directory.key_file.unlink()
    assert place("keys", "import", str(file), said=(THIRD,)).code == 0
    assert place("keys", "unlock", said=(THIRD,)).code == 0
    assert place.body() == body


def test_keys_that_do_not_fit_together_are_damaged(place: Place, tmp_path: Path) -> None:
    detached(place, tmp_path)
    keys = keys_of(place)
    place.directory.replace_keys(replace(keys, seed=b"x" * 32).to_bytes())
    with pytest.raises(KeysRefused, match="is damaged"):
        place.directory.read_keyring()
    with pytest.raises(KeysRefused, match="is damaged"):
        keyfile.keys_of(b"short", place.directory.key_file)


def test_a_root_key_is_not_taken_for_a_hosts_keys(place: Place, tmp_path: Path) -> None:
    root = detached(place, tmp_path)
    fresh = Place.of(Directory(tmp_path / "fresh"), place.capsys)
    for one in (place, fresh):
        told = one("keys", "import", str(root), said=(OTHER,))
        assert told.code == 2 and "`avm-host keys certify` uses it" in told.err
    assert not fresh.directory.path.exists()


def test_options_go_with_their_acts_and_lives_are_bounded(place: Place, tmp_path: Path) -> None:
    file = str(tmp_path / "file")
    for words in (
        ("lock", "--host"),
        ("rotate", "counter", "--host"),
        ("rotate", "--host", "--grace", "7d"),
        ("rotate", "counter", "--life", "7d"),
        ("rotate",),
        ("request", file, "--life", "7d"),
        ("detach", file, "--new"),
        ("detach",),
        ("certify", file, file),
        ("rotate", "--host", "--life", "0s"),
        ("rotate", "--host", "--life", "3651d"),
        ("rotate", "--host", "--life", "soon"),
    ):
        told = place("keys", *words)
        assert told.code == 2, words
    assert place.body() == KEYS_OF
    told = place("keys", "request", file)
    assert told.code == 1 and "root key is here" in told.err
