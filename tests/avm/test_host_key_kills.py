"""`keys rotate --host`, `detach`, `request` and `import` cut after each write: there is always a key to go on by."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avm.cli import keys_certify, keys_root
from avm.host.keylife import key_life
from avm.run.directory import Directory
from avm.store.files import OnDisk
from caps import locked
from caps.certifying import answer_bytes, certify, parse_request_untrusted
from caps.hostkeys import HostKeys, parse_host_keys_untrusted, parse_root_file_untrusted
from caps.hostproof import certify_host
from caps.identity import RootKey
from caps.locked import parse_locked_untrusted, unlock

KEYS_OF = bytes(range(100, 164))
ROOT = RootKey(KEYS_OF[:32])
IDENTITY = ROOT.identity({"type": "avm-host"})
WORD = b"a phrase"


class Killed(BaseException):
    """The process is gone."""


class Dying(OnDisk):
    """The files of a process that is killed before, or in the middle of, its operation number `left`."""

    def __init__(self, left: int) -> None:
        self.left = left

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def write(self, path: Path, body: bytes) -> None:
        if self.left <= 0:
            super().write(path, body[: len(body) // 2])
        self._count()
        super().write(path, body)

    def sync(self, path: Path) -> None:
        self._count()
        super().sync(path)

    def replace(self, old: Path, new: Path) -> None:
        self._count()
        super().replace(old, new)

    def sync_directory(self, path: Path) -> None:
        self._count()
        super().sync_directory(path)


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases cost little here: what they cost is promised and tested elsewhere."""
    monkeypatch.setattr(locked, "MEMORY_KIB", 64)


def act(name: str, directory: Directory, *words: str, new: bool = False) -> None:
    given: dict[str, Any] = {"act": name, "words": words, "new": new, "life": None, "json": True}
    args = SimpleNamespace(**given, passphrases=SimpleNamespace(fresh=lambda: WORD))
    keys_root.run(args, directory)  # type: ignore[arg-type]


def rotate(directory: Directory, _file: Path) -> None:
    act("rotate", directory)


def detach(directory: Directory, file: Path) -> None:
    act("detach", directory, str(file))


def ask(directory: Directory, file: Path) -> None:
    act("request", directory, str(file), new=True)


def take(directory: Directory, file: Path) -> None:
    keys_root.take_certificate(directory, file, file.read_bytes())


def open_root(file: Path) -> RootKey:
    body = unlock(parse_locked_untrusted(file.read_bytes()), WORD)
    root, identity = parse_root_file_untrusted(body)
    assert identity == IDENTITY
    return root


def keys_in(directory: Directory) -> HostKeys:
    assert directory.read_keyring().address == IDENTITY.address
    return parse_host_keys_untrusted(directory.key_body())


def root_file(directory: Directory) -> Path:
    return directory.path.with_suffix(".root")


def in_a_directory(path: Path) -> Directory:
    directory = Directory(path)
    directory.keyring(lambda _size: KEYS_OF)
    return directory


def cut_each(
    place: Path, begin: Callable[[Directory], Path], verb: Callable[[Directory, Path], None]
) -> list[tuple[Directory, Path]]:
    """The directory after a kill at each operation on files that the verb does, and after none."""
    found: list[tuple[Directory, Path]] = []
    for left in range(30):
        whole = in_a_directory(place / str(left))
        file = begin(whole)
        found.append((whole, file))
        try:
            verb(Directory(whole.path, files=Dying(left)), file)
        except Killed:
            continue
        assert len(found) > 3
        return found
    raise AssertionError("more operations than are cut")


def test_s07_wherever_a_change_of_keys_is_cut_the_old_key_or_the_new_one_is_used(
    tmp_path: Path,
) -> None:
    for directory, _file in cut_each(tmp_path, lambda one: one.path / "none", rotate):
        keys = keys_in(directory)
        assert keys.root is not None and keys.root.public_key == ROOT.public_key
        assert keys.secret == KEYS_OF[32:]
        rotate(directory, directory.path)
        assert keys_in(directory).proof is not None


def test_x01_wherever_the_root_keys_going_is_cut_it_is_here_or_in_its_file(tmp_path: Path) -> None:
    away = 0
    for directory, file in cut_each(tmp_path, root_file, detach):
        keys = keys_in(directory)
        if keys.root is None:
            away += 1
            assert open_root(file).public_key == ROOT.public_key
            continue
        assert keys.root.public_key == ROOT.public_key
        detach(directory, file.with_suffix(".again"))
        assert keys_in(directory).root is None
        assert open_root(file.with_suffix(".again")).public_key == ROOT.public_key
    assert away > 1


def with_an_answer(directory: Directory) -> Path:
    """A certificate of another key, which was asked for."""
    detach(directory, root_file(directory))
    asked, file = directory.path / "asked", directory.path / "answer"
    ask(directory, asked)
    now_ms = keys_certify.now_ms()
    request = parse_request_untrusted(asked.read_bytes())
    file.write_bytes(answer_bytes(certify(request, ROOT, IDENTITY, now_ms, now_ms + 10**9)))
    return file


def test_s07_wherever_the_taking_of_a_certificate_is_cut_it_can_be_taken_or_was(
    tmp_path: Path,
) -> None:
    before = after = 0
    for directory, file in cut_each(tmp_path, with_an_answer, take):
        keys = keys_in(directory)
        if keys.next_seed:
            before += 1
            take(directory, file)
            keys = keys_in(directory)
        else:
            after += 1
        assert keys.proof is not None and answer_bytes(keys.proof) == file.read_bytes()
    assert before > 1 and after > 1


def test_s07_wherever_a_request_is_cut_the_key_in_use_stays(tmp_path: Path) -> None:
    def away(directory: Directory) -> Path:
        detach(directory, root_file(directory))
        return directory.path / "asked"

    for directory, file in cut_each(tmp_path, away, ask):
        key = directory.read_keyring().key.public_key
        if not file.exists():
            ask(directory, file)
        assert directory.read_keyring().key.public_key == key
        wanted = parse_request_untrusted(file.read_bytes())
        assert wanted.key == RootKey(keys_in(directory).next_seed).public_key


def test_x01_the_root_key_leaves_no_host_behind_whose_certificate_ends_soon(tmp_path: Path) -> None:
    directory = in_a_directory(tmp_path / "h")
    now_ms = keys_certify.now_ms()
    for number, until_ms in enumerate((now_ms - 1, now_ms + 60_000)):
        ends = certify_host(ROOT, IDENTITY, ROOT.public_key, now_ms, until_ms)
        keys = HostKeys(KEYS_OF[:32], KEYS_OF[32:], ends, KEYS_OF[:32])
        directory.replace_keys(keys.to_bytes())
        detach(directory, tmp_path / str(number))
        proof = keys_in(directory).proof
        assert proof is not None and not key_life(proof, keys_certify.now_ms()).ending
