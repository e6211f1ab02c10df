"""Recordings on the disk: a directory of segments, each a file. Shell.

Beside the journey. The directory is for its owner alone: the keys of the host and all that was said are
in it.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from shutil import rmtree

from avm.recording.log import BadRecording, Header, Segment, pack
from avm.recording.text import Teller, items_untrusted

NAME = re.compile(r"[0-9]{8}\.segment")
DIRECTORY_MODE, FILE_MODE = 0o700, 0o600
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def segments_in(place: Path) -> list[Path]:
    """The segments of a recording, in order; BadRecording where the directory cannot be read."""
    try:
        return sorted(one for one in place.iterdir() if NAME.fullmatch(one.name))
    except FileNotFoundError:
        made = f"`avm-host run --record {place}` makes one"
        raise BadRecording(f"{place}: there is no such directory: {made}") from None
    except NotADirectoryError:
        raise BadRecording(f"{place} is a file: a recording is a directory of segments") from None
    except OSError as error:
        raise BadRecording(f"{place}: {error.strerror}") from None


def path_of(place: Path, number: int) -> Path:
    """The file of a segment."""
    return place / f"{number:08}.segment"


def number_of(path: Path) -> int:
    """The number of a segment."""
    return int(path.name[:8])


def read(path: Path) -> Segment:
    """A segment; BadRecording where it cannot be read."""
    try:
        return Segment(path.read_bytes(), path.name)
    except OSError as error:
        raise BadRecording(f"{path}: {error.strerror}") from None


def recording_in(place: Path) -> Iterator[Segment]:
    """The segments of a recording; BadRecording where there is none, or one in the middle is missing."""
    paths = segments_in(place)
    if not paths:
        raise BadRecording(f"{place} holds no recording: `avm-host run --record {place}` makes one")
    for before, path in zip([None, *paths], paths, strict=False):
        if before is not None and number_of(path) != number_of(before) + 1:
            raise BadRecording(
                f"{place}: what comes between {before.name} and {path.name} is missing"
            )
        yield read(path)


def prepare(place: Path) -> tuple[int, int]:
    """Makes the directory where it is missing; the last segment and the last input that are there.

    BadRecording where it cannot be made, or what is there cannot be gone on with.
    """
    try:
        place.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except FileExistsError:
        why = "it is there, and no directory: name another"
        raise BadRecording(f"{place} cannot be made: {why}") from None
    except OSError as error:
        raise BadRecording(f"{place} cannot be made: {error.strerror}") from None
    paths = segments_in(place)
    if not paths:
        return 0, 0
    if place.stat().st_mode & 0o077:
        raise BadRecording(f"others can read {place}: `chmod 700 {place}`, keys are in it")
    return number_of(paths[-1]), _last_in(paths[-1])


def _last_in(path: Path) -> int:
    try:
        return read(path).last_untrusted()
    except BadRecording as error:
        raise BadRecording(f"{error}; record to another directory") from None


# As text.


def write_text(place: Path, to: Path | None) -> int:
    """Writes a recording as text, to standard output or to a file that must not exist; the lines in that."""
    teller = Teller()
    items = (item for one in recording_in(place) for item in one.items_untrusted())
    lines = (line for item in items for line in teller.lines(item))
    if to is None:
        for line in lines:
            print(line)
        return 0
    if to.exists():
        raise BadRecording(f"{to} exists: name another file")
    if not to.parent.is_dir():
        raise BadRecording(f"{to.parent} is no directory: make it, or name another file")
    part = to.with_name(f"{to.name}.new")
    count = 0
    try:
        with open(os.open(part, NEW, FILE_MODE), "w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
        part.rename(to)
    finally:
        part.unlink(missing_ok=True)
    return count


def from_text(lines: Iterable[str], place: Path) -> tuple[int, int]:
    """Makes a recording of a text, in a directory that must not exist; its segments and items.

    The directory appears whole.
    """
    if place.exists():
        raise BadRecording(f"{place} exists: name another directory")
    if not place.parent.is_dir():
        raise BadRecording(f"{place.parent} is no directory: make it, or name another place")
    part = place.with_name(f"{place.name}.new")
    part.mkdir(mode=DIRECTORY_MODE)
    count = 0
    try:
        packed: list[bytes] = []
        path: Path | None = None
        for item in items_untrusted(lines):
            if isinstance(item, Header):
                _write(path, packed)
                path = path_of(part, item.segment)
            if path is None:
                raise BadRecording("a recording begins with a segment")
            packed.append(pack(item))
            count += 1
        if path is None:
            raise BadRecording("there is nothing in it")
        _write(path, packed)
        segments = len(segments_in(part))
        part.rename(place)
    finally:
        rmtree(part, ignore_errors=True)
    return segments, count


def _write(path: Path | None, packed: list[bytes]) -> None:
    """Makes the file of a segment."""
    if path is not None:
        try:
            with open(os.open(path, NEW, FILE_MODE), "wb") as file:
                file.writelines(packed)
        except FileExistsError:
            raise BadRecording(f"segment {number_of(path)} stands there twice") from None
    packed.clear()
