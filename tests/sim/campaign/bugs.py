"""The seeded bugs: the campaign is shown to catch each of them, so that it is known to look.

`python -m tests.sim.campaign --bug NAME` runs with one. Many are those that the tests of one thing
alone catch as well (`tests.mutants`); here nothing but whole worlds may find them.
"""

from typing import NamedTuple

from tests.mutants.faults import FAULTS

BUGS: dict[str, "Bug"] = {}


class Bug(NamedTuple):
    """In `file` the text `old` becomes `new`; the run of `seed` breaks by it, and says so."""

    name: str
    file: str
    old: str
    new: str
    seed: int
    messages: int
    caught_as: str

    @property
    def module(self) -> str:
        """The module that has it."""
        return self.file.removesuffix(".py").replace("/", ".")
