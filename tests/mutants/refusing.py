"""Seeded faults of refusals: one that is over sooner than another tells its cause."""

from tests.mutants.faults import Fault

TIMING = "tests/caps/test_timing.py"
OPENING = f"{TIMING}::test_w14_every_refusal_opens_with_the_same_steps_as_a_good_one"

FAULTS = [
    Fault(
        "who listens ends at what is no value",
        "avm/cli/listen.py",
        "except NoValue as error:",
        "except Lost as error:",
        "tests/net/test_cli_verbs.py::test_s06_what_is_no_value_is_passed_over_by_who_listens",
    ),
    Fault(
        "what is not genuine is not decrypted",
        "caps/sealing.py",
        'keys.encrypt(sealed[_TAG_BYTES:] or b"\\0", attributes)',
        "sealed",
        OPENING,
    ),
    Fault(
        "what is not genuine is refused at once",
        "avm/host/capability.py",
        "    for caveat in parsed.caveats:\n        check",
        "    if not genuine:\n        return INVALID\n    for caveat in parsed.caveats:\n        check",
        OPENING,
    ),
    Fault(
        "a refusal is not kept",
        "avm/host/keys.py",
        "            if len(wire) <= OPENED_BYTES_MAX:\n",
        "            if known is not INVALID and len(wire) <= OPENED_BYTES_MAX:\n",
        OPENING,
    ),
    Fault(
        "a generation to come is refused at once",
        "avm/host/judging.py",
        "    good &= not is_revoked(",
        "    good = good and not is_revoked(",
        f"{TIMING}::test_w14_what_is_over_is_judged_with_the_same_steps_whatever_is_over",
    ),
]
