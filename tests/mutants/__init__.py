"""Seeded faults: broken variants of the code, each of which the tests are shown to catch."""
