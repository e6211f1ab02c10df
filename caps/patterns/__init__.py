"""Patterns of authority: small machines, and functions to write such with, in the step style.

    # till.py: the whole file of a machine that is a mint
    from caps.patterns.mint import init, step

They are code of machines: a bundle holds the ones that it uses. Their records are named after them
("mint.Purse"), so that they are no other's. Where a module names no source, the pattern is that of
M. S. Miller, "Robust Composition" (2006).
"""
