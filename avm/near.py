"""What a word that nobody knows may have been meant to be. Pure."""

from collections.abc import Iterable
from itertools import islice

from caps.light import later

NEAR = 0.7
WORD_CHARS_MAX = 100
KNOWN_MAX = 2_000


def did_you_mean(word: str, known: Iterable[str], otherwise: str = ";") -> str:
    """What to put behind a word: the nearest that is known, as a question, or else that mark."""
    if len(word) > WORD_CHARS_MAX:
        return otherwise
    # Seldom needed, and not imported with every host that starts.
    near = later("difflib", "get_close_matches")(word, list(islice(known, KNOWN_MAX)), 1, NEAR)
    return f"; did you mean {near[0]}?" if near else otherwise


__all__ = ["did_you_mean"]
