"""Recordings on the disk: a directory of segments, each a file. Shell.

Beside the journey. The directory is for its owner alone: the keys of the host and all that was said are
in it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from avm.recording.log import BadRecording, Header, Segment

NAME = re.compile(r"[0-9]{8}\.segment")
DIRECTORY_MODE, FILE_MODE = 0o700, 0o600


def segments_in(place: Path) -> list[Path]:
    """The segments of a recording, in order; BadRecording where the directory cannot be read."""
    try:
        return sorted(one for one in place.iterdir() if NAME.fullmatch(one.name))
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
    except OSError as error:
        raise BadRecording(f"{place} cannot be made: {error.strerror}") from None
    paths = segments_in(place)
    if not paths:
        return 0, 0
    if place.stat().st_mode & 0o077:
        raise BadRecording(f"others can read {place}: `chmod 700 {place}`, keys are in it")
    return number_of(paths[-1]), _last_in(paths[-1])


def _last_in(path: Path) -> int:
    segment = read(path)
    last = 0
    try:
        for item in segment.items_untrusted():
            if isinstance(item, Header):
                last = item.first - 1
    except BadRecording as error:
        raise BadRecording(f"{error}; record to another directory") from None
    return max(last, segment.last)
