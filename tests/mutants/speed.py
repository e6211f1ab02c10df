"""Faults in what makes a host quick: a short way that is taken where it does not lead."""

from tests.mutants.faults import Fault

UNITS = "tests/avm/test_host_units.py"
LIGHT = "tests/caps/test_light.py"

SPEED = [
    Fault(
        "the answer to one turn is taken for that to another",
        "avm/machine/frames.py",
        'frame[:-7] == b"\\x86\\x04" + place else None',
        'frame[:2] == b"\\x86\\x04" else None',
        f"{UNITS}::test_an_answer_that_is_seen_at_a_glance_is_read_as_any_other",
    ),
    Fault(
        "a value can be changed",
        "caps/light.py",
        "    made.__setattr__ = refuse_set  # type: ignore[method-assign, assignment]\n",
        "",
        f"{LIGHT}::test_it_cannot_be_changed",
    ),
    Fault(
        "the face imports what it leaves for later",
        "avm/__init__.py",
        "if TYPE_CHECKING:\n",
        "if not TYPE_CHECKING:\n",
        f"{LIGHT}::test_the_face_imports_neither_dataclasses_nor_typing",
    ),
]
