"""A prepared process whose workers answer simple words: what the tests of processes start."""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from time import monotonic

from avm.limits import Limits
from avm.machine.prepared import start


def eat(size: int) -> bytes:
    """Maps and writes this many bytes."""
    return b"%d" % len(bytearray(size))


def about() -> bytes:
    """What this process has open, and its limits."""
    fds = [int(fd) for fd in os.listdir("/proc/self/fd")]
    soft = [
        resource.getrlimit(which)[0]
        for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
    ]
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    with open("/proc/self/oom_score_adj") as adjust:
        score = int(adjust.read())
    facts = {"fds": fds, "soft": soft, "sigint_ignored": ignored, "oom": score, "cwd": os.getcwd()}
    return json.dumps(facts | {"hash": hash("text"), "env": sorted(os.environ)}).encode()


class Echo:
    """Answers a frame by its first word."""

    def receive(self, frame: bytes) -> Iterator[bytes]:
        word, _, rest = frame.partition(b" ")
        match word:
            case b"eat":
                yield eat(int(rest))
            case b"about":
                yield about()
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
