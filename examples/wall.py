"""A wall with a gate: what is lent through it, and all that comes of it, is taken back with one word.

All of it is the pattern `caps.patterns.membrane`, which is part of this machine's code from its creation on.
"""

from caps.patterns.membrane import init, step

__all__ = ["init", "step"]
