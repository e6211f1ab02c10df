"""A prepared process whose workers run any Python that they are sent: a step that broke out, and what it then finds.

With a word before its other arguments (`files`, `calls` or `nothing`) it is kept from that alone.
"""

import json
import sys
from collections.abc import Iterator

from avm.limits import Limits
from avm.machine import confined
from avm.machine.prepared import start


class Broken:
    """Runs each frame, and answers with what it leaves as `found`, or with what stopped it."""

    def receive(self, frame: bytes) -> Iterator[bytes]:
        names: dict[str, object] = {}
        try:
            exec(frame.decode(), names)  # noqa: S102 that is what it is for
            answer = ["done", str(names.get("found"))]
        except Exception as error:  # noqa: BLE001 whatever stops it is what is asked for
            answer = [type(error).__name__, str(error)]
        yield json.dumps(answer).encode()


if __name__ == "__main__":
    for word in sys.argv[1:-2]:
        held = confined.Confinement(files=word == "files", calls=word == "calls")
        confined.available = lambda held=held: held  # type: ignore[misc]
    start(
        int(sys.argv[-2]), Limits(**json.loads(sys.argv[-1])).worker_bytes, lambda _tell: Broken()
    )
