"""A mint: purses that hold money, which nobody can forge, copy or lose.

All of it is the pattern `caps.patterns.mint`, which is part of this machine's code from its creation on.
"""

from caps.patterns.mint import init, step

__all__ = ["init", "step"]
