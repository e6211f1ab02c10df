"""Faults in what makes a host quick: a short way that is taken where it does not lead."""

from tests.mutants.faults import Fault

UNITS = "tests/avm/test_host_units.py"
LOOK = "tests/link/test_quic_weather.py::test_t04_a_look_for_datagrams_is_left_out_only_where_it_would_be_in_vain"
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
    Fault(
        "what a state without kinds has lost is not seen",
        "avm/machine/kinds.py",
        "    may_differ = is_kinded(before) or is_kinded(after)\n",
        "    may_differ = is_kinded(after)\n",
        "tests/avm/test_kinds.py::test_w16_what_is_dropped_or_copied_fails_its_batch_by_its_kind",
    ),
    Fault(
        "many long numbers weigh too little",
        "caps/frozen.py",
        "_LONGER_BY = (24, 0x100, 0x10000, 0x100000000), (1, 1, 2, 4)",
        "_LONGER_BY = (24, 0x100, 0x10000, 0x100000000), (1, 1, 2, 3)",
        "tests/caps/test_weight.py::test_many_numbers_weigh_what_each_of_them_does",
    ),
    Fault(
        "a short text may stand behind a long head",
        "caps/codec.py",
        "    if len(body) < 2 + 24 or body[1] != len(body) - 2:\n",
        "    if body[1] != len(body) - 2:\n",
        "tests/caps/test_codec.py::test_content_of_another_form_is_malformed",
    ),
    Fault(
        "what a turn printed is lost where it sends nothing",
        "avm/machine/inside.py",
        "        if not printed and names is None and not held and output in frames.PLAIN:\n",
        "        if names is None and not held and output in frames.PLAIN:\n",
        "tests/avm/test_testing.py::test_what_a_file_prints_is_kept",
    ),
    Fault(
        "an acknowledgement that is due is not sent",
        "avm/link/connection.py",
        "        if space.ack_at is not None and space.ack_at <= now:\n            return False\n",
        "",
        LOOK,
    ),
]
