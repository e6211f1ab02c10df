"""A prepared process whose workers answer simple words: what the tests of processes start."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from time import monotonic

from avm.limits import Limits
from avm.machine.prepared import start

FILES = 1_024


def eat(size: int) -> bytes:
    """Maps and writes this many bytes."""
    return b"%d" % len(bytearray(size))


def about() -> bytes:
    """What this process has open, and what it was given; the kernel tells it nothing else of itself."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    facts = {"fds": [fd for fd in range(FILES) if is_open(fd)], "sigint_ignored": ignored}
    facts |= {"cwd": os.getcwd(), "hash": hash("text"), "env": sorted(os.environ)}
    return json.dumps(facts).encode()


def said(words: bytes) -> bytes:
    """Says the words to standard error until it takes no more, at most a million times; how often."""
    for count in range(1_000_000):
        try:
            os.write(2, words)
        except BlockingIOError:
            return b"%d" % count
    return b"all"


def is_open(fd: int) -> bool:
    """Whether there is such a descriptor."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


class Echo:
    """Answers a frame by its first word."""

    def receive(self, frame: bytes) -> Iterator[bytes]:
        word, _, rest = frame.partition(b" ")
        match word:
            case b"eat":
                yield eat(int(rest))
            case b"about":
                yield about()
            case b"say":
                yield said(rest)
            case b"exit":
                os._exit(int(rest))
            case b"raise":
                raise MemoryError
            case b"stop":
                raise SystemExit(0)
            case b"write":
                with open(rest, "wb") as file:
                    file.write(b"x")
            case b"slow":
                end = monotonic() + float(rest)
                while monotonic() < end:
                    pass
                yield frame
            case b"silent":
                return
            case b"twice":
                yield rest
                yield rest
            case _:
                yield frame


if __name__ == "__main__":
    start(int(sys.argv[1]), Limits(**json.loads(sys.argv[2])).worker_bytes, lambda _tell: Echo())
