"""Patterns of authority: small machines, and functions to write such with, in the step style.

    # till.py: the whole file of a machine that is a mint
    from caps.patterns.mint import init, step

They are code of machines: a bundle holds the ones that it uses. What each has been called since
comes from M. S. Miller, "Robust Composition" (2006), where the module names nothing else.
"""
