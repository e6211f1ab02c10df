"""Printing: what people read, JSON for programs, and progress where a person is watching."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TextIO

PROGRESS_S = 0.1
STANDARD_OUTPUT = "standard output"
TRACEBACK = "Traceback (most recent call last):"
_PLACE = re.compile(r'File "(.+?)(?: \([0-9a-f]{8}\))?", line (\d+)')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """The text with nothing in it that a terminal would obey."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def one_line(text: str) -> str:
    """A text of several lines as one: the first, and the last, or a traceback's last place."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    if TRACEBACK in lines[1:]:
        file, line = (_PLACE.findall(text) or [("", "")])[-1]
        return safe(f"{lines[0]} ({file}, line {line})" if file else lines[0])
    known = lines[0].endswith(lines[-1].partition(": ")[2] or lines[-1])
    return safe(lines[0] if known else f"{lines[0]}: {lines[-1]}")


def counted(count: int, one: str, several: str = "") -> str:
    """A number with its noun: `1 line`, `1,000 lines`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


@contextmanager
def writing_to(path: str | Path) -> Iterator[None]:
    """Has what the system says against writing a file name it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def print_text(text: str) -> None:
    """Prints a text as it stands, which must be one that a terminal can show."""
    with writing_to(STANDARD_OUTPUT):
        print(text, flush=True)


def say(text: str) -> None:
    """Prints a line for people."""
    print_text(safe(text))


def print_json(value: object) -> None:
    """Prints one JSON value on one line."""
    print_text(json_text(value))


def json_text(value: object) -> str:
    """One JSON value as one line that a terminal can show."""
    return safe(json.dumps(value, ensure_ascii=False, allow_nan=False))


def warn(text: str) -> None:
    """Prints a line on standard error."""
    print(safe(text), file=sys.stderr, flush=True)


@dataclass(slots=True)
class Progress:
    """One line on standard error that is written over; nothing where that is no terminal."""

    stream: TextIO
    shown: bool = False
    last: float = -1.0

    @classmethod
    def on_stderr(cls) -> "Progress":
        """The progress line of this command."""
        return cls(sys.stderr)

    def show(self, text: str) -> None:
        """Writes the line, at most ten times a second."""
        now = monotonic()
        if now - self.last < PROGRESS_S or not self.stream.isatty():
            return
        self.last, self.shown = now, True
        self.stream.write("\r\x1b[K" + safe(text))
        self.stream.flush()

    def clear(self) -> None:
        """Takes the line away."""
        if self.shown:
            self.shown = False
            self.stream.write("\r\x1b[K")
            self.stream.flush()


@contextmanager
def shown_while(text: str) -> Iterator[None]:
    """Shows what is waited for until that is over, to a person who watches."""
    progress = Progress.on_stderr()
    progress.show(text)
    try:
        yield
    finally:
        progress.clear()
