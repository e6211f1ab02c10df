"""An escrow: two sides pay, each in its own money, and each then claims what the other paid.

All of it is the pattern `caps.patterns.escrow`, which is part of this machine's code from its creation on.
"""

from caps.patterns.escrow import init, step

__all__ = ["init", "step"]
