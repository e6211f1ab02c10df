"""Lines about the host's own life: structured events, never content or keys. Shell."""

import json
import sys
from typing import Any


def note(event: str, **fields: Any) -> None:
    """A structured line on standard error."""
    print(json.dumps({"event": event, **fields}), file=sys.stderr, flush=True)
